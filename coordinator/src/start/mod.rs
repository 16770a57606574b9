//! Starting a coordinator, and shutting it down.

mod announce;
mod handle;
mod options;
mod server;

use std::fs::DirBuilder;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures::{Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::ServerTlsConfig;
use tracing::{info, warn};

use crate::STORE_FILE;
use crate::api::Api;
use crate::auth::{Guard, of_this_user, with_logins};
use crate::driver::{Access, Driver, DriverHandle, RestoreStateError};
use crate::grpc::{CampaignHandlers, PoolHandlers, WorkerHandlers};
use crate::home;
use crate::incoming::{self, Accepted, Gate, ServerLimits};
use crate::lock::{DataDirLock, LiveCoordinator, LockError, machine};
use crate::pools::slurm::{SlurmPools, Surroundings};
use crate::pools::{LocalPoolOptions, SlurmOptions};
use crate::socket::SocketFile;
use crate::store::{self, Store, StoreError};
use crate::tls::TlsFiles;
pub use announce::AnnounceError;
use announce::{Announced, OwnCertificate};
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
        if is_reachable && options.tls.is_none() && options.announce.is_none() && !insecure {
            return Err(StartError::NotLoopback { listen });
        }
        let announce = options.announce.clone();
        let own = announce.as_ref().map(|_| OwnCertificate::make(listen)).transpose()?;
        let tls = match &own {
            Some(own) => Some(own.tls()),
            None => options.tls.as_ref().map(TlsFiles::read).transpose()?,
        };
        let limits = options.limits.within_descriptors();
        let require_token = options.require_token || (is_reachable && !insecure);
        let opened = Opened::open(CoordinatorOptions { limits, require_token, ..options }).await?;
        let (listener, address) = bind(listen).await?;
        let inside = match opened.lock {
            Some(_) => SocketFile::listen_in(&opened.data_dir)?,
            // Beside the coordinator that has the data directory.
            None => SocketFile::listen_elsewhere()?,
        };
        let public_url = match tls {
            Some(_) => format!("https://{address}"),
            None => format!("http://{}", reachable(address)),
        };
        let (has_logins, guard) = (tls.is_none() && opened.guard.asks(), Arc::clone(&opened.guard));
        let incoming = move |gate| {
            let accepted = incoming::within_limits(incoming::tcp(listener), gate);
            if has_logins { with_logins(accepted, guard).boxed() } else { accepted.boxed() }
        };
        let dialled_from_nodes = dialled_from_nodes(address, tls.is_some());
        let data_dir = opened.data_dir.clone();
        let entrance = Entrance { incoming, tls, inside: Some(inside), public_url, dialled_from_nodes };
        let mut handle = opened.serve(entrance).await?;
        if let Some((file, own)) = announce.zip(own) {
            match Announced::write(file, &own, address.port(), &data_dir, Arc::clone(&handle.store)).await {
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
        let tls = options.tls.as_ref().map(TlsFiles::read).transpose()?;
        let opened = Opened::open(options).await?;
        let incoming = move |gate| incoming::within_limits(incoming, gate);
        let dialled_from_nodes = url.clone();
        opened.serve(Entrance { incoming, tls, inside: None, public_url: url, dialled_from_nodes }).await
    }
}

/// Where connections come from.
struct Entrance<F> {
    /// The connections that a gate takes in.
    incoming: F,
    tls: Option<ServerTlsConfig>,
    /// For processes of this user on this machine.
    inside: Option<(UnixListener, SocketFile)>,
    public_url: String,
    /// The address that jobs on other machines dial.
    dialled_from_nodes: String,
}

/// A coordinator that has restored its state and does not serve yet.
struct Opened {
    data_dir: PathBuf,
    limits: ServerLimits,
    local_workers: Option<LocalPoolOptions>,
    slurm: Option<SlurmOptions>,
    lock: Option<DataDirLock>,
    store: Arc<dyn Store>,
    storage: home::Opened,
    driver: Driver,
    driver_handle: DriverHandle,
    /// Cancelled when the coordinator stops.
    stop: CancellationToken,
    guard: Arc<Guard>,
}

impl Opened {
    async fn open(options: CoordinatorOptions) -> Result<Self, StartError> {
        let CoordinatorOptions {
            data_dir,
            storage,
            store,
            settings,
            local_workers,
            slurm,
            limits,
            require_token,
            reads_only,
            ..
        } = options;
        let data_dir = make_data_dir(&data_dir)?;
        let lock = if reads_only { None } else { Some(take_lock(&data_dir).await?) };
        if lock.is_some() && std::fs::metadata(&data_dir).is_ok_and(|found| found.permissions().mode() & 0o077 != 0) {
            let path = data_dir.display();
            warn!(%path, "other users may look into the data directory: chmod 700 it, unless you share it on purpose");
        }
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
        let storage = if reads_only {
            home::look(&data_dir)?
        } else {
            let is_used = !store.campaign_rows().await.map_err(RestoreStateError::Read)?.is_empty();
            home::open(&data_dir, storage.as_deref(), is_used).await?
        };
        let stop = CancellationToken::new();
        let access = if reads_only { Access::Reads } else { Access::Writes };
        let restored = Driver::restore(settings, store.clone(), storage.clone(), access, stop.clone()).await?;
        let (driver, driver_handle) = restored;

        let guard = Arc::new(Guard::new(store.clone(), require_token));
        Ok(Self { data_dir, limits, local_workers, slurm, lock, store, storage, driver, driver_handle, stop, guard })
    }

    async fn serve<F, S, IO>(self, entrance: Entrance<F>) -> Result<Handle, StartError>
    where
        F: FnOnce(Arc<Gate>) -> S,
        S: Stream<Item = io::Result<Accepted<IO>>> + Send + 'static,
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { data_dir, limits, local_workers, slurm, lock, store, storage, driver, driver_handle, stop, guard } =
            self;
        let Entrance { incoming, tls, inside, public_url, dialled_from_nodes } = entrance;
        let needs_tokens = guard.asks();
        let (inside, socket) = inside.unzip();
        let url = socket.as_ref().map_or_else(|| public_url.clone(), SocketFile::url);
        let [close, cut] = std::array::from_fn(|_| CancellationToken::new());
        let folders = storage.storage.directory().unwrap_or(&data_dir).to_owned();
        let api = Api {
            driver: driver_handle.clone(),
            store: store.clone(),
            storage: storage.storage,
            storage_url: storage.address.clone(),
            estimates: Arc::default(),
            stop: stop.clone(),
        };
        let pools = match slurm {
            Some(options) => {
                let surroundings = Surroundings {
                    options,
                    store: Arc::clone(&store),
                    driver: driver_handle.clone(),
                    dial: dialled_from_nodes.clone(),
                    folders: folders.join("pools"),
                    program: std::env::current_exe().unwrap_or_else(|_| "windtunnel".into()),
                };
                SlurmPools::start(surroundings, stop.clone()).await
            }
            None => SlurmPools::look(store.as_ref()).await,
        };
        let pools = PoolHandlers { pools: pools.map_err(RestoreStateError::Read)? };
        let workers = WorkerHandlers::new(driver_handle.clone(), Arc::clone(&guard), limits, stop.clone());
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
            let path = socket.as_ref().map(|socket| socket.path.clone());
            lock.announce(&LiveCoordinator::here(public_url.clone(), path))?;
        }
        info!(url = public_url, storage = storage.address, needs_tokens, "the coordinator listens");

        let handle = Handle {
            url,
            public_url,
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
