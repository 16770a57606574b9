//! The vocabulary of Windtunnel, and the way from a recipe to a plan.
//!
//! A *recipe* is a TOML file a person writes; a *plan* is the immutable stage tree it expands to, with every number
//! fixed. Everything else in the workspace speaks the words defined here: [`StageKey`], [`StageSpec`], [`Shape`],
//! [`LrSchedule`], [`Plan`].
//!
//! ```text
//! TOML text --Recipe::parse--> Recipe --expand, over a Dataset--> Plan --show, price--> what people read
//! ```
//!
//! This crate deliberately knows no I/O beyond reading a recipe's file, no clock, no network and no tensors. Start with
//! [`stage`] (what a stage is and how it gets its key), then [`plan`], then [`expand()`].

pub mod branch;
pub mod checkpoints;
pub mod dynamics;
pub mod expand;
pub mod growth;
pub mod id;
pub mod ladder;
pub mod losses;
pub mod memory;
pub mod mixture;
pub mod parameters;
pub mod plan;
pub mod price;
pub mod recipe;
pub mod retries;
pub mod sample;
pub mod schedule;
pub mod search;
pub mod shape;
pub mod show;
pub mod stage;
pub mod units;

pub use branch::branch;
pub use checkpoints::{CheckpointPolicy, Keep};
pub use dynamics::{Consecutive, Dynamics, LargestUpdates, ParamKind, Recording};
pub use expand::{Opening, expand, growth, openings, sketch};
pub use growth::{Growth, GrowthError};
pub use id::{Attempt, AttemptKey, CampaignId, DatasetId, StageKey, TrialId, WorkerId};
pub use losses::{SetLoss, SetLosses};
pub use mixture::{MAX_DOMAINS, Mixture};
pub use parameters::ParamGroup;
pub use plan::{Dataset, Domain, Plan, Stage, StageRole, Trial};
pub use price::price;
pub use recipe::Recipe;
pub use recipe::additions::Additions;
pub use recipe::error::{Problem, RecipeError};
pub use recipe::format::{DataRecipe, Parametrization, RecipeFile};
pub use recipe::inline::ShapeError;
pub use recipe::schema::schema;
pub use retries::Retries;
pub use schedule::{DecayShape, LrSchedule};
pub use shape::Shape;
pub use stage::{AdamW, Batch, ModelSpec, NUMERICS_VERSION, Precision, StageSpec, TensorProgram};
pub use units::{Flops, Tokens};
