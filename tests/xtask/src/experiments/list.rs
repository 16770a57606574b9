//! The experiments, in the order of the paper's sections.

use anyhow::Result;

use super::Findings;
use super::program::Program;

mod batch_size;
mod continual;
mod dynamics;
mod learning_rate;
mod scaling_law;
mod schedules;
mod search;
mod two_stage;

/// A named experiment and the question it answers.
pub(super) struct Experiment {
    pub(super) name: &'static str,
    pub(super) question: &'static str,
    pub(super) run: fn(&Program) -> Result<Findings>,
}

pub(super) const ALL: &[Experiment] = &[
    Experiment {
        name: "search",
        question: "which scale_depth, scale_emb, init_std and learning rate does a search on the smallest model find?",
        run: search::run,
    },
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
    Experiment { name: "dynamics", question: "what do gradients and weights do in the decay?", run: dynamics::run },
    Experiment {
        name: "scaling-law",
        question: "what law do six sizes by six amounts of data follow, on each kind of held-out text?",
        run: scaling_law::run,
    },
    Experiment {
        name: "two-stage",
        question: "does text of another kind, mixed in when the decay begins, help on that kind, and at what cost?",
        run: two_stage::run,
    },
    Experiment {
        name: "continual",
        question: "does a campaign grow by what is new alone, and what does a branch into another domain come to?",
        run: continual::run,
    },
];

/// Names of the experiments, in order.
pub const NAMES: [&str; ALL.len()] = {
    let mut names = [""; ALL.len()];
    let mut index = 0;
    while index < ALL.len() {
        names[index] = ALL[index].name;
        index += 1;
    }
    names
};
