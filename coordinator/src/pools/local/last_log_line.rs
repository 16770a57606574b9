//! The last line of a log, which is where a program says why it ends.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes of the log's end that are looked at, and quoted at most.
const TAIL: u64 = 4096;

/// The last non-empty line of a log after its first `from` bytes; empty if nothing was written there.
pub(super) fn last_log_line(log: &Path, from: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    let end = file.metadata()?.len();
    file.seek(SeekFrom::Start(from.max(end.saturating_sub(TAIL))))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let tail = String::from_utf8_lossy(&tail);
    Ok(tail.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_this_process_is_found() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = dir.path().join("a.log");
        let earlier = "error: of another time\n";
        std::fs::write(&log, earlier).expect("it is written");
        assert_eq!(last_log_line(&log, earlier.len() as u64).expect("it is read"), "");

        std::fs::write(&log, format!("{earlier}starts\nerror: no device\n\n")).expect("it is written");
        assert_eq!(last_log_line(&log, earlier.len() as u64).expect("it is read"), "error: no device");

        std::fs::write(&log, "x".repeat(10_000)).expect("it is written");
        assert_eq!(last_log_line(&log, 0).expect("it is read").len() as u64, TAIL);
    }
}
