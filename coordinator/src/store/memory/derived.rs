//! The tables that follow from the log.

use std::collections::{BTreeMap, BTreeSet};

use scheduler::Fact;
use vocabulary::{AttemptKey, CampaignId, StageKey, Work};

use super::state::refused;
use crate::store::{DerivedCheck, StoreError};

/// What follows from the facts so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Derived {
    /// When each campaign was first submitted, in milliseconds since 1970.
    pub(super) campaigns: BTreeMap<CampaignId, u64>,
    pub(super) stages: BTreeSet<StageKey>,
    pub(super) campaign_stages: BTreeSet<(CampaignId, StageKey)>,
    pub(super) attempts: BTreeMap<AttemptKey, AttemptState>,
    /// Stages that have a result, and how many measurements it has.
    pub(super) results: BTreeMap<StageKey, usize>,
}

/// When an attempt started and ended, in milliseconds since 1970, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AttemptState {
    /// The name of its worker.
    pub(super) name: String,
    pub(super) started_at_ms: u64,
    pub(super) ended: Option<(u64, String)>,
}

/// How an attempt ends that trained its stage to the last step.
pub(super) const COMPLETED: &str = "completed";

impl Derived {
    /// Takes in what follows from a fact, or says which row it refers to is missing.
    pub(super) fn follow(&mut self, at_ms: u64, fact: &Fact) -> Result<(), StoreError> {
        match fact {
            Fact::CampaignAccepted { plan } => {
                self.campaigns.entry(plan.campaign).or_insert(at_ms);
                self.want(plan.campaign, plan.nodes())
            }
            Fact::CampaignGrown { growth } => self.want(growth.campaign, growth.nodes()),
            Fact::AttemptStarted { stage, attempt, name, .. } => {
                if !self.stages.contains(stage) {
                    return Err(refused("attempts", format!("there is no {stage}")));
                }
                let row = AttemptState { name: name.clone(), started_at_ms: at_ms, ended: None };
                match self.attempts.insert(AttemptKey { stage: *stage, attempt: *attempt }, row) {
                    None => Ok(()),
                    Some(_) => Err(refused("attempts", format!("attempt {attempt} of {stage} has already started"))),
                }
            }
            Fact::StageCompleted { stage, attempt, result } => {
                self.result(at_ms, AttemptKey { stage: *stage, attempt: *attempt }, COMPLETED, result.len())
            }
            Fact::StageDiverged { stage, attempt, .. } => {
                self.result(at_ms, AttemptKey { stage: *stage, attempt: *attempt }, "diverged", 0)
            }
            Fact::AttemptEnded { stage, attempt, why, .. } => {
                self.end(at_ms, AttemptKey { stage: *stage, attempt: *attempt }, &why.to_string());
                Ok(())
            }
            Fact::CampaignForgotten { campaign } => {
                for stage in self.only_of(campaign) {
                    self.stages.remove(&stage);
                    self.results.remove(&stage);
                    self.attempts.retain(|key, _| key.stage != stage);
                }
                self.campaign_stages.retain(|(of, _)| of != campaign);
                self.campaigns.remove(campaign);
                Ok(())
            }
            Fact::CheckpointCommitted { .. }
            | Fact::CheckpointRemoved { .. }
            | Fact::CampaignCancelled { .. }
            | Fact::EvaluationsCancelled { .. }
            | Fact::RetriesChanged { .. }
            | Fact::WeightChanged { .. }
            | Fact::StagePoisoned { .. }
            | Fact::StageRetried { .. }
            | Fact::StageReopened { .. } => Ok(()),
        }
    }

    /// The stages that no other campaign has.
    pub(super) fn only_of(&self, campaign: &CampaignId) -> Vec<StageKey> {
        let shared: BTreeSet<StageKey> =
            self.campaign_stages.iter().filter(|(of, _)| of != campaign).map(|(_, stage)| *stage).collect();
        let own = self.campaign_stages.iter().filter(|(of, _)| of == campaign).map(|(_, stage)| *stage);
        own.filter(|stage| !shared.contains(stage)).collect()
    }

    fn want(&mut self, campaign: CampaignId, nodes: impl Iterator<Item = Work>) -> Result<(), StoreError> {
        let nodes: Vec<(StageKey, Option<StageKey>)> = nodes.map(|work| (work.key(), work.parent())).collect();
        if !nodes.is_empty() && !self.campaigns.contains_key(&campaign) {
            return Err(refused("campaign_stages", format!("there is no {campaign}")));
        }
        self.stages.extend(nodes.iter().map(|(key, _)| key));
        self.campaign_stages.extend(nodes.iter().map(|(key, _)| (campaign, *key)));
        match nodes.iter().filter_map(|(_, parent)| *parent).find(|parent| !self.stages.contains(parent)) {
            None => Ok(()),
            Some(parent) => Err(refused("stages", format!("there is no {parent}"))),
        }
    }

    fn result(&mut self, at_ms: u64, key: AttemptKey, outcome: &str, measurements: usize) -> Result<(), StoreError> {
        self.end(at_ms, key, outcome);
        // A stage that was trained again keeps its first result.
        if !self.results.contains_key(&key.stage) {
            self.expect_attempt("results", key)?;
            self.results.insert(key.stage, measurements);
        }
        Ok(())
    }

    fn end(&mut self, at_ms: u64, key: AttemptKey, outcome: &str) {
        if let Some(row) = self.attempts.get_mut(&key) {
            row.ended = Some((at_ms, outcome.to_owned()));
        }
    }

    /// How these tables compare with those that they should be.
    pub(super) fn compare(&self, expected: &Self) -> DerivedCheck {
        let tables = [
            ("campaigns", self.campaigns == expected.campaigns),
            ("stages", self.stages == expected.stages),
            ("campaign_stages", self.campaign_stages == expected.campaign_stages),
            ("attempts", self.attempts == expected.attempts),
            ("results", self.results == expected.results),
        ];
        let rows = [self.campaigns.len(), self.stages.len(), self.campaign_stages.len()];
        let rows = rows.iter().sum::<usize>() + self.attempts.len() + self.results.len();
        let rows = rows + self.results.values().sum::<usize>();
        let wrong = tables.into_iter().filter(|(_, is_right)| !is_right).map(|(table, _)| table);
        DerivedCheck { wrong: wrong.collect(), rows }
    }

    /// That rows of `table` may refer to this attempt.
    pub(super) fn expect_attempt(&self, table: &'static str, key: AttemptKey) -> Result<(), StoreError> {
        if self.attempts.contains_key(&key) { Ok(()) } else { Err(refused(table, format!("no such attempt: {key}"))) }
    }
}
