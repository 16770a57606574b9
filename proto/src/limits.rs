//! Bounds on what comes from elsewhere. Whoever sends keeps within them; whoever receives refuses what does not.

/// The largest gRPC message, in either direction.
pub const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// About how large the parts are that something large is sent in. None is larger by more than one entry of a list.
pub const PART_BYTES: usize = 1 << 20;

/// The largest that a coordinator accepts: what workers and tools say is smaller than what they are told.
pub const MAX_REQUEST_BYTES: usize = 4 << 20;

/// The largest piece of a dataset's file that is sent through the coordinator.
pub const MAX_PIECE_BYTES: usize = 1 << 20;

/// Pieces of a file that may be on their way at the same time.
pub const PIECES_AT_ONCE: usize = 4;

/// The longest manifest of a dataset that is sent through the coordinator, in bytes.
pub const MAX_DATASET_MANIFEST_BYTES: usize = 3 << 20;

/// The longest recipe, in bytes.
pub const MAX_RECIPE_BYTES: usize = 1 << 20;

/// The longest manifest of a checkpoint, in bytes.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;

/// The most blobs of one checkpoint.
pub const MAX_BLOBS: usize = 1024;

/// The longest name of a file, worker or device, and the longest path in the storage, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;

/// The most sources that a dataset may be said to come from.
pub const MAX_SOURCES: usize = 10_000;

/// The longest of them, in bytes.
pub const MAX_SOURCE_BYTES: usize = 16 << 10;

/// The longest reason why something failed, in bytes. Whoever sends a longer one cuts it.
pub const MAX_REASON_BYTES: usize = 16 << 10;

/// The most points of one message of curve points.
pub const MAX_CURVE_POINTS: usize = 4096;

/// The most attempts or stages that a worker may list.
pub const MAX_LISTED: usize = 4096;

/// The most ended processes that a worker may say it took the place of.
pub const MAX_PREDECESSORS: usize = 100;

/// The most surgeries at the beginning of a branch.
pub const MAX_SURGERIES: usize = 16;

/// Whether a text holds something that a terminal or a log would act on rather than show.
#[must_use]
pub fn has_control_characters(text: &str) -> bool {
    text.chars().any(char::is_control)
}
