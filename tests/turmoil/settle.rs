//! Threads that know no simulated time: those of SQLite, and of training. The simulation waits for them in real time.

use std::fs;
use std::time::{Duration, Instant};

/// How long to wait before another look.
const LOOK: Duration = Duration::from_micros(40);
/// A thread that is busy for longer gets the rest of its time in the next step.
const LONGEST: Duration = Duration::from_millis(50);
/// Where nothing can be seen of threads.
const BLIND: Duration = Duration::from_micros(500);

/// Waits until every other thread of this process sleeps, as far as the operating system says.
///
/// One that is woken counts as awake at once. Where any was, one more look is taken, for it may have woken another that
/// was looked at before it.
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
        // One that has ended meanwhile has no file any more.
        let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { continue };
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if matches!(state, Some('R' | 'D')) {
            return Some(false);
        }
    }
    Some(true)
}
