//! The vocabulary of Windtunnel, and the way from a recipe to a plan.
//!
//! A *recipe* is a TOML file a person writes; a *plan* is the immutable stage tree it expands to, with every number
//! fixed. Everything else in the workspace speaks the words defined here: [`StageKey`], [`StageSpec`], [`Shape`],
//! [`LrSchedule`], [`Plan`].
//!
//! This crate deliberately knows no I/O beyond reading text it is handed, no clock, no network and no tensors. Start
//! with [`stage`] (what a stage is and how it gets its key), then [`plan`].

pub mod id;
pub mod plan;
pub mod schedule;
pub mod shape;
pub mod stage;
pub mod units;

pub use id::{Attempt, CampaignId, DatasetId, StageKey, TrialId, WorkerId};
pub use plan::{Dataset, Plan, Stage, StageRole, Trial};
pub use schedule::{DecayShape, LrSchedule};
pub use shape::Shape;
pub use stage::{AdamW, Batch, ModelSpec, NUMERICS_VERSION, ParamGroup, Precision, StageSpec, TensorProgram};
pub use units::{Flops, Tokens};
