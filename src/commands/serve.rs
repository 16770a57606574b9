//! `windtunnel serve`

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use clap::builder::ArgPredicate;
use coordinator::store::Place;
use coordinator::{
    BatchOptions, CoordinatorOptions, Handle, RunError, Settings, StartError, TlsFiles, UploadLimits, Verification,
    Waits,
};
use proto::v1::AddPoolRequest;
use serde::Serialize;
use vocabulary::text::one_line;

use super::pool;
use crate::args::{Compute, Downloads, Global, Leaving};
use crate::exit::{Exit, OrBadInput};
use crate::local::data_dir::{WritableDir, data_dir};
use crate::local::file_system::warn_if_shared;
use crate::local::local_pool;
use crate::local::reach::{Reached, embedded, is_taken, start_error};
use crate::local::signals::Interrupts;
use crate::local::until_idle::until_idle;
use crate::logging::say;
use crate::views::output::{self, View};

/// Between two tries to begin a term again.
const BETWEEN_STARTS: Duration = Duration::from_secs(1);

/// The longest time between two tries. Each of them may begin a term, so they become fewer.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Attempts to lock the data directory under `--until-idle`.
const MOST_STARTS: u32 = 300;

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
    /// Address to listen on, as IP:PORT; port 0 picks a free port. With --announce, 0.0.0.0:0 by default
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:7450",
        default_value_if("announce", ArgPredicate::IsPresent, "0.0.0.0:0"),
        value_parser = crate::args::listen
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
    /// A folder that workers on other machines mount at the same place, or a bucket: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or
    /// az://CONTAINER/PREFIX, with keys and endpoint in AWS_*, GOOGLE_* or AZURE_*, here and on the workers. They need nothing
    /// else of the data directory, which is best on a disk of this machine. The storage is remembered; to move it, copy what is
    /// in it and give the new URL
    #[arg(long, value_name = "URL|PATH")]
    storage: Option<String>,

    /// Most GB of datasets that clients may be sending at a time
    ///
    /// Commands that cannot write to the storage send the text that they prepared to the coordinator, which puts it there.
    /// What has arrived waits in the data directory until a file is whole
    #[arg(long, value_name = "GB", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    upload_limit: u32,

    /// Address to answer GET /metrics on, for Prometheus; port 0 picks a free port
    ///
    /// On loopback everybody on this machine may look. Beyond it, the same certificate is required and a token of scope `read`
    #[arg(long, value_name = "ADDRESS", value_parser = crate::args::listen)]
    metrics: Option<SocketAddr>,

    /// TOML file that describes a pool to add at the start, as for `windtunnel pool add`, unless a pool has its name already
    #[arg(long, value_name = "FILE")]
    pool: Vec<PathBuf>,

    /// End once no campaign is open and no pool has a job
    ///
    /// For a coordinator that runs inside an allocation. When the last campaign ends, pools are drained so that their workers
    /// leave at once. A campaign submitted before the coordinator ends resumes them. A restart with open campaigns resumes all
    /// pools, paused ones included
    #[arg(long)]
    until_idle: bool,

    /// What of a new checkpoint is read before it counts [default: full for a folder, size for a bucket]
    ///
    /// The service of a bucket has compared what it took with a hash sent along, and whoever starts from a checkpoint compares
    /// every byte; `full` reads all checkpoints back to this machine
    #[arg(long, value_enum, value_name = "HOW")]
    verify: Option<Verify>,

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

    /// Seconds between two looks at the queue of Slurm, while a pool has jobs or wants some
    #[arg(long, value_name = "SECONDS", hide = true, value_parser = clap::value_parser!(u16).range(1..=3600))]
    slurm_poll: Option<u16>,

    /// Seconds between two looks at the jobs of Kubernetes, while a pool has some or wants some
    #[arg(long, value_name = "SECONDS", hide = true, value_parser = clap::value_parser!(u16).range(1..=300))]
    kubernetes_poll: Option<u16>,

    #[command(flatten)]
    compute: Compute,

    #[command(flatten)]
    leaving: Leaving,

    #[command(flatten)]
    downloads: Downloads,
}

/// [`Verification`], as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Verify {
    /// Every byte
    Full,
    /// The manifest, and that each file is there and of its size
    Size,
}

impl From<Verify> for Verification {
    fn from(verify: Verify) -> Self {
        match verify {
            Verify::Full => Self::Full,
            Verify::Size => Self::Sizes,
        }
    }
}

#[derive(Serialize)]
struct Serving {
    url: String,
    /// For commands and workers of the same user on this machine.
    socket: String,
    storage: String,
    /// For Prometheus.
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<String>,
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
        let described = |file: &PathBuf| pool::described_in(file);
        let pools = self.pool.iter().map(described).collect::<anyhow::Result<Vec<_>>>()?;
        let tls = self.tls_cert.zip(self.tls_key).map(|(certificate, key)| TlsFiles {
            certificate,
            key,
            client_ca: self.tls_client_ca,
        });
        crate::local::runtime()?.block_on(async {
            let mut interrupts = Interrupts::listen()?;
            let local_workers = (self.workers > 0)
                .then(|| local_pool(data_dir, self.workers, &self.compute, self.leaving, self.downloads));
            let mut options = CoordinatorOptions {
                place,
                stands_by: true,
                storage: self.storage,
                metrics: self.metrics,
                verification: self.verify.map(Verification::from),
                listen: self.listen,
                settings: Settings::with_lease(Duration::from_secs(u64::from(self.lease))),
                tls,
                announce: self.announce,
                require_token: self.require_token || !(self.open_loopback || self.insecure),
                insecure: self.insecure,
                uploads: UploadLimits {
                    bytes: u64::from(self.upload_limit) * 1_000_000_000,
                    ..UploadLimits::default()
                },
                local_workers: local_workers.transpose()?,
                pools: Some(pool_options(self.slurm_poll, self.kubernetes_poll)),
                ..CoordinatorOptions::new(data_dir)
            };
            let mut reached = tokio::select! {
                // Whoever stands by has nothing to write when it is stopped.
                () = interrupts.next() => return Ok(Exit::Done),
                reached = first(&options, self.until_idle) => reached?,
            };
            let is_shared = matches!(Place::of(data_dir), Ok(Place::Postgres(_)));
            if let Err(error) = add_pools(&mut reached, &pools).await {
                reached.leave().await;
                return Err(error);
            }
            loop {
                match announce(&mut reached, global).await {
                    // Its end says why.
                    Err(error) if is_shared => {
                        say(&format!("cannot say where it serves: {}", one_line(error.as_ref())))
                    }
                    said => said?,
                }
                let campaigns = reached.campaigns.clone();
                let idle = async {
                    match self.until_idle {
                        true => until_idle(campaigns).await,
                        false => std::future::pending().await,
                    }
                };
                let outcome = tokio::select! {
                    () = interrupts.next() => break,
                    () = idle => break,
                    outcome = ended(&reached) => outcome,
                    never = tell_when_workers_are_gone(&reached) => match never {},
                };
                match outcome {
                    Ok(()) => break,
                    Err(error) if is_shared && error.is_term_over() => {
                        say(&format!("this coordinator no longer leads, and stands by: {}", one_line(error.as_ref())));
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

/// How batch systems are asked.
fn pool_options(slurm: Option<u16>, kubernetes: Option<u16>) -> BatchOptions {
    let usual = BatchOptions::default();
    BatchOptions { slurm: polled(usual.slurm, slurm), kubernetes: polled(usual.kubernetes, kubernetes) }
}

/// A shorter poll also shortens the other waits; tests use this.
fn polled(usual: Waits, poll: Option<u16>) -> Waits {
    poll.map_or(usual, |seconds| {
        let poll = Duration::from_secs(u64::from(seconds));
        Waits { poll, patience: (10 * poll).min(usual.patience), settle: (10 * poll).min(usual.settle) }
    })
}

/// Starts. Under `--until-idle` it waits for the data directory, which a `submit --slurm` or the previous coordinator may still
/// hold.
async fn first(options: &CoordinatorOptions, may_wait: bool) -> anyhow::Result<Reached> {
    let mut tries = 0;
    loop {
        match embedded(options.clone()).await {
            Err(error) if may_wait && is_taken(&error) && tries < MOST_STARTS => {
                if tries == 0 {
                    say(&format!("waiting for the data directory: {}", one_line(error.as_ref())));
                }
                tries += 1;
                tokio::time::sleep(BETWEEN_STARTS).await;
            }
            Err(error) if matches!(start_error(&error), Some(StartError::GivenUp(_))) => {
                say(&format!("standing by again: {}", one_line(error.as_ref())));
                tokio::time::sleep(BETWEEN_STARTS).await;
                return again(options).await;
            }
            reached => return reached,
        }
    }
}

/// Adds the pools that are not there yet.
async fn add_pools(reached: &mut Reached, described: &[AddPoolRequest]) -> anyhow::Result<()> {
    if described.is_empty() {
        return Ok(());
    }
    let known = reached.campaigns.list_pools().await?;
    for pool in described.iter().filter(|pool| known.iter().all(|known| known.name != pool.name)) {
        reached.campaigns.add_pool(pool.clone()).await?;
    }
    Ok(())
}

/// Prints where it serves.
async fn announce(reached: &mut Reached, global: &Global) -> anyhow::Result<()> {
    let info = reached.campaigns.info().await?;
    let url = reached.own().map_or_else(|| reached.campaigns.url(), Handle::public_url).to_owned();
    let socket = reached.campaigns.url().to_owned();
    let metrics = reached.own().and_then(Handle::metrics_url).map(str::to_owned);
    let serving = Serving { url, socket, storage: info.storage, metrics, process_id: info.process_id };
    output::print_line(&serving, global.json)
}

/// Starts once more, as soon as that can succeed: nothing of the last term is left in this process.
async fn again(options: &CoordinatorOptions) -> anyhow::Result<Reached> {
    let (mut said, mut pause) = (String::new(), BETWEEN_STARTS);
    loop {
        match embedded(options.clone()).await {
            Err(error) if start_error(&error).is_some_and(StartError::may_pass) => {
                let why = one_line(error.as_ref());
                if why != said {
                    say(&format!("cannot begin a term yet: {why}"));
                    said = why;
                }
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
            reached => return reached,
        }
    }
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
        let metrics = self.metrics.as_ref().map(|url| format!(", metrics {url}")).unwrap_or_default();
        format!("serving {} (process {}), storage {}{metrics}\n", self.url, self.process_id, self.storage)
    }
}
