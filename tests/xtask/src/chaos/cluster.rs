//! The processes: a coordinator on a fixed port, and workers that dial it.

use std::fs::File;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::faults::LEASE;
use super::log::Log;
use super::place::Place;

/// How long something may take that always happens. It only matters where a run is about to fail.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Who is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Coordinator,
    Worker(usize),
}

/// See the [module's page](self). What still runs is killed when it goes.
#[derive(Debug)]
pub(super) struct Cluster<'a> {
    place: &'a Place,
    coordinator: Option<Child>,
    workers: Vec<Option<Child>>,
    pub(super) log: Log,
}

impl<'a> Cluster<'a> {
    /// Starts all of them.
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

    /// The name of a worker.
    pub(super) fn name(worker: usize) -> String {
        format!("w{worker}")
    }

    /// Starts a process that is not there.
    pub(super) fn bring_back(&mut self, who: Who) -> Result<()> {
        if self.slot(who).is_some() {
            return Ok(());
        }
        let child = match who {
            Who::Coordinator => {
                let (listen, lease) = (self.place.address(), LEASE.as_secs().to_string());
                let mut serve = self.place.command(&["--log", "info", "serve", "--listen", &listen, "--lease", &lease]);
                let mut child = spawn(serve.stdout(Stdio::null()).stderr(Stdio::piped()))?;
                let copy = self.copy("coordinator.log")?;
                self.log.follow(child.stderr.take().context("the standard error is piped")?, copy);
                child
            }
            Who::Worker(worker) => {
                let name = Self::name(worker);
                let mut command = self.place.command(&["--log", "info", "worker", "--name", &name]);
                // The grace is shorter than a lease, so that one who leaves while the coordinator is away does not take long.
                command.args(["--checkpoint-interval", "1.5", "--grace", "2"]);
                spawn(command.stdout(Stdio::null()).stderr(self.copy(&format!("{name}.log"))?))?
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

    fn copy(&self, name: &str) -> Result<File> {
        let path = self.place.dir().join(name);
        File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Sends a signal, where the process is there.
    pub(super) fn signal(&mut self, who: Who, signal: &str) {
        if let Some(child) = self.slot(who) {
            // Not reaped yet, so nobody else has its number; that it has just ended is fine.
            let kill = format!("kill -s {signal} {}", child.id());
            let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
        }
    }

    /// How a process has ended, if it has.
    pub(super) fn reap(&mut self, who: Who) -> Result<Option<ExitStatus>> {
        let slot = self.slot(who);
        let status = slot.as_mut().context("it was started")?.try_wait()?;
        if status.is_some() {
            *slot = None;
        }
        Ok(status)
    }

    /// A process that has ended, of those that nobody told to.
    pub(super) fn ended_by_itself(&mut self, was_told: impl Fn(Who) -> bool) -> Option<(Who, ExitStatus)> {
        let everybody = (0..self.workers.len()).map(Who::Worker).chain([Who::Coordinator]);
        everybody.filter(|who| !was_told(*who)).find_map(|who| Some((who, self.reap(who).ok()??)))
    }

    /// Waits until the coordinator answers.
    pub(super) fn ensure_serving(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.place.command(&["list"]).output().is_ok_and(|output| output.status.success()) {
            ensure!(Instant::now() < deadline, "the coordinator does not answer");
            sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Ends all of them in order, workers first.
    pub(super) fn stop(&mut self) -> Result<()> {
        let everybody = (0..self.workers.len()).map(Who::Worker).chain([Who::Coordinator]);
        for who in everybody.collect::<Vec<_>>() {
            self.signal(who, "TERM");
            let deadline = Instant::now() + PATIENCE;
            while self.reap(who)?.is_none() {
                ensure!(Instant::now() < deadline, "{who:?} does not end");
                sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        for child in self.workers.iter_mut().chain([&mut self.coordinator]).flatten() {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("cannot start {command:?}"))
}
