//! An addition to what is trained: new stages, their cost, and the stages they build on.

use serde::Serialize;
use vocabulary::text::counted;
use vocabulary::{Stage, StageKey, Tokens};

use crate::views::output::columns;

/// New stages, and the existing stages that the new trials share.
#[derive(Debug, Serialize)]
pub(crate) struct AdditionView {
    /// Stages already trained by another campaign are not trained again.
    stages: Vec<NewStage>,
    tokens: Tokens,
    flops: f64,
    shared_stages: usize,
    shared_tokens: Tokens,
}

#[derive(Debug, Serialize)]
struct NewStage {
    stage: StageKey,
    size: String,
    seed: u64,
    peak_lr: f64,
    start_step: u64,
    end_step: u64,
    tokens: Tokens,
    flops: f64,
}

impl AdditionView {
    pub(crate) fn of<'a>(new: &[Stage], shared: impl Iterator<Item = &'a Stage>) -> Self {
        let shared: Vec<Tokens> = shared.map(|stage| stage.spec.tokens()).collect();
        Self {
            tokens: new.iter().map(|stage| stage.spec.tokens()).sum(),
            // An empty sum of floats is -0.0.
            flops: new.iter().map(|stage| stage.spec.flops().0).sum::<f64>() + 0.0,
            stages: new.iter().map(NewStage::of).collect(),
            shared_stages: shared.len(),
            shared_tokens: shared.into_iter().sum(),
        }
    }

    /// Whether there is nothing to train.
    pub(crate) fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    pub(crate) fn table(&self) -> String {
        let Self { stages, tokens, flops, shared_stages, shared_tokens } = self;
        let row = |it: &NewStage| {
            let steps = format!("{}..{}", it.start_step, it.end_step);
            let (tokens, flops) = (it.tokens.to_string(), format!("{:.2e}", it.flops));
            [it.size.clone(), it.seed.to_string(), it.peak_lr.to_string(), steps, tokens, flops, it.stage.short()]
        };
        let rows: Vec<_> = stages.iter().map(row).collect();
        let table = columns(["size", " seed", " peak LR", " steps", " tokens", " FLOPs", "stage"], &rows);
        format!(
            "{table}to train: {}, {tokens} tokens, {flops:.2e} FLOPs\n\
             shared with existing: {}, {shared_tokens} tokens\n",
            counted(stages.len(), "stage"),
            counted(*shared_stages, "stage")
        )
    }
}

impl NewStage {
    fn of(stage: &Stage) -> Self {
        let spec = &stage.spec;
        Self {
            stage: stage.key,
            size: stage.size.clone(),
            seed: stage.seed,
            peak_lr: spec.peak_lr,
            start_step: spec.steps.start,
            end_step: spec.steps.end,
            tokens: spec.tokens(),
            flops: spec.flops().0,
        }
    }
}
