//! What a plan costs: operations, hours, memory, bytes of checkpoints.
//!
//! Operations and tokens are exact. Memory is estimated ([`vocabulary::memory`]). Hours follow from how fast stages are said to
//! be trained, and never stand without where that comes from ([`Speed`]). Start with [`price()`].

mod device;
mod kept;
mod speed;
mod table;
mod wall;

use serde::Serialize;
use vocabulary::memory::TrainingMemory;
use vocabulary::{Cost, Flops, Plan, Stage, StageSpec, Tokens};

pub use device::{DEVICES, Device};
pub use kept::Checkpoints;
pub use speed::{Measurement, Speed, Speeds};
pub use table::table;
pub use wall::Wall;

/// Of a validation's tokens, the work of one trained on: the forward pass alone.
const FORWARD_SHARE: f64 = 1.0 / 3.0;

/// What a plan costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Price {
    /// The sizes, in the plan's order.
    pub sizes: Vec<SizePrice>,
    /// Seconds of one device for all of it; `None` where the speed of some stage is not known.
    pub device_seconds: Option<f64>,
    /// The whole, and what it would be without sharing.
    pub cost: Cost,
    /// C = 6ND of the tokens of every stage.
    pub paper_flops: Flops,
    /// How long it takes, where that is known.
    pub wall: Option<Wall>,
    /// Bytes of checkpoints.
    pub checkpoints: Checkpoints,
}

/// What the stages of a size cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SizePrice {
    /// The size, as the recipe names it.
    pub size: String,
    /// N: non-embedding parameters.
    pub n: u64,
    /// Its stages.
    pub stages: usize,
    /// Tokens they train on.
    pub tokens: Tokens,
    /// Operations, validation left out.
    pub flops: Flops,
    /// C = 6ND of the tokens.
    pub paper_flops: Flops,
    /// Seconds of one device, validation included; `None` where the speed of some stage is not known.
    pub device_seconds: Option<f64>,
    /// Where the seconds come from, each source once.
    pub speeds: Vec<Speed>,
    /// Estimated memory of its largest stage, in bytes: with activations kept, and with them computed again.
    pub memory_bytes: u64,
    /// Likewise, the least it can do with.
    pub memory_recomputed_bytes: u64,
    /// Bytes of one checkpoint.
    pub checkpoint_bytes: u64,
    /// Bytes of the last checkpoints of all its stages.
    pub checkpoints_bytes: u64,
}

/// What a plan costs, at these speeds and over so many workers.
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
    let known: Option<Vec<f64>> = seconds.iter().copied().collect();
    Price {
        sizes: names.iter().map(of_size).collect(),
        device_seconds: seconds.iter().copied().sum(),
        cost: plan.cost(),
        paper_flops: plan.stages.iter().map(|stage| paper_flops(&stage.spec)).sum(),
        wall: known.as_deref().map(|seconds| wall::wall(plan, seconds, workers)),
        checkpoints: kept::checkpoints(plan, known.as_deref(), workers.unwrap_or(1)),
    }
}

fn paper_flops(spec: &StageSpec) -> Flops {
    spec.model.shape.paper_flops(spec.tokens().0)
}

/// Tokens trained on that are as much work as the stage, its validation included.
fn tokens_of_work(spec: &StageSpec) -> f64 {
    spec.tokens().0 as f64 + FORWARD_SHARE * spec.validation_tokens as f64
}
