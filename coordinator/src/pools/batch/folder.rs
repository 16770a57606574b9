//! A pool's folder: what its jobs read, and their logs.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use dial::Secret;
use rustix::process::getuid;
use scheduler::pool::batch::AllocationId;

use super::error::BatchError;

/// The worker's token, for its owner alone.
pub(in crate::pools) const TOKEN: &str = "token";
/// Where the coordinator is dialled.
pub(in crate::pools) const ADDRESS: &str = "coordinator";
/// Certificates that verify it.
pub(in crate::pools) const CA: &str = "ca.pem";
const LOGS: &str = "logs";
/// Says whose folder it is: the mark of the pool.
const MARKER: &str = "windtunnel-pool";

/// Logs of allocations that are over are deleted beyond so many.
const KEPT_LOGS: usize = 200;

/// Bytes of a log's end that are looked at.
const TAIL: u64 = 4096;

#[derive(Debug, Clone)]
pub(in crate::pools) struct Folder(PathBuf);

impl Folder {
    pub(super) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub(in crate::pools) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it, for its owner alone and the pool with this mark. One that is there has to be empty, this pool's, or that of a
    /// pool that was removed: whatever else is in it is somebody's.
    pub(super) fn make(&self, mark: &str) -> Result<(), BatchError> {
        let make = || -> io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
            // The storage may be open to others, who could have made it first.
            let found = fs::symlink_metadata(&self.0)?;
            if !found.is_dir() || found.uid() != getuid().as_raw() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is not a folder of this user"));
            }
            let owner = fs::read_to_string(self.0.join(MARKER)).ok();
            let is_free = match owner.as_deref().map(str::trim) {
                Some(owner) => owner == mark || !self.0.join(TOKEN).exists(),
                None => fs::read_dir(&self.0)?.next().is_none(),
            };
            if !is_free {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "it is not empty, and not this pool's: name another folder",
                ));
            }
            fs::set_permissions(&self.0, Permissions::from_mode(0o700))?;
            self.put(MARKER, mark)?;
            DirBuilder::new().recursive(true).mode(0o700).create(self.0.join(LOGS))
        };
        make().map_err(|source| BatchError::Folder { path: self.0.clone(), source })
    }

    /// The token, if it is there.
    pub(in crate::pools) fn token(&self) -> Option<Secret> {
        let text = fs::read_to_string(self.0.join(TOKEN)).ok()?;
        Some(text.trim()).filter(|text| !text.is_empty()).map(Secret::new)
    }

    pub(super) fn write_token(&self, token: &Secret) -> Result<(), BatchError> {
        self.write(TOKEN, token.expose())
    }

    pub(super) fn write_address(&self, address: &str) -> Result<(), BatchError> {
        self.write(ADDRESS, address)
    }

    pub(super) fn write_ca(&self, ca: &str) -> Result<(), BatchError> {
        self.write(CA, ca)
    }

    /// Deletes what lets its jobs in. Logs stay.
    pub(super) fn close(&self) {
        let _ = fs::remove_file(self.0.join(TOKEN));
        let _ = fs::remove_file(self.0.join(ADDRESS));
    }

    /// Deletes a folder that no pool has used: one without a token and without logs.
    pub(super) fn discard(&self) {
        if !self.0.join(TOKEN).exists() && fs::remove_dir(self.0.join(LOGS)).is_ok() {
            let _ = fs::remove_file(self.0.join(MARKER));
            let _ = fs::remove_dir(&self.0);
        }
    }

    pub(in crate::pools) fn log(&self, allocation: AllocationId) -> PathBuf {
        self.0.join(LOGS).join(format!("{allocation}.log"))
    }

    /// The last line of an allocation's log; empty if it has none. What is said by `others`, such as the batch system, says less
    /// than what the program said before.
    pub(in crate::pools) fn last_log_line(&self, allocation: AllocationId, others: &[&str]) -> String {
        let tail = || -> io::Result<Vec<u8>> {
            let mut log = File::open(self.log(allocation))?;
            let end = log.metadata()?.len();
            log.seek(SeekFrom::Start(end.saturating_sub(TAIL)))?;
            let mut tail = Vec::new();
            log.take(TAIL).read_to_end(&mut tail)?;
            Ok(tail)
        };
        let tail = tail().unwrap_or_default();
        let tail = String::from_utf8_lossy(&tail);
        let lines = || tail.lines().map(str::trim).filter(|line| !line.is_empty());
        let is_of_others = |line: &&str| others.iter().any(|other| line.starts_with(other));
        let last = lines().rfind(|line| !is_of_others(line)).or_else(|| lines().next_back());
        one_line(last.unwrap_or_default())
    }

    /// Deletes the oldest logs beyond the most that are kept.
    pub(in crate::pools) fn prune_logs(&self) {
        let Ok(entries) = fs::read_dir(self.0.join(LOGS)) else { return };
        let changed = |entry: io::Result<fs::DirEntry>| {
            let entry = entry.ok()?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        };
        let is_log = |(_, path): &(_, PathBuf)| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            path.extension().is_some_and(|extension| extension == "log") && stem.parse::<AllocationId>().is_ok()
        };
        let mut logs: Vec<_> = entries.filter_map(changed).filter(is_log).collect();
        logs.sort();
        for (_, path) in logs.iter().take(logs.len().saturating_sub(KEPT_LOGS)) {
            let _ = fs::remove_file(path);
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), BatchError> {
        self.put(name, text).map_err(|source| BatchError::Folder { path: self.0.join(name), source })
    }

    /// Writes a file whole or not at all, for its owner alone.
    fn put(&self, name: &str, text: &str) -> io::Result<()> {
        let (path, beside) = (self.0.join(name), self.0.join(format!(".{name}.new")));
        let _ = fs::remove_file(&beside);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    }
}

/// Text from outside, for a log or a terminal.
pub(in crate::pools) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_reads_it_and_the_end_of_a_log_is_found() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let folder = Folder::at(dir.path().join("pool"));
        folder.make("0011").expect("it is made");
        assert!(folder.token().is_none());
        for token in ["first", "second"] {
            folder.write_token(&Secret::new(token)).expect("it is written");
        }
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(folder.path()), 0o700);
        assert_eq!(mode(&folder.path().join(TOKEN)), 0o600);
        assert_eq!(folder.token().expect("it is there").expose(), "second");
        let allocation = AllocationId([1; 16]);
        assert_eq!(folder.last_log_line(allocation, &[]), "");
        fs::write(
            folder.log(allocation),
            "a\nerror: no \x1b[1mdevice\n\nsrun: error: n1: task 0: Exited with exit code 78\n",
        )
        .expect("it is written");
        assert_eq!(folder.last_log_line(allocation, &["srun: "]), "error: no  [1mdevice");
        assert!(folder.make("0022").is_err(), "it is another pool's");
        folder.make("0011").expect("it is this one's");
        folder.close();
        assert!(folder.token().is_none());
        folder.make("0022").expect("its pool was removed");
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_left_alone() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join("token"), "precious").expect("it is written");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("ours");
        assert!(Folder::at(dir.path().to_owned()).make("0011").is_err());
        assert_eq!(fs::metadata(dir.path()).expect("it is there").permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_dir(dir.path()).expect("it is there").count(), 1);
    }

    #[test]
    fn only_logs_of_allocations_are_pruned() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let folder = Folder::at(dir.path().join("pool"));
        folder.make("0011").expect("it is made");
        fs::write(folder.path().join("logs/mine.log"), "precious").expect("it is written");
        for number in 0..=u8::try_from(KEPT_LOGS).expect("a few") {
            fs::write(folder.log(AllocationId([number; 16])), "").expect("it is written");
        }
        folder.prune_logs();
        assert!(folder.path().join("logs/mine.log").exists());
        assert_eq!(fs::read_dir(folder.path().join("logs")).expect("it is there").count(), KEPT_LOGS + 1);
    }
}
