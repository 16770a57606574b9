//! What has to be true of a simulation that was played, whatever went wrong in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use coordinator::store::{CurvePoint, SqliteStore, Store as _};
use scheduler::{AttemptEnd, Fact};
use vocabulary::{Plan, StageKey};
use worker::Storage;
use worker::checkpoint::{CheckpointRef, download};

use crate::disk::FileServer;
use crate::faults::Fault;
use crate::trainer::{Trained, is_checkpoint_after};
use crate::world::{LEASE, Played};

/// A fault may be felt for this long: until the connection is given up, and a try of the next succeeds, a worker does not
/// learn that its attempt is over.
const FELT: Duration = Duration::from_secs(60);

/// An attempt, as the log has it.
struct Begun {
    worker: vocabulary::WorkerId,
    first: u64,
}

/// What the store of a simulation says in the end.
pub(crate) struct Found {
    facts: Vec<Fact>,
    pub(crate) curves: BTreeMap<StageKey, Vec<CurvePoint>>,
    pub(crate) attempts: usize,
    pub(crate) checkpoints: usize,
}

impl Found {
    /// Reads the store, and every byte of every checkpoint that was committed.
    pub(crate) async fn read(dir: &Path) -> Self {
        let store = SqliteStore::open(&dir.join("store.sqlite")).await.expect("it opens");
        let facts = store.facts().await.expect("the log is sound");
        let storage = Storage::local(&FileServer::storage_in(dir)).expect("it is there");
        let (mut curves, mut checkpoints, mut attempts) = (BTreeMap::new(), 0, 0);
        for stage in &plan(&facts).stages {
            curves.insert(stage.key, store.curve(stage.key, 0, usize::MAX).await.expect("it is read"));
        }
        for fact in &facts {
            attempts += usize::from(matches!(fact, Fact::AttemptStarted { .. }));
            let Fact::CheckpointCommitted { stage, step, attempt } = fact else { continue };
            let row = store.checkpoint(*stage, *step).await.expect("it is read").expect("a fact has a row");
            assert_eq!(row.attempt, *attempt, "of {stage} after {step} steps");
            let reference = CheckpointRef {
                stage: *stage,
                step: *step,
                manifest_path: row.manifest_path,
                manifest_hash: row.manifest_hash.parse().expect("a hash"),
            };
            let blobs = download(storage.store().as_ref(), &reference).await;
            let blobs = blobs.unwrap_or_else(|error| panic!("a committed checkpoint is not complete: {error}"));
            assert!(is_checkpoint_after(*step, &blobs), "a checkpoint is not of its steps");
            checkpoints += 1;
        }
        store.close().await;
        Self { facts, curves, attempts, checkpoints }
    }

    pub(crate) fn check(&self, played: &Played, faults: &[Fault]) {
        let trained = played.track.trained();
        self.invariant_each_curve_has_each_step_once();
        let attempts = self.invariant_an_old_attempt_changes_nothing();
        self.invariant_points_are_of_the_attempt_that_has_the_step(&attempts, &trained);
        invariant_a_stage_is_trained_by_one_worker(&trained, faults);
    }

    fn invariant_each_curve_has_each_step_once(&self) {
        for stage in &plan(&self.facts).stages {
            let steps: Vec<_> = self.curves[&stage.key].iter().map(|point| point.step).collect();
            let expected: Vec<_> = stage.spec.steps.clone().collect();
            assert_eq!(steps, expected, "the curve of {} does not have each step once", stage.key);
        }
    }

    /// By the log: an attempt begins when the one before it has ended, and only the one that is under way gets further.
    fn invariant_an_old_attempt_changes_nothing(&self) -> BTreeMap<StageKey, Vec<Begun>> {
        let starts: BTreeMap<_, _> =
            plan(&self.facts).stages.iter().map(|stage| (stage.key, stage.spec.steps.start)).collect();
        let mut begun: BTreeMap<StageKey, Vec<Begun>> = BTreeMap::new();
        let mut current = BTreeMap::new();
        let mut committed = BTreeMap::new();
        for fact in &self.facts {
            let (Some(stage), Some(attempt)) = (fact.stage(), fact.attempt()) else { continue };
            let begun = begun.entry(stage).or_default();
            if let Fact::AttemptStarted { worker, .. } = fact {
                assert_eq!(current.insert(stage, attempt), None, "{stage} has two attempts at a time");
                assert_eq!(attempt.0 as usize, begun.len() + 1, "an attempt of {stage} has a number of its own");
                let first = committed.get(&stage).copied().unwrap_or(starts[&stage]);
                begun.push(Begun { worker: *worker, first });
                continue;
            }
            assert_eq!(current.get(&stage), Some(&attempt), "an attempt of {stage} that is over: {fact:?}");
            if let Fact::CheckpointCommitted { step, .. } = fact {
                committed.insert(stage, *step);
            } else {
                current.remove(&stage);
            }
        }
        assert_eq!(current, BTreeMap::new(), "nothing is under way at the end");
        begun
    }

    /// Of all attempts that began at or before a step, the last has measured it.
    fn invariant_points_are_of_the_attempt_that_has_the_step(
        &self,
        attempts: &BTreeMap<StageKey, Vec<Begun>>,
        trained: &[Trained],
    ) {
        for (stage, curve) in &self.curves {
            for point in curve {
                let attempt = attempts[stage].iter().rfind(|begun| begun.first <= point.step).expect("one began");
                let training = &trained[point.grad_norm as usize];
                assert_eq!(training.stage, *stage);
                assert_eq!(training.worker, attempt.worker, "step {} of {stage} is of an old attempt", point.step);
                assert!(training.steps.contains_key(&point.step), "step {} of {stage} was trained", point.step);
            }
        }
    }

    /// How many stages were given up.
    pub(crate) fn given_up(&self) -> usize {
        self.facts.iter().filter(|fact| matches!(fact, Fact::StagePoisoned { .. })).count()
    }

    /// How many attempts ended because their worker could not use the storage, or used another one.
    pub(crate) fn kept_by_the_storage(&self) -> usize {
        let is_kept = |fact: &&Fact| matches!(fact, Fact::AttemptEnded { why: AttemptEnd::StorageFailed { .. }, .. });
        self.facts.iter().filter(is_kept).count()
    }

    /// Steps that were trained more often than once.
    pub(crate) fn repeated(&self, trained: &[Trained]) -> usize {
        let all: usize = trained.iter().map(|trained| trained.steps.len()).sum();
        all - self.curves.values().map(Vec::len).sum::<usize>()
    }
}

/// A worker continues a stage that another has begun only if it cannot know. Its lease ended in silence, so a fault
/// began at least a lease before the other attempt, minus the time between two heartbeats, or its checkpoint was refused; and a
/// fault is, or just was, between it and the coordinator.
fn invariant_a_stage_is_trained_by_one_worker(trained: &[Trained], faults: &[Fault]) {
    for (index, old) in trained.iter().enumerate() {
        let successors = trained[index + 1..].iter().filter(|new| new.stage == old.stage);
        let Some(since) = successors.map(|new| new.began).min() else { continue };
        let silent = since.saturating_sub(LEASE * 5 / 6);
        for (step, at) in old.steps.iter().filter(|(_, at)| **at > since) {
            let felt = |by: Duration, began: Duration| {
                let before = by.saturating_sub(FELT);
                let caused = |fault: &Fault| fault.from <= if fault.ends_attempts() { by } else { began };
                faults.iter().any(|fault| fault.is_between(old.host, before, by) && caused(fault))
            };
            let stage = old.stage;
            assert!(felt(since, silent), "{stage} is taken from a worker that is heard of, at {since:?}");
            assert!(felt(*at, *at), "{stage} is trained by two: step {step} at {at:?}, and another since {since:?}");
        }
    }
}

fn plan(facts: &[Fact]) -> &Plan {
    let accepted = facts.iter().find_map(|fact| match fact {
        Fact::CampaignAccepted { plan } => Some(plan),
        _ => None,
    });
    accepted.expect("the campaign was accepted")
}
