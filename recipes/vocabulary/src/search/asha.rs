//! ASHA: ends most trials early, so that only the best are trained to the end.

use serde::{Deserialize, Serialize};

/// Asynchronous successive halving (Li et al. 2018), with one difference: trials are judged once, in their order.
///
/// The published algorithm promotes the best trial whenever a worker becomes free, so its result depends on the fleet. Here
/// a trial that reaches a rung is judged once, against the trials before it: if it is not promoted then, it never is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asha {
    /// One in this many trials is promoted at each rung; eta in the paper.
    pub reduction: u32,
    /// The steps at which trials are judged, in ascending order.
    pub rungs: Vec<u64>,
}

/// The verdict on a trial at a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The trial continues.
    Promoted,
    /// The trial ends.
    Pruned,
}

impl Asha {
    /// The verdict on a trial with this loss at a rung, given the losses there of the trials before it.
    ///
    /// It is promoted if it is among the best 1/eta of all of them, itself included. The best trial always is, and so is the
    /// first one, unless it diverged.
    #[must_use]
    pub fn judge(&self, before: &[f64], loss: f64) -> Verdict {
        let better = before.iter().filter(|other| **other <= loss).count();
        if loss.is_finite() && better < self.promoted_of(before.len() + 1) {
            Verdict::Promoted
        } else {
            Verdict::Pruned
        }
    }

    /// How many of this many trials at a rung are promoted.
    #[must_use]
    pub fn promoted_of(&self, trials: usize) -> usize {
        (trials / self.reduction as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_third_goes_on() {
        let asha = Asha { reduction: 3, rungs: vec![10] };
        let judge = |before: &[f64], loss| asha.judge(before, loss) == Verdict::Promoted;
        assert!(judge(&[], 9.0), "the first has nobody to be measured against");
        assert!(!judge(&[1.0], 2.0));
        assert!(judge(&[2.0], 1.0));
        assert!(!judge(&[1.0], 1.0), "of equals, the earlier one");
        assert!(judge(&[1.0, 3.0, 3.0, 3.0, 3.0], 2.0), "two of six");
        assert!(!judge(&[1.0, 3.0, 3.0, 3.0], 2.0), "one of five");
        assert!(!judge(&[], f64::INFINITY), "NaN never does");
    }
}
