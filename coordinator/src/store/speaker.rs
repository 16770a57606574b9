//! Who speaks for a worker process.

/// What the first hello of a worker process came with. Nobody who has something else speaks for the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Speaker {
    /// The token; `None` if it needed none.
    pub token: Option<String>,
    /// BLAKE3 of the secret, in hexadecimal; `None` if it had none, as in versions before secrets.
    pub secret_hash: Option<String>,
}
