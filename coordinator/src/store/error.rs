//! What can go wrong with a store.

use std::error::Error;
use std::fmt;

use vocabulary::id::ParseIdError;

use super::place::NoteError;
use super::term::Term;

/// Why a store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be opened.
    #[error("cannot open {what}")]
    Open {
        /// What was tried, for people: "the file as a SQLite database".
        what: &'static str,
        /// What the engine says.
        source: Cause,
    },
    /// A later version of this program has used it.
    #[error(
        "it was written by a newer version of Windtunnel: its schema is {found}, and this version supports up to {known}"
    )]
    Newer {
        /// The schema of the store.
        found: i64,
        /// The latest schema of this build.
        known: i64,
    },
    /// Its schema is not the one this build has under that number.
    #[error("its schema {version} differs from the one this version knows by that number")]
    OtherSchema {
        /// The number.
        version: i64,
    },
    /// Its schema cannot be brought up to that of this build.
    #[error("its schema cannot be brought up to date")]
    Migrate(#[source] Cause),
    /// An earlier version wrote it, and its coordinator may be running: only the next coordinator may change the schema.
    #[error("it was written by an earlier version of Windtunnel that is still running: restart the coordinator first")]
    Earlier,
    /// A row of the log is missing.
    #[error("the log is damaged: row {missing} of `facts` is missing, the next one is row {next}")]
    LogGap {
        /// The first missing row.
        missing: i64,
        /// The row found in its place.
        next: i64,
    },
    /// A row of the log cannot be decoded.
    #[error("the log is damaged: row {sequence} of `facts` cannot be decoded")]
    LogRow {
        /// The row.
        sequence: i64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A row of the log, or the one before it, is not what was written.
    #[error("the log is damaged: row {sequence} of `facts` does not follow from the row before it")]
    LogChain {
        /// The row.
        sequence: i64,
    },
    /// The log ends too early.
    #[error("the log is damaged: it ends with row {last} of `facts`, and {end} were written")]
    LogCut {
        /// The last row that is there.
        last: i64,
        /// The last row that was written.
        end: i64,
    },
    /// A table holds an identifier that cannot be parsed.
    #[error("the table `{table}` is damaged")]
    Id {
        table: &'static str,
        /// What is wrong with the identifier.
        source: ParseIdError,
    },
    /// A table cannot be read.
    #[error("cannot read the table `{table}`")]
    Read {
        table: &'static str,
        /// What the engine says.
        source: Cause,
    },
    /// A table cannot be written. Nothing of the commit is kept.
    #[error("cannot write the table `{table}`")]
    Write {
        table: &'static str,
        /// What the engine says.
        source: Cause,
    },
    /// Another writer has taken the store over. Nothing of the commit is kept.
    #[error(
        "another coordinator has taken over this store: it writes in term {current}, this one wrote in term {term}"
    )]
    Deposed {
        /// The term of the write.
        term: Term,
        /// The store's current term.
        current: Term,
    },
    /// The connection that a term was written over has ended, and nobody else has begun a term yet. Nothing of the call is
    /// kept.
    #[error("term {term} is over: its connection to the store has ended")]
    TermOver {
        /// The one that is over.
        term: Term,
    },
    /// The data lie elsewhere.
    #[error(
        "the data of this directory lie in {known}, and {asked} has none: copy them with `windtunnel store copy`, or give an \
         empty --data-dir"
    )]
    NotCopied {
        /// Where the data lie.
        known: String,
        /// The store that was asked for.
        asked: String,
    },
    /// Which store a data directory has cannot be found out.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A transaction cannot be begun.
    #[error("cannot begin a transaction")]
    Begin(#[source] Cause),
    /// A transaction could not be made durable. Unless the call may be repeated, only opening the store again shows whether
    /// it was.
    #[error("cannot commit a transaction")]
    Commit(#[source] Cause),
}

impl StoreError {
    /// Whether the same call may succeed later, and nothing of this one is kept: somebody else held the store, all
    /// connections were taken, or the disk was full.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Open { source, .. }
            | Self::Read { source, .. }
            | Self::Write { source, .. }
            | Self::Begin(source)
            | Self::Commit(source)
            | Self::Migrate(source) => source.kind == CauseKind::Passing,
            Self::Newer { .. }
            | Self::Earlier
            | Self::OtherSchema { .. }
            | Self::Deposed { .. }
            | Self::TermOver { .. }
            | Self::Note(_)
            | Self::NotCopied { .. }
            | Self::LogGap { .. }
            | Self::LogRow { .. }
            | Self::LogChain { .. }
            | Self::LogCut { .. }
            | Self::Id { .. } => false,
        }
    }
}

impl StoreError {
    /// Whether the writer's term is over, or nobody can say that it is not. Only another term shows what was kept.
    #[must_use]
    pub fn is_term_over(&self) -> bool {
        match self {
            Self::Deposed { .. } | Self::TermOver { .. } => true,
            Self::Open { source, .. }
            | Self::Read { source, .. }
            | Self::Write { source, .. }
            | Self::Begin(source)
            | Self::Commit(source)
            | Self::Migrate(source) => source.kind == CauseKind::Severed,
            Self::Newer { .. }
            | Self::Earlier
            | Self::OtherSchema { .. }
            | Self::Note(_)
            | Self::NotCopied { .. }
            | Self::LogGap { .. }
            | Self::LogRow { .. }
            | Self::LogChain { .. }
            | Self::LogCut { .. }
            | Self::Id { .. } => false,
        }
    }
}

impl StoreError {
    /// Whether a new start may succeed later, as where the store is away, held, or in somebody else's term.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.is_retryable() || self.is_term_over()
    }
}

/// What an engine says of a failure, without the engine's types.
pub struct Cause {
    error: Box<dyn Error + Send + Sync>,
    kind: CauseKind,
}

/// What a failure says of the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CauseKind {
    /// It fails for the same reason.
    Lasting,
    /// It may succeed, and nothing of this one is kept.
    Passing,
    /// The connection to the store cannot be used any more, and what became of the call is not known.
    Severed,
}

impl Cause {
    /// An engine's error; `is_retryable` where the same call may succeed later and nothing of this one is kept.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>, is_retryable: bool) -> Self {
        let kind = if is_retryable { CauseKind::Passing } else { CauseKind::Lasting };
        Self { error: error.into(), kind }
    }

    /// An error after which the connection to the store cannot be used any more.
    pub fn severed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { error: error.into(), kind: CauseKind::Severed }
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
