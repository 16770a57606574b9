//! The directory of one worker below the data directory, held while its process lives.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use recipes::WorkerId;

use crate::error::WorkerError;

/// Workers without a name of their own on one machine and data directory.
const MOST_NAMELESS: u32 = 1000;

/// A worker's name and directory. Nobody else has either while this lives.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    /// Its lock is given up when the process ends, however it ends.
    _lock: File,
}

/// Where the process that has a directory says who it is.
const PROCESS_FILE: &str = "process";

impl Home {
    /// Takes the directory of this name; without one, of the first free name after the machine's.
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

    /// Says that this process has the directory now, and returns the one that had it before. Its lock was free, so it has
    /// ended.
    pub(crate) fn succeed(&self, worker: &WorkerId) -> Result<Option<WorkerId>, WorkerError> {
        let path = self.dir.join(PROCESS_FILE);
        // A file that is missing or damaged is of nobody; then the lease has to run out.
        let before = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        let partial = path.with_extension("partial");
        let written = std::fs::write(&partial, worker.to_string()).and_then(|()| std::fs::rename(&partial, &path));
        written.map_err(|source| WorkerError::DataDir { path, source })?;
        Ok(before.filter(|before| before != worker))
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

/// What the machine calls itself, or `worker`.
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
    fn each_process_knows_whom_it_succeeds() {
        let dir = tempfile::tempdir().expect("a directory");
        let [first, second] = [b"first".as_slice(), b"second"].map(WorkerId::from_content);
        let home = Home::take(dir.path(), Some("a")).expect("free");
        assert_eq!(home.succeed(&first).expect("is written"), None);
        assert_eq!(home.succeed(&first).expect("is written"), None, "not itself");
        drop(home);
        let home = Home::take(dir.path(), Some("a")).expect("free again");
        assert_eq!(home.succeed(&second).expect("is written"), Some(first));
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
