//! One file a command: its arguments, and the calls it comes down to.

pub(crate) mod completions;
pub(crate) mod plan;
pub(crate) mod recipe;
