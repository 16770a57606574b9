//! Searches of hyper-parameters, as a plan holds them: what is tried, how it is chosen, and what it is a variation of.
//!
//! Which trials there are follows from a [`Search`] and the results so far; that function lives with the recipes, not
//! here. Start with [`Search`].

mod asha;
mod check;
mod settings;
mod space;
mod spec;

pub use asha::{Asha, Verdict};
pub use check::{MAX_TRIALS, UnsoundSearch};
pub use settings::Settings;
pub use space::{Dimension, Parameter, Scale, UnknownParameter, Values, digits};
pub use spec::{Sampler, Search, SearchBase};
