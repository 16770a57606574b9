//! One transaction: everything that a turn of the driver makes durable.

use std::collections::{BTreeMap, BTreeSet};

use scheduler::Fact;
use vocabulary::{AttemptKey, CampaignId, Rows, StageKey, WorkerId};

use super::rows::{CommittedCheckpoint, CurvePoint};
use super::speaker::Speaker;

/// What is committed together. Facts apply before the points of the same commit: an attempt that starts cuts its curve.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What the scheduler decided, in order.
    pub facts: Vec<Fact>,
    /// Points of curves, by the attempt that measured them.
    pub curve: Vec<(AttemptKey, Vec<CurvePoint>)>,
    /// The rows behind the results among the facts, by the attempt that measured them.
    pub rows: Vec<(AttemptKey, Rows)>,
    /// Checkpoints that exist from now on.
    pub checkpoints: Vec<CommittedCheckpoint>,
    /// Folders of the storage whose files are to be deleted from now on.
    pub to_delete: Vec<String>,
    /// Folders of which that is done, or not wanted any more.
    pub deleted: Vec<String>,
    /// Where campaigns came from: the name of the recipe's file, and its text.
    pub recipes: Vec<(CampaignId, String, String)>,
    /// For each worker, the number of its last report that was taken in.
    pub session: Vec<(WorkerId, u64)>,
    /// Who speaks for workers that said hello for the first time.
    pub speakers: Vec<(WorkerId, Speaker)>,
}

/// The checkpoints that the facts of a commit speak of, on the way through it. Their rows are added after all facts, and an
/// attempt may start from a checkpoint of the same commit.
#[derive(Debug, Default)]
pub(super) struct PassingCheckpoints {
    reached: BTreeMap<StageKey, BTreeSet<u64>>,
    removed: BTreeSet<(StageKey, u64)>,
}

impl PassingCheckpoints {
    /// Takes in the next fact of the commit.
    pub(super) fn note(&mut self, fact: &Fact) {
        match fact {
            Fact::CheckpointCommitted { stage, step, .. } => {
                self.reached.entry(*stage).or_default().insert(*step);
                self.removed.remove(&(*stage, *step));
            }
            Fact::CheckpointRemoved { stage, step, .. } => {
                if let Some(steps) = self.reached.get_mut(stage) {
                    steps.remove(step);
                }
                self.removed.insert((*stage, *step));
            }
            _ => {}
        }
    }

    /// The step of a stage's last checkpoint in this commit so far.
    pub(super) fn last_of(&self, stage: &StageKey) -> Option<u64> {
        self.reached.get(stage).and_then(BTreeSet::last).copied()
    }

    /// Whether a checkpoint of the commit is still there after its facts.
    pub(super) fn is_kept(&self, checkpoint: &CommittedCheckpoint) -> bool {
        !self.removed.contains(&(checkpoint.stage, checkpoint.step))
    }
}
