//! Hyper-parameter searches: decides which trials there are as results arrive.
//!
//! A search is a value, [`Search`](vocabulary::search::Search), that is part of the plan. Its trials are not:
//! [`grow()`] derives from the results so far which of them exist and how far each of them runs. It is called again
//! after every result and every restart.
//!
//! - Invariant: neither the number of workers nor the order of results matters. Trial k is suggested from a part of the
//!   results that depends only on k, and waits until that part is complete; at a rung a trial is judged against the
//!   trials before it, and waits for them.
//! - Invariant: more results never remove a trial or a stage.
//! - Invariant: `trials` determines the number of trials and nothing else, so raising it continues a finished search.
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
