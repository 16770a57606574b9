//! The Unix socket for processes of the coordinator's own user.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use dial::{SOCKET_SCHEME, SocketPath};
use tokio::net::UnixListener;
use tracing::warn;

const SOCKET_FILE: &str = "coordinator.sock";

/// The socket's file, removed on drop.
#[derive(Debug)]
pub(crate) struct SocketFile {
    pub(crate) path: PathBuf,
    /// Its folder, if that was made for it.
    folder: Option<PathBuf>,
}

/// A socket that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on the socket {}", .path.display())]
pub struct SocketError {
    /// The socket.
    path: PathBuf,
    /// The cause.
    source: io::Error,
}

impl SocketError {
    pub(crate) fn cause(&self) -> &io::Error {
        &self.source
    }
}

impl SocketFile {
    /// Listens in a data directory that the caller has locked, or in a new private folder if its file system has no sockets.
    pub(crate) fn listen_in(data_dir: &Path) -> Result<(UnixListener, Self), SocketError> {
        let path = data_dir.join(SOCKET_FILE);
        match bind(&path) {
            Ok(listener) => Ok((listener, Self { path, folder: None })),
            Err(error) => {
                warn!(%error, path = %path.display(), "cannot listen in the data directory; listening in a temporary one");
                Self::listen_elsewhere()
            }
        }
    }

    /// Listens in a new folder that only this user can look into.
    pub(crate) fn listen_elsewhere() -> Result<(UnixListener, Self), SocketError> {
        let folder = std::env::temp_dir().join(format!("windtunnel-{:032x}", rand::random::<u128>()));
        let path = folder.join(SOCKET_FILE);
        let made = DirBuilder::new().mode(0o700).create(&folder);
        match made.and_then(|()| bind(&path)) {
            Ok(listener) => Ok((listener, Self { path, folder: Some(folder) })),
            Err(source) => Err(SocketError { path, source }),
        }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        url_of(&self.path)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The next coordinator replaces one that is left behind.
        let _ = fs::remove_file(&self.path);
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The address of a socket.
pub(crate) fn url_of(path: &Path) -> String {
    format!("{SOCKET_SCHEME}{}", path.display())
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let short = SocketPath::new(path)?;
    let listener = UnixListener::bind(short.path())?;
    // Whoever connects before this is asked for its user as well.
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn where_it_cannot_lie_in_the_data_directory_it_lies_in_a_private_folder() {
        let dir = tempfile::tempdir().expect("a directory");
        let missing = dir.path().join("missing");
        let (_listener, file) = SocketFile::listen_in(&missing).expect("it listens elsewhere");
        let folder = file.path.parent().expect("a folder").to_owned();
        assert!(!file.path.starts_with(dir.path()), "{}", file.path.display());
        assert_eq!(fs::metadata(&folder).expect("made").permissions().mode() & 0o777, 0o700);
        drop(file);
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn one_that_was_left_behind_is_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        drop(std::os::unix::net::UnixListener::bind(dir.path().join(SOCKET_FILE)).expect("bound"));
        let (_listener, file) = SocketFile::listen_in(dir.path()).expect("it listens");
        assert_eq!(file.path, dir.path().join(SOCKET_FILE));
        assert_eq!(fs::metadata(&file.path).expect("made").permissions().mode() & 0o777, 0o600);
    }
}
