//! `windtunnel serve`

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use coordinator::store::Place;
use coordinator::{CoordinatorOptions, Handle, RunError, Settings, StartError, TlsFiles};
use serde::Serialize;
use vocabulary::text::one_line;

use crate::args::{Compute, Global, Leaving};
use crate::exit::{Exit, OrBadInput};
use crate::local::data_dir::{WritableDir, data_dir};
use crate::local::file_system::warn_if_shared;
use crate::local::local_pool;
use crate::local::reach::{Reached, embedded};
use crate::local::signals::Interrupts;
use crate::logging::say;
use crate::views::output::{self, View};

/// Between two tries to begin a term again.
const BETWEEN_STARTS: Duration = Duration::from_secs(1);

/// Run a coordinator for workers and clients
///
/// Serves one data directory until stopped by Ctrl-C, SIGTERM or SIGHUP. A restart continues where it was. With --store, several
/// coordinators serve one store in turn.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel serve
  windtunnel worker
  windtunnel submit recipes/quickstart.toml

For other machines, with tokens made by `windtunnel token create`:
  windtunnel serve --listen 0.0.0.0:7450 --tls-cert tls.pem --tls-key tls.key

With a second one that takes over when the first is gone, each with a data
directory of its own:
  windtunnel serve --store postgres://windtunnel@db-1/windtunnel \\
    --storage /shared/windtunnel")]
pub(crate) struct Args {
    /// Address to listen on; port 0 picks a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7450")]
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

    /// Address of the store: postgres://USER@HOST/DATABASE, or `sqlite` for the file in the data directory [default: as
    /// before, at first `sqlite`]
    ///
    /// Several coordinators may have the same database: one leads, and the others stand by and take over. It must be one
    /// primary of PostgreSQL 14 or later, reached directly or through a pooler in session mode; PgBouncer in transaction mode is
    /// refused. Commits wait for `synchronous_commit = on`, whatever the server's default is. An address holds no password: name
    /// a file with it in WINDTUNNEL_STORE_PASSWORD_FILE, or use PGPASSWORD or ~/.pgpass. TLS as in libpq, for example
    /// `?sslmode=verify-full&sslrootcert=ca.pem`. It is remembered; `windtunnel store copy` moves a store
    #[arg(long, value_name = "ADDRESS", env = "WINDTUNNEL_STORE", hide_env_values = true)]
    store: Option<String>,

    /// Worker processes to start on this machine
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    workers: u16,

    /// Seconds without a sign of life after which a worker's stage goes to another
    ///
    /// Workers send heartbeats six times as often. After a restart of the coordinator they have twice as long
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    lease: u32,

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
        let place = self.store.as_deref().map(Place::parse).transpose().or_bad_input()?;
        let tls = self.tls_cert.zip(self.tls_key).map(|(certificate, key)| TlsFiles {
            certificate,
            key,
            client_ca: self.tls_client_ca,
        });
        crate::local::runtime()?.block_on(async {
            let mut interrupts = Interrupts::listen()?;
            let local_workers =
                (self.workers > 0).then(|| local_pool(data_dir, self.workers, &self.compute, self.leaving));
            let mut options = CoordinatorOptions {
                place,
                stands_by: true,
                storage: self.storage,
                listen: self.listen,
                settings: Settings::with_lease(Duration::from_secs(u64::from(self.lease))),
                tls,
                require_token: self.require_token || !(self.open_loopback || self.insecure),
                insecure: self.insecure,
                local_workers: local_workers.transpose()?,
                ..CoordinatorOptions::new(data_dir)
            };
            let mut reached = tokio::select! {
                // Whoever stands by has nothing to write when it is stopped.
                () = interrupts.next() => return Ok(Exit::Done),
                reached = embedded(options.clone()) => reached?,
            };
            let is_shared = matches!(Place::of(data_dir), Ok(Place::Postgres(_)));
            loop {
                match announce(&mut reached, global).await {
                    // Its end says why.
                    Err(error) if is_shared => {
                        say(&format!("cannot say where it serves: {}", one_line(error.as_ref())))
                    }
                    said => said?,
                }
                let outcome = tokio::select! {
                    () = interrupts.next() => break,
                    outcome = ended(&reached) => outcome,
                    never = tell_when_workers_are_gone(&reached) => match never {},
                };
                match outcome {
                    Ok(()) => break,
                    Err(error) if is_shared && error.is_term_over() => {
                        say(&format!("this coordinator leads no more, and stands by: {}", one_line(error.as_ref())));
                    }
                    Err(error) => return Err(anyhow!("the coordinator stopped: {}", one_line(error.as_ref()))),
                }
                options.listen = reached.own().map_or(options.listen, Handle::address);
                reached.leave().await;
                reached = tokio::select! {
                    () = interrupts.next() => return Ok(Exit::Done),
                    again = again(&options) => again?,
                };
            }
            say(&format!("stopping; {}", interrupts.how_to_stop_at_once()));
            tokio::select! {
                () = reached.leave() => Ok(Exit::Done),
                () = interrupts.again() => Ok(Exit::Interrupted),
            }
        })
    }
}

/// Prints where it serves.
async fn announce(reached: &mut Reached, global: &Global) -> anyhow::Result<()> {
    let info = reached.campaigns.info().await?;
    let url = reached.own().map_or_else(|| reached.campaigns.url(), Handle::public_url).to_owned();
    let socket = reached.campaigns.url().to_owned();
    let serving = Serving { url, socket, storage: info.storage, process_id: info.process_id };
    output::print_line(&serving, global.json)
}

/// Starts once more, as soon as the store can be reached: nothing of the last term is left in this process.
async fn again(options: &CoordinatorOptions) -> anyhow::Result<Reached> {
    let mut is_said = false;
    loop {
        match embedded(options.clone()).await {
            Err(error) if is_store_away(&error) => {
                if !std::mem::replace(&mut is_said, true) {
                    say(&format!("cannot begin a term yet: {}", one_line(error.as_ref())));
                }
                tokio::time::sleep(BETWEEN_STARTS).await;
            }
            reached => return reached,
        }
    }
}

/// Whether the database, or the term in it, is gone for now.
fn is_store_away(error: &anyhow::Error) -> bool {
    error.downcast_ref::<StartError>().is_some_and(StartError::is_store_away)
}

/// Resolves when the coordinator stops by itself.
async fn ended(reached: &Reached) -> Result<(), Arc<RunError>> {
    match reached.own() {
        Some(own) => own.wait().await,
        None => Ok(()),
    }
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
