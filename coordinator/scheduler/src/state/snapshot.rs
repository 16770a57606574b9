//! The ledger, stored beside the log so that a restart need not read all of it.
//!
//! It holds the plans, and of each stage what facts have changed. What follows from the plans (children, who wants a
//! stage, critical paths, how many stages are open) is derived again, so that it cannot contradict them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vocabulary::{CampaignId, Measurements, Plan, Stage, StageKey, WorkerId};

use super::campaign::{Campaign, CampaignState};
use super::ledger::Ledger;
use super::stage::{Counts, StageRecord, StageState};
use crate::fact::AttemptEnd;
use crate::plan_check::{self, PlanError};

/// Raised whenever the form of a snapshot changes. One of another version is left aside, and the log read instead.
pub const SNAPSHOT_VERSION: u32 = 2;

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
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StoredStage {
    key: StageKey,
    /// Set if no plan has exactly this stage, which happens when a campaign was submitted again with another description of
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<Box<Stage>>,
    order: u64,
    state: StageState,
    attempts: u32,
    checkpoints: BTreeSet<u64>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    damaged: BTreeSet<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::result::read_optional")]
    first_result: Option<Measurements>,
    counts: Counts,
    failed_on: Option<WorkerId>,
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
            .map(|known| StoredCampaign { plan: Arc::clone(&known.plan), is_cancelled: known.is_cancelled() })
            .collect();
        let in_plans = stages_of(&campaigns);
        let stages = self.stages.values().map(|record| StoredStage {
            key: record.stage.key,
            stage: Some(&record.stage)
                .filter(|stage| in_plans.get(&stage.key) != Some(stage))
                .map(|stage| Box::new(stage.clone())),
            order: record.order,
            state: record.state.clone(),
            attempts: record.attempts,
            checkpoints: record.checkpoints.clone(),
            damaged: record.damaged.clone(),
            first_result: record.first_result.clone(),
            counts: record.counts,
            failed_on: record.failed_on,
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
        let mut records: BTreeMap<StageKey, Box<StageRecord>> = BTreeMap::new();
        let in_plans = stages_of(&campaigns);
        for stored in stages {
            let key = stored.key;
            let in_plan = in_plans.get(&key).ok_or(SnapshotError::Stage { stage: key })?;
            let stage = stored.stage.map_or_else(|| (*in_plan).clone(), |stage| *stage);
            let record = StageRecord {
                attempts: stored.attempts,
                checkpoints: stored.checkpoints,
                damaged: stored.damaged,
                first_result: stored.first_result,
                counts: stored.counts,
                failed_on: stored.failed_on,
                last_end: stored.last_end,
                ..StageRecord::new(stage, stored.order, stored.state)
            };
            records.insert(key, Box::new(record));
        }
        let mut ledger = Self { campaigns: BTreeMap::new(), stages: records };
        for StoredCampaign { plan, is_cancelled } in campaigns {
            plan_check::check_structure(&plan).map_err(SnapshotError::Plan)?;
            ledger.adopt(plan, is_cancelled)?;
        }
        let plans: Vec<_> = ledger.campaigns.values().map(|campaign| Arc::clone(&campaign.plan)).collect();
        for plan in plans {
            ledger.lengthen_critical_paths(&plan);
        }
        Ok(ledger)
    }

    fn adopt(&mut self, plan: Arc<Plan>, is_cancelled: bool) -> Result<(), SnapshotError> {
        let campaign: CampaignId = plan.campaign;
        let mut open = 0;
        for stage in &plan.stages {
            if let Some(parent) = stage.parent.and_then(|parent| self.stages.get_mut(&parent)) {
                parent.children.insert(stage.key);
            }
            let record = self.stages.get_mut(&stage.key).ok_or(SnapshotError::Stage { stage: stage.key })?;
            if !is_cancelled {
                record.wanted_by.insert(campaign);
            }
            open += usize::from(record.state.is_open());
        }
        let state = if is_cancelled { CampaignState::Cancelled } else { CampaignState::Wanted { open } };
        self.campaigns.insert(campaign, Campaign { plan, state });
        Ok(())
    }
}

/// The stages of all plans; of those that have the same one, the last one's words.
fn stages_of(campaigns: &[StoredCampaign]) -> BTreeMap<StageKey, &Stage> {
    campaigns.iter().flat_map(|stored| &stored.plan.stages).map(|stage| (stage.key, stage)).collect()
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
