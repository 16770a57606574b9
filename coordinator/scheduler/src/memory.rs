//! What a stage needs of a device.

use vocabulary::StageSpec;
use vocabulary::memory::TrainingMemory;

/// Bytes of device memory that training this stage takes at least, roughly: a worker that has less than it would take
/// with all activations kept computes them again.
#[must_use]
pub fn memory_needed(spec: &StageSpec) -> u64 {
    TrainingMemory::of(spec).recomputed()
}
