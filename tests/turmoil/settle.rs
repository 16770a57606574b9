//! SQLite and training threads have no simulated time, so the simulation waits for them in real time.

use std::fs;
use std::time::{Duration, Instant};

/// Interval between two looks.
const LOOK: Duration = Duration::from_micros(40);
/// A thread that is busy for longer continues in the next step.
const LONGEST: Duration = Duration::from_millis(50);
/// Waiting time on systems that do not show threads' states.
const BLIND: Duration = Duration::from_micros(500);

/// Waits until every other thread of this process sleeps, as far as the operating system reports it.
///
/// A thread that is woken counts as awake immediately. If any was awake, one more look follows, because it may have
/// woken another that was looked at earlier.
pub(crate) fn settle() {
    let since = Instant::now();
    let mut looks = 1;
    while looks > 0 && since.elapsed() < LONGEST {
        match others_are_asleep() {
            Some(true) => looks -= 1,
            Some(false) => {
                looks = 2;
                std::thread::sleep(LOOK);
            }
            None => return std::thread::sleep(BLIND),
        }
    }
}

fn others_are_asleep() -> Option<bool> {
    let own = fs::read_link("/proc/thread-self").ok()?;
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let thread = thread.ok()?;
        if Some(thread.file_name().as_os_str()) == own.file_name() {
            continue;
        }
        // A thread that has ended meanwhile has no file any more.
        let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { continue };
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if matches!(state, Some('R' | 'D')) {
            return Some(false);
        }
    }
    Some(true)
}
