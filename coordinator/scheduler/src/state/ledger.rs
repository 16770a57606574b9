//! The durable state: what the facts add up to, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use vocabulary::{CampaignId, Growth, Plan, Retries, StageKey, Work};

use super::campaign::{Campaign, CampaignState};
use super::forget::ForgetError;
use super::stage::{DeadEnd, StageRecord, StageState};
use crate::fact::Fact;
use crate::plan_check::{self, PlanError};
use crate::shared::SharedMap;
use crate::weight::Weight;

/// Why a fact cannot be true after those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalFact {
    /// It is about a stage that no campaign asked for.
    #[error("{fact} is about {stage}, which no campaign asked for")]
    UnknownStage {
        stage: StageKey,
        /// The name of the fact.
        fact: &'static str,
    },
    /// It is about a campaign that was never accepted.
    #[error("{fact} is about {campaign}, which was never accepted")]
    UnknownCampaign {
        campaign: CampaignId,
        /// The name of the fact.
        fact: &'static str,
    },
    /// The stage cannot go this way from the state it is in.
    #[error("{fact} cannot be true of {stage}, which is {state}")]
    Transition {
        stage: StageKey,
        /// The name of the fact.
        fact: &'static str,
        /// The name of the state.
        state: &'static str,
    },
    /// A campaign was accepted twice, or cancelled twice.
    #[error("{fact} is already true of {campaign}")]
    AlreadyTrue {
        campaign: CampaignId,
        /// The name of the fact.
        fact: &'static str,
    },
    /// A campaign is forgotten that is open, or that a worker still trains.
    #[error("{fact} cannot be true of {campaign}, which is not over")]
    Unfinished {
        campaign: CampaignId,
        /// The name of the fact.
        fact: &'static str,
    },
    /// A cancelled campaign grows.
    #[error("{fact} cannot be true of {campaign}, which is cancelled")]
    Unwanted {
        campaign: CampaignId,
        /// The name of the fact.
        fact: &'static str,
    },
    /// An accepted plan is invalid.
    #[error("an accepted plan is invalid")]
    Plan(#[source] PlanError),
}

/// What a fact changed besides its own stage or campaign.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Stages that may have become ready, or no longer are.
    pub(crate) touched: Vec<StageKey>,
    /// Campaigns that have ended by it.
    pub(crate) ended: Vec<CampaignId>,
}

/// Campaigns and stages, as the log has them. A copy is made at once and shares what does not change.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    pub(super) campaigns: BTreeMap<CampaignId, Campaign>,
    pub(super) stages: SharedMap<StageKey, StageRecord>,
}

impl Ledger {
    /// A campaign that was accepted once.
    #[must_use]
    pub fn campaign(&self, campaign: &CampaignId) -> Option<&Campaign> {
        self.campaigns.get(campaign)
    }

    /// A campaign that may be asked for something: one that was accepted and not cancelled.
    ///
    /// # Errors
    /// If it is neither.
    pub fn wanted(&self, campaign: &CampaignId) -> Result<&Campaign, PlanError> {
        let known = self.campaigns.get(campaign).ok_or(PlanError::UnknownCampaign { campaign: *campaign })?;
        if known.is_cancelled() { Err(PlanError::Cancelled { campaign: *campaign }) } else { Ok(known) }
    }

    /// All campaigns that were ever accepted.
    pub fn campaigns(&self) -> impl Iterator<Item = &Campaign> {
        self.campaigns.values()
    }

    /// What has become of a stage.
    #[must_use]
    pub fn stage_state(&self, stage: &StageKey) -> Option<&StageState> {
        self.stages.get(stage).map(|record| &record.state)
    }

    /// The campaigns that want a stage, without cancelled ones.
    pub fn wanted_by(&self, stage: &StageKey) -> impl Iterator<Item = &Campaign> {
        let campaigns = self.stages.get(stage).into_iter().flat_map(|record| &record.wanted_by);
        campaigns.filter_map(|campaign| self.campaigns.get(campaign))
    }

    /// All stages and evaluations that a campaign ever asked for, with what has become of them.
    pub fn nodes(&self) -> impl Iterator<Item = (&Work, &StageState)> {
        self.stages.values().map(|record| (&record.work, &record.state))
    }

    /// Those whose keys are within bounds.
    pub fn nodes_within(&self, keys: RangeInclusive<StageKey>) -> impl Iterator<Item = &Work> {
        self.stages.range(keys).map(|(_, record)| &record.work)
    }

    /// How many stages and evaluations a campaign ever asked for.
    #[must_use]
    pub fn stage_count(&self) -> usize {
        self.stages.len()
    }

    /// How many of its 256 parts this copy does not share with another: what the changes since then have copied.
    #[must_use]
    pub fn parts_of_its_own(&self, other: &Self) -> usize {
        self.stages.parts_of_its_own(&other.stages)
    }

    pub(crate) fn record(&self, stage: &StageKey) -> Option<&StageRecord> {
        self.stages.get(stage)
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &StageRecord> {
        self.stages.values()
    }

    /// Whether a stage could be assigned now: it waits, a campaign wants it, and it has something to start from.
    pub(crate) fn can_start(&self, record: &StageRecord) -> bool {
        record.state == StageState::Waiting && !record.wanted_by.is_empty() && self.has_start(record)
    }

    fn has_start(&self, record: &StageRecord) -> bool {
        let can_start_from = |parent| self.stages.get(&parent).is_some_and(|parent| parent.can_be_started_from());
        !record.checkpoints.is_empty() || record.work.parent().is_none_or(can_start_from)
    }

    /// The parent of a waiting stage, if it has to be trained again first: it is completed, and its last checkpoint is lost.
    pub(crate) fn parent_to_reopen(&self, stage: &StageKey) -> Option<StageKey> {
        let record = self.stages.get(stage)?;
        let waits = record.state == StageState::Waiting && !record.wanted_by.is_empty();
        let (parent, _) = self.lost_start(stage).filter(|_| waits)?;
        matches!(self.stage_state(&parent), Some(StageState::Completed { .. })).then_some(parent)
    }

    /// The parent's checkpoint that a stage would have to start from, if that does not exist (any more).
    pub(crate) fn lost_start(&self, stage: &StageKey) -> Option<(StageKey, u64)> {
        let record = self.stages.get(stage).filter(|record| !self.has_start(record))?;
        let parent = self.stages.get(&record.work.parent()?)?;
        Some((parent.key(), parent.end_step()?))
    }

    /// The step up to which the weights are trained that a stage or an evaluation is about.
    pub(crate) fn evaluated_step(&self, record: &StageRecord) -> u64 {
        let of_parent = || self.stages.get(&record.work.parent()?)?.end_step();
        record.end_step().or_else(of_parent).unwrap_or(0)
    }

    /// The steps of the committed checkpoints of a stage that are still there.
    pub fn checkpoints<'a>(&'a self, stage: &StageKey) -> impl Iterator<Item = u64> + use<'a> {
        self.stages.get(stage).into_iter().flat_map(|record| record.checkpoints.iter().copied())
    }

    /// The steps of those that were ever found damaged or gone.
    pub fn damaged_checkpoints(&self, stage: &StageKey) -> impl Iterator<Item = u64> + use<'_> {
        self.stages.get(stage).into_iter().flat_map(|record| record.damaged.iter().copied())
    }

    /// Applies a fact. An illegal one changes nothing.
    pub(crate) fn apply(&mut self, fact: &Fact) -> Result<Changes, IllegalFact> {
        match fact {
            Fact::CampaignAccepted { plan } => self.accept(plan, fact),
            Fact::CampaignGrown { growth } => self.grow(growth, fact),
            Fact::CampaignCancelled { campaign } => self.cancel(*campaign, fact),
            Fact::EvaluationsCancelled { campaign, evaluations } => {
                self.cancel_evaluations(*campaign, evaluations, fact)
            }
            Fact::CampaignForgotten { campaign } => self.forget(*campaign, fact),
            Fact::RetriesChanged { campaign, retries } => self.change_retries(*campaign, *retries, fact),
            Fact::WeightChanged { campaign, weight } => self.change_weight(*campaign, *weight, fact),
            Fact::AttemptStarted { stage, .. }
            | Fact::CheckpointCommitted { stage, .. }
            | Fact::StageCompleted { stage, .. }
            | Fact::StageDiverged { stage, .. }
            | Fact::AttemptEnded { stage, .. }
            | Fact::StagePoisoned { stage, .. }
            | Fact::StageRetried { stage }
            | Fact::CheckpointRemoved { stage, .. }
            | Fact::StageReopened { stage } => self.apply_to_stage(*stage, fact),
        }
    }

    fn accept(&mut self, plan: &Plan, fact: &Fact) -> Result<Changes, IllegalFact> {
        let campaign = plan.campaign;
        if self.campaigns.get(&campaign).is_some_and(|known| !known.is_cancelled()) {
            return Err(IllegalFact::AlreadyTrue { campaign, fact: fact.name() });
        }
        plan_check::check_structure(plan).map_err(IllegalFact::Plan)?;

        let open = self.want(campaign, plan.nodes());
        Ok(self.adopt_plan(Arc::new(plan.clone()), open, BTreeSet::new()))
    }

    /// Other campaigns may have added stages before, which may even be done. A campaign that had ended is open again unless
    /// all of them are.
    fn grow(&mut self, growth: &Growth, fact: &Fact) -> Result<Changes, IllegalFact> {
        let campaign = growth.campaign;
        let known = self.campaigns.get(&campaign);
        let known = known.ok_or(IllegalFact::UnknownCampaign { campaign, fact: fact.name() })?;
        let CampaignState::Wanted { open } = known.state else {
            return Err(IllegalFact::Unwanted { campaign, fact: fact.name() });
        };
        let plan = known.plan.grown(&known.unplanned(growth));
        plan_check::check_grown(&plan).map_err(IllegalFact::Plan)?;
        let mut dropped = known.dropped.clone();
        for again in &growth.evaluations {
            dropped.remove(&again.key);
        }
        let open = open + self.want(campaign, growth.nodes());
        Ok(self.adopt_plan(Arc::new(plan), open, dropped))
    }

    /// Notes that a campaign wants these, and counts those that may still be done.
    fn want(&mut self, campaign: CampaignId, nodes: impl Iterator<Item = Work>) -> usize {
        let mut open = 0;
        for work in nodes {
            let key = work.key();
            self.insert(work);
            if let Some(record) = self.stages.get_mut(&key) {
                record.wanted_by.insert(campaign);
                open += usize::from(record.state.is_open());
            }
        }
        open
    }

    /// Sets the plan of a campaign whose stages are all known. All are touched, for their paths may be longer now.
    fn adopt_plan(&mut self, plan: Arc<Plan>, open: usize, dropped: BTreeSet<StageKey>) -> Changes {
        let campaign = plan.campaign;
        self.lengthen_critical_paths(&plan);
        let touched = plan.keys().collect();
        let weight = self.weight_of(&campaign);
        self.campaigns.insert(campaign, Campaign { plan, state: CampaignState::Wanted { open }, weight, dropped });
        Changes { touched, ended: if open == 0 { vec![campaign] } else { Vec::new() } }
    }

    /// Adds a stage or an evaluation under its parent, unless an earlier campaign did.
    fn insert(&mut self, work: Work) {
        let (key, order) = (work.key(), self.stages.len() as u64);
        let parent = work.parent().and_then(|parent| self.stages.get_mut(&parent));
        let state = match parent {
            Some(parent) => {
                parent.children.insert(key);
                parent
                    .dead_end()
                    .map_or(StageState::Waiting, |(ancestor, because)| StageState::NotRun { ancestor, because })
            }
            None => StageState::Waiting,
        };
        if !self.stages.contains_key(&key) {
            self.stages.insert(key, StageRecord::new(work, order, state));
        }
    }

    /// A plan holds the parents of all its nodes, so no stage outside of it is above a new one.
    pub(super) fn lengthen_critical_paths(&mut self, plan: &Plan) {
        for key in plan.keys().rev() {
            let Some(record) = self.stages.get(&key) else { continue };
            let below = record.children.iter().filter_map(|child| self.stages.get(child));
            let longest = below.map(|child| child.critical_path).fold(0.0, f64::max);
            if let Some(record) = self.stages.get_mut(&key) {
                record.critical_path = record.work.flops().0 + longest;
            }
        }
    }

    fn cancel(&mut self, campaign: CampaignId, fact: &Fact) -> Result<Changes, IllegalFact> {
        let known =
            self.campaigns.get_mut(&campaign).ok_or(IllegalFact::UnknownCampaign { campaign, fact: fact.name() })?;
        if known.is_cancelled() {
            return Err(IllegalFact::AlreadyTrue { campaign, fact: fact.name() });
        }
        known.state = CampaignState::Cancelled;
        let touched: Vec<_> = known.plan.keys().collect();
        for key in &touched {
            if let Some(record) = self.stages.get_mut(key) {
                record.wanted_by.remove(&campaign);
            }
        }
        Ok(Changes { touched, ended: Vec::new() })
    }

    /// Only evaluations of a campaign that nothing else keeps open: whoever cancels one that trains cancels all of it.
    fn cancel_evaluations(
        &mut self,
        campaign: CampaignId,
        evaluations: &[StageKey],
        fact: &Fact,
    ) -> Result<Changes, IllegalFact> {
        self.wanted(&campaign).map_err(|error| match error {
            PlanError::Cancelled { .. } => IllegalFact::Unwanted { campaign, fact: fact.name() },
            _ => IllegalFact::UnknownCampaign { campaign, fact: fact.name() },
        })?;
        if evaluations.is_empty() || self.open_evaluations(&campaign).as_deref() != Some(evaluations) {
            return Err(IllegalFact::Unfinished { campaign, fact: fact.name() });
        }
        for key in evaluations {
            if let Some(record) = self.stages.get_mut(key) {
                record.wanted_by.remove(&campaign);
            }
        }
        if let Some(known) = self.campaigns.get_mut(&campaign) {
            known.state = CampaignState::Wanted { open: 0 };
            known.dropped.extend(evaluations);
        }
        Ok(Changes { touched: evaluations.to_vec(), ended: vec![campaign] })
    }

    /// The evaluations that a campaign still waits for, in the plan's order; `None` if it waits for anything else.
    pub(crate) fn open_evaluations(&self, campaign: &CampaignId) -> Option<Vec<StageKey>> {
        let known = self.campaigns.get(campaign)?;
        let is_open = |key: &StageKey| known.wants(key) && self.stage_state(key).is_some_and(StageState::is_open);
        let evaluations = known.plan.evaluations.iter().map(|evaluation| evaluation.key);
        let open: Vec<StageKey> = evaluations.filter(is_open).collect();
        (known.state == CampaignState::Wanted { open: open.len() }).then_some(open)
    }

    fn forget(&mut self, campaign: CampaignId, fact: &Fact) -> Result<Changes, IllegalFact> {
        self.forgettable(&campaign).map_err(|error| match error {
            ForgetError::Unknown => IllegalFact::UnknownCampaign { campaign, fact: fact.name() },
            ForgetError::Open | ForgetError::Running { .. } => IllegalFact::Unfinished { campaign, fact: fact.name() },
        })?;
        let gone = self.only_of(&campaign);
        let mut shared = BTreeSet::new();
        if let Some(known) = self.campaigns.remove(&campaign) {
            let goes: BTreeSet<_> = gone.iter().collect();
            shared.extend(known.plan.keys().filter(|key| !goes.contains(key)));
            for key in known.plan.keys() {
                if let Some(record) = self.stages.get_mut(&key) {
                    record.wanted_by.remove(&campaign);
                }
            }
        }
        for stage in &gone {
            let parent = self.stages.remove(stage).and_then(|record| record.work.parent());
            if let Some(parent) = parent.and_then(|parent| self.stages.get_mut(&parent)) {
                parent.children.remove(stage);
            }
        }
        // What is left may be on shorter paths now.
        let mut touched = gone;
        let plans: Vec<_> = self.campaigns.values().map(|known| Arc::clone(&known.plan)).collect();
        for plan in plans.iter().filter(|plan| plan.keys().any(|key| shared.contains(&key))) {
            self.lengthen_critical_paths(plan);
        }
        touched.extend(shared);
        Ok(Changes { touched, ended: Vec::new() })
    }

    fn change_retries(&mut self, campaign: CampaignId, retries: Retries, fact: &Fact) -> Result<Changes, IllegalFact> {
        let known = self.campaigns.get_mut(&campaign);
        let known = known.ok_or(IllegalFact::UnknownCampaign { campaign, fact: fact.name() })?;
        Arc::make_mut(&mut known.plan).retries = retries;
        Ok(Changes::default())
    }

    fn change_weight(&mut self, campaign: CampaignId, weight: Weight, fact: &Fact) -> Result<Changes, IllegalFact> {
        let known = self.campaigns.get_mut(&campaign);
        known.ok_or(IllegalFact::UnknownCampaign { campaign, fact: fact.name() })?.weight = weight;
        Ok(Changes::default())
    }

    fn weight_of(&self, campaign: &CampaignId) -> Weight {
        self.campaigns.get(campaign).map(|known| known.weight).unwrap_or_default()
    }

    /// A campaign's share of the workers in proportion to those of others.
    pub(crate) fn weight(&self, campaign: &CampaignId) -> u32 {
        self.weight_of(campaign).get()
    }

    /// The retries of the campaigns that want a stage, the most patient of each.
    pub(crate) fn retries(&self, record: &StageRecord) -> Retries {
        let wanting = record.wanted_by.iter().filter_map(|campaign| self.campaigns.get(campaign));
        let retries = wanting.map(|campaign| campaign.plan.retries);
        retries.reduce(|one, other| one.or_more_patient(&other)).unwrap_or_default()
    }

    fn apply_to_stage(&mut self, stage: StageKey, fact: &Fact) -> Result<Changes, IllegalFact> {
        let illegal = |state: &StageState| IllegalFact::Transition { stage, fact: fact.name(), state: state.name() };
        let record = self.stages.get(&stage).ok_or(IllegalFact::UnknownStage { stage, fact: fact.name() })?;
        if matches!(fact, Fact::AttemptStarted { .. }) && !self.has_start(record) {
            return Err(illegal(&record.state));
        }
        let record = self.stages.get_mut(&stage).ok_or(IllegalFact::UnknownStage { stage, fact: fact.name() })?;
        let before = record.apply(fact).ok_or_else(|| illegal(&record.state))?;

        let mut changes = Changes { touched: vec![stage], ended: Vec::new() };
        match (before.is_open(), record.state.is_open()) {
            (true, false) => {
                self.count_open(stage, Towards::Settled, &mut changes);
                self.spread(stage, &mut changes);
            }
            (false, true) => {
                self.count_open(stage, Towards::Open, &mut changes);
                self.revive_below(stage, &mut changes);
            }
            _ => {}
        }
        if matches!(fact, Fact::CheckpointRemoved { .. }) {
            changes.touched.extend(self.children(stage));
        }
        self.bury_if_lost(stage, &mut changes);
        Ok(changes)
    }

    /// A stage never runs if it waits again, has no checkpoint of its own, and its parent reached a dead end meanwhile. The
    /// parent was being trained again because its last checkpoint was lost.
    fn bury_if_lost(&mut self, stage: StageKey, changes: &mut Changes) {
        let Some(record) = self.stages.get(&stage) else { return };
        let parent = record.work.parent().and_then(|parent| self.stages.get(&parent));
        if record.state == StageState::Waiting
            && record.checkpoints.is_empty()
            && let Some((ancestor, because)) = parent.and_then(|parent| parent.dead_end())
        {
            self.bury(vec![stage], ancestor, because, changes);
        }
    }

    fn children(&self, stage: StageKey) -> Vec<StageKey> {
        self.stages.get(&stage).map_or(Vec::new(), |record| record.children.iter().copied().collect())
    }

    /// Tells the stages below a settled one: its children can start, or none of its descendants ever will.
    fn spread(&mut self, settled: StageKey, changes: &mut Changes) {
        let Some(record) = self.stages.get(&settled) else { return };
        let below: Vec<_> = record.children.iter().copied().collect();
        match record.dead_end() {
            None => changes.touched.extend(below),
            Some((ancestor, because)) => self.bury(below, ancestor, because, changes),
        }
    }

    /// Gives up stages that have nothing to start from, and all below them. Stages that have what they need, because the one
    /// above was trained again, continue.
    fn bury(&mut self, mut stages: Vec<StageKey>, ancestor: StageKey, because: DeadEnd, changes: &mut Changes) {
        while let Some(key) = stages.pop() {
            let Some(record) = self.stages.get_mut(&key) else { continue };
            if record.state != StageState::Waiting || !record.checkpoints.is_empty() {
                continue;
            }
            record.state = StageState::NotRun { ancestor, because };
            stages.extend(record.children.iter().copied());
            changes.touched.push(key);
            self.count_open(key, Towards::Settled, changes);
        }
    }

    /// Reopens the stages below one that is tried again.
    fn revive_below(&mut self, retried: StageKey, changes: &mut Changes) {
        let mut below = self.children(retried);
        while let Some(key) = below.pop() {
            let Some(record) = self.stages.get_mut(&key) else { continue };
            if !matches!(record.state, StageState::NotRun { .. }) {
                continue;
            }
            record.state = StageState::Waiting;
            below.extend(record.children.iter().copied());
            changes.touched.push(key);
            self.count_open(key, Towards::Open, changes);
        }
    }

    /// Updates the number of open stages of the campaigns that want this one.
    fn count_open(&mut self, stage: StageKey, towards: Towards, changes: &mut Changes) {
        let Some(record) = self.stages.get(&stage) else { return };
        for campaign in &record.wanted_by {
            let Some(Campaign { state: CampaignState::Wanted { open }, .. }) = self.campaigns.get_mut(campaign) else {
                continue;
            };
            match towards {
                Towards::Open => *open += 1,
                Towards::Settled => *open -= 1,
            }
            if *open == 0 {
                changes.ended.push(*campaign);
            }
        }
    }
}

/// Which way a stage crossed between open and settled.
#[derive(Clone, Copy)]
enum Towards {
    Open,
    Settled,
}
