//! What the scheduler decides, told as stories. Every effect of every event is accounted for: one that a story does not
//! tell fails it.

#[path = "../support/mod.rs"]
mod support;

mod black_holes;
mod branches;
mod campaigns;
mod checkpoints;
mod evaluations;
mod fairness;
mod forgetting;
mod growth;
mod leases;
mod log;
mod looks;
mod placement;
mod quotas;
mod retries;
mod scenario;
mod searches;
mod sessions;
