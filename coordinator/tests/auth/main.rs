//! Who gets in, and how far: tokens, scopes and certificates, against the real server on loopback.

mod certificates;
mod sessions;
mod support;
mod tokens;
