//! From the wire to the driver's messages and the requests of `api`. Nothing malformed gets past here.

mod request;
mod upload;
mod worker;

use proto::ConvertError;
use vocabulary::Surgery;
use vocabulary::measure::MAX_MEASUREMENTS;

pub(super) use request::{branch, collect, curves, evaluate, extend, forget, optional, selector, submit};
pub(super) use upload::{begin_upload, dataset, write_upload};
pub(super) use worker::{hello, message};

use crate::api::limit::TooLong;

/// Why a message cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the message is of a kind this version does not know")]
    UnknownKind,
    #[error(
        "the worker is windtunnel {version} with protocol {theirs}, and this coordinator is windtunnel {} with protocol {}: \
         run the same version of windtunnel on both",
        env!("CARGO_PKG_VERSION"),
        proto::PROTOCOL
    )]
    Protocol { version: String, theirs: u32 },
    #[error("the first message has to be a hello, and no other")]
    HelloMisplaced,
    #[error("{kind} has to have a sequence number above zero")]
    NoSequence { kind: &'static str },
    #[error("the steps of curve points have to ascend without gaps, and {step} comes after {before}")]
    Gap { before: u64, step: u64 },
    #[error("the curve points measure {count} things, and {MAX_MEASUREMENTS} are accepted")]
    Series { count: usize },
    #[error("`decay` is not linear, exponential, cosine or one_minus_sqrt")]
    UnknownDecay,
    #[error("`weight` is {weight}, and has to be between 1 and {}", scheduler::Weight::MAX)]
    Weight { weight: u32 },
    #[error("`surgery` has a value that is not accepted; accepted: {}", Surgery::ALL.map(|surgery| surgery.name()).join(", "))]
    UnknownSurgery,
    #[error("`blake3` is not a BLAKE3 hash: expected 64 hexadecimal digits")]
    PieceHash,
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error(transparent)]
    Field(#[from] ConvertError),
}
