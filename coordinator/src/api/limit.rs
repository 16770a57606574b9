//! Bounds on the texts and lists of a request, beyond the one on the whole message.

/// A part of a request is longer than the coordinator accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: has a length of {found}, and {limit} is accepted")]
pub(crate) struct TooLong {
    pub(crate) field: &'static str,
    pub(crate) found: usize,
    pub(crate) limit: usize,
}

/// Checks a length against its limit.
pub(crate) fn at_most(limit: usize, field: &'static str, found: usize) -> Result<(), TooLong> {
    if found > limit { Err(TooLong { field, found, limit }) } else { Ok(()) }
}
