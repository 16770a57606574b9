//! Which branches are refused, and the plan of those that are not.

use recipes::branch::{Branch, BranchError, Rate};
use vocabulary::{CampaignId, Dataset, Plan, Stage, StageKey, Surgery, Tokens};

use crate::state::ledger::Ledger;
use crate::state::stage::StageState;

/// Characters of the old campaign's name in the name that a branch gets by itself.
const NAME_PREFIX: usize = 60;

/// What is asked of a branch.
#[derive(Debug, Clone, PartialEq)]
pub struct BranchTerms {
    /// The step to start from; the stage's last if `None`.
    pub step: Option<u64>,
    /// The new campaign's name. Where it is `None`, one is made from the old campaign's name and the new stage's key.
    pub name: Option<String>,
    /// How much it trains.
    pub length: BranchLength,
    /// The learning rate.
    pub rate: Rate,
    /// Its peak; that of the stage where it is `None`.
    pub peak_lr: Option<f64>,
    /// What is done to the stage's model before the first step, in this order.
    pub surgery: Vec<Surgery>,
    /// The text; that of the stage where it is `None`.
    pub dataset: Option<Dataset>,
}

/// How much a branch trains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BranchLength {
    /// So many tokens.
    Tokens(Tokens),
    /// A fraction of the tokens trained up to where it starts.
    Fraction(f64),
}

/// A branch that can be submitted.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedBranch {
    /// The path to the stage it starts from, and the one stage it trains.
    pub plan: Plan,
    /// How many stages of the plan are trained already.
    pub stages_done: usize,
}

/// Why a branch is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BranchRefusal {
    /// No campaign has the stage.
    #[error("no campaign has {}", .stage.short())]
    UnknownStage {
        /// The stage asked for.
        stage: StageKey,
    },
    /// Branches start at the end of a stage.
    #[error("{}@{step} is in the middle of a stage, where nothing branches off; the nearest are {}", .stage.short(), .nearest.join(" and "))]
    NotAtEnd {
        /// The stage asked for.
        stage: StageKey,
        /// The step asked for.
        step: u64,
        /// `KEY@STEP` of the ends before and after it.
        nearest: Vec<String>,
    },
    /// The stage has no result to start from.
    #[error("{} is {state}: a branch starts from a completed stage", .stage.short())]
    NotTrained {
        /// The stage asked for.
        stage: StageKey,
        /// The name of its state.
        state: &'static str,
    },
    /// The stage's last checkpoint was collected or lost.
    #[error("{} has no committed checkpoint at step {step}", .stage.short())]
    NoCheckpoint {
        /// The stage asked for.
        stage: StageKey,
        /// Its last step.
        step: u64,
    },
    /// No plan has the text that the stage was trained on.
    #[error("no campaign says which text {} was trained on", .stage.short())]
    UnknownText {
        /// The stage asked for.
        stage: StageKey,
    },
    /// Another campaign has the name. A name selects a campaign and the folder of its results, so a branch takes neither
    /// from another.
    #[error("{name} is the name of {campaign}: choose another")]
    NameTaken {
        /// The name asked for.
        name: String,
        /// The campaign of that name.
        campaign: CampaignId,
    },
    /// Its terms are out of bounds.
    #[error(transparent)]
    Terms(BranchError),
}

impl Ledger {
    /// Plans a campaign that starts from the end of `stage`. `submitted` has all campaigns in the order of submission:
    /// the branch takes retries, checkpoint policy and the beginning of its name from the first that has the stage.
    ///
    /// # Errors
    /// If nothing can start from there, or not on these terms.
    pub fn branch(
        &self,
        stage: StageKey,
        terms: &BranchTerms,
        submitted: &[CampaignId],
    ) -> Result<PlannedBranch, BranchRefusal> {
        let ancestors = self.path_to(stage);
        let from = ancestors.last().ok_or(BranchRefusal::UnknownStage { stage })?;
        self.check_start(from, terms.step)?;
        let plans = || submitted.iter().filter_map(|campaign| self.campaign(campaign)).map(|known| known.plan());
        let origin = plans().find(|plan| plan.stage(&stage).is_some()).ok_or(BranchRefusal::UnknownText { stage })?;
        let text =
            || plans().filter_map(|plan| plan.dataset.as_ref()).find(|dataset| dataset.id == from.spec.data.dataset);
        let dataset = terms.dataset.as_ref().or_else(text).ok_or(BranchRefusal::UnknownText { stage })?;
        let tokens = match terms.length {
            BranchLength::Tokens(tokens) => tokens,
            // A fraction that is not a length becomes none or too many steps, which is refused below.
            BranchLength::Fraction(fraction) => Tokens((trained(&ancestors) as f64 * fraction) as u64),
        };
        let name = terms.name.clone().unwrap_or_else(|| origin.name.chars().take(NAME_PREFIX).collect());
        let mut branch = Branch {
            name,
            tokens,
            rate: terms.rate,
            peak_lr: terms.peak_lr,
            surgery: terms.surgery.clone(),
            dataset: dataset.clone(),
            retries: origin.retries,
            checkpoints: origin.checkpoints,
        };
        let mut plan = recipes::branch(&ancestors, &branch).map_err(BranchRefusal::Terms)?;
        if terms.name.is_none() {
            branch.name = derived_name(&branch, &plan);
            plan = recipes::branch(&ancestors, &branch).map_err(BranchRefusal::Terms)?;
        }
        if let Some(other) = plans().find(|other| other.name == plan.name && other.campaign != plan.campaign) {
            return Err(BranchRefusal::NameTaken { name: plan.name, campaign: other.campaign });
        }
        let stages_done = plan.stages.iter().filter(|stage| self.is_completed(&stage.key)).count();
        Ok(PlannedBranch { plan, stages_done })
    }

    fn check_start(&self, from: &Stage, step: Option<u64>) -> Result<(), BranchRefusal> {
        let (stage, end) = (from.key, from.spec.steps.end);
        if let Some(step) = step.filter(|step| *step != end) {
            let before = from.parent.map(|parent| (parent, from.spec.steps.start));
            let named = |(stage, step): (StageKey, u64)| format!("{}@{step}", stage.short());
            let nearest = before.into_iter().chain([(stage, end)]).map(named).collect();
            return Err(BranchRefusal::NotAtEnd { stage, step, nearest });
        }
        if !self.is_completed(&stage) {
            let state = self.stage_state(&stage).map_or("unknown", StageState::name);
            return Err(BranchRefusal::NotTrained { stage, state });
        }
        if !self.checkpoints(&stage).any(|step| step == end) {
            return Err(BranchRefusal::NoCheckpoint { stage, step: end });
        }
        Ok(())
    }

    fn is_completed(&self, stage: &StageKey) -> bool {
        matches!(self.stage_state(stage), Some(StageState::Completed { .. }))
    }

    /// The stages from a root to this one.
    fn path_to(&self, stage: StageKey) -> Vec<Stage> {
        let stage_of = |key: &StageKey| self.record(key).and_then(|record| record.work.stage());
        let next = |stage: &&Stage| stage.parent.and_then(|parent| stage_of(&parent));
        let mut path: Vec<Stage> = std::iter::successors(stage_of(&stage), next).cloned().collect();
        path.reverse();
        path
    }
}

fn trained(stages: &[Stage]) -> u64 {
    stages.iter().map(|stage| stage.spec.tokens().0).sum()
}

/// Holds digits of the key of the stage it trains, so that two branches that differ in anything have different names.
fn derived_name(branch: &Branch, plan: &Plan) -> String {
    let rate = match branch.rate {
        Rate::Stable => "stable",
        Rate::Decay { shape, .. } => shape.name(),
    };
    let digits = plan.stages.last().map(|own| own.key.short().replace("stage_", "")).unwrap_or_default();
    format!("{}-{rate}-{digits}", branch.name)
}
