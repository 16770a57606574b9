//! The decisions of the coordinator: who trains what, when an attempt is over, what is tried again.
//!
//! [`Scheduler`] is a value. The caller hands it what has happened, as an [`Event`] with the time it happened at, and
//! gets back orders, as [`Effect`]s:
//!
//! ```text
//! event -> decide -> facts -> apply
//!                       \--> effects, for the caller to perform: commit every fact, then send the rest
//! ```
//!
//! What must survive a restart is a [`Fact`], and applying facts is the only thing that changes the [`Ledger`], so a
//! scheduler restored from the facts that were committed knows all that the one before it knew. The rest (leases,
//! workers, timers) is rebuilt from what workers say when they join again.
//!
//! **What the caller does:** reads clocks and sockets, orders the messages of one worker, drops those of a session that
//! a newer one replaced, commits [`Effect::Record`] facts in one transaction *before* it sends anything, acknowledges
//! afterwards, and calls with [`Event::TimePassed`] when [`Scheduler::next_deadline`] comes.
//!
//! **What this crate does not know:** I/O, clocks, randomness, threads, the wire format, the store, and how training
//! works. It never reads a checkpoint; it knows only the step of the last one committed.
//!
//! Start with [`event`], which is the protocol; then [`Ledger`], where the legal transitions of a stage are one
//! function; then `handlers`, one function an event.

pub mod branch;
pub mod collection;
mod effect;
mod evaluate;
pub mod event;
pub mod explain;
pub mod fact;
mod handlers;
pub mod memory;
mod placement;
mod plan_check;
pub mod pool;
pub mod quota;
mod restore;
mod result;
mod scheduler;
pub mod settings;
mod shared;
mod standing;
pub mod state;
pub mod status;
mod time;
mod timers;
mod weight;

pub use branch::{BranchLength, BranchRefusal, BranchTerms, PlannedBranch};
pub use collection::{Hold, Holds};
pub use effect::Effect;
pub use evaluate::{PlannedEvaluations, Unevaluable};
pub use event::Event;
pub use explain::{WaitReason, Waits};
pub use fact::{AttemptEnd, Fact, RemovalReason, RetryCount};
pub use plan_check::PlanError;
pub use restore::{RestoreError, RestoreFault};
pub use scheduler::Scheduler;
pub use settings::Settings;
pub use shared::{SharedMap, Spread};
pub use standing::Standing;
pub use state::campaign::Campaign;
pub use state::forget::ForgetError;
pub use state::health::{Rest, RestReason};
pub use state::ledger::{IllegalFact, Ledger};
pub use state::snapshot::{SNAPSHOT_VERSION, Snapshot, SnapshotError};
pub use state::stage::{Counts, DeadEnd, StageState};
pub use state::worker::Slot;
pub use status::{CampaignPhase, CampaignStatus, StageCounts, StageStatus, TrialCounts, WorkerStatus};
pub use time::Timestamp;
pub use weight::Weight;
