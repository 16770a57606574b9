//! The kind of file system that a directory lies on.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::logging::say;

/// Kinds that several machines share, on which SQLite does not promise to keep a store whole.
const SHARED: [&str; 17] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "panfs",
    "smb3",
    "smbfs",
];

/// The kind of the file system that a directory lies on, if several machines may share it. `None` also where the system does
/// not say.
fn shared_kind(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    let kind = kind_at(&mounts, &dir)?;
    is_shared(&kind).then_some(kind)
}

/// Warns of a data directory that several machines may share. Its storage may be shared; the store beside it may not.
pub(crate) fn warn_if_shared(data_dir: &Path) {
    if let Some(kind) = shared_kind(data_dir) {
        say(&format!(
            "warning: {} lies on {kind}, where a crash may damage the coordinator's store: put --data-dir on a disk of this \
             machine, and only --storage on a shared file system",
            data_dir.display()
        ));
    }
}

fn is_shared(kind: &str) -> bool {
    // `fuse.sshfs` and the like; `fuseblk` is a local disk.
    SHARED.contains(&kind) || kind.starts_with("fuse.")
}

/// The kind of the file system that is mounted at a path, by a table in the form of `/proc/self/mountinfo`.
fn kind_at(mounts: &[u8], path: &Path) -> Option<String> {
    let mut found: Option<(usize, String)> = None;
    for line in mounts.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b' ');
        let Some(at) = fields.nth(4).map(unescaped).filter(|at| path.starts_with(at)) else { continue };
        let mut after = fields.skip_while(|field| *field != b"-").skip(1);
        let Some(kind) = after.next() else { continue };
        // Of two at the same place, the later one hides the other.
        let depth = at.components().count();
        if found.as_ref().is_none_or(|(deepest, _)| depth >= *deepest) {
            found = Some((depth, String::from_utf8_lossy(kind).into_owned()));
        }
    }
    found.map(|(_, kind)| kind)
}

/// A path as the table writes it: spaces and the like are `\040`.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        let code = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match code.filter(|_| *first == b'\\') {
            Some(code) => {
                bytes.push(code);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = r"22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 0:21 / /proc rw - proc proc rw
40 22 0:44 / /shared rw,relatime shared:20 - nfs4 server:/export rw,vers=4.2
41 40 0:45 / /shared/local\040disk rw - xfs /dev/sdb rw
42 22 0:46 / /home rw shared:3 master:1 - ext4 /dev/sda rw
43 42 0:47 / /home/ada rw - fuse.sshfs ada@host: rw
44 42 0:48 / /home/ada rw - lustre mds:/home rw
45 22 0:49 / /usb rw - fuseblk /dev/sdc rw
";

    #[test]
    fn a_directory_lies_on_the_deepest_and_latest_mount_above_it() {
        let kind = |path: &str| kind_at(MOUNTS.as_bytes(), Path::new(path)).expect("something is mounted at the root");
        assert_eq!(kind("/"), "ext4");
        assert_eq!(kind("/shared"), "nfs4");
        assert_eq!(kind("/shared/windtunnel/data"), "nfs4");
        assert_eq!(kind("/shared/local disk/data"), "xfs");
        assert_eq!(kind("/sharedness"), "ext4");
        assert_eq!(kind("/home/ada/data"), "lustre");
        assert_eq!(kind_at(b"", Path::new("/")), None);
        assert_eq!(kind_at(b"22 1 259:2 / / rw", Path::new("/")), None);
    }

    #[test]
    fn what_several_machines_share_is_told_from_a_disk() {
        for kind in ["nfs", "nfs4", "lustre", "gpfs", "beegfs", "cifs", "9p", "fuse.sshfs", "fuse.glusterfs"] {
            assert!(is_shared(kind), "{kind}");
        }
        for kind in ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "ramfs", "fusectl"] {
            assert!(!is_shared(kind), "{kind}");
        }
    }
}
