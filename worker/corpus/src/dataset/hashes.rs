//! Hashes of files, each read once per process while the file stays the same.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use vocabulary::ContentHash;

/// A file written more recently than this may be written again without its times changing.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// What changes when a file is written: device, inode, size, and the times of its content and its inode.
type Identity = (u64, u64, u64, (i64, i64), (i64, i64));

/// Hashes by the identity of the file they are of.
static KNOWN: Mutex<Option<HashMap<Identity, ContentHash>>> = Mutex::new(None);

/// The hash of a file.
pub(super) fn hash_of(path: &Path) -> io::Result<ContentHash> {
    let mut file = File::open(path)?;
    let identity = identity(&file.metadata()?);
    let lock = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = identity.and_then(|identity| lock().as_ref()?.get(&identity).copied());
    if let Some(hash) = known {
        return Ok(hash);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&mut file)?;
    let hash = ContentHash::from(hasher.finalize());
    if let Some(identity) = identity {
        lock().get_or_insert_default().insert(identity, hash);
    }
    Ok(hash)
}

/// `None` for a file that may still be written unnoticed.
#[cfg(unix)]
fn identity(metadata: &Metadata) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    let age = SystemTime::now().duration_since(metadata.modified().ok()?).ok()?;
    (age >= SETTLED_AFTER).then(|| {
        let (content, inode) = ((metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec()));
        (metadata.dev(), metadata.ino(), metadata.size(), content, inode)
    })
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> Option<Identity> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_changed_is_read_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("shard.npy");
        let write = |content: &str, seconds_ago| {
            std::fs::write(&path, content).expect("writes");
            let file = File::options().write(true).open(&path).expect("opens");
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds_ago)).expect("sets the time");
        };
        for (content, seconds_ago) in [("one", 100), ("two", 100), ("six", 0), ("ten", 0), ("one", 50)] {
            write(content, seconds_ago);
            for _ in 0..2 {
                assert_eq!(hash_of(&path).expect("reads"), ContentHash::of(content.as_bytes()), "{content}");
            }
        }
    }
}
