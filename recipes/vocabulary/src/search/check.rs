//! Whether a search that was received is valid.

use super::asha::Asha;
use super::space::{Dimension, Scale, Values};
use super::spec::Search;
use crate::schedule::LrSchedule;

/// The most trials of a search, and the most values of a key.
pub const MAX_TRIALS: usize = 2_000;

/// Why a received search is invalid. No recipe of this version gives such a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnsoundSearch(pub &'static str);

impl Search {
    /// Whether it can have this many trials.
    #[must_use]
    pub fn can_have(&self, trials: u32) -> bool {
        let most = self.combinations().unwrap_or(usize::MAX).min(MAX_TRIALS);
        (1..=most).contains(&(trials as usize))
    }

    /// Whether it is valid.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), UnsoundSearch> {
        let is_distinct = |index: usize, dimension: &Dimension| {
            self.space[..index].iter().all(|other| other.parameter != dimension.parameter)
        };
        let whole = &self.base.whole;
        let latest = match whole.schedule {
            LrSchedule::Wsd { decay_start, .. } => decay_start,
            _ => whole.steps.end.saturating_sub(1),
        };
        let demands = [
            (!self.space.is_empty(), "no key is searched"),
            (
                self.space.iter().all(|dimension| are_sound(&dimension.values)),
                "the values of a key are not a valid range or list",
            ),
            (self.space.iter().enumerate().all(|(index, each)| is_distinct(index, each)), "a key is searched twice"),
            (self.can_have(self.trials), "the number of trials is zero or too large"),
            (self.parallel > 0, "`parallel` is zero"),
            (whole.steps.start == 0 && latest < whole.steps.end, "the run has no steps"),
            (self.pruner.as_ref().is_none_or(|asha| is_sound(asha, latest)), "the rungs do not ascend within the run"),
        ];
        let wrong = demands.into_iter().find(|(holds, _)| !holds);
        wrong.map_or(Ok(()), |(_, reason)| Err(UnsoundSearch(reason)))
    }
}

fn are_sound(values: &Values) -> bool {
    match values {
        Values::Between { low, high, scale } => {
            low.is_finite() && high.is_finite() && low < high && (*scale == Scale::Linear || *low > 0.0)
        }
        Values::Levels { levels } => {
            (1..=MAX_TRIALS).contains(&levels.len())
                && levels.iter().all(|level| level.is_finite())
                && levels.windows(2).all(|pair| pair[0] < pair[1])
        }
    }
}

fn is_sound(asha: &Asha, latest: u64) -> bool {
    let Asha { reduction, rungs } = asha;
    let ascends = std::iter::once(&0).chain(rungs).zip(rungs).all(|(before, rung)| before < rung);
    *reduction >= 2 && (1..=20).contains(&rungs.len()) && ascends && rungs.iter().all(|rung| *rung <= latest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Parameter, Sampler, SearchBase};
    use crate::units::Tokens;

    fn search() -> Search {
        let values = Values::Levels { levels: vec![1.0, 2.0, 3.0] };
        Search {
            sampler: Sampler::Random,
            trials: 3,
            seed: 0,
            parallel: 1,
            startup: 1,
            space: vec![Dimension { parameter: Parameter::ScaleEmb, values }],
            pruner: Some(Asha { reduction: 2, rungs: vec![10, 50] }),
            base: SearchBase {
                size: "small".to_owned(),
                seed: 0,
                n: 1,
                nominal: Tokens(1),
                whole: crate::sample::stage(),
            },
        }
    }

    #[test]
    fn what_is_no_search_is_refused() {
        assert_eq!(search().check(), Ok(()));
        type Slip = fn(&mut Search);
        let slips: [(&str, Slip); 12] = [
            ("no key is searched", |search| search.space.clear()),
            ("a key is searched twice", |search| search.space.push(search.space[0].clone())),
            ("the values of a key are not a valid range or list", |search| {
                search.space[0].values = Values::Levels { levels: vec![] }
            }),
            ("the values of a key are not a valid range or list", |search| {
                search.space[0].values = Values::Between { low: 0.0, high: 1.0, scale: Scale::Log };
            }),
            ("the values of a key are not a valid range or list", |search| {
                search.space[0].values = Values::Levels { levels: vec![2.0, f64::NAN] };
            }),
            ("the number of trials is zero or too large", |search| search.trials = 0),
            ("the number of trials is zero or too large", |search| search.trials = 4),
            ("`parallel` is zero", |search| search.parallel = 0),
            ("the run has no steps", |search| search.base.whole.steps.end = 0),
            ("the rungs do not ascend within the run", |search| {
                search.pruner = Some(Asha { reduction: 0, rungs: vec![10] })
            }),
            ("the rungs do not ascend within the run", |search| {
                search.pruner = Some(Asha { reduction: 2, rungs: vec![50, 10] })
            }),
            ("the rungs do not ascend within the run", |search| {
                search.pruner = Some(Asha { reduction: 2, rungs: vec![10, 100] })
            }),
        ];
        for (reason, slip) in slips {
            let mut search = search();
            slip(&mut search);
            assert_eq!(search.check(), Err(UnsoundSearch(reason)));
        }
    }
}
