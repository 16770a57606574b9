//! How workers have fared lately, by their names: a process that is replaced leaves its place's record to the next one.
//!
//! A worker whose attempts come to nothing on several stages in a row is broken, whatever the stages are: its driver, its
//! device, its memory. It rests, longer each time, and the first checkpoint or result that it brings about ends that.
//!
//! None of this outlives the coordinator's process: after a restart a broken worker costs a few stages one counted attempt
//! each before it rests again. How often a stage failed on which worker is in the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use vocabulary::{Backoff, StageKey};

use crate::time::Timestamp;

/// On so many different stages in a row a worker has to fail to count as broken.
pub(crate) const STAGES_IN_A_ROW: usize = 3;

/// After so many rests without a success in between nobody should wait for a worker any more.
const RESTS_IN_A_ROW: u32 = 3;

/// The rests of a broken worker.
const REST: Backoff = Backoff { first: Duration::from_secs(5), longest: Duration::from_secs(300) };

/// Names that are remembered. Only those have a record whose last attempt failed.
const MOST_NAMES: usize = 4096;

/// A worker that is given nothing for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    pub until: Timestamp,
    pub why: RestReason,
}

/// Why a worker rests. Printed, it is a clause about the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestReason {
    /// It could not read or write the storage.
    Storage {
        /// Its error.
        reason: String,
    },
    /// It could not start from a checkpoint of which nobody else knows that it is damaged.
    Start,
    /// Its attempts at several stages failed, one after the other.
    Broken {
        /// At least so many.
        stages: usize,
        /// How the last one ended.
        last: String,
    },
}

impl fmt::Display for RestReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage { reason } => write!(f, "the storage failed it: {reason}"),
            Self::Start => f.write_str("it could not start from a checkpoint that is not known to be damaged"),
            Self::Broken { stages, last } => {
                write!(f, "{stages} or more stages in a row failed on it, the last: {last}")
            }
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Record {
    /// The stages that its latest attempts were at, as long as these failed; no more than make it broken.
    failed: BTreeSet<StageKey>,
    /// How often it has rested since it last got somewhere.
    rests: u32,
    rest: Option<Rest>,
}

/// The records of all workers that have one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    records: BTreeMap<String, Record>,
}

impl Health {
    /// An attempt of this worker failed. Whether it counts as broken now.
    pub(crate) fn note_failure(&mut self, name: &str, stage: StageKey) -> bool {
        let record = self.record(name);
        if record.failed.len() < STAGES_IN_A_ROW {
            record.failed.insert(stage);
        }
        record.failed.len() >= STAGES_IN_A_ROW
    }

    /// Whether whatever it was given lately failed, for whatever reason: nobody should wait for it.
    pub(crate) fn is_hopeless(&self, name: &str) -> bool {
        let is_hopeless = |record: &Record| record.failed.len() >= STAGES_IN_A_ROW || record.rests >= RESTS_IN_A_ROW;
        self.records.get(name).is_some_and(is_hopeless)
    }

    /// It got somewhere: nothing from before counts.
    pub(crate) fn note_success(&mut self, name: &str) {
        self.records.remove(name);
    }

    /// It is to rest because it is broken.
    pub(crate) fn rest_as_broken(&mut self, name: &str, now: Timestamp, last: String) -> Rest {
        self.rest(name, now, |rests| REST.wait_after(rests), RestReason::Broken { stages: STAGES_IN_A_ROW, last })
    }

    /// It is to rest, so long by how often it has rested since it last got somewhere.
    pub(crate) fn rest(&mut self, name: &str, now: Timestamp, wait: impl Fn(u32) -> Duration, why: RestReason) -> Rest {
        let record = self.record(name);
        record.rests = record.rests.saturating_add(1);
        let rest = Rest { until: now + wait(record.rests), why };
        record.rest = Some(rest.clone());
        rest
    }

    /// The rest that it still has.
    pub(crate) fn rest_of(&self, name: &str, now: Timestamp) -> Option<Rest> {
        self.records.get(name)?.rest.clone().filter(|rest| rest.until > now)
    }

    fn record(&mut self, name: &str) -> &mut Record {
        if self.records.len() >= MOST_NAMES && !self.records.contains_key(name) {
            self.records.pop_first();
        }
        self.records.entry(name.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(id: u8) -> StageKey {
        StageKey::from_bytes([id; 32])
    }

    #[test]
    fn different_stages_in_a_row_make_a_worker_broken_and_a_success_mends_it() {
        let mut health = Health::default();
        for _ in 0..10 {
            assert!(!health.note_failure("a", stage(1)), "one stage alone may be at fault itself");
        }
        assert!(!health.note_failure("a", stage(2)));
        assert!(health.note_failure("a", stage(3)) && health.is_hopeless("a") && !health.is_hopeless("b"));
        let rests = (0..9).map(|_| health.rest_as_broken("a", Timestamp(0), String::new()).until.0 / 1000);
        assert_eq!(rests.collect::<Vec<_>>(), [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert!(health.rest_of("a", Timestamp(299_999)).is_some() && health.rest_of("a", Timestamp(300_000)).is_none());
        health.note_success("a");
        assert!(!health.is_hopeless("a") && health.rest_of("a", Timestamp(0)).is_none());
        assert_eq!(health.rest_as_broken("a", Timestamp(0), String::new()).until, Timestamp(5000));
    }

    #[test]
    fn no_more_names_are_remembered_than_a_bound() {
        let mut health = Health::default();
        for name in 0..2 * MOST_NAMES {
            health.note_failure(&name.to_string(), stage(1));
        }
        assert_eq!(health.records.len(), MOST_NAMES);
    }
}
