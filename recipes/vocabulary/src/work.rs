//! Work: what a worker is given. Stages are trained, and their last checkpoints are evaluated; both are nodes of one tree.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::evaluation::Evaluation;
use crate::id::{DatasetId, StageKey};
use crate::stage::Stage;
use crate::units::Flops;

/// A node of the stage tree. Both kinds are keyed, assigned, leased, retried and explained alike.
#[expect(clippy::large_enum_variant, reason = "almost all are stages, and few exist at a time")]
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// A stage to train.
    Train(Stage),
    /// A trained stage to evaluate.
    Evaluate(Evaluation),
}

/// The kinds of work. A worker says which of them it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkKind {
    /// To train a stage.
    Train,
    /// To evaluate a stage's last checkpoint.
    Evaluate,
}

impl WorkKind {
    pub const ALL: [Self; 2] = [Self::Train, Self::Evaluate];

    /// Its name: `train` or `evaluate`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Evaluate => "evaluate",
        }
    }

    /// The kind of a name, where this version knows it.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for WorkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Work {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> StageKey {
        match self {
            Self::Train(stage) => stage.key,
            Self::Evaluate(evaluation) => evaluation.key,
        }
    }

    /// The stage whose last checkpoint it starts from; `None` where it starts from initial weights.
    #[must_use]
    pub fn parent(&self) -> Option<StageKey> {
        match self {
            Self::Train(stage) => stage.parent,
            Self::Evaluate(evaluation) => Some(evaluation.parent),
        }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> WorkKind {
        match self {
            Self::Train(_) => WorkKind::Train,
            Self::Evaluate(_) => WorkKind::Evaluate,
        }
    }

    /// The stage, where it is one to train.
    #[must_use]
    pub fn stage(&self) -> Option<&Stage> {
        match self {
            Self::Train(stage) => Some(stage),
            Self::Evaluate(_) => None,
        }
    }

    /// The evaluation, where it is one.
    #[must_use]
    pub fn evaluation(&self) -> Option<&Evaluation> {
        match self {
            Self::Train(_) => None,
            Self::Evaluate(evaluation) => Some(evaluation),
        }
    }

    /// The size it belongs to, as the recipe names it.
    #[must_use]
    pub fn size(&self) -> &str {
        match self {
            Self::Train(stage) => &stage.size,
            Self::Evaluate(evaluation) => &evaluation.size,
        }
    }

    /// The key that follows from its spec and parent. It is [`Self::key`] unless somebody altered one of them.
    #[must_use]
    pub fn derived_key(&self) -> StageKey {
        match self {
            Self::Train(stage) => stage.spec.key(stage.parent.as_ref()),
            Self::Evaluate(evaluation) => evaluation.spec.key(&evaluation.parent),
        }
    }

    /// The dataset a worker needs for it.
    #[must_use]
    pub fn dataset(&self) -> DatasetId {
        match self {
            Self::Train(stage) => stage.spec.data.dataset,
            Self::Evaluate(evaluation) => evaluation.spec.task.dataset,
        }
    }

    /// Operations it costs.
    #[must_use]
    pub fn flops(&self) -> Flops {
        match self {
            Self::Train(stage) => stage.spec.flops(),
            Self::Evaluate(evaluation) => evaluation.spec.flops(),
        }
    }
}

impl From<Stage> for Work {
    fn from(stage: Stage) -> Self {
        Self::Train(stage)
    }
}

impl From<Evaluation> for Work {
    fn from(evaluation: Evaluation) -> Self {
        Self::Evaluate(evaluation)
    }
}
