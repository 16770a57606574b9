//! The coordinators' log of a run, line by line, with the time each line was read.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A log line that the report needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LogLine {
    Listens,
    Joined { worker: String, name: String },
    Assigned { stage: String, attempt: String, worker: String },
    Committed { stage: String },
    Trained { stage: String },
    Cut { points: u64 },
}

/// The log so far, shared with the threads that read it.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    said: Arc<Mutex<Vec<(Instant, LogLine)>>>,
}

impl Log {
    /// Reads a coordinator's standard error to its end on a thread, copying it to a file.
    pub(super) fn follow(&self, from: impl Read + Send + 'static, mut copy: impl Write + Send + 'static) {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                // The copy is for people; losing it does not affect the run.
                let _ = writeln!(copy, "{line}");
                if let Some(said) = read(&line) {
                    log.lock().push((Instant::now(), said));
                }
            }
        });
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<(Instant, LogLine)>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stage last assigned to the worker of this name, unless it has since been trained or reassigned.
    pub(super) fn held_by(&self, name: &str) -> Option<String> {
        let said = self.lock();
        let mut names = BTreeMap::new();
        let mut held = None;
        for (_, said) in said.iter() {
            match said {
                LogLine::Joined { worker, name } => drop(names.insert(worker, name.as_str())),
                LogLine::Assigned { stage, worker, .. } if names.get(worker) == Some(&name) => held = Some(stage),
                LogLine::Assigned { stage, .. } | LogLine::Trained { stage } if held == Some(stage) => held = None,
                _ => {}
            }
        }
        held.cloned()
    }
}

fn read(line: &str) -> Option<LogLine> {
    let value = |key: &str| {
        let found = line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))?;
        Some(found.trim_matches('"').to_owned())
    };
    if line.contains("the coordinator listens") {
        Some(LogLine::Listens)
    } else if line.contains("a worker joined") {
        Some(LogLine::Joined { worker: value("worker")?, name: value("name")? })
    } else if line.contains("assigned stage=") {
        Some(LogLine::Assigned { stage: value("stage")?, attempt: value("attempt")?, worker: value("worker")? })
    } else if line.contains("a checkpoint is committed") {
        Some(LogLine::Committed { stage: value("stage")? })
    } else if line.contains("a stage is trained") {
        Some(LogLine::Trained { stage: value("stage")? })
    } else if line.contains("a curve is cut") {
        Some(LogLine::Cut { points: value("points")?.parse().ok()? })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_holds_what_it_was_given_last_until_it_is_trained_or_given_to_another() {
        let log = Log::default();
        let joined = |worker: &str, name: &str| LogLine::Joined { worker: worker.to_owned(), name: name.to_owned() };
        let assigned = |stage: &str, worker: &str| LogLine::Assigned {
            stage: stage.to_owned(),
            attempt: "1".to_owned(),
            worker: worker.to_owned(),
        };
        let say = |said| log.lock().push((Instant::now(), said));
        say(joined("id1", "one"));
        say(joined("id2", "two"));
        assert_eq!(log.held_by("one"), None);
        say(assigned("a", "id1"));
        say(assigned("b", "id2"));
        assert_eq!(log.held_by("one").as_deref(), Some("a"));
        say(assigned("a", "id2"));
        assert_eq!(log.held_by("one"), None);
        assert_eq!(log.held_by("two").as_deref(), Some("a"));
        say(LogLine::Trained { stage: "a".to_owned() });
        assert_eq!(log.held_by("two"), None);
    }

    #[test]
    fn lines_are_read_as_the_coordinator_writes_them() {
        let line =
            "2026-11-25T08:00:00Z  INFO coordinator::driver::events: assigned stage=stage_1 attempt=2 worker=worker_3";
        let said =
            LogLine::Assigned { stage: "stage_1".to_owned(), attempt: "2".to_owned(), worker: "worker_3".to_owned() };
        assert_eq!(read(line), Some(said));
        let line = "INFO coordinator::driver::sessions: a worker joined worker=worker_3 name=\"w1\" version=\"0.1.0\"";
        assert_eq!(read(line), Some(LogLine::Joined { worker: "worker_3".to_owned(), name: "w1".to_owned() }));
        assert_eq!(read("INFO something else stage=1"), None);
    }
}
