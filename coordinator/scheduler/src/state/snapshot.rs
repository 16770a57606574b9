//! The ledger, stored beside the log so that a restart need not read all of it.
//!
//! It holds the plans, and of each stage what facts have changed. What follows from the plans (children, who wants a
//! stage, critical paths, how many stages are open) is derived again, so that it cannot contradict them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vocabulary::{CampaignId, Evaluation, Measurements, Plan, Stage, StageKey, Work};

use super::campaign::{Campaign, CampaignState};
use super::ledger::Ledger;
use super::stage::{Counts, StageRecord, StageState};
use crate::fact::AttemptEnd;
use crate::plan_check::{self, PlanError};
use crate::shared::SharedMap;
use crate::weight::Weight;

/// Raised whenever the form of a snapshot changes. One of another version is left aside, and the log read instead.
pub const SNAPSHOT_VERSION: u32 = 4;

/// A ledger, to be stored. Taking it copies no plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    campaigns: Vec<StoredCampaign>,
    stages: Vec<StoredStage>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StoredCampaign {
    #[serde(with = "shared")]
    plan: Arc<Plan>,
    is_cancelled: bool,
    #[serde(default, skip_serializing_if = "Weight::is_default")]
    weight: Weight,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    dropped: BTreeSet<StageKey>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StoredStage {
    key: StageKey,
    /// Set if no plan has exactly this stage, which happens when a campaign was submitted again with another description of
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<Box<Stage>>,
    /// Likewise, of an evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evaluation: Option<Box<Evaluation>>,
    order: u64,
    state: StageState,
    attempts: u32,
    checkpoints: BTreeSet<u64>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    damaged: BTreeSet<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::result::read_optional")]
    first_result: Option<Measurements>,
    counts: Counts,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    counts_on: BTreeMap<String, Counts>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    last_on: String,
    failed_on: Option<String>,
    last_end: Option<AttemptEnd>,
}

/// Why a snapshot is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// A plan in it is invalid.
    #[error("a plan in the snapshot is invalid")]
    Plan(#[source] PlanError),
    /// It lacks a stage that a plan has, or has one that no plan has.
    #[error("the snapshot and its plans do not agree on {stage}")]
    Stage { stage: StageKey },
}

impl Ledger {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let campaigns = self.campaigns.values();
        let campaigns: Vec<_> = campaigns
            .map(|known| StoredCampaign {
                plan: Arc::clone(&known.plan),
                is_cancelled: known.is_cancelled(),
                weight: known.weight,
                dropped: known.dropped.clone(),
            })
            .collect();
        let in_plans = InPlans::of(&campaigns);
        let in_other_words = |record: &StageRecord| !in_plans.has(&record.work);
        let stages = self.stages.values().map(|record| StoredStage {
            key: record.key(),
            stage: record.work.stage().filter(|_| in_other_words(record)).cloned().map(Box::new),
            evaluation: record.work.evaluation().filter(|_| in_other_words(record)).cloned().map(Box::new),
            order: record.order,
            state: record.state.clone(),
            attempts: record.attempts,
            checkpoints: record.checkpoints.clone(),
            damaged: record.damaged.clone(),
            first_result: record.first_result.clone(),
            counts: record.counts,
            counts_on: record.counts_on.clone(),
            last_on: record.last_on.clone(),
            failed_on: record.failed_on.clone(),
            last_end: record.last_end.clone(),
        });
        let stages = stages.collect();
        Snapshot { campaigns, stages }
    }

    /// The ledger that a snapshot was taken of.
    ///
    /// # Errors
    /// If it contradicts itself.
    pub(crate) fn from_snapshot(snapshot: Snapshot) -> Result<Self, SnapshotError> {
        let Snapshot { campaigns, stages } = snapshot;
        let mut records: SharedMap<StageKey, StageRecord> = SharedMap::default();
        let in_plans = InPlans::of(&campaigns);
        for stored in stages {
            let key = stored.key;
            let in_plan = in_plans.get(&key).ok_or(SnapshotError::Stage { stage: key })?;
            let in_other_words = stored.stage.map(|stage| Work::Train(*stage));
            let in_other_words = in_other_words.or(stored.evaluation.map(|evaluation| Work::Evaluate(*evaluation)));
            let work = in_other_words.unwrap_or(in_plan);
            let record = StageRecord {
                attempts: stored.attempts,
                checkpoints: stored.checkpoints,
                damaged: stored.damaged,
                first_result: stored.first_result,
                counts: stored.counts,
                counts_on: stored.counts_on,
                last_on: stored.last_on,
                failed_on: stored.failed_on,
                last_end: stored.last_end,
                ..StageRecord::new(work, stored.order, stored.state)
            };
            records.insert(key, record);
        }
        let mut ledger = Self { campaigns: BTreeMap::new(), stages: records };
        for stored in campaigns {
            plan_check::check_structure(&stored.plan).map_err(SnapshotError::Plan)?;
            ledger.adopt(stored)?;
        }
        let plans: Vec<_> = ledger.campaigns.values().map(|campaign| Arc::clone(&campaign.plan)).collect();
        for plan in plans {
            ledger.lengthen_critical_paths(&plan);
        }
        Ok(ledger)
    }

    fn adopt(&mut self, stored: StoredCampaign) -> Result<(), SnapshotError> {
        let StoredCampaign { plan, is_cancelled, weight, dropped } = stored;
        let campaign: CampaignId = plan.campaign;
        let mut open = 0;
        for (key, parent) in plan.links() {
            if let Some(parent) = parent.and_then(|parent| self.stages.get_mut(&parent)) {
                parent.children.insert(key);
            }
            let record = self.stages.get_mut(&key).ok_or(SnapshotError::Stage { stage: key })?;
            if !is_cancelled && !dropped.contains(&key) {
                record.wanted_by.insert(campaign);
                open += usize::from(record.state.is_open());
            }
        }
        let state = if is_cancelled { CampaignState::Cancelled } else { CampaignState::Wanted { open } };
        self.campaigns.insert(campaign, Campaign { plan, state, weight, dropped });
        Ok(())
    }
}

/// The stages and evaluations of all plans; of those that have the same one, the last one's words.
struct InPlans<'a> {
    stages: BTreeMap<StageKey, &'a Stage>,
    evaluations: BTreeMap<StageKey, &'a Evaluation>,
}

impl<'a> InPlans<'a> {
    fn of(campaigns: &'a [StoredCampaign]) -> Self {
        let plans = || campaigns.iter().map(|stored| stored.plan.as_ref());
        let evaluations = plans().flat_map(|plan| &plan.evaluations);
        Self {
            stages: plans().flat_map(|plan| &plan.stages).map(|stage| (stage.key, stage)).collect(),
            evaluations: evaluations.map(|evaluation| (evaluation.key, evaluation)).collect(),
        }
    }

    fn has(&self, work: &Work) -> bool {
        match work {
            Work::Train(stage) => self.stages.get(&stage.key) == Some(&stage),
            Work::Evaluate(evaluation) => self.evaluations.get(&evaluation.key) == Some(&evaluation),
        }
    }

    fn get(&self, key: &StageKey) -> Option<Work> {
        let stage = self.stages.get(key).map(|stage| Work::Train((*stage).clone()));
        stage.or_else(|| self.evaluations.get(key).map(|evaluation| Work::Evaluate((*evaluation).clone())))
    }
}

mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use vocabulary::Plan;

    pub(super) fn serialize<S: Serializer>(plan: &Arc<Plan>, serializer: S) -> Result<S::Ok, S::Error> {
        plan.as_ref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Plan>, D::Error> {
        Plan::deserialize(deserializer).map(Arc::new)
    }
}
