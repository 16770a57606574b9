//! Exit codes of a worker process, for whoever started it.

/// The exit code of a worker process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// It is no longer needed: its standard input was closed, or it was given nothing for too long.
    Done = 0,
    /// It failed for a reason other than its configuration; restarting it may help.
    Failed = 1,
    /// The coordinator was unreachable for too long. `EX_UNAVAILABLE` of sysexits.
    Unreachable = 69,
    /// A signal or the end of its time stopped it, and it handed its work back. `EX_TEMPFAIL` of sysexits.
    Preempted = 75,
    /// It cannot work as configured; restarting it does not help. `EX_CONFIG` of sysexits.
    BadConfiguration = 78,
}

/// How a worker ended without failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerExit {
    /// Nobody needs it.
    Done,
    /// A signal or the end of its time stopped it.
    Preempted,
}

impl WorkerExit {
    /// Exit code of the process.
    #[must_use]
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Done => ExitCode::Done,
            Self::Preempted => ExitCode::Preempted,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
