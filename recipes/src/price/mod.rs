//! What a plan costs: operations, time, memory, bytes of checkpoints.
//!
//! Operations and tokens are exact. Memory is estimated ([`vocabulary::memory`]). Times follow from the speed of stages, and
//! are always given with the source of that speed ([`Speed`]). Start with [`price()`].

mod device;
mod kept;
mod left;
mod speed;
mod table;
mod wall;

use serde::Serialize;
use vocabulary::evaluation::FORWARD_SHARE;
use vocabulary::memory::TrainingMemory;
use vocabulary::{Cost, Evaluation, EvaluationSpec, Flops, Plan, Stage, StageSpec, Tokens};

pub use device::{DEVICES, Device};
pub use kept::Checkpoints;
pub use left::{Left, Measured, Standing, left};
pub use speed::{Measurement, Speed, Speeds};
pub use table::table;
pub use wall::Wall;

/// What a plan costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Price {
    /// The cost of each size, in the plan's order.
    pub sizes: Vec<SizePrice>,
    /// Device seconds in total; `None` if the speed of any stage is unknown.
    pub device_seconds: Option<f64>,
    /// The whole of what is trained, and what it would be without sharing.
    pub cost: Cost,
    /// What its evaluations cost, where it has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluations: Option<EvaluationsPrice>,
    /// C = 6ND of the tokens of every stage.
    pub paper_flops: Flops,
    /// How long it takes, if known.
    pub wall: Option<Wall>,
    /// Bytes of checkpoints.
    pub checkpoints: Checkpoints,
}

/// What the evaluations of a plan cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvaluationsPrice {
    pub evaluations: usize,
    /// Tokens they predict.
    pub tokens: Tokens,
    /// Operations.
    pub flops: Flops,
    /// Seconds of one device; `None` where the speed of some stage is not known.
    pub device_seconds: Option<f64>,
}

/// What the stages of a size cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SizePrice {
    /// The name of the size in the recipe.
    pub size: String,
    /// N: non-embedding parameters.
    pub n: u64,
    pub stages: usize,
    /// Tokens they train on.
    pub tokens: Tokens,
    /// Operations, validation left out.
    pub flops: Flops,
    /// C = 6ND of the tokens.
    pub paper_flops: Flops,
    /// Device seconds, validation included; `None` if the speed of any stage is unknown.
    pub device_seconds: Option<f64>,
    /// The sources of the speeds, without duplicates.
    pub speeds: Vec<Speed>,
    /// Estimated memory of the largest stage in bytes, with activations kept.
    pub memory_bytes: u64,
    /// The same with activations recomputed.
    pub memory_recomputed_bytes: u64,
    pub checkpoint_bytes: u64,
    /// Bytes of the last checkpoints of all its stages.
    pub checkpoints_bytes: u64,
}

/// What a plan costs at these speeds, and how long it takes on this many workers.
#[must_use]
pub fn price(plan: &Plan, speeds: &Speeds, workers: Option<usize>) -> Price {
    let speed_of: Vec<Option<Speed>> = plan.stages.iter().map(|stage| speeds.of(stage)).collect();
    let seconds: Vec<Option<f64>> =
        plan.stages.iter().zip(&speed_of).map(|(stage, speed)| Some(speed.as_ref()?.seconds(&stage.spec))).collect();
    let mut names: Vec<&str> = Vec::new();
    for stage in &plan.stages {
        if !names.contains(&stage.size.as_str()) {
            names.push(&stage.size);
        }
    }
    let of_size = |name: &&str| {
        let mine = || (0..plan.stages.len()).filter(|&index| plan.stages[index].size == **name);
        let stages: Vec<&Stage> = mine().map(|index| &plan.stages[index]).collect();
        let mut sources: Vec<Speed> = Vec::new();
        for speed in mine().filter_map(|index| speed_of[index].clone()) {
            if !sources.contains(&speed) {
                sources.push(speed);
            }
        }
        let memory = || stages.iter().map(|stage| TrainingMemory::of(&stage.spec));
        SizePrice {
            size: (*name).to_owned(),
            n: stages[0].spec.model.shape.non_embedding_params(),
            stages: stages.len(),
            tokens: stages.iter().map(|stage| stage.spec.tokens()).sum(),
            flops: stages.iter().map(|stage| stage.spec.flops()).sum(),
            paper_flops: stages.iter().map(|stage| paper_flops(&stage.spec)).sum(),
            device_seconds: mine().map(|index| seconds[index]).sum(),
            speeds: sources,
            memory_bytes: memory().map(|memory| memory.kept()).max().unwrap_or_default(),
            memory_recomputed_bytes: memory().map(|memory| memory.recomputed()).max().unwrap_or_default(),
            checkpoint_bytes: kept::bytes(&stages[0].spec),
            checkpoints_bytes: stages.iter().map(|stage| kept::bytes(&stage.spec)).sum(),
        }
    };
    let evaluations = evaluations(plan, speeds);
    let of_evaluations = evaluations.iter().map(|(_, seconds)| *seconds);
    let known: Option<Vec<f64>> = seconds.iter().copied().collect();
    let of_all: Option<Vec<f64>> = seconds.iter().copied().chain(of_evaluations.clone()).collect();
    Price {
        sizes: names.iter().map(of_size).collect(),
        device_seconds: seconds.iter().copied().chain(of_evaluations.clone()).sum(),
        cost: plan.cost(),
        evaluations: (!evaluations.is_empty()).then(|| EvaluationsPrice {
            evaluations: evaluations.len(),
            tokens: evaluations.iter().map(|(spec, _)| spec.tokens()).sum(),
            flops: evaluations.iter().map(|(spec, _)| spec.flops()).sum(),
            device_seconds: of_evaluations.sum(),
        }),
        paper_flops: plan.stages.iter().map(|stage| paper_flops(&stage.spec)).sum(),
        wall: of_all.as_deref().map(|seconds| wall::wall(plan, seconds, workers)),
        checkpoints: kept::checkpoints(plan, known.as_deref(), workers.unwrap_or(1)),
    }
}

/// What a plan evaluates, with the seconds it takes where they are known.
fn evaluations<'a>(plan: &'a Plan, speeds: &Speeds) -> Vec<(&'a EvaluationSpec, Option<f64>)> {
    let stages = plan.stages_by_key();
    let seconds = |evaluation: &Evaluation| {
        let stage = stages.get(&evaluation.parent)?;
        Some(speeds.of(stage)?.seconds_of_evaluation(&stage.spec, evaluation.spec.tokens()))
    };
    plan.evaluations.iter().map(|evaluation| (&evaluation.spec, seconds(evaluation))).collect()
}

fn paper_flops(spec: &StageSpec) -> Flops {
    spec.model.shape.paper_flops(spec.tokens().0)
}

/// The number of trained tokens that would be as much work as the stage with its validation.
fn tokens_of_work(spec: &StageSpec) -> f64 {
    spec.tokens().0 as f64 + FORWARD_SHARE * spec.validation_tokens as f64
}
