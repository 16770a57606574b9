//! A worker's directory below the data directory, locked while its process lives.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use vocabulary::WorkerId;

use crate::error::WorkerError;

/// Maximum number of unnamed workers on one machine and data directory.
const MOST_NAMELESS: u32 = 1000;

/// A worker's name and directory. Nobody else has either while this exists.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    /// The lock is released when the process ends, however it ends.
    _lock: File,
}

/// Lists the process that holds the directory, after its predecessors.
const PROCESS_FILE: &str = "process";

/// Maximum number of predecessors remembered. Each may have held a stage when it ended.
const MOST_PREDECESSORS: usize = proto::limits::MAX_PREDECESSORS;

impl Home {
    /// Locks the directory of this name, or without a name that of the first free name derived from the machine's.
    pub(crate) fn take(data_dir: &Path, name: Option<&str>) -> Result<Self, WorkerError> {
        let workers = data_dir.join("workers");
        if let Some(name) = name {
            if !is_name(name) {
                return Err(WorkerError::Name { name: name.to_owned() });
            }
            let dir = workers.join(name);
            return Self::lock(name.to_owned(), dir.clone())?
                .ok_or_else(|| WorkerError::NameTaken { name: name.to_owned(), dir });
        }
        let machine = machine_name();
        for number in 1..=MOST_NAMELESS {
            let name = if number == 1 { machine.clone() } else { format!("{machine}-{number}") };
            if let Some(home) = Self::lock(name.clone(), workers.join(name))? {
                return Ok(home);
            }
        }
        Err(WorkerError::NameTaken { dir: workers.join(&machine), name: machine })
    }

    /// Records that this process now holds the directory. Returns its predecessors, latest last, except those a
    /// coordinator knows to be gone. Since the lock was free, they have ended.
    pub(crate) fn succeed(&self, worker: &WorkerId) -> Result<Vec<WorkerId>, WorkerError> {
        // A missing or damaged file names nobody; leases then have to expire.
        let text = std::fs::read_to_string(self.process_file()).unwrap_or_default();
        let before = text.lines().filter_map(|line| line.parse().ok()).filter(|before| before != worker);
        let before: Vec<WorkerId> = before.collect();
        let before = before[before.len().saturating_sub(MOST_PREDECESSORS)..].to_vec();
        self.write_processes(before.iter().chain([worker]))?;
        Ok(before)
    }

    /// Forgets the predecessors: a coordinator has durably recorded their end.
    pub(crate) fn settle(&self, worker: &WorkerId) -> Result<(), WorkerError> {
        self.write_processes([worker])
    }

    fn write_processes<'a>(&self, processes: impl IntoIterator<Item = &'a WorkerId>) -> Result<(), WorkerError> {
        let path = self.process_file();
        let partial = path.with_extension("partial");
        let text: String = processes.into_iter().map(|process| format!("{process}\n")).collect();
        let written = std::fs::write(&partial, text).and_then(|()| std::fs::rename(&partial, &path));
        written.map_err(|source| WorkerError::DataDir { path, source })
    }

    fn process_file(&self) -> PathBuf {
        self.dir.join(PROCESS_FILE)
    }

    fn lock(name: String, dir: PathBuf) -> Result<Option<Self>, WorkerError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| WorkerError::DataDir { path, source }
        };
        std::fs::create_dir_all(&dir).map_err(failed(&dir))?;
        let path = dir.join("lock");
        let lock = File::create(&path).map_err(failed(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { name, dir, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(WorkerError::DataDir { path, source }),
        }
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    (1..=100).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with('.')
}

/// The machine's name, or `worker`.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name = name.trim();
    if is_name(name) { name.to_owned() } else { "worker".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_had_by_one_worker_at_a_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Home::take(dir.path(), Some("a")).expect("free");
        assert!(matches!(Home::take(dir.path(), Some("a")), Err(WorkerError::NameTaken { .. })));
        drop(first);
        Home::take(dir.path(), Some("a")).expect("free again");
    }

    #[test]
    fn each_process_knows_whom_it_succeeds_until_a_coordinator_does() {
        let dir = tempfile::tempdir().expect("a directory");
        let [first, second, third] = [b"first".as_slice(), b"second", b"third"].map(WorkerId::from_content);
        let home = Home::take(dir.path(), Some("a")).expect("free");
        assert_eq!(home.succeed(&first).expect("is written"), []);
        assert_eq!(home.succeed(&first).expect("is written"), [], "not itself");
        assert_eq!(home.succeed(&second).expect("is written"), [first]);
        // The second process ended before any coordinator heard of it.
        assert_eq!(home.succeed(&third).expect("is written"), [first, second]);
        home.settle(&third).expect("is written");
        assert_eq!(home.succeed(&first).expect("is written"), [third]);
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::take(dir.path(), Some("a")).expect("free");
        let worker = |number: usize| WorkerId::from_content(&number.to_le_bytes());
        let last = 2 * MOST_PREDECESSORS;
        for number in 0..last {
            home.succeed(&worker(number)).expect("is written");
        }
        let before = home.succeed(&worker(last)).expect("is written");
        assert_eq!(before, (last - MOST_PREDECESSORS..last).map(worker).collect::<Vec<_>>());
    }

    #[test]
    fn nameless_workers_get_different_names() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Home::take(dir.path(), None).expect("free");
        let second = Home::take(dir.path(), None).expect("free");
        assert_eq!(second.name, format!("{}-2", first.name));
    }

    #[test]
    fn names_that_are_no_directories_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["", "..", "a/b", "a b", &"a".repeat(101)] {
            assert!(matches!(Home::take(dir.path(), Some(name)), Err(WorkerError::Name { .. })), "{name}");
        }
    }
}
