//! `windtunnel serve`

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::builder::ArgPredicate;
use coordinator::{CoordinatorOptions, Handle, Settings, SlurmOptions, TlsFiles};
use serde::Serialize;
use vocabulary::text::one_line;

use crate::args::{Compute, Global, Leaving};
use crate::exit::Exit;
use crate::local::data_dir::{WritableDir, data_dir};
use crate::local::file_system::warn_if_shared;
use crate::local::local_pool;
use crate::local::reach::{Reached, embedded};
use crate::local::signals::Interrupts;
use crate::logging::say;
use crate::views::output::{self, View};

/// Run a coordinator for workers and clients
///
/// Serves one data directory until stopped by Ctrl-C, SIGTERM or SIGHUP. A restart continues where it was.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel serve
  windtunnel worker
  windtunnel submit recipes/quickstart.toml

For other machines, with tokens made by `windtunnel token create`:
  windtunnel serve --listen 0.0.0.0:7450 --tls-cert tls.pem --tls-key tls.key")]
pub(crate) struct Args {
    /// Address to listen on; port 0 picks a free port. With --announce, 0.0.0.0:0 by default
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:7450",
        default_value_if("announce", ArgPredicate::IsPresent, "0.0.0.0:0")
    )]
    listen: SocketAddr,

    /// Server certificate (PEM); required to listen beyond this machine
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Private key (PEM) of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// CA certificates (PEM) for client certificates, which are then required
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,

    /// File in which to announce where this coordinator is, for --rendezvous of workers and commands
    ///
    /// For a coordinator that runs inside an allocation, somewhere else each time. It makes a certificate of its own, and
    /// writes addresses, certificate and tokens for workers and for people into the file, for its owner alone (mode 600). The
    /// file goes when the coordinator ends in order
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tls_cert", "open_loopback", "insecure"])]
    announce: Option<PathBuf>,

    /// Serve every user of this machine without a token
    ///
    /// Commands and workers of the user who runs the coordinator find its socket in the data directory and need no token;
    /// everyone else does. With this option anyone who can open a connection to the port on loopback may do everything
    #[arg(long)]
    open_loopback: bool,

    /// The default since tokens are required on loopback, too
    #[arg(long, hide = true, conflicts_with = "open_loopback")]
    require_token: bool,

    /// Allow a public address without authentication or encryption
    #[arg(long)]
    insecure: bool,

    /// URL or path of the storage of datasets and checkpoints [default: as before, at first the data directory]
    ///
    /// Workers on other machines need it under the same URL, and nothing else of the data directory, which is best on a disk
    /// of this machine. It is remembered; to move it, copy what is in it and give the new URL
    #[arg(long, value_name = "URL|PATH")]
    storage: Option<String>,

    /// Worker processes to start on this machine
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    workers: u16,

    /// Seconds without a sign of life after which a worker's stage goes to another
    ///
    /// Workers send heartbeats six times as often. After a restart of the coordinator they have twice as long
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    lease: u32,

    /// Seconds between two looks at the queue of Slurm, while a pool has jobs or wants some
    #[arg(long, value_name = "SECONDS", hide = true, value_parser = clap::value_parser!(u16).range(1..=3600))]
    slurm_poll: Option<u16>,

    #[command(flatten)]
    compute: Compute,

    #[command(flatten)]
    leaving: Leaving,
}

#[derive(Serialize)]
struct Serving {
    url: String,
    /// For commands and workers of the same user on this machine.
    socket: String,
    storage: String,
    process_id: u32,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let data_dir = WritableDir::prepare_private(&data_dir(global)?)?;
        if self.workers > 0 {
            self.compute.check()?;
        }
        let data_dir = data_dir.path();
        warn_if_shared(data_dir);
        let tls = self.tls_cert.zip(self.tls_key).map(|(certificate, key)| TlsFiles {
            certificate,
            key,
            client_ca: self.tls_client_ca,
        });
        crate::local::runtime()?.block_on(async {
            let mut interrupts = Interrupts::listen()?;
            let local_workers =
                (self.workers > 0).then(|| local_pool(data_dir, self.workers, &self.compute, self.leaving));
            let options = CoordinatorOptions {
                storage: self.storage,
                listen: self.listen,
                settings: Settings::with_lease(Duration::from_secs(u64::from(self.lease))),
                tls,
                announce: self.announce,
                require_token: self.require_token || !(self.open_loopback || self.insecure),
                insecure: self.insecure,
                local_workers: local_workers.transpose()?,
                slurm: Some(slurm_options(self.slurm_poll)),
                ..CoordinatorOptions::new(data_dir)
            };
            let mut reached = embedded(options).await?;
            let info = reached.campaigns.info().await?;
            let url = reached.own().map_or_else(|| reached.campaigns.url(), Handle::public_url).to_owned();
            let socket = reached.campaigns.url().to_owned();
            output::print_line(
                &Serving { url, socket, storage: info.storage, process_id: info.process_id },
                global.json,
            )?;
            tokio::select! {
                () = interrupts.next() => {}
                outcome = ended(&reached) => outcome?,
                never = tell_when_workers_are_gone(&reached) => match never {},
            }
            say(&format!("stopping; {}", interrupts.how_to_stop_at_once()));
            tokio::select! {
                () = reached.leave() => Ok(Exit::Done),
                () = interrupts.again() => Ok(Exit::Interrupted),
            }
        })
    }
}

/// How Slurm is asked. Whoever looks more often, as tests do, also waits less for what shows up.
fn slurm_options(poll: Option<u16>) -> SlurmOptions {
    let usual = SlurmOptions::default();
    poll.map_or(usual, |seconds| {
        let poll = Duration::from_secs(u64::from(seconds));
        SlurmOptions { poll, patience: (10 * poll).min(usual.patience), settle: (10 * poll).min(usual.settle) }
    })
}

/// Resolves when the coordinator stops by itself.
async fn ended(reached: &Reached) -> anyhow::Result<()> {
    let Some(own) = reached.own() else { return Ok(()) };
    let outcome = own.wait().await;
    outcome.map_err(|error| anyhow!("the coordinator stopped: {}", one_line(error.as_ref())))
}

/// Prints that no local worker is left. Those of other machines may still dial.
async fn tell_when_workers_are_gone(reached: &Reached) -> Infallible {
    if let Some(own) = reached.own() {
        say(&format!("{}; serving without workers of its own", own.workers_gone().await));
    }
    std::future::pending().await
}

impl View for Serving {
    fn table(&self) -> String {
        format!("serving {} (process {}), storage {}\n", self.url, self.process_id, self.storage)
    }
}
