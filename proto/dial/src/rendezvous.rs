//! A file by which a coordinator is found that is somewhere else each time it starts, as inside an allocation of a cluster.
//!
//! The coordinator writes where it listens, the certificate it made, and a token for workers and one for people. Whoever can
//! read the file can use the coordinator, so it is for its owner alone.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Begins the address of a coordinator that is announced in a file.
pub const RENDEZVOUS_SCHEME: &str = "rendezvous:";

/// Longer files announce nothing.
const MOST_BYTES: u64 = 64 << 10;

const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// What a coordinator announces.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendezvous {
    /// Where it listens, the likeliest first.
    pub urls: Vec<String>,
    /// What its certificate is checked with, as PEM.
    pub certificate: String,
    /// Scope `worker`.
    pub worker_token: String,
    /// Scope `submit`.
    pub submit_token: String,
}

impl fmt::Debug for Rendezvous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rendezvous").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// Why a file leads to no coordinator.
#[derive(Debug, thiserror::Error)]
pub enum RendezvousError {
    #[error("no coordinator is announced in {file}: it has not started, or has ended")]
    Absent { file: PathBuf },
    #[error("cannot read {file}")]
    Read {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Somebody else could read the tokens, or could have written the file.
    #[error(
        "{file} belongs to another user or can be read by others: only its owner may, so run chmod 600 if it is yours"
    )]
    Exposed { file: PathBuf },
    #[error("{file} is not a regular file")]
    NoFile { file: PathBuf },
    /// What it says instead is not repeated: it may be a token.
    #[error("{file} is not what a coordinator announces (line {line}, column {column})")]
    Malformed { file: PathBuf, line: usize, column: usize },
}

impl RendezvousError {
    /// Whether a coordinator that starts, or a file server that comes back, ends it.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Absent { .. } | Self::Read { .. })
    }
}

impl Rendezvous {
    /// Reads what is announced.
    ///
    /// # Errors
    /// If there is nothing, or it is not to be trusted.
    pub fn read(file: &Path) -> Result<Self, RendezvousError> {
        let owned = || file.to_owned();
        let failed = |source: io::Error| match source.kind() {
            ErrorKind::NotFound => RendezvousError::Absent { file: owned() },
            _ => RendezvousError::Read { file: owned(), source },
        };
        // Opening a pipe would wait for who writes to it.
        let opened = File::options().read(true).custom_flags(NONBLOCK).open(file).map_err(failed)?;
        let found = opened.metadata().map_err(failed)?;
        if !found.is_file() {
            return Err(RendezvousError::NoFile { file: owned() });
        }
        if found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o077 != 0 {
            return Err(RendezvousError::Exposed { file: owned() });
        }
        let mut text = Vec::new();
        opened.take(MOST_BYTES).read_to_end(&mut text).map_err(failed)?;
        serde_json::from_slice(&text).map_err(|error| RendezvousError::Malformed {
            file: owned(),
            line: error.line(),
            column: error.column(),
        })
    }

    /// Announces it: whoever reads the file has either all of this or what was there before.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let name = file.file_name().ok_or(ErrorKind::InvalidFilename)?.to_string_lossy();
        let partial = file.with_file_name(format!(".{name}.{:08x}", rand::random::<u32>()));
        let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::from)?;
        let done = written.write_all(&text).and_then(|()| written.sync_all()).and_then(|()| fs::rename(&partial, file));
        if done.is_err() {
            let _ = fs::remove_file(&partial);
        }
        done
    }

    /// Takes it back, unless another coordinator has announced itself meanwhile.
    pub fn withdraw(&self, file: &Path) {
        if Self::read(file).is_ok_and(|announced| announced == *self) {
            let _ = fs::remove_file(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::{Addresses, Credentials};

    fn announced(port: u16) -> Rendezvous {
        Rendezvous {
            urls: vec![format!("https://127.0.0.1:{port}"), format!("https://n1:{port}")],
            certificate: String::new(),
            worker_token: "wt_worker".to_owned(),
            submit_token: "wt_submit".to_owned(),
        }
    }

    #[test]
    fn what_is_announced_is_read_by_its_owner_until_it_is_withdrawn() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("coordinator.json");
        assert!(Rendezvous::read(&file).expect_err("nothing is there").may_pass());
        announced(1).write(&file).expect("written");
        announced(2).write(&file).expect("replaced");
        assert_eq!(Rendezvous::read(&file).expect("is there"), announced(2));
        assert_eq!(fs::read_dir(dir.path()).expect("is there").count(), 1, "nothing else is left");
        let mode = fs::metadata(&file).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{:?}", announced(1)).contains("wt_"), "tokens are not logged");

        announced(1).withdraw(&file);
        assert!(file.exists(), "another coordinator's");
        announced(2).withdraw(&file);
        assert!(!file.exists());
    }

    #[test]
    fn a_file_that_others_can_read_or_that_is_something_else_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("coordinator.json");
        announced(1).write(&file).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("ours");
        let refused = Rendezvous::read(&file).expect_err("is refused");
        assert!(matches!(refused, RendezvousError::Exposed { .. }) && !refused.may_pass(), "{refused}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("ours");
        for text in ["{}", "\"wt_secret\"", "{\"urls\": \"wt_secret\"}"] {
            fs::write(&file, text).expect("written");
            let malformed = Rendezvous::read(&file).expect_err("is malformed");
            assert!(matches!(malformed, RendezvousError::Malformed { .. }));
            assert!(!format!("{malformed} {malformed:?}").contains("wt_secret"), "{malformed}");
        }
        assert!(matches!(Rendezvous::read(dir.path()), Err(RendezvousError::NoFile { .. })));
        assert!(matches!(Rendezvous::read(Path::new("/dev/null")), Err(RendezvousError::NoFile { .. })));
    }

    #[test]
    fn what_is_announced_names_no_other_announcement() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("coordinator.json");
        let address = format!("{RENDEZVOUS_SCHEME}{}", file.display());
        Rendezvous { urls: vec![address.clone()], ..announced(1) }.write(&file).expect("written");
        assert!(Addresses::parse(&address, &Credentials::default()).is_err());
    }

    #[test]
    fn the_file_is_read_again_at_each_dial() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("coordinator.json");
        let address = format!("{RENDEZVOUS_SCHEME}{}", file.display());
        let dialled = |port| {
            let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("can be made");
            Rendezvous { certificate: made.cert.pem(), ..announced(port) }.write(&file).expect("written");
            let addresses = Addresses::parse(&address, &Credentials::default()).expect("addresses");
            addresses.iter().map(|address| address.url().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(dialled(1), ["https://127.0.0.1:1", "https://n1:1"]);
        assert_eq!(dialled(2), ["https://127.0.0.1:2", "https://n1:2"]);
    }
}
