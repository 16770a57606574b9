//! The outcome of one turn: a transaction, and what to do after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use scheduler::Fact;
use tokio::sync::oneshot;
use vocabulary::{AttemptKey, CampaignId, Rows, StageKey, WorkerId};

use super::index::Indexed;
use super::to_worker::ToWorker;
use super::view::View;
use crate::store::{Commit, CommittedCheckpoint, CurvePoint, Speaker};

/// The work of one turn.
pub(crate) struct Batch {
    /// The turn's time in milliseconds since 1970, for display: the same in memory and in the store.
    pub(crate) at_ms: u64,
    pub(crate) facts: Vec<Fact>,
    curve: Vec<(AttemptKey, Vec<CurvePoint>)>,
    rows: Vec<(AttemptKey, Rows)>,
    pub(crate) checkpoints: Vec<CommittedCheckpoint>,
    /// Folders to delete, and folders that are deleted or needed again.
    pub(crate) to_delete: Vec<String>,
    pub(crate) deleted: Vec<String>,
    pub(crate) recipes: Vec<(CampaignId, String, String)>,
    pub(crate) sequences: BTreeMap<WorkerId, u64>,
    pub(crate) speakers: BTreeMap<WorkerId, Speaker>,
    /// Sent after the transaction and before anything else: a welcomed worker no longer names its predecessors.
    pub(crate) welcomes: Vec<(WorkerId, ToWorker)>,
    /// In this order, after the transaction.
    pub(crate) afterwards: Vec<Afterwards>,
    /// Whether people can see a difference.
    pub(crate) is_visible: bool,
}

/// What to do once the transaction is durable.
pub(crate) enum Afterwards {
    Send {
        worker: WorkerId,
        message: ToWorker,
    },
    Assign {
        worker: WorkerId,
        key: AttemptKey,
        start: Option<Start>,
    },
    /// Delete the files of a collected checkpoint.
    DeleteFiles(Indexed),
    /// Delete the files below a folder.
    DeleteFolder(String),
    CloseSession {
        worker: WorkerId,
    },
    /// Drop what is kept of a worker, unless it has joined again.
    ForgetWorker {
        worker: WorkerId,
    },
    Answer(Box<dyn FnOnce() + Send>),
    Look(oneshot::Sender<Arc<View>>),
}

/// The checkpoint that an attempt starts from: one of the stage itself, or the last of its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) of: StageKey,
    pub(crate) step: u64,
}

impl Batch {
    pub(crate) fn new(at_ms: u64) -> Self {
        Self {
            at_ms,
            facts: Vec::new(),
            curve: Vec::new(),
            rows: Vec::new(),
            checkpoints: Vec::new(),
            to_delete: Vec::new(),
            deleted: Vec::new(),
            recipes: Vec::new(),
            sequences: BTreeMap::new(),
            speakers: BTreeMap::new(),
            welcomes: Vec::new(),
            afterwards: Vec::new(),
            is_visible: false,
        }
    }

    /// Adds a fact. If it starts an attempt, `checkpoint` is the step that the attempt resumes from.
    pub(crate) fn record(&mut self, fact: Fact, checkpoint: u64) {
        if let Fact::AttemptStarted { stage, .. } = &fact {
            // The store writes facts before points, and the new attempt trains these steps again.
            for (_, points) in self.curve.iter_mut().filter(|(of, _)| of.stage == *stage) {
                points.retain(|point| point.step < checkpoint);
            }
        }
        self.is_visible = true;
        self.facts.push(fact);
    }

    /// Adds points of the attempt that holds the stage.
    pub(crate) fn add_points(&mut self, key: AttemptKey, points: Vec<CurvePoint>) {
        match self.curve.last_mut() {
            Some((of, last)) if *of == key => last.extend(points),
            _ => self.curve.push((key, points)),
        }
    }

    /// Leaves out what this turn had to write of stages that are forgotten in it.
    pub(crate) fn forget(&mut self, stages: &BTreeSet<StageKey>) {
        self.curve.retain(|(key, _)| !stages.contains(&key.stage));
        self.rows.retain(|(key, _)| !stages.contains(&key.stage));
        self.checkpoints.retain(|checkpoint| !stages.contains(&checkpoint.stage));
    }

    /// Adds the rows behind the result of an attempt whose result is among the facts.
    pub(crate) fn add_rows(&mut self, key: AttemptKey, rows: Rows) {
        if !rows.is_empty() {
            self.rows.push((key, rows));
        }
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_durable_already(&self) -> bool {
        self.facts.is_empty()
            && self.curve.is_empty()
            && self.rows.is_empty()
            && self.checkpoints.is_empty()
            && self.to_delete.is_empty()
            && self.deleted.is_empty()
            && self.recipes.is_empty()
            && self.sequences.is_empty()
            && self.speakers.is_empty()
    }

    /// The transaction.
    pub(crate) fn take_commit(&mut self) -> Commit {
        Commit {
            at_ms: self.at_ms,
            facts: std::mem::take(&mut self.facts),
            curve: std::mem::take(&mut self.curve),
            rows: std::mem::take(&mut self.rows),
            checkpoints: std::mem::take(&mut self.checkpoints),
            to_delete: std::mem::take(&mut self.to_delete),
            deleted: std::mem::take(&mut self.deleted),
            recipes: std::mem::take(&mut self.recipes),
            session: std::mem::take(&mut self.sequences).into_iter().collect(),
            speakers: std::mem::take(&mut self.speakers).into_iter().collect(),
        }
    }
}
