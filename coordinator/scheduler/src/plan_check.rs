//! Checks of plans that come from outside.

use std::collections::{BTreeMap, BTreeSet};

use vocabulary::{CampaignId, Evaluation, Growth, Plan, Stage, StageKey, SurgeryError, TrialId, Work};

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Its data is not prepared, so its keys are not final.
    #[error("the plan has no prepared dataset")]
    NoDataset,
    /// It has no trials.
    #[error("the plan has no trials")]
    NoTrials,
    /// It has a stage twice.
    #[error("{stage} is in the plan twice")]
    DuplicateStage { stage: StageKey },
    /// A stage comes before its parent, or its parent is missing.
    #[error("the parent of {stage} does not come before it")]
    ParentMissing {
        /// The child.
        stage: StageKey,
    },
    /// A stage does not start where its parent ends, or has no steps.
    #[error("{stage} trains steps {start}..{end}, and has to begin at {expected} and to have a step")]
    Steps {
        stage: StageKey,
        /// Its first step.
        start: u64,
        /// One past its last.
        end: u64,
        /// Where its parent ends.
        expected: u64,
    },
    /// A surgery does not apply to the parent's model.
    #[error("{stage} cannot start from its parent: {why}")]
    Surgery {
        /// The stage that would begin with it.
        stage: StageKey,
        /// What is wrong.
        why: SurgeryError,
    },
    /// A stage trains another model than its parent's checkpoint holds once its surgeries are done.
    #[error("{stage} trains another model than its parent leaves it")]
    Model {
        /// The child.
        stage: StageKey,
    },
    /// A key does not follow from what it names: the plan was altered, or made by another version.
    #[error("{stage} is named {derived} by this version: was the plan made by another one?")]
    Key {
        /// The key in the plan.
        stage: StageKey,
        /// The key of its spec and parent.
        derived: StageKey,
    },
    /// A trial is not a path of stages from a root.
    #[error("{trial} is not a path from a root of the stage tree")]
    Path { trial: TrialId },
    /// It has a trial twice.
    #[error("{trial} is in the plan twice")]
    DuplicateTrial { trial: TrialId },
    /// An evaluation is of another model than the stage it evaluates.
    #[error("{evaluation} is of another model than {stage}, whose checkpoint it evaluates")]
    EvaluatedModel { evaluation: StageKey, stage: StageKey },
    /// Two different measurements have the same name.
    #[error("the campaign has evaluations of another kind or on other text under the name `{name}`")]
    EvaluationName { name: String },
    /// It is to be added to a campaign that was never accepted.
    #[error("{campaign} was never submitted")]
    UnknownCampaign { campaign: CampaignId },
    /// It is to be added to a campaign that was cancelled.
    #[error("{campaign} was cancelled: submit it again, and then add to it")]
    Cancelled { campaign: CampaignId },
}

/// Whether the stages of a plan are a forest of consecutive step ranges, each with the model that its parent leaves it, and
/// its trials paths in it.
pub(crate) fn check_structure(plan: &Plan) -> Result<(), PlanError> {
    let mut seen: BTreeMap<StageKey, &Stage> = BTreeMap::new();
    for stage in &plan.stages {
        let key = stage.key;
        let expected = match stage.parent {
            None => 0,
            Some(parent) => {
                let parent = seen.get(&parent).ok_or(PlanError::ParentMissing { stage: key })?;
                let model = stage.spec.start.model(&parent.spec.model);
                if model.map_err(|why| PlanError::Surgery { stage: key, why })? != stage.spec.model {
                    return Err(PlanError::Model { stage: key });
                }
                parent.spec.steps.end
            }
        };
        let (start, end) = (stage.spec.steps.start, stage.spec.steps.end);
        if start != expected || end <= start {
            return Err(PlanError::Steps { stage: key, start, end, expected });
        }
        if seen.insert(key, stage).is_some() {
            return Err(PlanError::DuplicateStage { stage: key });
        }
    }
    check_evaluations(&plan.evaluations, &seen)?;
    for trial in &plan.trials {
        let mut parent = None;
        for key in &trial.path {
            if seen.get(key).is_none_or(|stage| stage.parent != parent) {
                return Err(PlanError::Path { trial: trial.id });
            }
            parent = Some(*key);
        }
        if parent.is_none() {
            return Err(PlanError::Path { trial: trial.id });
        }
    }
    Ok(())
}

/// Whether evaluations are of stages, each of them once, and whether a name stands for one measurement on one text.
fn check_evaluations(evaluations: &[Evaluation], stages: &BTreeMap<StageKey, &Stage>) -> Result<(), PlanError> {
    let mut seen = BTreeSet::new();
    let mut subjects = BTreeMap::new();
    for Evaluation { key, parent, spec, name, .. } in evaluations {
        let stage = stages.get(parent).ok_or(PlanError::ParentMissing { stage: *key })?;
        if stages.contains_key(key) || !seen.insert(*key) {
            return Err(PlanError::DuplicateStage { stage: *key });
        }
        if spec.model != stage.spec.model {
            return Err(PlanError::EvaluatedModel { evaluation: *key, stage: *parent });
        }
        if *subjects.entry(name).or_insert_with(|| spec.task.subject()) != spec.task.subject() {
            return Err(PlanError::EvaluationName { name: name.clone() });
        }
    }
    Ok(())
}

/// Whether a plan can be run: its structure holds, there is something to do, and every key is the hash of what it names.
pub(crate) fn check(plan: &Plan) -> Result<(), PlanError> {
    if plan.dataset.is_none() {
        return Err(PlanError::NoDataset);
    }
    if plan.trials.is_empty() {
        return Err(PlanError::NoTrials);
    }
    check_structure(plan)?;
    check_keys(plan.nodes())
}

/// Whether a grown plan still has a valid structure.
pub(crate) fn check_grown(grown: &Plan) -> Result<(), PlanError> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = grown.trials.iter().find(|trial| !seen.insert(trial.id)) {
        return Err(PlanError::DuplicateTrial { trial: twice.id });
    }
    check_structure(grown)
}

/// Whether a plan can be run with an addition.
pub(crate) fn check_growth(plan: &Plan, growth: &Growth) -> Result<(), PlanError> {
    check_grown(&plan.grown(growth))?;
    check_keys(growth.nodes())
}

fn check_keys(nodes: impl Iterator<Item = Work>) -> Result<(), PlanError> {
    for work in nodes {
        let (stage, derived) = (work.key(), work.derived_key());
        if derived != stage {
            return Err(PlanError::Key { stage, derived });
        }
    }
    Ok(())
}
