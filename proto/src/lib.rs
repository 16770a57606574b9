//! The `windtunnel.v1` contract, and the only conversion between messages and the vocabulary.
//!
//! [`v1`] is generated from the `.proto` files beside this crate's source, which say what each message means.
//! [`convert`] converts the messages that mirror the vocabulary in both directions, and refuses malformed ones.
//! [`layout`] has the paths in the storage that coordinator and workers share, and [`manifest`] the content of a
//! checkpoint's manifest. [`limits`] bounds everything received from outside.
//!
//! This crate deliberately knows nothing about sessions, stores, or the use of a message. Start with `session.proto`.

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
