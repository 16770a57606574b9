//! Bytes of checkpoints: of one, and of all that exist at the same time.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use vocabulary::{Keep, Plan, Stage, StageRole, StageSpec};

/// Bytes per parameter in a checkpoint: its value and two moments, 32 bits each.
const BYTES_OF_A_PARAMETER: u64 = 12;

/// Bytes of a plan's checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Checkpoints {
    /// Bytes that are needed after training: branch points, and results as far as the recipe keeps them.
    pub kept_bytes: u64,
    /// Upper bound of the bytes that must not be removed during training: the last checkpoint of every stage, and the
    /// newest of as many stages as there are workers.
    pub needed_bytes: u64,
    /// Number of checkpoints inside stages at one per `max_interval_seconds`, the longest interval; `None` if the
    /// training time is unknown.
    pub between: Option<u64>,
    /// Bytes at the peak: everything written, up to the recipe's quota, but never less than what is needed. `None`
    /// without a quota if the training time is unknown.
    pub peak_bytes: Option<u64>,
    /// The recipe's quota, if it has one.
    pub quota_bytes: Option<u64>,
}

/// Bytes of a checkpoint of a stage, without names and manifest.
pub(super) fn bytes(spec: &StageSpec) -> u64 {
    spec.model.shape.total_params(spec.model.vocab, spec.model.tied).saturating_mul(BYTES_OF_A_PARAMETER)
}

/// The bytes of a plan's checkpoints. `seconds` has the training time of each stage, if known.
pub(super) fn checkpoints(plan: &Plan, seconds: Option<&[f64]>, workers: usize) -> Checkpoints {
    let sum = |bytes: &mut dyn Iterator<Item = u64>| bytes.fold(0, u64::saturating_add);
    let last = sum(&mut plan.stages.iter().map(|stage| bytes(&stage.spec)));
    let mut largest: Vec<u64> = plan.stages.iter().map(|stage| bytes(&stage.spec)).collect();
    largest.sort_unstable_by(|one, other| other.cmp(one));
    let needed_bytes = last.saturating_add(sum(&mut largest.iter().copied().take(workers)));

    let interval = plan.checkpoints.max_interval_seconds.max(1) as f64;
    // Without the one at the end of a stage.
    let inside = |seconds: f64| (seconds / interval).ceil().max(1.0) as u64 - 1;
    let between: Option<Vec<u64>> = seconds.map(|seconds| seconds.iter().map(|seconds| inside(*seconds)).collect());
    let written = between.as_ref().map(|between| {
        let of_stage = between.iter().zip(&plan.stages).map(|(count, stage)| count.saturating_mul(bytes(&stage.spec)));
        last.saturating_add(sum(&mut { of_stage }))
    });
    let quota_bytes = plan.checkpoints.quota_bytes;
    let peak_bytes = match (written, quota_bytes) {
        (Some(written), Some(quota)) => Some(written.min(quota).max(needed_bytes)),
        (Some(written), None) => Some(written.max(needed_bytes)),
        (None, quota) => quota.map(|quota| quota.max(needed_bytes)),
    };
    Checkpoints {
        kept_bytes: last.saturating_sub(dispensable(plan)),
        needed_bytes,
        between: between.map(|between| between.iter().sum()),
        peak_bytes,
        quota_bytes,
    }
}

/// Bytes of the results that a recipe with `keep = "best"` removes. Which ones depends on the losses; how many and how
/// large depends on the sizes.
fn dispensable(plan: &Plan) -> u64 {
    if plan.checkpoints.keep == Keep::Results {
        return 0;
    }
    let stages = plan.stages_by_key();
    let branch_points: BTreeSet<_> = plan.stages.iter().filter_map(|stage| stage.parent).collect();
    let mut results: BTreeMap<&str, BTreeMap<_, u64>> = BTreeMap::new();
    for trial in &plan.trials {
        // A result that other stages start from, or may start from, is a branch point.
        let is_branch_point = |stage: &Stage| stage.role == StageRole::Trunk || branch_points.contains(&stage.key);
        if let Some(stage) = stages.get(trial.last_stage()).filter(|stage| !is_branch_point(stage)) {
            results.entry(&trial.size).or_default().insert(stage.key, bytes(&stage.spec));
        }
    }
    results.values().map(|of_size| of_size.values().sum::<u64>() - of_size.values().max().copied().unwrap_or(0)).sum()
}
