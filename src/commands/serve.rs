//! `windtunnel serve`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use coordinator::{CoordinatorOptions, Handle, Settings, TlsFiles};
use serde::Serialize;

use crate::args::Compute;
use crate::args::Global;
use crate::exit::{Exit, one_line};
use crate::local::data_dir::{WritableDir, data_dir};
use crate::local::local_pool;
use crate::local::reach::{Reached, embedded};
use crate::local::signals::Interrupts;
use crate::logging::say;
use crate::views::output::{self, View};

/// Run a coordinator that workers and people dial
///
/// It serves one data directory, until it is stopped by Ctrl-C or SIGTERM. Started again, it goes on where it was.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel serve --data-dir /shared/windtunnel
  windtunnel worker --coordinator http://127.0.0.1:7450
  windtunnel submit recipes/quickstart.toml --coordinator http://127.0.0.1:7450

For other machines, with tokens made by `windtunnel token create`:
  windtunnel serve --listen 0.0.0.0:7450 --tls-cert login-1.pem --tls-key login-1.key")]
pub(crate) struct Args {
    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7450")]
    listen: SocketAddr,

    /// Certificate (PEM) that shows who this coordinator is; needed to listen beyond this machine
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Certificates (PEM) of who may vouch for those who dial, who have to show a certificate then
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,

    /// Ask everybody for a token, also on this machine; beyond it that is so in any case
    #[arg(long)]
    require_token: bool,

    /// Allow an address that others can reach, although nobody is asked who they are and nothing is encrypted
    #[arg(long)]
    insecure: bool,

    /// Worker processes to start on this machine
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    workers: u16,

    /// Seconds after the last sign of life at which a worker's stage is given to another
    ///
    /// Workers give a sign six times as often. After a restart of the coordinator they have twice as long
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    lease: u32,

    #[command(flatten)]
    compute: Compute,
}

#[derive(Serialize)]
struct Serving {
    url: String,
    storage: String,
    process_id: u32,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let data_dir = WritableDir::prepare(&data_dir(global)?, "the data directory")?;
        if self.workers > 0 {
            self.compute.check()?;
        }
        let data_dir = data_dir.path();
        let tls = self.tls_cert.zip(self.tls_key).map(|(certificate, key)| TlsFiles {
            certificate,
            key,
            client_ca: self.tls_client_ca,
        });
        crate::local::runtime()?.block_on(async {
            let mut interrupts = Interrupts::listen()?;
            let local_workers = (self.workers > 0).then(|| local_pool(data_dir, self.workers, &self.compute));
            let options = CoordinatorOptions {
                listen: self.listen,
                settings: Settings::with_lease(Duration::from_secs(u64::from(self.lease))),
                tls,
                require_token: self.require_token,
                insecure: self.insecure,
                local_workers: local_workers.transpose()?,
                ..CoordinatorOptions::new(data_dir)
            };
            let mut reached = embedded(options).await?;
            let info = reached.campaigns.info().await?;
            let url = reached.own().map_or_else(|| reached.campaigns.url(), Handle::public_url).to_owned();
            output::print_line(&Serving { url, storage: info.storage, process_id: info.process_id }, global.json)?;
            tokio::select! {
                () = interrupts.next() => {}
                outcome = ended(&reached) => outcome?,
            }
            say("stopping; a second Ctrl-C stops at once");
            tokio::select! {
                () = reached.leave() => Ok(Exit::Done),
                () = interrupts.next() => Ok(Exit::Interrupted),
            }
        })
    }
}

/// Waits for a coordinator that cannot go on.
async fn ended(reached: &Reached) -> anyhow::Result<()> {
    let Some(own) = reached.own() else { return Ok(()) };
    let outcome = own.wait().await;
    outcome.map_err(|error| anyhow!("the coordinator cannot go on: {}", one_line(error.as_ref())))
}

impl View for Serving {
    fn table(&self) -> String {
        format!("serving {} (process {}), storage {}\n", self.url, self.process_id, self.storage)
    }
}
