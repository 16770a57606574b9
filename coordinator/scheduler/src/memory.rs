//! What work needs of a device.

use vocabulary::Work;
use vocabulary::memory::{TrainingMemory, evaluation_memory};

/// Bytes of device memory that this work takes at least, roughly. A worker that has less than training takes with all
/// activations kept computes them again.
#[must_use]
pub fn memory_needed(work: &Work) -> u64 {
    match work {
        Work::Train(stage) => TrainingMemory::of(&stage.spec).recomputed(),
        Work::Evaluate(evaluation) => evaluation_memory(&evaluation.spec),
    }
}
