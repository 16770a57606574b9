//! A worker's directory below the data directory, locked while its process lives.
//!
//! What is written there decides what is said for an earlier process, so nobody else may write there, and a data directory in
//! a place where everybody can make one, as in /tmp, must be this user's.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use dial::Secret;
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

/// What the processes of a directory prove themselves with.
const SECRET_FILE: &str = "secret";

/// Its length, in hexadecimal digits.
const SECRET_DIGITS: usize = 64;

/// Maximum number of predecessors remembered. Each may have held a stage when it ended.
const MOST_PREDECESSORS: usize = proto::limits::MAX_PREDECESSORS;

impl Home {
    /// Locks the directory of this name, or without a name that of the first free name derived from the machine's.
    pub(crate) fn take(data_dir: &Path, name: Option<&str>) -> Result<Self, WorkerError> {
        let workers = workers_dir(data_dir)?;
        if let Some(name) = name {
            if !is_name(name) {
                return Err(WorkerError::Name { name: name.to_owned() });
            }
            let dir = workers.join(name);
            make_private(&dir)?;
            return Self::lock(name.to_owned(), dir.clone())?
                .ok_or_else(|| WorkerError::NameTaken { name: name.to_owned(), dir });
        }
        let machine = machine_name();
        for number in 1..=MOST_NAMELESS {
            let name = if number == 1 { machine.clone() } else { format!("{machine}-{number}") };
            let dir = workers.join(&name);
            match make_private(&dir) {
                // The name is another user's.
                Err(WorkerError::NotOurs { .. }) => continue,
                made => made?,
            }
            if let Some(home) = Self::lock(name, dir)? {
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

    /// The secret of the processes that have this directory one after the other: a coordinator believes them about each other.
    /// A missing or damaged one is replaced; then the leases of earlier processes have to expire.
    pub(crate) fn secret(&self) -> Result<Secret, WorkerError> {
        let path = self.dir.join(SECRET_FILE);
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        let is_whole = known.len() == SECRET_DIGITS && known.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_whole {
            return Ok(Secret::new(known));
        }
        let digits: String =
            rand::random::<[u8; SECRET_DIGITS / 2]>().iter().map(|byte| format!("{byte:02x}")).collect();
        let partial = path.with_extension("partial");
        let write = || {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
            let mut file = options.open(&partial)?;
            file.write_all(digits.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&partial, &path)
        };
        write().map_err(failed(&path))?;
        Ok(Secret::new(digits))
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
        let path = dir.join("lock");
        let mut options = OpenOptions::new();
        // Not truncated, and never through a link: what such a link leads to is not a lock.
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let lock = options.open(&path).map_err(failed(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { name, dir, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(WorkerError::DataDir { path, source }),
        }
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> WorkerError + use<> {
    let path = path.to_owned();
    move |source| WorkerError::DataDir { path, source }
}

/// The user this process acts as.
fn user() -> u32 {
    // SAFETY: it takes nothing, and cannot fail.
    unsafe { libc::geteuid() }
}

/// Makes the directory of the workers' directories, and checks that nobody who should not can replace it.
fn workers_dir(data_dir: &Path) -> Result<PathBuf, WorkerError> {
    let data_dir = std::path::absolute(data_dir).map_err(failed(data_dir))?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&data_dir);
    made.map_err(failed(&data_dir))?;
    for (place, parent) in data_dir.ancestors().zip(data_dir.ancestors().skip(1)) {
        let found = |path: &Path| std::fs::symlink_metadata(path).map_err(failed(path));
        let owner = found(place)?.uid();
        // In a directory where everybody can make one, as in /tmp, it may have been put there for this worker to find.
        if ![user(), 0].contains(&owner) && found(parent)?.mode() & 0o002 != 0 {
            return Err(WorkerError::NotOurs { path: place.to_owned(), owner });
        }
    }
    let workers = data_dir.join("workers");
    let metadata = made_here(&workers)?;
    let owner_of_all = std::fs::metadata(&data_dir).map_err(failed(&data_dir))?.uid();
    if ![user(), owner_of_all].contains(&metadata.uid()) {
        return Err(WorkerError::NotOurs { path: workers, owner: metadata.uid() });
    }
    Ok(workers)
}

/// Makes a directory for this user alone, or makes sure that it is one.
fn make_private(dir: &Path) -> Result<(), WorkerError> {
    let metadata = made_here(dir)?;
    if metadata.uid() != user() {
        return Err(WorkerError::NotOurs { path: dir.to_owned(), owner: metadata.uid() });
    }
    // Earlier versions made it readable by everybody.
    if metadata.mode() & 0o077 != 0 {
        std::fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed(dir))?;
    }
    Ok(())
}

/// What there is at this path, a directory and not a link to one.
fn made_here(dir: &Path) -> Result<Metadata, WorkerError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(dir)(error)),
        _ => {}
    }
    let metadata = std::fs::symlink_metadata(dir).map_err(failed(dir))?;
    if metadata.is_dir() { Ok(metadata) } else { Err(failed(dir)(ErrorKind::NotADirectory.into())) }
}

fn is_name(name: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    (1..=100).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with('.')
}

/// The machine's name, or `worker`.
pub(crate) fn machine_name() -> String {
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
    fn processes_of_one_directory_share_a_secret_and_others_have_another() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::take(dir.path(), Some("a")).expect("free");
        let secret = home.secret().expect("is written");
        let path = home.dir.join(SECRET_FILE);
        assert_eq!(std::fs::metadata(&path).expect("it is there").mode() & 0o777, 0o600);
        drop(home);
        let home = Home::take(dir.path(), Some("a")).expect("free again");
        assert_eq!(home.secret().expect("is read"), secret);
        let other = Home::take(dir.path(), Some("b")).expect("free");
        assert_ne!(other.secret().expect("is written"), secret);
        std::fs::write(&path, &secret.expose()[..7]).expect("is written");
        let next = home.secret().expect("is written");
        assert!(next != secret && next.expose().len() == SECRET_DIGITS, "a truncated secret is replaced");
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

    #[test]
    fn a_folder_is_for_its_user_alone_and_no_link_is_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::take(dir.path(), Some("a")).expect("free");
        let mode = |path: &Path| std::fs::metadata(path).expect("it is there").mode() & 0o777;
        assert_eq!((mode(&home.dir), mode(&home.dir.join("lock"))), (0o700, 0o600));
        drop(home);

        // As an earlier version made it.
        let home = dir.path().join("workers/a");
        std::fs::set_permissions(&home, Permissions::from_mode(0o755)).expect("it is ours");
        Home::take(dir.path(), Some("a")).expect("free");
        assert_eq!(mode(&home), 0o700);

        let precious = dir.path().join("precious");
        std::fs::write(&precious, "all that there is").expect("it is written");
        std::fs::remove_file(home.join("lock")).expect("it is there");
        std::os::unix::fs::symlink(&precious, home.join("lock")).expect("it is made");
        assert!(matches!(Home::take(dir.path(), Some("a")), Err(WorkerError::DataDir { .. })));
        assert_eq!(std::fs::read_to_string(&precious).expect("it is there"), "all that there is");

        std::os::unix::fs::symlink(&home, dir.path().join("workers/b")).expect("it is made");
        assert!(matches!(Home::take(dir.path(), Some("b")), Err(WorkerError::DataDir { .. })));
    }

    #[test]
    fn a_folder_of_somebody_else_is_refused() {
        if user() != 0 {
            return; // Only root can give a folder away.
        }
        let give = |path: &Path| std::os::unix::fs::chown(path, Some(65_534), None).expect("root can");
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::take(dir.path(), Some("a")).expect("free").dir;
        give(&home);
        let refused = Home::take(dir.path(), Some("a")).expect_err("it is somebody else's");
        assert!(matches!(&refused, WorkerError::NotOurs { path, owner: 65_534 } if *path == home), "{refused:?}");

        // Where everybody can make a directory, somebody else's is not trusted; elsewhere its place was chosen.
        let open = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(open.path(), Permissions::from_mode(0o1777)).expect("it is ours");
        let theirs = open.path().join("theirs");
        std::fs::create_dir(&theirs).expect("it is made");
        give(&theirs);
        for place in [theirs.clone(), theirs.join("below")] {
            let refused = Home::take(&place, None).expect_err("everybody could have put it there");
            assert!(matches!(&refused, WorkerError::NotOurs { path, .. } if *path == theirs), "{refused:?}");
        }
        let mine = tempfile::tempdir().expect("a directory");
        let chosen = mine.path().join("chosen");
        std::fs::create_dir(&chosen).expect("it is made");
        give(&chosen);
        Home::take(&chosen, None).expect("nobody could have put it there");
    }
}
