//! ASHA: most trials end early, and the best of them go on.

use serde::{Deserialize, Serialize};

/// Asynchronous successive halving (Li et al. 2018), with one difference: trials are judged once, in their order.
///
/// The published algorithm promotes whoever is best when a worker happens to be free, so that its result depends on the
/// fleet. Here a trial that comes to a rung is judged against the trials before it alone, and for good: what is not
/// promoted then is never promoted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asha {
    /// One of so many trials at a rung goes on, eta in the paper.
    pub reduction: u32,
    /// The steps at which trials are judged, in ascending order.
    pub rungs: Vec<u64>,
}

/// What becomes of a trial at a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Promoted,
    /// It ends.
    Pruned,
}

impl Asha {
    /// What becomes of a trial with this loss at a rung that the trials before it came to with those.
    ///
    /// It goes on if it is among the best 1/eta of them all, itself counted. The best one always does: the first trial
    /// has nobody to be measured against.
    #[must_use]
    pub fn judge(&self, before: &[f64], loss: f64) -> Verdict {
        let better = before.iter().filter(|other| **other <= loss).count();
        if loss.is_finite() && better < self.promoted_of(before.len() + 1) {
            Verdict::Promoted
        } else {
            Verdict::Pruned
        }
    }

    /// How many of so many trials at a rung are good enough.
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
        assert!(!judge(&[], f64::INFINITY), "a loss that is no number never does");
    }
}
