//! Evaluations: the trials' losses on text that was added to a campaign.

use serde::{Deserialize, Serialize};
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Measurements, Plan, StageKey};

use super::campaign::Campaign;

/// The names of the texts that stages of a campaign are evaluated on, in the order they were asked for.
pub(crate) fn names(plan: &Plan) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for evaluation in &plan.evaluations {
        if !names.contains(&evaluation.name.as_str()) {
            names.push(&evaluation.name);
        }
    }
    names
}

/// The measurements of a stage's last checkpoint on a text; `None` if it has not been evaluated.
pub(crate) fn result<'a>(campaign: &'a Campaign, stage: &StageKey, name: &str) -> Option<&'a Measurements> {
    let evaluations = campaign.plan.evaluations.iter();
    let of = evaluations.filter(|evaluation| evaluation.parent == *stage && evaluation.name == name);
    of.filter_map(|evaluation| campaign.evaluations.get(&evaluation.key)).next()
}

/// The losses of a stage's last checkpoint on a text that was added to its campaign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// The name of the text.
    pub name: String,
    /// The evaluated stage.
    pub stage: StageKey,
    /// The size of its model, as the recipe names it.
    pub size: String,
    /// Its seed, as the recipe numbers it.
    pub seed: u64,
    /// N, non-embedding parameters.
    pub n: u64,
    /// D: the tokens its model was trained on.
    pub d: u64,
    /// Tokens of the text, of each of its domains where it has several.
    pub tokens: u64,
    /// In nats a token.
    pub loss: Option<f64>,
    /// In nats a byte.
    pub loss_per_byte: Option<f64>,
}

/// The results of all completed evaluations, in the order they were asked for.
pub(crate) fn results(campaign: &Campaign) -> Vec<Evaluated> {
    let stages = campaign.plan.stages_by_key();
    let of = |evaluation: &vocabulary::Evaluation| {
        let result = campaign.evaluations.get(&evaluation.key)?;
        let spec = &stages.get(&evaluation.parent)?.spec;
        Some(Evaluated {
            name: evaluation.name.clone(),
            stage: evaluation.parent,
            size: evaluation.size.clone(),
            seed: evaluation.seed,
            n: spec.model.shape.non_embedding_params(),
            d: spec.steps.end * spec.batch.tokens(),
            tokens: evaluation.spec.task.tokens,
            loss: result.get(VALIDATION_LOSS),
            loss_per_byte: result.get(VALIDATION_LOSS_PER_BYTE),
        })
    };
    campaign.plan.evaluations.iter().filter_map(of).collect()
}
