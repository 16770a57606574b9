//! Paths of Unix sockets, which the operating system limits to about a hundred bytes.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

/// Longest path that every system accepts; Linux takes 107 bytes.
const LONGEST: usize = 100;

/// A short name for a socket's path, valid while it is alive.
#[derive(Debug)]
pub struct SocketPath {
    path: PathBuf,
    _directory: Option<OwnedFd>,
}

impl SocketPath {
    /// Shortens a path that is too long by way of its open folder in `/proc`.
    ///
    /// # Errors
    /// If the path is too long and its folder cannot be opened.
    pub fn new(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= LONGEST {
            return Ok(Self { path: path.to_owned(), _directory: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidFilename.into());
        };
        let directory = openat(CWD, parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
        Ok(Self { path, _directory: Some(directory) })
    }

    /// What to bind or connect to.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_in_a_deep_folder_can_be_bound_and_reached() {
        let dir = tempfile::tempdir().expect("a directory");
        let deep = dir.path().join("a".repeat(120));
        std::fs::create_dir(&deep).expect("made");
        let socket = deep.join("socket");
        let _listener = tokio::net::UnixListener::bind(SocketPath::new(&socket).expect("short").path()).expect("bound");
        tokio::net::UnixStream::connect(SocketPath::new(&socket).expect("short").path()).await.expect("reached");
        SocketPath::new(&dir.path().join("b".repeat(120)).join("socket")).expect_err("there is no such folder");
    }
}
