//! Putting a coordinator together, and taking it apart again.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dial::Credentials;
use futures::Stream;
use futures::future::join_all;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use proto::limits::{MAX_MESSAGE_BYTES, MAX_REQUEST_BYTES};
use proto::v1::campaign_service_server::CampaignServiceServer;
use proto::v1::worker_service_server::WorkerServiceServer;
use scheduler::Settings;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::Routes;
use tonic::transport::{Server, ServerTlsConfig};
use tracing::{error, info};
use url::Url;

use crate::STORE_FILE;
use crate::auth::{AuthLayer, Guard, LocalTokens};
use crate::driver::input::Input;
use crate::driver::{Driver, DriverHandle, RestoreStateError, RunError};
use crate::grpc::{CampaignApi, WorkerApi};
use crate::incoming::{self, ConnectionCounts, CountCalls, Gate, ServerLimits};
use crate::lock::{DataDirLock, LiveCoordinator, LockError};
use crate::pools::{LocalPool, LocalPoolOptions, PoolError, PoolEvent, WorkersGone};
use crate::store::{Store, StoreError};
use crate::tls::{TlsError, TlsFiles};

/// How long streams may take to end once they were told to.
const SERVER_GRACE: Duration = Duration::from_secs(3);

/// A connection over which nothing comes back for this long is broken.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// What one call may say in its headers.
const HEADER_BYTES: u32 = 16 << 10;

/// Calls that were taken back before they were taken up. A connection with more of them is ended.
const RESET_STREAMS: usize = 20;

/// What may come over one connection, and in one call, before somebody reads it.
const WINDOW_BYTES: u32 = 1 << 20;

/// What to start.
#[derive(Debug, Clone)]
pub struct CoordinatorOptions {
    /// Where its state lies; made if it is not there.
    pub data_dir: PathBuf,
    /// Where to listen. Port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Leases, retries, waits.
    pub settings: Settings,
    /// Workers to start on this machine.
    pub local_workers: Option<LocalPoolOptions>,
    /// What makes connections from elsewhere private.
    pub tls: Option<TlsFiles>,
    /// Whether everybody needs a token on loopback, too. Beyond loopback everybody does, unless it is insecure.
    pub require_token: bool,
    /// Whether to listen where others can reach it, although nothing is encrypted and nobody is asked who they are.
    pub insecure: bool,
    /// How much it takes on.
    pub limits: ServerLimits,
}

impl CoordinatorOptions {
    /// A coordinator on a free loopback port, without workers.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            settings: Settings::default(),
            local_workers: None,
            tls: None,
            require_token: false,
            insecure: false,
            limits: ServerLimits::default(),
        }
    }
}

/// Why a coordinator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is open to others.
    #[error(
        "{listen} can be reached from other machines, and nothing is encrypted: give --tls-cert and --tls-key, listen on \
         127.0.0.1, or say --insecure"
    )]
    NotLoopback {
        /// The address.
        listen: SocketAddr,
    },
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data directory cannot be made.
    #[error("cannot make the data directory {}", .data_dir.display())]
    DataDir {
        /// Which.
        data_dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another coordinator has the data directory, or it cannot be written.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The state cannot be opened.
    #[error("cannot open {}", .path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The state cannot be taken up.
    #[error(transparent)]
    Restore(#[from] RestoreStateError),
    /// The storage of datasets and checkpoints cannot be opened.
    #[error("cannot use {} for datasets and checkpoints", .data_dir.display())]
    Storage {
        /// The directory.
        data_dir: PathBuf,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Workers cannot be started.
    #[error("cannot start workers")]
    Workers(#[from] PoolError),
}

/// How the driver ended. Several may wait for it.
type Outcome = Result<(), Arc<RunError>>;

/// The coordinator. [`Coordinator::start`] is all there is to it; what runs is a [`Handle`].
#[derive(Debug)]
pub struct Coordinator;

/// A coordinator that runs.
#[derive(Debug)]
pub struct Handle {
    url: String,
    public_url: String,
    local_tokens: Option<LocalTokens>,
    storage: String,
    inputs: mpsc::Sender<Input>,
    pools: Mutex<Vec<LocalPool>>,
    outcome: watch::Receiver<Option<Outcome>>,
    /// Ends the driver and all streams, on drop at the latest.
    stop: DropGuard,
    /// Ends the server, likewise.
    close: DropGuard,
    /// Ends the connections, likewise.
    cut: DropGuard,
    gate: Arc<Gate>,
    driver: JoinHandle<()>,
    server: JoinHandle<()>,
    store: Store,
    lock: DataDirLock,
}

impl Coordinator {
    /// Starts a coordinator: takes the data directory, goes on where the last one was, and listens.
    ///
    /// # Errors
    /// If the address is open to others and that was not asked for, if another coordinator has the data directory, or if
    /// something cannot be read, written or listened on.
    pub async fn start(options: CoordinatorOptions) -> Result<Handle, StartError> {
        let (listen, insecure) = (options.listen, options.insecure);
        let is_reachable = !listen.ip().is_loopback();
        if is_reachable && options.tls.is_none() && !insecure {
            return Err(StartError::NotLoopback { listen });
        }
        let tls = options.tls.as_ref().map(TlsFiles::read).transpose()?;
        let limits = options.limits.within_descriptors();
        let require_token = options.require_token || (is_reachable && !insecure);
        let opened = Opened::open(CoordinatorOptions { limits, require_token, ..options }).await?;
        let (listener, address) = bind(listen).await?;
        // What is on this machine goes past the certificate, which is of another name.
        let inside = if tls.is_some() { Some(bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?) } else { None };
        let url = format!("http://{}", reachable(inside.as_ref().map_or(address, |(_, inside)| *inside)));
        let public_url = if tls.is_some() { format!("https://{address}") } else { url.clone() };
        let inside = inside.map(|(listener, _)| listener);
        opened.serve(Entrance { incoming: incoming::tcp(listener), tls, inside, url, public_url }).await
    }

    /// Starts a coordinator that serves the connections it is given, as those of a simulated network, rather than listen
    /// by itself. `url` is where others say it can be dialled; whoever gives the connections answers for who can.
    ///
    /// # Errors
    /// As [`Coordinator::start`], other than of listening.
    pub async fn start_on<S, IO>(options: CoordinatorOptions, url: String, incoming: S) -> Result<Handle, StartError>
    where
        S: Stream<Item = io::Result<(IO, SocketAddr)>> + Send + 'static,
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let tls = options.tls.as_ref().map(TlsFiles::read).transpose()?;
        let opened = Opened::open(options).await?;
        opened.serve(Entrance { incoming, tls, inside: None, public_url: url.clone(), url }).await
    }
}

/// Where connections come from.
struct Entrance<S> {
    incoming: S,
    tls: Option<ServerTlsConfig>,
    /// For this machine alone, past the certificate.
    inside: Option<TcpListener>,
    url: String,
    public_url: String,
}

/// A coordinator that has taken its state up and serves nobody yet.
struct Opened {
    data_dir: PathBuf,
    limits: ServerLimits,
    local_workers: Option<LocalPoolOptions>,
    lock: DataDirLock,
    store: Store,
    storage: Arc<dyn ObjectStore>,
    storage_url: String,
    driver: Driver,
    driver_handle: DriverHandle,
    guard: Arc<Guard>,
    local_tokens: Option<LocalTokens>,
}

impl Opened {
    async fn open(options: CoordinatorOptions) -> Result<Self, StartError> {
        let CoordinatorOptions { data_dir, settings, local_workers, limits, require_token, .. } = options;
        let data_dir = make_data_dir(&data_dir)?;
        let lock = take_lock(&data_dir).await?;
        let path = data_dir.join(STORE_FILE);
        let store = Store::open(&path).await.map_err(|source| StartError::Store { path, source })?;
        let (storage, storage_url) = open_storage(&data_dir)?;
        let restored = Driver::restore(settings, store.clone(), storage.clone(), storage_url.clone()).await?;
        let (driver, driver_handle) = restored;

        let (guard, local_tokens) = if require_token {
            let (guard, tokens) = Guard::closed(store.clone());
            (Arc::new(guard), Some(tokens))
        } else {
            (Arc::new(Guard::open(store.clone())), None)
        };
        lock.hand_over(local_tokens.as_ref().map(|tokens| &tokens.admin))?;
        Ok(Self {
            data_dir,
            limits,
            local_workers,
            lock,
            store,
            storage,
            storage_url,
            driver,
            driver_handle,
            guard,
            local_tokens,
        })
    }

    async fn serve<S, IO>(self, entrance: Entrance<S>) -> Result<Handle, StartError>
    where
        S: Stream<Item = io::Result<(IO, SocketAddr)>> + Send + 'static,
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            data_dir,
            limits,
            local_workers,
            lock,
            store,
            storage,
            storage_url,
            driver,
            driver_handle,
            guard,
            local_tokens,
        } = self;
        let Entrance { incoming, tls, inside, url, public_url } = entrance;
        let [stop, close, cut] = std::array::from_fn(|_| CancellationToken::new());
        let api = CampaignApi {
            driver: driver_handle.clone(),
            guard: Arc::clone(&guard),
            store: store.clone(),
            storage,
            storage_url: storage_url.clone(),
            data_dir,
            stop: stop.clone(),
        };
        let workers = WorkerApi::new(driver_handle.clone(), Arc::clone(&guard), limits, stop.clone());
        let routes = routes(api, workers).await;
        // Two doors: a crowd at one does not keep anybody from the other.
        let limits = if inside.is_some() { limits.halved() } else { limits };
        let gate = Gate::new(limits, cut.clone());
        let door = Door { limits, routes, guard, close: close.clone() };
        let served_inside = inside.map(|inside| {
            let gate = Gate::new(limits, cut.clone());
            door.clone().serve(incoming::tcp(inside), None, gate)
        });
        let served = door.serve(incoming, tls, Arc::clone(&gate));
        let server = tokio::spawn(async move {
            tokio::join!(served, async {
                if let Some(served) = served_inside {
                    served.await
                }
            });
        });
        let (ended, outcome) = watch::channel(None);
        let driver = tokio::spawn(drive(driver, stop.clone(), ended));
        lock.announce(&LiveCoordinator::here(url.clone()))?;
        info!(
            url = public_url,
            storage = storage_url,
            needs_tokens = local_tokens.is_some(),
            "the coordinator listens"
        );

        let handle = Handle {
            url,
            public_url,
            local_tokens,
            storage: storage_url,
            inputs: driver_handle.inputs().clone(),
            pools: Mutex::default(),
            outcome,
            stop: stop.drop_guard(),
            close: close.drop_guard(),
            cut: cut.drop_guard(),
            gate,
            driver,
            server,
            store,
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

impl Handle {
    /// Where it listens for whoever is on this machine.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens for everybody.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The connections to where it listens for everybody.
    #[must_use]
    pub fn connections(&self) -> ConnectionCounts {
        self.gate.counts()
    }

    /// What shows it that it is called by its own process.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        Credentials { token: self.local_tokens.as_ref().map(|tokens| tokens.admin.clone()), ..Credentials::default() }
    }

    /// The root of the storage that holds `datasets/` and `checkpoints/`, as an address.
    #[must_use]
    pub fn storage(&self) -> &str {
        &self.storage
    }

    /// Starts worker processes on this machine. They end with the coordinator.
    ///
    /// # Errors
    /// If one of them cannot be started. The others are ended then.
    pub async fn start_workers(&self, options: LocalPoolOptions) -> Result<(), PoolError> {
        let (events, received) = mpsc::channel(64);
        let token = self.local_tokens.as_ref().map(|tokens| tokens.worker.clone());
        let pool = LocalPool::start(options, &self.url, token, events).await?;
        tokio::spawn(pass_on(received, self.inputs.clone()));
        self.pools.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(pool);
        Ok(())
    }

    /// Waits until none of the workers that were started here works any more, nor will, because starting them again does
    /// not help. For ever, unless it comes to that, and where none was started. Workers from elsewhere may still dial.
    pub async fn workers_gone(&self) -> WorkersGone {
        let gone = |pools: &Mutex<Vec<LocalPool>>| {
            let pools = pools.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            join_all(pools.iter().map(LocalPool::gone))
        };
        match gone(&self.pools).await.pop() {
            Some(last) => last,
            None => std::future::pending().await,
        }
    }

    /// Waits until the coordinator ends: by [`Handle::shutdown`], or because it cannot go on.
    ///
    /// # Errors
    /// If it could not go on.
    pub async fn wait(&self) -> Result<(), Arc<RunError>> {
        let mut outcome = self.outcome.clone();
        match outcome.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or(Ok(())),
            // The driver's task is gone without a word, as after a shutdown.
            Err(_) => Ok(()),
        }
    }

    /// Ends it: workers it started write their checkpoints and go, streams end, the data directory is free afterwards.
    pub async fn shutdown(self) {
        // A driver that is gone hands out nothing either.
        let _ = self.inputs.send(Input::Draining).await;
        let pools = std::mem::take(&mut *self.pools.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        // The driver goes on meanwhile: their last checkpoints are committed.
        for pool in pools {
            pool.stop().await;
        }
        drop(self.stop);
        let _ = self.driver.await;
        drop(self.close);
        let mut server = self.server;
        if tokio::time::timeout(SERVER_GRACE, &mut server).await.is_err() {
            // Whoever is still there did not end what it had begun.
            drop(self.cut);
            server.abort();
            let _ = server.await;
        }
        self.store.close().await;
        drop(self.lock);
    }
}

pub(crate) fn make_data_dir(data_dir: &Path) -> Result<PathBuf, StartError> {
    let made = std::fs::create_dir_all(data_dir).and_then(|()| data_dir.canonicalize());
    made.map_err(|source| StartError::DataDir { data_dir: data_dir.to_owned(), source })
}

pub(crate) async fn take_lock(data_dir: &Path) -> Result<DataDirLock, LockError> {
    let owned = data_dir.to_owned();
    let taken = tokio::task::spawn_blocking(move || DataDirLock::take(&owned)).await;
    taken.unwrap_or_else(|_| Err(LockError::Held { data_dir: data_dir.to_owned(), by: None }))
}

/// The data directory as the storage of datasets and checkpoints, and its address.
pub(crate) fn open_storage(data_dir: &Path) -> Result<(Arc<dyn ObjectStore>, String), StartError> {
    let storage = LocalFileSystem::new_with_prefix(data_dir)
        .map_err(|source| StartError::Storage { data_dir: data_dir.to_owned(), source })?;
    let no_address = |()| StartError::DataDir {
        data_dir: data_dir.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidInput, "it is no absolute path"),
    };
    let url = Url::from_file_path(data_dir).map_err(no_address)?;
    Ok((Arc::new(storage), url.to_string()))
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

async fn drive(driver: Driver, stop: CancellationToken, ended: watch::Sender<Option<Outcome>>) {
    let outcome = driver.run(stop.clone()).await;
    if let Err(error) = &outcome {
        error!(error = error as &dyn std::error::Error, "the coordinator cannot go on");
    }
    // Streams end with the driver, however that ended.
    stop.cancel();
    ended.send_replace(Some(outcome.map_err(Arc::new)));
}

async fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

async fn routes(api: CampaignApi, workers: WorkerApi) -> Routes {
    let campaigns = CampaignServiceServer::new(api)
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let workers = WorkerServiceServer::new(workers)
        .max_decoding_message_size(MAX_REQUEST_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<CampaignServiceServer<CampaignApi>>().await;
    reporter.set_serving::<WorkerServiceServer<WorkerApi>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the compiled contract is a valid descriptor set");
    Routes::new(health).add_service(reflection).add_service(campaigns).add_service(workers)
}

/// What is served to whoever comes in.
#[derive(Clone)]
struct Door {
    limits: ServerLimits,
    routes: Routes,
    guard: Arc<Guard>,
    close: CancellationToken,
}

impl Door {
    async fn serve<S, IO>(self, incoming: S, tls: Option<ServerTlsConfig>, gate: Arc<Gate>)
    where
        S: Stream<Item = io::Result<(IO, SocketAddr)>> + Send + 'static,
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { limits, routes, guard, close } = self;
        let mut server = Server::builder();
        if let Some(tls) = tls {
            server = match server.tls_config(tls) {
                Ok(server) => server,
                // It was made into one at the start, so this does not come.
                Err(error) => return error!(%error, "the certificates cannot be used"),
            };
        }
        let served = server
            .http2_keepalive_interval(Some(KEEP_ALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
            .http2_max_header_list_size(HEADER_BYTES)
            .http2_max_pending_accept_reset_streams(Some(RESET_STREAMS))
            .initial_connection_window_size(WINDOW_BYTES)
            .initial_stream_window_size(WINDOW_BYTES)
            .max_concurrent_streams(limits.streams_per_connection)
            .timeout(limits.answer)
            // Behind the guard, so that only a call of somebody who may make it counts.
            .layer(AuthLayer(guard))
            .layer(CountCalls)
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming::within_limits(incoming, gate), close.cancelled_owned())
            .await;
        if let Err(error) = served {
            error!(%error, "the server ended");
        }
    }
}

/// Tells the driver what a pool sees of its processes.
async fn pass_on(mut events: mpsc::Receiver<PoolEvent>, inputs: mpsc::Sender<Input>) {
    while let Some(event) = events.recv().await {
        match event {
            PoolEvent::WorkerExited { worker_id } => {
                if inputs.send(Input::WorkerGone { worker: worker_id }).await.is_err() {
                    return;
                }
            }
        }
    }
}
