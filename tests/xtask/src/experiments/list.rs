//! The experiments, in the order of the paper's sections.

use anyhow::Result;

use super::Findings;
use super::program::Program;

mod batch_size;
mod learning_rate;
mod schedules;

/// One of them.
pub(super) struct Experiment {
    pub(super) name: &'static str,
    pub(super) question: &'static str,
    pub(super) run: fn(&Program) -> Result<Findings>,
}

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "batch-size",
        question: "which batch reaches a loss with the fewest tokens, and how does that depend on the loss?",
        run: batch_size::run,
    },
    Experiment {
        name: "learning-rate",
        question: "does the best peak learning rate stay where it is as models grow wider?",
        run: learning_rate::run,
    },
    Experiment {
        name: "schedules",
        question: "does WSD reach what a cosine of the right length reaches, and how long must the decay be?",
        run: schedules::run,
    },
];

/// Their names.
pub const NAMES: [&str; ALL.len()] = {
    let mut names = [""; ALL.len()];
    let mut index = 0;
    while index < ALL.len() {
        names[index] = ALL[index].name;
        index += 1;
    }
    names
};
