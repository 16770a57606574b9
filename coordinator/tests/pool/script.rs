//! A pool of shell scripts that write down what happens to them.

use std::path::Path;
use std::time::Duration;

use coordinator::pools::{LocalPool, LocalPoolOptions, PoolError, PoolEvent};
use scheduler::pool::Demand;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use vocabulary::WorkerId;

/// How long anything may take before the test is taken to hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What every script does first: it notes its process and its arguments, which end with the coordinator's address, its
/// name, its id and the wish that it ends with its standard input.
const PROLOGUE: &str = r#"echo "$$ $*" >> lives"#;

/// What a sound worker does: it works until its standard input ends.
pub(crate) const WORK: &str = "cat > /dev/null; echo done >> ends";

pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) pool: LocalPool,
    events: mpsc::Receiver<PoolEvent>,
}

/// A start of a script, as it noted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) process: String,
    pub(crate) args: Vec<String>,
}

impl Life {
    pub(crate) fn argument(&self, name: &str) -> &str {
        let at = self.args.iter().position(|arg| arg == name).expect("it is given");
        &self.args[at + 1]
    }

    pub(crate) fn id(&self) -> WorkerId {
        self.argument("--worker-id").parse().expect("it is an id")
    }

    /// Whether the process is there: reaped ones are not, and neither are those that never were.
    pub(crate) fn is_there(&self) -> bool {
        Path::new("/proc").join(&self.process).exists()
    }

    /// The group of the process, which is what the terminal sends Ctrl-C to.
    pub(crate) fn group(&self) -> String {
        let stat = std::fs::read_to_string(Path::new("/proc").join(&self.process).join("stat")).expect("it is there");
        // After the program's name in parentheses: its state, its parent, its group.
        let (_, rest) = stat.rsplit_once(") ").expect("it has a name");
        rest.split(' ').nth(2).expect("it has a group").to_owned()
    }

    pub(crate) fn kill(&self) {
        let killed = std::process::Command::new("kill").args(["-KILL", &self.process]).status();
        assert!(killed.expect("there is such a program").success());
    }
}

pub(crate) fn options(dir: &Path, count: usize, script: &str) -> LocalPoolOptions {
    let script = format!("cd '{}'\n{PROLOGUE}\n{script}", dir.display());
    LocalPoolOptions {
        program: "/bin/sh".into(),
        args: vec!["-c".to_owned(), script, "script".to_owned(), "worker".to_owned()],
        count,
        log_dir: dir.join("logs"),
        name_prefix: "local".to_owned(),
        grace: Duration::from_secs(5),
    }
}

impl Bench {
    pub(crate) async fn new(count: usize, script: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (events, received) = mpsc::channel(64);
        let options = options(dir.path(), count, script);
        let pool = LocalPool::start(options, "http://127.0.0.1:1", no_demand(), events).await.expect("a shell starts");
        Self { dir, pool, events: received }
    }

    /// The id of the next process that is reported.
    pub(crate) async fn next_exit(&mut self) -> WorkerId {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("something ends");
        match event.expect("the pool lives") {
            PoolEvent::WorkerExited { worker_id } => worker_id,
            PoolEvent::KeeperPanicked(panicked) => panic!("{panicked}"),
        }
    }

    /// Waits for so many starts, and returns them in order.
    pub(crate) async fn lives(&self, count: usize) -> Vec<Life> {
        self.wait_for(|bench| Some(bench.noted()).filter(|lives| lives.len() >= count)).await
    }

    pub(crate) fn noted(&self) -> Vec<Life> {
        let life = |line: &str| {
            let (process, args) = line.split_once(' ').expect("it has arguments");
            Life { process: process.to_owned(), args: args.split(' ').map(str::to_owned).collect() }
        };
        self.read("lives").lines().map(life).collect()
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(file)).unwrap_or_default()
    }

    pub(crate) async fn wait_for<T>(&self, look: impl Fn(&Self) -> Option<T>) -> T {
        let looks = async {
            loop {
                if let Some(seen) = look(self) {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, looks).await.expect("it happens in time")
    }

    /// Stops the pool. Returns the ids that are reported until it is, in order.
    pub(crate) async fn stop(self) -> (TempDir, Vec<WorkerId>) {
        let Self { dir, pool, mut events } = self;
        tokio::time::timeout(PATIENCE, pool.stop()).await.expect("it stops");
        let mut reported = Vec::new();
        while let Ok(PoolEvent::WorkerExited { worker_id }) = events.try_recv() {
            reported.push(worker_id);
        }
        (dir, reported)
    }
}

pub(crate) async fn refused(options: LocalPoolOptions) -> PoolError {
    let (events, _received) = mpsc::channel(64);
    LocalPool::start(options, "http://127.0.0.1:1", no_demand(), events).await.expect_err("it cannot start")
}

/// A local pool is as large as it is, whatever the demand.
fn no_demand() -> watch::Receiver<Demand> {
    watch::channel(Demand::default()).1
}
