//! The words that every part of Windtunnel speaks: keys, units, models, schedules, stages, evaluations, trials, plans.
//!
//! A *plan* is an immutable tree of *stages* and their *evaluations* with every number fixed; a *trial* is a path through it, from a root to one
//! final loss. A stage's key is a hash of its [`StageSpec`] and of its parent's key, so the serialised form of everything
//! below a spec is part of the contract: it never changes for a value that exists.
//!
//! This crate deliberately knows neither the recipe language nor how a recipe becomes a plan, and has no I/O, no clock, no
//! random numbers and no tensors. Start with [`spec`] (what a stage trains, and how it gets its key), then [`plan`].

pub mod abilities;
pub mod backoff;
pub mod batch;
pub mod checkpoints;
pub mod content_hash;
pub mod data;
pub mod dataset;
pub mod dataset_manifest;
pub mod dropped;
pub mod dynamics;
pub mod encoding;
pub mod evaluation;
pub mod growth;
pub mod id;
pub mod ladder;
pub mod measure;
pub mod memory;
pub mod mixture;
pub mod model;
pub mod numbers;
pub mod numeral;
pub mod objective;
pub mod optimizer;
pub mod parameters;
pub mod passes;
pub mod place;
pub mod plan;
pub mod precision;
pub mod retries;
pub mod sample;
pub mod schedule;
pub mod search;
pub mod shape;
pub mod spec;
pub mod stage;
pub mod start;
pub mod surgery;
pub mod text;
pub mod trial;
pub mod units;
pub mod work;

pub use abilities::{Abilities, Needs};
pub use backoff::Backoff;
pub use batch::Batch;
pub use checkpoints::{CheckpointPolicy, Keep};
pub use content_hash::{ContentHash, ParseHashError};
pub use data::DataSpec;
pub use dataset::{Dataset, Domain};
pub use dataset_manifest::{DatasetManifest, DatasetManifestError};
pub use dropped::Dropped;
pub use dynamics::{ParamKind, Recording};
pub use evaluation::{Evaluation, EvaluationKind, EvaluationSpec, EvaluationTask};
pub use growth::Growth;
pub use id::{Attempt, AttemptKey, CampaignId, DatasetId, StageKey, TrialId, WorkerId};
pub use measure::{DocumentLoss, MAX_ROWS, Measured, MeasurementName, Measurements, Metric, Rows, metrics};
pub use mixture::{MAX_DOMAINS, Mixture};
pub use model::{ModelSpec, TensorProgram};
pub use objective::{Objective, ObjectiveError, Term};
pub use optimizer::AdamW;
pub use parameters::ParamGroup;
pub use place::{InvalidLabel, Label, Place};
pub use plan::{Cost, Plan};
pub use precision::Precision;
pub use retries::Retries;
pub use schedule::{DecayShape, LrSchedule};
pub use shape::Shape;
pub use spec::{NUMERICS_VERSION, SpecError, SpecProblem, StageSpec};
pub use stage::{Stage, StageRole};
pub use start::StartSpec;
pub use surgery::{Surgery, SurgeryError};
pub use trial::Trial;
pub use units::{Flops, Tokens};
pub use work::{Work, WorkKind};
