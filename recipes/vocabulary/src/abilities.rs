//! What work needs of a worker, and what a worker can do.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::evaluation::EvaluationKind;
use crate::precision::Precision;
use crate::work::{Work, WorkKind};

/// What a worker must be able to do to be given some work. Memory is counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Needs {
    pub kind: WorkKind,
    /// The [`NUMERICS_VERSION`](crate::NUMERICS_VERSION) that the work was planned for.
    pub numerics: u32,
    pub precision: Precision,
    /// What is measured; `None` of a stage to train.
    pub evaluation: Option<EvaluationKind>,
}

/// What a worker can do, as far as it says. What it says nothing about counts as possible: workers of earlier versions
/// name only kinds of work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Abilities {
    pub work: BTreeSet<WorkKind>,
    /// The version of its arithmetic.
    pub numerics: Option<u32>,
    /// The number formats of its device.
    pub precisions: Option<BTreeSet<Precision>>,
    /// What it can measure.
    pub evaluations: Option<BTreeSet<EvaluationKind>>,
}

impl Abilities {
    /// A worker that names these kinds of work and says nothing else.
    #[must_use]
    pub fn of(work: impl IntoIterator<Item = WorkKind>) -> Self {
        Self { work: work.into_iter().collect(), numerics: None, precisions: None, evaluations: None }
    }

    /// Whether it can do this kind of work.
    #[must_use]
    pub fn has_kind(&self, needs: &Needs) -> bool {
        self.work.contains(&needs.kind)
    }

    /// Whether it computes with the version of the arithmetic that is needed.
    #[must_use]
    pub fn has_numerics(&self, needs: &Needs) -> bool {
        self.numerics.is_none_or(|numerics| numerics == needs.numerics)
    }

    /// Whether its device computes in the number format that is needed.
    #[must_use]
    pub fn has_precision(&self, needs: &Needs) -> bool {
        self.precisions.as_ref().is_none_or(|precisions| precisions.contains(&needs.precision))
    }

    /// Whether it can measure what is needed, if anything is.
    #[must_use]
    pub fn has_evaluation(&self, needs: &Needs) -> bool {
        let known = |kind: &EvaluationKind| self.evaluations.as_ref().is_none_or(|kinds| kinds.contains(kind));
        needs.evaluation.as_ref().is_none_or(known)
    }

    /// Whether it has all that is needed.
    #[must_use]
    pub fn allow(&self, needs: &Needs) -> bool {
        self.has_kind(needs) && self.has_numerics(needs) && self.has_precision(needs) && self.has_evaluation(needs)
    }
}

impl Default for Abilities {
    /// All kinds of work, and nothing said about the rest.
    fn default() -> Self {
        Self::of(WorkKind::ALL)
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, numerics, precision, evaluation } = self;
        write!(f, "can {kind} in {precision} with numerics version {numerics}")?;
        evaluation.map_or(Ok(()), |kind| write!(f, " and measure `{kind}`"))
    }
}

impl Work {
    /// What it needs of a worker.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let (numerics, precision, evaluation) = match self {
            Self::Train(stage) => (stage.spec.numerics_version, stage.spec.precision, None),
            Self::Evaluate(evaluation) => {
                let spec = &evaluation.spec;
                (spec.numerics_version, spec.precision, Some(spec.task.kind))
            }
        };
        Needs { kind: self.kind(), numerics, precision, evaluation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_says_nothing_of_a_need_has_it_and_one_that_says_others_does_not() {
        let needs = Needs {
            kind: WorkKind::Evaluate,
            numerics: 2,
            precision: Precision::Bf16,
            evaluation: Some(EvaluationKind::HeldOutLoss),
        };
        let silent = Abilities::default();
        assert!(silent.allow(&needs));
        assert!(!Abilities::of([WorkKind::Train]).allow(&needs));
        assert!(Abilities { numerics: Some(2), ..silent.clone() }.allow(&needs));
        assert!(!Abilities { numerics: Some(3), ..silent.clone() }.allow(&needs));
        let precisions = Some(BTreeSet::from([Precision::Fp32]));
        assert!(!Abilities { precisions, ..silent.clone() }.allow(&needs));
        assert!(!Abilities { evaluations: Some(BTreeSet::new()), ..silent.clone() }.allow(&needs));
        let train = Needs { kind: WorkKind::Train, evaluation: None, ..needs };
        assert!(Abilities { evaluations: Some(BTreeSet::new()), ..silent }.allow(&train));
    }
}
