//! Bounds on the texts and lists of a message, beyond that on the message itself.

/// Something in a message is longer than is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: has a length of {found}, and {limit} is accepted")]
pub(crate) struct TooLong {
    pub(crate) field: &'static str,
    pub(crate) found: usize,
    pub(crate) limit: usize,
}

/// Refuses what is longer than the limit.
pub(crate) fn at_most(limit: usize, field: &'static str, found: usize) -> Result<(), TooLong> {
    if found > limit { Err(TooLong { field, found, limit }) } else { Ok(()) }
}
