//! Pools of Kubernetes jobs: the objects that are sent, the requests that send them, and what the server answers.
//!
//! - Invariant: a job is named after its allocation, so a submission whose answer was lost is found in the list, and one that is
//!   made again is refused as being there.
//! - Invariant: everything of a pool belongs to its ConfigMap and never to the coordinator's pod, whose end would collect the
//!   workers.
//! - Invariant: the token is in a Secret that is mounted as a file, never in an argument, the environment or a manifest.
//!
//! Jobs and pods are listed anew at each look, page by page, and not watched: a pool has few of them, and a list that was read to
//! its end is whole. What the server says is read with a time limit and a limit on its length.

mod answers;
mod client;
mod error;
mod extra;
mod manifest;
mod settings;
mod system;

pub(crate) use settings::KubernetesSettings;
pub(super) use system::Kubernetes;
