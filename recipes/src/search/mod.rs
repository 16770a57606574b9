//! Searches of hyper-parameters: which trials there are, decided as results come in.
//!
//! A search is a value, [`Search`](vocabulary::search::Search), that is part of the plan. Its trials are not: [`grow()`] works out from the results so
//! far which of them exist by now and how far each of them goes. It is called again after every result and every restart.
//!
//! - Invariant: neither the number of workers nor the order in which results come decides anything. Trial k is suggested
//!   from a part of the results that depends on k alone, and waits until all of that part is there; at a rung a trial is
//!   judged against the trials before it, and waits for them.
//! - Invariant: more results never take away a trial or a stage.
//! - Invariant: `trials` decides how many trials there are and nothing else, so that a search that is over goes on when
//!   it is raised.
//!
//! Start with [`grow()`].

mod budget;
mod grow;
mod lines;
mod show;
mod suggest;

pub use budget::{SearchBudget, budget, expected_trials};
pub use grow::{Outcome, Progress, Standing, TrialEnd, grow};
pub use lines::recipe_lines;
pub use show::summary;
