//! How a worker process ends. Whoever started it reads these codes.

/// The exit code of a worker process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Nothing more is wanted of it: whoever started it closed its standard input.
    Done = 0,
    /// It failed in a way that is not its configuration; starting it again may help.
    Failed = 1,
    /// The coordinator could not be reached for too long. `EX_UNAVAILABLE` of sysexits.
    Unreachable = 69,
    /// It was told to go by a signal, and handed back what it had. `EX_TEMPFAIL` of sysexits.
    Preempted = 75,
    /// It cannot work as it is configured; starting it again does not help. `EX_CONFIG` of sysexits.
    BadConfiguration = 78,
}

/// How a worker ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerExit {
    /// Its standard input was closed.
    Done,
    /// A signal told it to go.
    Preempted,
}

impl WorkerExit {
    /// The code the process is to end with.
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
