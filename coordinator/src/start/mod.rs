//! Starting a coordinator, and shutting it down.

mod handle;
mod options;
mod server;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures::Stream;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::ServerTlsConfig;
use tracing::info;
use url::Url;

use crate::STORE_FILE;
use crate::api::Api;
use crate::auth::{Guard, LocalTokens};
use crate::driver::{Access, Driver, DriverHandle, Home};
use crate::grpc::{CampaignHandlers, WorkerHandlers};
use crate::incoming::{self, Gate, ServerLimits};
use crate::lock::{DataDirLock, LiveCoordinator, LockError};
use crate::pools::LocalPoolOptions;
use crate::store::{self, Store, StoreError};
use crate::tls::TlsFiles;
pub use handle::Handle;
use handle::drive;
pub use options::{CoordinatorOptions, StartError};
use server::{Door, routes};

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
        if is_reachable && options.tls.is_none() && !insecure {
            return Err(StartError::NotLoopback { listen });
        }
        let tls = options.tls.as_ref().map(TlsFiles::read).transpose()?;
        let limits = options.limits.within_descriptors();
        let require_token = options.require_token || (is_reachable && !insecure);
        let opened = Opened::open(CoordinatorOptions { limits, require_token, ..options }).await?;
        let (listener, address) = bind(listen).await?;
        // Processes on this machine bypass TLS: the certificate has another name.
        let inside = if tls.is_some() { Some(bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?) } else { None };
        let url = format!("http://{}", reachable(inside.as_ref().map_or(address, |(_, inside)| *inside)));
        let public_url = if tls.is_some() { format!("https://{address}") } else { url.clone() };
        let inside = inside.map(|(listener, _)| listener);
        opened.serve(Entrance { incoming: incoming::tcp(listener), tls, inside, url, public_url }).await
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
        let tls = options.tls.as_ref().map(TlsFiles::read).transpose()?;
        let opened = Opened::open(options).await?;
        opened.serve(Entrance { incoming, tls, inside: None, public_url: url.clone(), url }).await
    }
}

/// Where connections come from.
struct Entrance<S> {
    incoming: S,
    tls: Option<ServerTlsConfig>,
    /// For this machine alone, without TLS.
    inside: Option<TcpListener>,
    url: String,
    public_url: String,
}

/// A coordinator that has restored its state and does not serve yet.
struct Opened {
    data_dir: PathBuf,
    limits: ServerLimits,
    local_workers: Option<LocalPoolOptions>,
    lock: Option<DataDirLock>,
    store: Arc<dyn Store>,
    storage: Arc<dyn ObjectStore>,
    storage_url: String,
    driver: Driver,
    driver_handle: DriverHandle,
    /// Cancelled when the coordinator stops.
    stop: CancellationToken,
    guard: Arc<Guard>,
    local_tokens: Option<LocalTokens>,
}

impl Opened {
    async fn open(options: CoordinatorOptions) -> Result<Self, StartError> {
        let CoordinatorOptions { data_dir, store, settings, local_workers, limits, require_token, reads_only, .. } =
            options;
        let data_dir = make_data_dir(&data_dir)?;
        let lock = if reads_only { None } else { Some(take_lock(&data_dir).await?) };
        let store = match store {
            Some(store) => store,
            None => {
                let opened = match reads_only {
                    true => store::open_beside(&data_dir).await.and_then(|store| store.ok_or(StoreError::Earlier)),
                    false => store::open_in(&data_dir).await,
                };
                opened.map_err(|source| StartError::Store { path: data_dir.join(STORE_FILE), source })?
            }
        };
        let (storage, storage_url) = open_storage(&data_dir)?;
        let stop = CancellationToken::new();
        let access = if reads_only { Access::Reads } else { Access::Writes };
        let home = Home { storage: storage.clone(), storage_url: storage_url.clone() };
        let (driver, driver_handle) = Driver::restore(settings, store.clone(), home, access, stop.clone()).await?;

        let (guard, local_tokens) = if require_token {
            let (guard, tokens) = Guard::closed(store.clone());
            (Arc::new(guard), Some(tokens))
        } else {
            (Arc::new(Guard::open(store.clone())), None)
        };
        if let Some(lock) = &lock {
            lock.hand_over(local_tokens.as_ref().map(|tokens| &tokens.admin))?;
        }
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
            stop,
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
            stop,
            guard,
            local_tokens,
        } = self;
        let Entrance { incoming, tls, inside, url, public_url } = entrance;
        let [close, cut] = std::array::from_fn(|_| CancellationToken::new());
        let api = Api {
            driver: driver_handle.clone(),
            store: store.clone(),
            storage,
            storage_url: storage_url.clone(),
            data_dir,
            stop: stop.clone(),
        };
        let workers = WorkerHandlers::new(driver_handle.clone(), Arc::clone(&guard), limits, stop.clone());
        let campaigns = CampaignHandlers { api, guard: Arc::clone(&guard) };
        let routes = routes(campaigns, workers).await;
        // Each listener has its own limits: a crowd at one does not lock out the other.
        let limits = if inside.is_some() { limits.halved() } else { limits };
        let gate = Gate::new(limits, cut.clone());
        let door = Door { limits, routes, guard, close: close.clone() };
        let served_inside = inside.map(|inside| {
            let gate = Gate::new(limits, cut.clone());
            door.clone().serve(incoming::tcp(inside), None, gate)
        });
        let served = door.serve(incoming, tls, Arc::clone(&gate));
        let server = driver_handle.alarm().spawn("the server", async move {
            tokio::join!(served, async {
                if let Some(served) = served_inside {
                    served.await
                }
            });
        });
        let (ended, outcome) = watch::channel(None);
        let driver = tokio::spawn(drive(driver, stop.clone(), ended));
        if let Some(lock) = &lock {
            lock.announce(&LiveCoordinator::here(url.clone()))?;
        }
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
    let made = std::fs::create_dir_all(data_dir).and_then(|()| data_dir.canonicalize());
    made.map_err(|source| StartError::DataDir { data_dir: data_dir.to_owned(), source })
}

pub(crate) async fn take_lock(data_dir: &Path) -> Result<DataDirLock, LockError> {
    let owned = data_dir.to_owned();
    let taken = tokio::task::spawn_blocking(move || DataDirLock::take(&owned)).await;
    taken.unwrap_or_else(|_| Err(LockError::Held { data_dir: data_dir.to_owned(), by: None }))
}

/// The data directory as the storage of datasets and checkpoints, and its address. A folder goes with its last file.
pub(crate) fn open_storage(data_dir: &Path) -> Result<(Arc<dyn ObjectStore>, String), StartError> {
    let storage = LocalFileSystem::new_with_prefix(data_dir)
        .map_err(|source| StartError::Storage { data_dir: data_dir.to_owned(), source })?
        .with_automatic_cleanup(true);
    let no_address = |()| StartError::DataDir {
        data_dir: data_dir.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidInput, "the path is not absolute"),
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

async fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
