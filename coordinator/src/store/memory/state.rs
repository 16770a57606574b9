//! What a store in memory holds, and what a commit does to it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use scheduler::Fact;
use vocabulary::{AttemptKey, CampaignId, Rows, StageKey, WorkerId};

use super::derived::Derived;
use crate::store::commit::PassingCheckpoints;
use crate::store::log::{LogReader, LogRow, link};
use crate::store::{
    AllocationRow, Cause, Chain, Commit, CommittedCheckpoint, CurvePoint, LogPosition, PackedSnapshot, PoolRow,
    RecipeText, Speaker, StoreError, TokenRow,
};

#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// The number of the writer's term.
    pub(super) term: u64,
    /// Whether every commit panics, for tests.
    pub(super) is_broken: bool,
    /// Shared between copies of the state, as the curves are.
    log: Vec<Arc<Row>>,
    pub(super) derived: Derived,
    pub(super) curves: BTreeMap<StageKey, Arc<BTreeMap<u64, CurvePoint>>>,
    /// The rows behind results.
    pub(super) rows: BTreeMap<StageKey, Arc<Rows>>,
    /// With the time of each commit, in milliseconds since 1970.
    pub(super) checkpoints: BTreeMap<(StageKey, u64), (CommittedCheckpoint, u64)>,
    pub(super) recipes: BTreeMap<CampaignId, RecipeText>,
    pub(super) deletions: BTreeSet<String>,
    pub(super) streams: BTreeMap<WorkerId, Stream>,
    pub(super) tokens: BTreeMap<String, TokenRow>,
    pub(super) pools: BTreeMap<String, PoolRow>,
    pub(super) allocations: BTreeMap<String, AllocationRow>,
    /// By the row of the log each ends with, whose chain is beside it.
    pub(super) snapshots: BTreeMap<u64, (Chain, Arc<PackedSnapshot>)>,
}

/// A row of the log: as JSON, so that facts go through the same form as in a file.
#[derive(Debug)]
struct Row {
    at_ms: u64,
    fact: String,
    chain: Chain,
}

/// What is known of a worker process.
#[derive(Debug, Clone, Default)]
pub(super) struct Stream {
    pub(super) last_sequence: u64,
    pub(super) speaker: Speaker,
}

impl State {
    /// Takes in a whole commit. After an error the state is of no more use: it may hold a part.
    pub(super) fn take_in(&mut self, commit: &Commit) -> Result<(), StoreError> {
        let mut passing = PassingCheckpoints::default();
        for fact in &commit.facts {
            self.append(commit.at_ms, fact);
            passing.note(fact);
            match fact {
                Fact::CheckpointRemoved { stage, step, .. } => {
                    self.checkpoints.remove(&(*stage, *step));
                }
                Fact::CampaignForgotten { campaign } => {
                    for stage in self.derived.only_of(campaign) {
                        self.curves.remove(&stage);
                        self.rows.remove(&stage);
                        self.checkpoints.retain(|(of, _), _| *of != stage);
                    }
                    self.recipes.remove(campaign);
                }
                Fact::AttemptStarted { stage, .. } => self.cut(*stage, passing.last_of(stage)),
                _ => {}
            }
            self.derived.follow(commit.at_ms, fact)?;
        }
        for (key, points) in &commit.curve {
            self.add_points(*key, points)?;
        }
        for (key, rows) in &commit.rows {
            if !self.derived.stages.contains(&key.stage) {
                return Err(refused("result_rows", format!("there is no {}", key.stage)));
            }
            let known = Arc::make_mut(self.rows.entry(key.stage).or_default());
            for (name, rows) in rows.iter() {
                if known.get(name).is_none() {
                    known.set(name.clone(), rows.to_vec());
                }
            }
        }
        for checkpoint in commit.checkpoints.iter().filter(|checkpoint| passing.is_kept(checkpoint)) {
            self.add_checkpoint(commit.at_ms, checkpoint)?;
        }
        self.deletions.extend(commit.to_delete.iter().cloned());
        self.deletions.retain(|folder| !commit.deleted.contains(folder));
        for (campaign, file, text) in &commit.recipes {
            if !self.derived.campaigns.contains_key(campaign) {
                return Err(refused("recipes", format!("there is no {campaign}")));
            }
            self.recipes.insert(*campaign, RecipeText { file: file.clone(), text: text.clone() });
        }
        for (worker, sequence) in &commit.session {
            self.streams.entry(*worker).or_default().last_sequence = *sequence;
        }
        for (worker, speaker) in &commit.speakers {
            self.streams.entry(*worker).or_default().speaker = speaker.clone();
        }
        Ok(())
    }

    fn append(&mut self, at_ms: u64, fact: &Fact) {
        let before = self.log.last().map(|row| row.chain).unwrap_or_default();
        let fact = serde_json::to_string(fact).expect("a fact always has a JSON form");
        let chain = link(&before, self.log.len() as i64 + 1, at_ms.cast_signed(), &fact);
        self.log.push(Arc::new(Row { at_ms, fact, chain }));
    }

    /// Removes what an attempt that starts will train again, unless the stage has its result.
    fn cut(&mut self, stage: StageKey, passing: Option<u64>) {
        if self.derived.results.contains_key(&stage) {
            return;
        }
        let in_table = self.checkpoints_of(stage).next_back().map(|checkpoint| checkpoint.step);
        let from = passing.max(in_table).unwrap_or(0);
        if let Some(curve) = self.curves.get_mut(&stage) {
            Arc::make_mut(curve).retain(|step, _| *step < from);
        }
    }

    fn add_points(&mut self, key: AttemptKey, points: &[CurvePoint]) -> Result<(), StoreError> {
        let curve = Arc::make_mut(self.curves.entry(key.stage).or_default());
        for point in points {
            if let Entry::Vacant(place) = curve.entry(point.step) {
                self.derived.expect_attempt("curve_points", key)?;
                place.insert(point.clone());
            }
        }
        Ok(())
    }

    fn add_checkpoint(&mut self, at_ms: u64, checkpoint: &CommittedCheckpoint) -> Result<(), StoreError> {
        let CommittedCheckpoint { stage, step, .. } = *checkpoint;
        self.derived.expect_attempt("checkpoints", checkpoint.key())?;
        match self.checkpoints.insert((stage, step), (checkpoint.clone(), at_ms)) {
            None => Ok(()),
            Some(_) => Err(refused("checkpoints", format!("{stage} has a checkpoint at step {step} already"))),
        }
    }

    /// The checkpoints of a stage, by step.
    pub(super) fn checkpoints_of(&self, stage: StageKey) -> impl DoubleEndedIterator<Item = &CommittedCheckpoint> {
        self.checkpoints.range((stage, 0)..=(stage, u64::MAX)).map(|(_, (checkpoint, _))| checkpoint)
    }

    /// Reads the log from a position on: the time and the fact of each row.
    pub(super) fn read_log(&self, position: LogPosition) -> Result<Vec<(u64, Fact)>, StoreError> {
        let mut reader = LogReader::after(position);
        let rows = (1..).zip(&self.log).skip(usize::try_from(position.sequence).unwrap_or(usize::MAX));
        let facts = rows.map(|(sequence, row)| {
            let Row { at_ms, fact, chain } = &**row;
            let row = LogRow { sequence, at_ms: at_ms.cast_signed(), fact, chain: Some(chain) };
            reader.read(row).map(|fact| (*at_ms, fact))
        });
        facts.collect()
    }

    /// The chain of a row of the log, counted from 1.
    pub(super) fn chain_of(&self, sequence: u64) -> Option<Chain> {
        let index = usize::try_from(sequence.checked_sub(1)?).ok()?;
        self.log.get(index).map(|row| row.chain)
    }
}

/// A row that may not be there.
pub(super) fn refused(table: &'static str, why: String) -> StoreError {
    StoreError::Write { table, source: Cause::new(why, false) }
}
