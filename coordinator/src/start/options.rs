//! What a coordinator is told at its start, and why it may not come to that.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use scheduler::Settings;

use crate::driver::RestoreStateError;
use crate::incoming::ServerLimits;
use crate::lock::LockError;
use crate::pools::{LocalPoolOptions, PoolError};
use crate::store::StoreError;
use crate::tls::{TlsError, TlsFiles};

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
