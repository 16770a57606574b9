//! The `windtunnel.v1` contract, and the only conversion between what travels and the vocabulary.
//!
//! [`v1`] is generated from the `.proto` files beside this crate's source; they say what each message means. [`convert`]
//! turns the messages that mirror the vocabulary into it and back, refusing what is not sound. [`layout`] says where
//! things lie in the storage that coordinator and workers share, and [`manifest`] what a checkpoint's manifest holds.
//! [`limits`] bounds everything that comes from elsewhere.
//!
//! Deliberately knows nothing of sessions, of stores or of what is done with a message. Start with `session.proto`.

pub mod convert;
pub mod layout;
pub mod limits;
pub mod manifest;

pub use convert::ConvertError;
pub use limits::MAX_MESSAGE_BYTES;

/// The generated types and services of `windtunnel.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    rustdoc::all,
    reason = "generated, with comments meant for readers of the .proto files"
)]
pub mod v1 {
    tonic::include_proto!("windtunnel.v1");
}

/// The compiled contract, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/windtunnel.v1.fds"));
