//! What a coordinator needs before it may lead: a data directory of its own, and a store whose turn it waits for.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::ServerTlsConfig;
use tracing::warn;

use super::options::{CoordinatorOptions, StartError};
use super::server::Door;
use super::{make_data_dir, standby, take_lock};
use crate::STORE_FILE;
use crate::auth::{Guard, of_this_user, with_logins};
use crate::home;
use crate::incoming::{self, Gate};
use crate::lock::{DataDirLock, LiveCoordinator, machine};
use crate::socket::SocketFile;
use crate::store::{self, Leader, Place, Presence, Store, StoreError, Turn};

/// How long calls may take to end that were made while this coordinator stood by.
const STANDBY_GRACE: Duration = Duration::from_secs(1);

/// A data directory that this process may use.
pub(super) struct Claimed {
    pub(super) data_dir: PathBuf,
    /// None where it only reads.
    pub(super) lock: Option<DataDirLock>,
}

/// A store that is open, and that this coordinator may not lead yet.
pub(super) struct Known {
    pub(super) data_dir: PathBuf,
    pub(super) lock: Option<DataDirLock>,
    /// For people.
    pub(super) place: String,
    pub(super) store: Arc<dyn Store>,
    pub(super) turn: Turn,
    pub(super) guard: Arc<Guard>,
}

/// The listening sockets. Whoever stands by answers at them, too.
pub(super) struct Ports {
    pub(super) listener: TcpListener,
    pub(super) inside: UnixListener,
    pub(super) tls: Option<ServerTlsConfig>,
    /// The address that was asked for.
    pub(super) listen: SocketAddr,
}

impl Claimed {
    pub(super) async fn take(options: &CoordinatorOptions) -> Result<Self, StartError> {
        let data_dir = make_data_dir(&options.data_dir)?;
        let lock = if options.reads_only { None } else { Some(take_lock(&data_dir).await?) };
        if lock.is_some() && std::fs::metadata(&data_dir).is_ok_and(|found| found.permissions().mode() & 0o077 != 0) {
            let path = data_dir.display();
            warn!(%path, "other users may look into the data directory: chmod 700 it, unless you share it on purpose");
        }
        Ok(Self { data_dir, lock })
    }

    pub(super) async fn open_store(self, options: &CoordinatorOptions, public_url: &str) -> Result<Known, StartError> {
        let Self { data_dir, lock } = self;
        let chosen = match &options.place {
            Some(place) => place.clone().with_password(),
            None => Place::of(&data_dir),
        };
        let file = || data_dir.join(STORE_FILE).display().to_string();
        let chosen = chosen.map_err(|error| StartError::Store { place: file(), source: error.into() })?;
        let place = match &chosen {
            Place::File => file(),
            Place::Postgres(address) => address.url().to_owned(),
        };
        let failed = |source| StartError::Store { place: place.clone(), source };
        let store = match &options.store {
            Some(store) => store.clone(),
            None if options.reads_only => {
                let opened = store::open_beside(&data_dir).await.and_then(|store| store.ok_or(StoreError::Earlier));
                opened.map_err(failed)?
            }
            None => {
                let name = format!("{public_url} (process {} on {})", std::process::id(), machine());
                let presence = Presence { name, lease: options.settings.lease_duration };
                store::open_at(&chosen, &data_dir, presence).await.map_err(failed)?
            }
        };
        let turn = if options.reads_only { Turn::Taken } else { store.take_turn().await.map_err(failed)? };
        if lock.is_some() && options.store.is_none() {
            chosen.note(&data_dir).map_err(|error| failed(error.into()))?;
        }
        let guard = Arc::new(Guard::new(store.clone(), options.require_token));
        Ok(Known { data_dir, lock, place, store, turn, guard })
    }
}

impl Known {
    pub(super) fn led_by(&self, leader: Option<&Leader>) -> StartError {
        let by = leader.map_or_else(|| "another coordinator".to_owned(), Leader::to_string);
        StartError::Led { place: self.place.clone(), by }
    }

    /// Whoever cannot use the storage that the leader uses says so before its turn comes.
    async fn check_storage(&self, asked: Option<&str>) -> Result<(), StartError> {
        let failed = |source| StartError::Store { place: self.place.clone(), source };
        let Some(noted) = self.store.noted_storage().await.map_err(failed)? else { return Ok(()) };
        home::expect(asked, &noted, &self.data_dir)?;
        if home::noted(&self.data_dir)?.is_none() {
            home::note(&self.data_dir, &noted)?;
        }
        home::find(&self.data_dir).await?;
        Ok(())
    }

    /// Waits until this coordinator leads, and answers meanwhile that it does not.
    pub(super) async fn wait_for_turn(
        &self,
        options: &CoordinatorOptions,
        ports: &mut Ports,
        socket: &SocketFile,
        public_url: &str,
    ) -> Result<(), StartError> {
        let Turn::Held(leader) = &self.turn else { return Ok(()) };
        if !options.stands_by {
            return Err(self.led_by(leader.as_ref()));
        }
        self.check_storage(options.storage.as_deref()).await?;
        let failed = |source| StartError::Listen { listen: ports.listen, source };
        let (listener, inside) = (second(&ports.listener), second_inside(&ports.inside));
        let (listener, inside) = (listener.map_err(failed)?, inside.map_err(failed)?);
        let [close, cut] = std::array::from_fn(|_| CancellationToken::new());
        let _cut = cut.clone().drop_guard();
        let (limits, guard) = (options.limits.halved(), Arc::clone(&self.guard));
        let (said, told) = watch::channel(String::new());
        let routes = standby::routes(&told);
        let door = Door { limits, routes, guard: Arc::clone(&guard), close: close.clone() };
        let from_here = incoming::within_limits(incoming::unix(inside), Gate::new(limits, cut.clone()));
        let served_inside = door.clone().serve(of_this_user(from_here), None);
        let accepted = incoming::within_limits(incoming::tcp(listener), Gate::new(limits, cut.clone()));
        let has_logins = ports.tls.is_none() && guard.asks();
        let accepted = if has_logins { with_logins(accepted, guard).boxed() } else { accepted.boxed() };
        let served = door.serve(accepted, ports.tls.clone());
        // In a set that ends together with this future.
        let mut serving = JoinSet::new();
        serving.spawn(async {
            tokio::join!(served, served_inside);
        });
        if let Some(lock) = &self.lock {
            lock.announce(&LiveCoordinator::here(public_url.to_owned(), Some(socket.path.clone())))?;
        }
        standby::wait_for_turn(self.store.as_ref(), leader.clone(), &said).await;
        close.cancel();
        // Whoever has not hung up by then is cut off.
        let _ = tokio::time::timeout(STANDBY_GRACE, serving.join_next()).await;
        Ok(())
    }
}

/// The same listening socket once more, so that no connection is refused when another server takes it over.
fn second(listener: &TcpListener) -> io::Result<TcpListener> {
    let socket = listener.as_fd().try_clone_to_owned()?;
    TcpListener::from_std(socket.into())
}

fn second_inside(listener: &UnixListener) -> io::Result<UnixListener> {
    let socket = listener.as_fd().try_clone_to_owned()?;
    UnixListener::from_std(socket.into())
}
