//! Evaluations of a campaign's stages on a text: what the campaign grows by.

use std::collections::BTreeSet;

use vocabulary::{
    CampaignId, Dataset, Evaluation, EvaluationKind, EvaluationSpec, EvaluationTask, Growth, NUMERICS_VERSION, Plan,
    Stage, StageKey,
};

use crate::recipe::is_plain_name;

/// What results call the mean over the held-out sets of a dataset.
const MEAN: &str = "average";

/// What stages are evaluated by: a measurement on the held-out part of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationText<'a> {
    /// What the results are called.
    pub name: &'a str,
    /// What is measured.
    pub kind: EvaluationKind,
    /// The text, prepared in the vocabulary of the models.
    pub dataset: &'a Dataset,
    /// How many of its held-out tokens, of each domain where it has several; all where it is `None`.
    pub tokens: Option<u64>,
}

/// Why there are no such evaluations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// The name cannot be that of a column.
    #[error(
        "`{name}` cannot be the name of a text; accepted: 1 to 100 letters, digits, `-`, `_` and `.`, not beginning with `.`"
    )]
    Name { name: String },
    /// The results on the campaign's own data are called so.
    #[error("the losses on the campaign's own data are called `{name}`: choose another name")]
    NameOfData { name: String },
    /// The campaign has other text under the name.
    #[error(
        "{campaign} has evaluations of another kind, on other text, or on another number of tokens, under the name `{name}`: choose another"
    )]
    NameTaken { campaign: CampaignId, name: String },
    /// The campaign has the same measurement under another name.
    #[error("{campaign} has the same evaluation under the name `{known}`: use that name")]
    NamedAlready {
        campaign: CampaignId,
        /// The name it has.
        known: String,
    },
    /// The text is in another vocabulary than a model.
    #[error("the text has a vocabulary of {text}, and the model of {} one of {model}: prepare it with the campaign's tokenizer", .stage.short())]
    Vocabulary {
        stage: StageKey,
        /// Size of the text's vocabulary.
        text: u32,
        /// Size of the model's vocabulary.
        model: u32,
    },
    /// The text is too short.
    #[error("the text has {held_out} tokens held out; accepted: 1 to as many, not {asked}")]
    Tokens {
        /// Tokens held out.
        held_out: u64,
        /// Tokens asked for.
        asked: u64,
    },
    /// A stage is not the campaign's.
    #[error("{} is not a stage of the campaign", .stage.short())]
    NoStage { stage: StageKey },
}

/// What a campaign grows by to have these stages evaluated on a text, those evaluations included that it has already. Of
/// equal stages one is evaluated.
///
/// Each is evaluated in the context and the precision it was trained in.
///
/// # Errors
/// If a value is out of bounds, the text is not one that the models can read, or the name stands for another text.
pub fn evaluations(plan: &Plan, stages: &[StageKey], text: &EvaluationText<'_>) -> Result<Growth, EvaluateError> {
    let EvaluationText { name, kind, dataset, tokens } = text;
    if !is_plain_name(name) {
        return Err(EvaluateError::Name { name: name.chars().take(100).collect() });
    }
    let of_domains = dataset.domains.iter().map(|domain| domain.validation_tokens).min();
    let held_out = of_domains.unwrap_or(dataset.validation_tokens);
    let tokens = tokens.unwrap_or(held_out);
    if !(1..=held_out).contains(&tokens) {
        return Err(EvaluateError::Tokens { held_out, asked: tokens });
    }
    let of_data = plan.dataset.iter().flat_map(|dataset| &dataset.domains).map(|domain| domain.name.as_str());
    if of_data.chain([MEAN]).any(|taken| taken == *name) {
        return Err(EvaluateError::NameOfData { name: (*name).to_owned() });
    }
    let subject = (*kind, dataset.id, tokens);
    if plan.evaluations.iter().any(|known| known.name == *name && known.spec.task.subject() != subject) {
        return Err(EvaluateError::NameTaken { campaign: plan.campaign, name: (*name).to_owned() });
    }
    if let Some(known) =
        plan.evaluations.iter().find(|known| known.name != *name && known.spec.task.subject() == subject)
    {
        return Err(EvaluateError::NamedAlready { campaign: plan.campaign, known: known.name.clone() });
    }
    let by_key = plan.stages_by_key();
    let mut seen = BTreeSet::new();
    let mut evaluations = Vec::new();
    for key in stages.iter().filter(|key| seen.insert(**key)) {
        let stage = by_key.get(key).ok_or(EvaluateError::NoStage { stage: *key })?;
        if dataset.vocab != stage.spec.model.vocab {
            return Err(EvaluateError::Vocabulary { stage: *key, text: dataset.vocab, model: stage.spec.model.vocab });
        }
        let context = stage.spec.batch.context;
        let task = EvaluationTask { kind: *kind, dataset: dataset.id, tokens, context };
        evaluations.push(evaluation(stage, name, task));
    }
    Ok(Growth { evaluations, ..Growth::nothing(plan.campaign) })
}

/// The last stages of all trials, in the plan's order.
#[must_use]
pub fn ends_of_trials(plan: &Plan) -> Vec<StageKey> {
    let mut seen = BTreeSet::new();
    plan.trials.iter().map(|trial| *trial.last_stage()).filter(|key| seen.insert(*key)).collect()
}

fn evaluation(stage: &Stage, name: &str, task: EvaluationTask) -> Evaluation {
    let spec = EvaluationSpec {
        model: stage.spec.model,
        task,
        precision: stage.spec.precision,
        numerics_version: NUMERICS_VERSION,
    };
    let (key, parent) = (spec.key(&stage.key), stage.key);
    Evaluation { key, parent, spec, name: name.to_owned(), size: stage.size.clone(), seed: stage.seed }
}
