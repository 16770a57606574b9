//! The processes: a coordinator on a fixed port, and workers that dial it.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::faults::LEASE;
use super::log::Log;
use super::place::Place;

/// Generous bound on anything that should always happen: it only matters when a run is about to fail.
pub(super) const EXIT_TIMEOUT: Duration = Duration::from_secs(120);

/// Number of lines of a log that are shown of a process that ended otherwise than it should.
const LAST_LINES: usize = 12;

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Coordinator,
    Worker(usize),
}

/// A running cluster. Dropping it kills whatever still runs.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    place: &'a Place,
    coordinator: Option<Child>,
    workers: Vec<Option<Child>>,
    pub(super) log: Log,
}

impl<'a> Cluster<'a> {
    /// Starts the coordinator and the workers.
    pub(super) fn start(place: &'a Place, workers: usize) -> Result<Self> {
        let none = (0..workers).map(|_| None).collect();
        let mut cluster = Self { place, coordinator: None, workers: none, log: Log::default() };
        cluster.bring_back(Who::Coordinator)?;
        cluster.ensure_serving()?;
        for worker in 0..workers {
            cluster.bring_back(Who::Worker(worker))?;
        }
        Ok(cluster)
    }

    /// A worker's name, as it reports it to the coordinator.
    pub(super) fn name(worker: usize) -> String {
        format!("w{worker}")
    }

    /// Starts a process that is not running.
    pub(super) fn bring_back(&mut self, who: Who) -> Result<()> {
        if self.slot(who).is_some() {
            return Ok(());
        }
        let child = match who {
            Who::Coordinator => {
                let (listen, lease) = (self.place.address(), LEASE.as_secs().to_string());
                let mut serve = self.place.command(&["--log", "info", "serve", "--listen", &listen, "--lease", &lease]);
                let mut child = spawn(serve.stdout(Stdio::null()).stderr(Stdio::piped()))?;
                let copy = self.copy(who)?;
                self.log.follow(child.stderr.take().context("the standard error is piped")?, copy);
                child
            }
            Who::Worker(worker) => {
                let name = Self::name(worker);
                let mut command = self.place.command(&["--log", "info", "worker", "--name", &name]);
                // The grace period is shorter than a lease, so that a worker that leaves while the coordinator is away
                // soon exits.
                command.args(["--checkpoint-interval", "1.5", "--grace", "2", "--stall-after", "5", "--hang-while"]);
                command.arg(self.hang_file(worker));
                spawn(command.stdout(Stdio::null()).stderr(self.copy(who)?))?
            }
        };
        *self.slot(who) = Some(child);
        Ok(())
    }

    fn slot(&mut self, who: Who) -> &mut Option<Child> {
        match who {
            Who::Coordinator => &mut self.coordinator,
            Who::Worker(worker) => &mut self.workers[worker],
        }
    }

    /// The name of a process's log in the run's folder.
    fn log_name(who: Who) -> String {
        match who {
            Who::Coordinator => "coordinator.log".to_owned(),
            Who::Worker(worker) => format!("{}.log", Self::name(worker)),
        }
    }

    /// The last lines of a process's log, each on a line of its own.
    pub(super) fn last_words(&self, who: Who) -> String {
        let log = fs::read_to_string(self.place.dir().join(Self::log_name(who))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| format!("\n    {line}")).collect()
    }

    fn copy(&self, who: Who) -> Result<File> {
        let path = self.place.dir().join(Self::log_name(who));
        File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// While this file is there, a worker's training hangs.
    fn hang_file(&self, worker: usize) -> PathBuf {
        self.place.dir().join(format!("{}.hangs", Self::name(worker)))
    }

    /// Has a worker's training hang from its next step on, or not any more.
    pub(super) fn hang(&self, worker: usize, hangs: bool) -> Result<()> {
        let file = self.hang_file(worker);
        let done = if hangs { fs::write(&file, "") } else { fs::remove_file(&file) };
        match done {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot change {}", file.display()))
            }
            _ => Ok(()),
        }
    }

    /// Signals a process, if it is running.
    pub(super) fn signal(&mut self, who: Who, signal: &str) {
        if let Some(child) = self.slot(who) {
            // The process is not reaped yet, so its id cannot have been reused; having just exited is fine.
            let kill = format!("kill -s {signal} {}", child.id());
            let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
        }
    }

    /// A process's exit status, once it has exited.
    pub(super) fn reap(&mut self, who: Who) -> Result<Option<ExitStatus>> {
        let slot = self.slot(who);
        let status = slot.as_mut().context("it was started")?.try_wait()?;
        if status.is_some() {
            *slot = None;
        }
        Ok(status)
    }

    /// A process that exited although nobody told it to.
    pub(super) fn exited_unasked(&mut self, was_told: impl Fn(Who) -> bool) -> Option<(Who, ExitStatus)> {
        let everybody = (0..self.workers.len()).map(Who::Worker).chain([Who::Coordinator]);
        everybody.filter(|who| !was_told(*who)).find_map(|who| Some((who, self.reap(who).ok()??)))
    }

    /// Waits until the coordinator answers.
    pub(super) fn ensure_serving(&self) -> Result<()> {
        let deadline = Instant::now() + EXIT_TIMEOUT;
        while !self.place.command(&["list"]).output().is_ok_and(|output| output.status.success()) {
            ensure!(Instant::now() < deadline, "the coordinator is not answering");
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Stops all processes in order, workers first.
    pub(super) fn stop(&mut self) -> Result<()> {
        let everybody = (0..self.workers.len()).map(Who::Worker).chain([Who::Coordinator]);
        for who in everybody.collect::<Vec<_>>() {
            self.signal(who, "TERM");
            let deadline = Instant::now() + EXIT_TIMEOUT;
            while self.reap(who)?.is_none() {
                ensure!(Instant::now() < deadline, "{who:?} does not exit");
                sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        for child in self.workers.iter_mut().chain([&mut self.coordinator]).flatten() {
            // It may have exited already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("cannot start {command:?}"))
}
