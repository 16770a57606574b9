//! The `windtunnel.v1` contract, and the only conversion between messages and the vocabulary.
//!
//! [`v1`] is generated from the `.proto` files beside this crate's source, which say what each message means.
//! [`convert`] converts between messages and the vocabulary, and refuses malformed messages.
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

/// Which protocol this version speaks. Peers that speak another one refuse each other with a sentence that says so.
///
/// It is raised whenever a peer of the previous version would misread a message. That is rare: new fields and new
/// values of a spec do not need it, because a receiver that does not know them refuses that one spec by itself.
///
/// - 0, and absent: specs and plans travel field by field.
/// - 1: specs and plans travel as their JSON.
pub const PROTOCOL: u32 = 1;

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
