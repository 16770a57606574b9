//! Starting a coordinator, and shutting it down.

mod announce;
mod announced;
mod handle;
mod known;
mod options;
mod server;
mod standby;

use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use dial::RENDEZVOUS_SCHEME;
use futures::future::OptionFuture;
use futures::{Stream, StreamExt as _};
use storage::Storage;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::ServerTlsConfig;
use tracing::info;

use crate::api::Api;
use crate::auth::{Guard, of_this_user, with_logins};
use crate::driver::{Access, Driver, DriverHandle, RestoreStateError};
use crate::grpc::{CampaignHandlers, PoolHandlers, WorkerHandlers};
use crate::home;
use crate::incoming::{self, Accepted, Gate, ServerLimits};
use crate::lock::{DataDirLock, LiveCoordinator, LockError, machine};
use crate::metrics::{self, MetricsDoor};
use crate::pools::batch::{BatchPools, Grounds, Surroundings};
use crate::pools::{BatchOptions, LocalPoolOptions};
use crate::socket::SocketFile;
use crate::store::{StorageNote, Store, StoreError, Term, Turn};
use crate::tls::{TlsFiles, with_own};
use crate::uploads::{UploadLimits, Uploads};
pub use announce::AnnounceError;
use announce::OwnCertificate;
pub use handle::Handle;
use handle::drive;
use known::{Claimed, Known, Ports};
pub use options::{CoordinatorOptions, StartError};
use server::{Door, routes};

/// Connections at a time to the listener of metrics.
const MOST_WATCHERS: usize = 64;

/// Starts coordinators. A running one is a [`Handle`].
#[derive(Debug)]
pub struct Coordinator;

impl Coordinator {
    /// Starts a coordinator: locks the data directory, restores the state in it, and listens.
    ///
    /// # Errors
    /// If other machines can reach the address and nothing protects it, if another coordinator holds the data directory, or
    /// if something cannot be read, written or listened on.
    pub async fn start(options: CoordinatorOptions) -> Result<Handle, StartError> {
        let (listen, insecure) = (options.listen, options.insecure);
        let is_reachable = !listen.ip().is_loopback();
        let has_certificate = options.tls.is_some() || options.announce.is_some();
        for listen in [Some(listen), options.metrics].into_iter().flatten() {
            if !listen.ip().is_loopback() && !has_certificate && !insecure {
                return Err(StartError::NotLoopback { listen });
            }
        }
        let file = options.announce.clone();
        file.as_deref().map_or(Ok(()), announce::check)?;
        let own = file.as_ref().map(|_| OwnCertificate::make(listen)).transpose()?;
        let tls = match &own {
            Some(own) => Some(with_own(own.pem())),
            None => options.tls.as_ref().map(TlsFiles::read).transpose()?,
        };
        let limits = options.limits.within_descriptors();
        let require_token = options.require_token || (is_reachable && !insecure);
        let options = CoordinatorOptions { limits, require_token, ..options };
        let claimed = Claimed::take(&options).await?;
        let (listener, address) = bind(listen).await?;
        let (inside, socket) = match claimed.lock {
            Some(_) => SocketFile::listen_in(&claimed.data_dir)?,
            // Beside the coordinator that has the data directory.
            None => SocketFile::listen_elsewhere()?,
        };
        let public_url = match tls {
            Some(_) => format!("https://{address}"),
            None => format!("http://{}", reachable(address)),
        };
        let known = claimed.open_store(&options, &public_url).await?;
        // Before it stands by: a port that somebody else has is said now, and not when the leader is gone.
        let metrics = match options.metrics {
            Some(listen) => Some(Metrics::bind(listen, tls.clone(), insecure).await?),
            None => None,
        };
        let mut ports = Ports { listener, inside, tls, listen };
        known.wait_for_turn(&options, &mut ports, &socket, &public_url).await?;
        let has_stood_by = matches!(known.turn, Turn::Held(_));
        let store = Arc::clone(&known.store);
        let led = Self::lead(known, options, Led { ports, socket, public_url, address, metrics, file, own }).await;
        match led {
            // Whoever waited for its turn did so in order to be there when it is needed, so it waits again.
            Err(error) if has_stood_by && error.may_pass() => {
                store.close().await;
                Err(StartError::GivenUp(Box::new(error)))
            }
            led => led,
        }
    }

    /// Begins a term and serves.
    async fn lead(known: Known, options: CoordinatorOptions, led: Led) -> Result<Handle, StartError> {
        let Led { ports, socket, public_url, address, metrics, file, own } = led;
        let Ports { listener, inside, tls, .. } = ports;
        let opened = Opened::restore(known, options).await?;
        let (has_logins, guard) = (tls.is_none() && opened.guard.asks(), Arc::clone(&opened.guard));
        let incoming = move |gate| {
            let accepted = incoming::within_limits(incoming::tcp(listener), gate);
            if has_logins { with_logins(accepted, guard).boxed() } else { accepted.boxed() }
        };
        let dialled_from_nodes = match &file {
            // Jobs find it there wherever it starts again, with the certificate that it made.
            Some(file) => {
                format!("{RENDEZVOUS_SCHEME}{}", std::path::absolute(file).unwrap_or_else(|_| file.clone()).display())
            }
            None => dialled_from_nodes(address, tls.is_some()),
        };
        let data_dir = opened.data_dir.clone();
        let inside = Some((inside, socket));
        let entrance = Entrance { incoming, tls, inside, public_url, address, dialled_from_nodes, metrics };
        let mut handle = opened.serve(entrance).await?;
        if let Some((file, own)) = file.zip(own) {
            match announce::announce(file, &own, address.port(), &data_dir, Arc::clone(&handle.store)).await {
                Ok(announced) => handle.announced = Some(announced),
                Err(error) => {
                    handle.shutdown().await;
                    return Err(error.into());
                }
            }
        }
        Ok(handle)
    }

    /// Starts a coordinator that serves the given connections, such as those of a simulated network, instead of listening.
    /// `url` is the address it is dialled at. The caller decides who can reach it.
    ///
    /// # Errors
    /// As [`Coordinator::start`], other than of listening.
    pub async fn start_on<S, IO>(options: CoordinatorOptions, url: String, incoming: S) -> Result<Handle, StartError>
    where
        S: Stream<Item = io::Result<(IO, SocketAddr)>> + Send + 'static,
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let listen = options.listen;
        let tls = options.tls.as_ref().map(TlsFiles::read).transpose()?;
        let known = Claimed::take(&options).await?.open_store(&options, &url).await?;
        if let Turn::Held(leader) = &known.turn {
            return Err(known.led_by(leader.as_ref()));
        }
        let opened = Opened::restore(known, options).await?;
        let incoming = move |gate| incoming::within_limits(incoming, gate);
        let (dialled_from_nodes, public_url) = (url.clone(), url);
        let (inside, address, metrics) = (None, listen, None);
        opened.serve(Entrance { incoming, tls, inside, public_url, address, dialled_from_nodes, metrics }).await
    }
}

/// What a coordinator that leads listens with.
struct Led {
    ports: Ports,
    socket: SocketFile,
    public_url: String,
    address: SocketAddr,
    metrics: Option<Metrics>,
    /// Where it announces itself, and its certificate.
    file: Option<PathBuf>,
    own: Option<OwnCertificate>,
}

/// Where connections come from.
struct Entrance<F> {
    /// The connections that a gate takes in.
    incoming: F,
    tls: Option<ServerTlsConfig>,
    /// For processes of this user on this machine.
    inside: Option<(UnixListener, SocketFile)>,
    public_url: String,
    address: SocketAddr,
    /// The address that jobs on other machines dial.
    dialled_from_nodes: String,
    metrics: Option<Metrics>,
}

/// The listener of `GET /metrics`.
struct Metrics {
    listener: TcpListener,
    url: String,
    tls: Option<ServerTlsConfig>,
    needs_tokens: bool,
}

impl Metrics {
    /// On loopback it speaks plain HTTP with everybody, as such pages do.
    async fn bind(listen: SocketAddr, tls: Option<ServerTlsConfig>, insecure: bool) -> Result<Self, StartError> {
        let is_reachable = !listen.ip().is_loopback();
        let tls = tls.filter(|_| is_reachable);
        let (listener, address) = bind(listen).await?;
        let (scheme, address) = if tls.is_some() { ("https", address) } else { ("http", reachable(address)) };
        let url = format!("{scheme}://{address}{}", metrics::PATH);
        Ok(Self { listener, url, tls, needs_tokens: is_reachable && !insecure })
    }
}

/// A coordinator that has restored its state and does not serve yet.
struct Opened {
    data_dir: PathBuf,
    limits: ServerLimits,
    uploads: UploadLimits,
    local_workers: Option<LocalPoolOptions>,
    pools: Option<BatchOptions>,
    lock: Option<DataDirLock>,
    store: Arc<dyn Store>,
    storage: home::Opened,
    driver: Driver,
    driver_handle: DriverHandle,
    /// Shows that its term is kept, and ends with it.
    keeping: JoinSet<StoreError>,
    /// Cancelled when the coordinator stops.
    stop: CancellationToken,
    guard: Arc<Guard>,
}

impl Opened {
    /// Begins a term and reads what was left, in this order: after that nobody else writes.
    async fn restore(known: Known, options: CoordinatorOptions) -> Result<Self, StartError> {
        let mut keeping = JoinSet::new();
        if options.reads_only {
            return Self::restore_in(None, known, options, keeping).await;
        }
        let store = known.store.clone();
        let term = store.begin_term().await.map_err(RestoreStateError::TakeOver)?;
        // A long log takes longer than others wait for a sign of life. One that is cut off in the middle ends the term, so this
        // is not begun anew once the coordinator serves.
        keeping.spawn(async move { store.keep_term(term).await });
        Self::restore_in(Some(term), known, options, keeping).await
    }

    async fn restore_in(
        term: Option<Term>,
        known: Known,
        options: CoordinatorOptions,
        keeping: JoinSet<StoreError>,
    ) -> Result<Self, StartError> {
        let Known { data_dir, lock, store, guard, .. } = known;
        let CoordinatorOptions { storage, verification, settings, local_workers, pools, limits, uploads, .. } = options;
        let mut storage = match term {
            None => home::look(&data_dir)?,
            Some(term) => {
                let noted = store.noted_storage().await.map_err(RestoreStateError::Read)?;
                let is_shared = noted.is_some();
                // Another coordinator of this store has chosen it.
                if let Some(noted) = noted.filter(|_| home::noted(&data_dir).is_ok_and(|own| own.is_none())) {
                    home::note(&data_dir, &noted)?;
                }
                let is_used = is_shared || !store.campaign_rows().await.map_err(RestoreStateError::Read)?.is_empty();
                let opened = home::open(&data_dir, storage.as_deref(), is_used).await?;
                let note = StorageNote { address: opened.address.clone(), id: opened.id.to_string() };
                store.note_storage(term, &note).await.map_err(RestoreStateError::TakeOver)?;
                opened
            }
        };
        if let Some(verification) = verification {
            storage.verification = verification;
        }
        let stop = CancellationToken::new();
        let access = term.map_or(Access::Reads, Access::Writes);
        let restored = Driver::restore(settings, store.clone(), storage.clone(), access, stop.clone()).await?;
        let (driver, driver_handle) = restored;
        Ok(Self {
            data_dir,
            limits,
            uploads,
            local_workers,
            pools,
            lock,
            store,
            storage,
            driver,
            driver_handle,
            keeping,
            stop,
            guard,
        })
    }

    async fn serve<F, S, IO>(self, entrance: Entrance<F>) -> Result<Handle, StartError>
    where
        F: FnOnce(Arc<Gate>) -> S,
        S: Stream<Item = io::Result<Accepted<IO>>> + Send + 'static,
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            data_dir,
            limits,
            uploads,
            local_workers,
            pools,
            lock,
            store,
            storage,
            driver,
            driver_handle,
            mut keeping,
            stop,
            guard,
        } = self;
        let Entrance { incoming, tls, inside, public_url, address, dialled_from_nodes, metrics } = entrance;
        let needs_tokens = guard.asks();
        let (inside, socket) = inside.unzip();
        let url = socket.as_ref().map_or_else(|| public_url.clone(), SocketFile::url);
        let [close, cut] = std::array::from_fn(|_| CancellationToken::new());
        let folders = storage.storage.directory().unwrap_or(&data_dir).to_owned();
        let uploads = match lock {
            Some(_) => Some(open_uploads(data_dir, &storage.storage, uploads).await),
            None => None,
        };
        let api = Api {
            driver: driver_handle.clone(),
            store: store.clone(),
            storage: storage.storage,
            storage_url: storage.address.clone(),
            storage_id: storage.id.clone(),
            uploads,
            estimates: Arc::default(),
            stop: stop.clone(),
        };
        let pools = match pools {
            Some(options) => {
                let grounds = Grounds {
                    options,
                    dial: dialled_from_nodes.clone(),
                    folders: folders.join("pools"),
                    program: std::env::current_exe().unwrap_or_else(|_| "windtunnel".into()),
                };
                let surroundings = Surroundings { grounds, store: Arc::clone(&store), driver: driver_handle.clone() };
                BatchPools::start(surroundings, stop.clone()).await
            }
            None => BatchPools::look(store.as_ref()).await,
        };
        let pools = PoolHandlers { pools: pools.map_err(RestoreStateError::Read)? };
        let workers = WorkerHandlers::new(driver_handle.clone(), Arc::clone(&guard), limits, stop.clone());
        let (watched, metrics_store) = (api.clone(), store.clone());
        let campaigns = CampaignHandlers { api, guard: Arc::clone(&guard) };
        let routes = routes(campaigns, pools, workers).await;
        // Each listener has its own limits: a crowd at one does not lock out the other.
        let limits = if inside.is_some() { limits.halved() } else { limits };
        let gate = Gate::new(limits, cut.clone());
        let door = Door { limits, routes, guard, close: close.clone() };
        let served_inside = inside.map(|listener| {
            let accepted = incoming::within_limits(incoming::unix(listener), Gate::new(limits, cut.clone()));
            door.clone().serve(of_this_user(accepted), None)
        });
        let served = door.serve(incoming(Arc::clone(&gate)), tls);
        let metrics_url = metrics.as_ref().map(|metrics| metrics.url.clone());
        let served_metrics = metrics.map(|Metrics { listener, tls, needs_tokens, .. }| {
            let guard = Arc::new(Guard::new(metrics_store, needs_tokens));
            let limits = ServerLimits { connections: MOST_WATCHERS, ..limits };
            let accepted = incoming::within_limits(incoming::tcp(listener), Gate::new(limits, cut.clone()));
            let door =
                MetricsDoor { api: watched, guard, gate: gate.clone(), latest: Arc::default(), close: close.clone() };
            door.serve(accepted, tls)
        });
        let server = driver_handle.alarm().spawn("the server", async move {
            tokio::join!(served, OptionFuture::from(served_inside), OptionFuture::from(served_metrics));
        });
        let (ended, outcome) = watch::channel(None);
        let over = async move {
            match keeping.join_next().await {
                Some(Ok(error)) => error,
                _ => std::future::pending().await,
            }
        };
        let driver = tokio::spawn(drive(driver, over, stop.clone(), ended));
        if let Some(lock) = &lock {
            let path = socket.as_ref().map(|socket| socket.path.clone());
            lock.announce(&LiveCoordinator::here(public_url.clone(), path))?;
        }
        info!(url = public_url, storage = storage.address, needs_tokens, "the coordinator listens");

        let handle = Handle {
            url,
            public_url,
            metrics_url,
            address,
            storage: storage.address,
            driver_handle,
            pools: Mutex::default(),
            outcome,
            stop: stop.drop_guard(),
            close: close.drop_guard(),
            cut: cut.drop_guard(),
            gate,
            driver,
            server,
            store,
            announced: None,
            socket,
            lock,
        };
        if let Some(options) = local_workers
            && let Err(error) = handle.start_workers(options).await
        {
            handle.shutdown().await;
            return Err(error.into());
        }
        Ok(handle)
    }
}

pub(crate) fn make_data_dir(data_dir: &Path) -> Result<PathBuf, StartError> {
    // For this user alone. One that is there keeps its mode: its owner may share it.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data_dir).and_then(|()| data_dir.canonicalize());
    made.map_err(|source| StartError::DataDir { data_dir: data_dir.to_owned(), source })
}

async fn open_uploads(data_dir: PathBuf, storage: &Storage, limits: UploadLimits) -> Arc<Uploads> {
    let store = storage.store().clone();
    let open = move || Uploads::open(&data_dir, store, limits);
    let opened = tokio::task::spawn_blocking(open).await;
    Arc::new(opened.expect("the thread that opens uploads neither panics nor is stopped"))
}

pub(crate) async fn take_lock(data_dir: &Path) -> Result<DataDirLock, LockError> {
    let owned = data_dir.to_owned();
    let taken = tokio::task::spawn_blocking(move || DataDirLock::take(&owned)).await;
    taken.unwrap_or_else(|_| Err(LockError::Held { data_dir: data_dir.to_owned(), by: None }))
}

/// The address that a process on this machine dials.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut reachable = address;
    if address.ip().is_unspecified() {
        let loopback: [std::net::IpAddr; 2] =
            [std::net::Ipv4Addr::LOCALHOST.into(), std::net::Ipv6Addr::LOCALHOST.into()];
        reachable.set_ip(loopback[usize::from(address.is_ipv6())]);
    }
    reachable
}

/// The address that a process on another machine dials: by the machine's name where it listens on all of its addresses.
fn dialled_from_nodes(address: SocketAddr, has_tls: bool) -> String {
    let scheme = if has_tls { "https" } else { "http" };
    let name = machine();
    if address.ip().is_unspecified() && !name.is_empty() {
        return format!("{scheme}://{name}:{}", address.port());
    }
    format!("{scheme}://{address}")
}

async fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
