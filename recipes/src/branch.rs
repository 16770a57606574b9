//! Branches: a new campaign that continues from a stage of another one, for continual training, a decay, or other text.

use vocabulary::search::Settings;
use vocabulary::{
    CheckpointPolicy, DataSpec, Dataset, DecayShape, LrSchedule, Plan, Retries, Stage, StageKey, StageRole, StageSpec,
    StartSpec, Surgery, SurgeryError, Tokens, Trial,
};

use crate::expand::{campaign_id, trial_id};
use crate::recipe::is_plain_name;

/// The most steps of a branch.
const MAX_STEPS: u64 = 1_000_000_000;

/// What a branch trains.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// The name of the new campaign.
    pub name: String,
    /// How many tokens to train on.
    pub tokens: Tokens,
    /// The learning rate.
    pub rate: Rate,
    /// The peak learning rate; that of the stage it continues from if `None`.
    pub peak_lr: Option<f64>,
    /// Changes to the model of the stage it continues from, made in this order before the first step.
    pub surgery: Vec<Surgery>,
    /// The text: the stage's own, or another one with the same vocabulary.
    pub dataset: Dataset,
    /// How often the campaign tries a stage again.
    pub retries: Retries,
    /// What becomes of its checkpoints.
    pub checkpoints: CheckpointPolicy,
}

/// The learning rate of a branch. There is no warm-up, because weights and moments continue from a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// It stays at its peak.
    Stable,
    /// It decays over the whole branch.
    Decay {
        /// The shape of the decay.
        shape: DecayShape,
        /// The last value, as a fraction of the peak.
        floor: f64,
    },
}

/// Why a branch is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BranchError {
    /// There is no stage to continue from.
    #[error("a branch needs a stage to continue from")]
    NoAncestors,
    /// The name cannot be used as a folder's.
    #[error(
        "`{name}` cannot be the name of a campaign; accepted: 1 to 100 letters, digits, `-`, `_` and `.`, not beginning with `.`"
    )]
    Name { name: String },
    /// It is too short or too long.
    #[error("{tokens} tokens are {steps} steps of {step}; accepted: 1 to {MAX_STEPS} steps")]
    Steps {
        /// The tokens asked for.
        tokens: u64,
        steps: u64,
        /// Tokens a step.
        step: u64,
    },
    /// The peak learning rate is out of bounds.
    #[error("the peak learning rate {0} is not accepted; accepted: 1e-12 to 10")]
    PeakLr(f64),
    /// The floor is out of bounds.
    #[error("the floor {0} is not accepted; accepted: 0 to 1, and above 0 for an exponential decay")]
    Floor(f64),
    /// A surgery does not apply to the model.
    #[error("{}: {why}", stage.short())]
    Surgery {
        /// The stage to continue from.
        stage: StageKey,
        /// Why it does not apply.
        why: SurgeryError,
    },
    /// The text has another vocabulary.
    #[error(
        "the text has {text} vocabulary entries, but the model has {model}: prepare the text with the model's tokenizer"
    )]
    Vocabulary {
        /// Size of the text's vocabulary.
        text: u32,
        /// Size of the model's vocabulary.
        model: u32,
    },
    /// The text is too short.
    #[error(
        "the text gives {train} tokens to train on and {held_out} held out; accepted: more than {context}, and at least 1"
    )]
    Text {
        /// Tokens to train on.
        train: u64,
        /// Tokens held out.
        held_out: u64,
        /// Tokens of a sequence.
        context: u32,
    },
}

/// The plan of a branch below the last of these stages, which are a path from a root. It contains them, so that stages that
/// are done are not trained again, and has one trial.
///
/// The loss at its end is measured on the held-out part of the branch's own text: on as many tokens as for the stage, or on
/// all of them if there are fewer.
///
/// # Errors
/// If a value is out of bounds, or the model cannot be trained on the text.
pub fn branch(ancestors: &[Stage], branch: &Branch) -> Result<Plan, BranchError> {
    let parent = ancestors.last().ok_or(BranchError::NoAncestors)?;
    let spec = spec(parent, branch)?;
    let key = spec.key(Some(&parent.key));
    let role = if branch.rate == Rate::Stable { StageRole::Trunk } else { StageRole::Decay };
    let (size, seed) = (parent.size.clone(), parent.seed);
    let description = description(&parent.key, &spec, branch);
    let n = spec.model.shape.non_embedding_params();
    let stage = Stage { key, parent: Some(parent.key), spec, role, size: size.clone(), seed };
    let stages: Vec<Stage> = ancestors.iter().cloned().chain([stage]).collect();
    let d = stages.iter().map(|stage| stage.spec.tokens()).sum();
    let trial = Trial {
        id: trial_id(None, &key),
        size,
        seed,
        arm: None,
        n,
        d,
        nominal: d,
        path: stages.iter().map(|stage| stage.key).collect(),
        settings: Settings::new(),
    };
    let trials = vec![trial];
    Ok(Plan {
        campaign: campaign_id(&branch.name, &trials),
        name: branch.name.clone(),
        description,
        dataset: Some(branch.dataset.clone()),
        trials,
        stages,
        evaluations: Vec::new(),
        retries: branch.retries,
        checkpoints: branch.checkpoints,
        search: None,
    })
}

fn spec(stage: &Stage, branch: &Branch) -> Result<StageSpec, BranchError> {
    let (parent, Branch { name, tokens, rate, peak_lr, surgery, dataset, .. }) = (&stage.spec, branch);
    if !is_plain_name(name) {
        return Err(BranchError::Name { name: name.chars().take(100).collect() });
    }
    let step = parent.batch.tokens();
    let steps = tokens.0.saturating_add(step / 2) / step;
    if !(1..=MAX_STEPS).contains(&steps) {
        return Err(BranchError::Steps { tokens: tokens.0, steps, step });
    }
    let peak_lr = peak_lr.unwrap_or(parent.peak_lr);
    if !(1e-12..=10.0).contains(&peak_lr) {
        return Err(BranchError::PeakLr(peak_lr));
    }
    if dataset.vocab != parent.model.vocab {
        return Err(BranchError::Vocabulary { text: dataset.vocab, model: parent.model.vocab });
    }
    let Dataset { train_tokens: train, validation_tokens: held_out, .. } = *dataset;
    let context = parent.batch.context;
    if train <= u64::from(context) || held_out == 0 {
        return Err(BranchError::Text { train, held_out, context });
    }
    // The parent's surgeries are already in its checkpoint, so they are not done again.
    let start = StartSpec { surgery: surgery.clone(), ..StartSpec::of_seed(parent.start.init_seed) };
    let model = start.model(&parent.model).map_err(|why| BranchError::Surgery { stage: stage.key, why })?;
    let first = parent.steps.end;
    let schedule = match *rate {
        Rate::Stable => LrSchedule::Constant { warmup_steps: 0 },
        Rate::Decay { shape, floor } => {
            let lowest = if shape == DecayShape::Exponential { f64::MIN_POSITIVE } else { 0.0 };
            if !(lowest..=1.0).contains(&floor) {
                return Err(BranchError::Floor(floor));
            }
            LrSchedule::Wsd { warmup_steps: 0, decay_start: first, decay_steps: steps, decay: shape, floor }
        }
    };
    Ok(StageSpec {
        model,
        start,
        // On the same text the stage's mixture continues; on other text there is none.
        data: DataSpec {
            dataset: dataset.id,
            mixture: parent.data.mixture.filter(|_| dataset.id == parent.data.dataset),
            ..parent.data
        },
        steps: first..first + steps,
        schedule,
        peak_lr,
        validation_tokens: parent.validation_tokens.min(held_out),
        ..parent.clone()
    })
}

fn description(parent: &StageKey, spec: &StageSpec, branch: &Branch) -> String {
    let how = match branch.rate {
        Rate::Stable => "at the peak learning rate".to_owned(),
        Rate::Decay { shape, floor } => format!("decaying ({}) to {floor}", shape.name()),
    };
    let surgery: Vec<&str> = branch.surgery.iter().map(Surgery::name).collect();
    let surgery = if surgery.is_empty() { String::new() } else { format!(" after {}", surgery.join(", ")) };
    let (tokens, text) = (spec.tokens(), branch.dataset.sources.join(", "));
    let text: String = text.chars().take(500).collect();
    format!(
        "Continues {}@{}{surgery}: {tokens} tokens of {text}, {how} of {}.",
        parent.short(),
        spec.steps.start,
        spec.peak_lr
    )
}
