//! Options of a coordinator, and why it may fail to start.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use scheduler::Settings;

use super::announce::AnnounceError;
use crate::driver::RestoreStateError;
use crate::home::StorageRefusal;
use crate::incoming::ServerLimits;
use crate::lock::LockError;
use crate::passing::io_may_pass;
use crate::pools::{BatchOptions, LocalPoolOptions, PoolError};
use crate::socket::SocketError;
use crate::store::{Place, Store, StoreError};
use crate::tls::{TlsError, TlsFiles};
use crate::uploads::UploadLimits;
use crate::verify::Verification;

/// What to start.
#[derive(Debug, Clone)]
pub struct CoordinatorOptions {
    /// Where its state lies; made if it is not there.
    pub data_dir: PathBuf,
    /// Address or path of the storage of datasets and checkpoints. Without one, it is what the data directory had before, or
    /// else the data directory itself.
    pub storage: Option<String>,
    /// What of a new checkpoint is read before it is committed; `None` for what is usual for the kind of storage.
    pub verification: Option<Verification>,
    /// Where to listen. Port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Where to answer `GET /metrics`; nowhere if `None`. Port 0 takes any that is free. Where other machines can reach it, the
    /// same rules hold as for `listen`, and callers need a token unless it is insecure.
    pub metrics: Option<SocketAddr>,
    /// The store to use in place of the one in the data directory, which is then not created.
    pub store: Option<Arc<dyn Store>>,
    /// Which store to use, and to remember for this data directory. Without one, it is the one it had before, or else its own
    /// file.
    pub place: Option<Place>,
    /// Whether to wait where another coordinator leads the store.
    pub stands_by: bool,
    /// Leases and heartbeats.
    pub settings: Settings,
    /// Workers to start on this machine.
    pub local_workers: Option<LocalPoolOptions>,
    /// Keep the pools of batch jobs that were added. Without it they are only shown.
    pub pools: Option<BatchOptions>,
    /// The certificate and key for connections from other machines.
    pub tls: Option<TlsFiles>,
    /// The file in which to announce where it listens, with a certificate of its own and tokens.
    pub announce: Option<PathBuf>,
    /// Whether callers need a token, other than this user's processes at the socket in the data directory. Callers from
    /// other machines always do, unless it is insecure.
    pub require_token: bool,
    /// Whether to listen where others can reach it without TLS and tokens.
    pub insecure: bool,
    /// Bounds on connections, streams and calls.
    pub limits: ServerLimits,
    /// Bounds on datasets that clients send.
    pub uploads: UploadLimits,
    /// Whether it only answers what may be read: it neither takes the data directory for itself nor changes anything in it, so
    /// another coordinator may start meanwhile. What changes after the start it does not see.
    pub reads_only: bool,
}

impl CoordinatorOptions {
    /// A coordinator on a free loopback port, without workers.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            storage: None,
            verification: None,
            store: None,
            metrics: None,
            place: None,
            stands_by: false,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            settings: Settings::default(),
            local_workers: None,
            pools: None,
            tls: None,
            announce: None,
            require_token: true,
            insecure: false,
            limits: ServerLimits::default(),
            uploads: UploadLimits::default(),
            reads_only: false,
        }
    }
}

/// Why a coordinator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Other machines can reach the address, and nothing protects it.
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
        /// The directory.
        data_dir: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another coordinator holds the data directory, or it cannot be written.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The state cannot be opened.
    #[error("cannot open the store {place}")]
    Store {
        /// The file, or the address.
        place: String,
        /// The cause.
        #[source]
        source: StoreError,
    },
    /// Another coordinator leads the store.
    #[error("the store {place} is in use by {by}: give its address with --coordinator")]
    Led {
        /// The address.
        place: String,
        /// The other one.
        by: String,
    },
    /// The state cannot be restored.
    #[error(transparent)]
    Restore(#[from] RestoreStateError),
    /// The storage of datasets and checkpoints is not used.
    #[error(transparent)]
    Storage(#[from] StorageRefusal),
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The socket for this user's processes cannot be made.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// It cannot be announced.
    #[error("cannot announce where this coordinator is")]
    Announce(#[from] AnnounceError),
    /// Workers cannot be started.
    #[error("cannot start workers")]
    Workers(#[from] PoolError),
    /// It stood by, its turn came, and it could not serve. Somebody else may lead now.
    #[error("took over the store, could not serve it, and gave up its term")]
    GivenUp(#[source] Box<Self>),
}

impl StartError {
    /// Whether the same start may succeed later, without anybody changing what was asked for: the store or the storage is away,
    /// the store was taken over, an address is in use, a disk is full.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::GivenUp(_) => true,
            Self::Store { source, .. } => source.may_pass(),
            Self::Restore(error) => error.may_pass(),
            Self::Storage(refusal) => refusal.may_pass(),
            Self::Announce(error) => error.may_pass(),
            Self::Listen { source, .. } => matches!(source.kind(), ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable),
            Self::DataDir { source, .. } | Self::Lock(LockError::Write { source, .. }) => io_may_pass(source),
            Self::Socket(error) => io_may_pass(error.cause()),
            Self::Workers(PoolError::Log { source, .. } | PoolError::Start { source, .. }) => io_may_pass(source),
            Self::NotLoopback { .. } | Self::Tls(_) | Self::Lock(LockError::Held { .. }) | Self::Led { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Term;

    #[test]
    fn a_start_is_tried_again_only_where_that_may_help() {
        let store = |source| StartError::Store { place: "postgres://db-1/wt".to_owned(), source };
        let listen = |kind| StartError::Listen {
            listen: SocketAddr::from(([127, 0, 0, 1], 7450)),
            source: io::Error::from(kind),
        };
        let (address, data_dir) = ("file:///shared".to_owned(), PathBuf::from("/data"));
        let passing = [
            store(StoreError::TermOver { term: Term::NONE }),
            StartError::Restore(RestoreStateError::TakeOver(StoreError::TermOver { term: Term::NONE })),
            StartError::Storage(StorageRefusal::Unmarked { address: address.clone(), data_dir: data_dir.clone() }),
            listen(ErrorKind::AddrInUse),
            StartError::DataDir { data_dir: data_dir.clone(), source: io::Error::from(ErrorKind::StorageFull) },
        ];
        for error in passing {
            assert!(error.may_pass(), "{error}");
            assert!(StartError::GivenUp(Box::new(error)).may_pass());
        }
        let lasting = [
            store(StoreError::Newer { found: 9, known: 1 }),
            store(StoreError::OtherSchema { version: 1 }),
            StartError::Restore(RestoreStateError::Read(StoreError::LogCut { last: 1, end: 2 })),
            StartError::Storage(StorageRefusal::Foreign { address, data_dir: data_dir.clone() }),
            StartError::Announce(AnnounceError::Occupied { file: data_dir.clone() }),
            listen(ErrorKind::PermissionDenied),
            StartError::DataDir { data_dir, source: io::Error::from(ErrorKind::PermissionDenied) },
        ];
        for error in lasting {
            assert!(!error.may_pass(), "{error}");
        }
    }
}
