//! Warnings to read before using the law.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::intervals::Interval;
use crate::law::Parameter;
use crate::patterns::Outlier;

/// A reason to doubt a fit. Its `Display` is a sentence for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Warning {
    /// A parameter lies on a bound of the search.
    AtBound { parameter: Parameter },
    /// Few descents ended at the minimum that was chosen.
    FewStartsAgree {
        /// Descents that ended there.
        agreeing: usize,
        /// Number of descents.
        starts: usize,
    },
    /// An interval so wide that the table hardly determines the parameter.
    WideInterval { parameter: Parameter, interval: Interval },
    /// The intervals rest on few trunks.
    FewTrunks {
        /// Number of trunks.
        trunks: usize,
        /// Number of different draws of them.
        distinct: usize,
    },
    /// There are no intervals: a single trunk determines a parameter, and too few different draws determine a law.
    NoIntervals {
        /// Number of trunks.
        trunks: usize,
    },
    /// No law could be fitted to some of the draws.
    DrawsFailed {
        /// Draws without a law.
        failed: usize,
        /// Number of draws.
        draws: usize,
    },
    /// The largest size cannot be predicted from the others.
    NotHeldOut {
        /// Why the other sizes determine no law.
        reason: String,
    },
    /// The residuals depend on N and D together, for which the law has no term.
    ResidualPattern {
        /// Student's t of the dependence.
        t: f64,
        /// Number of trunks it was found in.
        trunks: usize,
    },
    /// Residuals at some N or D have the same sign in all trunks.
    Systematic {
        /// `N` or `D`.
        along: String,
        /// Number of values where they do.
        places: usize,
        /// The value with the largest mean.
        worst_at: f64,
        /// Mean of measured minus predicted there, in nats.
        worst_mean: f64,
    },
    /// Points far off the law.
    Outliers {
        /// Number of points.
        count: usize,
        /// The farthest.
        worst: Outlier,
    },
    /// Duplicate rows.
    Duplicates {
        /// Rows equal to an earlier one in N, D, loss and trunk.
        rows: usize,
    },
    /// Some of the fitted losses were not measured at the end of a decay.
    Undecayed {
        /// Number of such losses.
        points: usize,
        /// Number of losses.
        of: usize,
    },
    /// Losses do not always fall.
    NotFalling {
        /// `N` or `D`.
        along: String,
        /// Neighbours whose loss does not fall.
        violations: usize,
        /// Neighbours compared.
        pairs: usize,
        /// Largest rise, in nats.
        worst_rise: f64,
    },
    /// A range too short for a power law.
    NarrowRange {
        /// `N` or `D`.
        along: String,
        /// The largest over the smallest value.
        factor: f64,
    },
    /// The law does not fall in both N and D, so no split of a budget is best.
    NoOptimum,
    /// Optimal models outside the measured range.
    OptimumOutside {
        /// Budgets whose optimum lies outside.
        outside: usize,
        /// Number of budgets.
        budgets: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtBound { parameter } => {
                write!(f, "{parameter} lies on a bound of the search: the points do not determine it")
            }
            Self::FewStartsAgree { agreeing, starts } => write!(
                f,
                "only {agreeing} of {starts} descents ended at the minimum taken: other laws fit almost as well"
            ),
            Self::WideInterval { parameter, interval } => write!(
                f,
                "the interval of {parameter}, {:.3} to {:.3}, is so wide that the points hardly determine it",
                interval.low, interval.high
            ),
            Self::FewTrunks { trunks, distinct } => write!(
                f,
                "the intervals rest on {trunks} trunks, of which only {distinct} draws differ: they are wide for it, and a \
                 second seed makes them narrower"
            ),
            Self::NoIntervals { trunks } => {
                write!(f, "there are no intervals: {trunks} trunks are too few to tell how far off they are")
            }
            Self::DrawsFailed { failed, draws } => write!(
                f,
                "no law could be fitted to {failed} of {draws} draws of trunks: the intervals leave them out and may be \
                 too narrow"
            ),
            Self::NotHeldOut { reason } => {
                write!(f, "the largest size cannot be predicted from the others: {reason}")
            }
            Self::ResidualPattern { t, trunks } => write!(
                f,
                "the residuals depend on N and D together (t = {t:.1} over {trunks} trunks), for which the law has no \
                 term: its exponents depend on the range that was measured"
            ),
            Self::Systematic { along, places, worst_at, worst_mean } => write!(
                f,
                "the residuals are off in all trunks alike at {places} value{} of {along} (worst at {worst_at:.3e}: \
                 {worst_mean:+.4} nats): the law's form does not follow the losses along {along}",
                if *places == 1 { "" } else { "s" }
            ),
            Self::Outliers { count, worst } => write!(
                f,
                "{count} point{} lie{} far off the law, the farthest (size {}, N {:.3e}, D {:.3e}) by {:+.4} nats, {:.0} \
                 times the typical residual: look at the run before you use the law",
                if *count == 1 { "" } else { "s" },
                if *count == 1 { "s" } else { "" },
                worst.size,
                worst.n,
                worst.d,
                worst.residual,
                worst.deviations
            ),
            Self::Duplicates { rows } => write!(
                f,
                "{rows} row{} repeat{} an earlier one to the last digit, and count{} again: if they are copies, leave them out",
                if *rows == 1 { "" } else { "s" },
                if *rows == 1 { "s" } else { "" },
                if *rows == 1 { "s" } else { "" }
            ),
            Self::Undecayed { points, of } => write!(
                f,
                "{points} of {of} losses were taken before the end of a decay: they lie a tenth of a nat and more too high, \
                 and with them L0 and beta"
            ),
            Self::NotFalling { along, violations, pairs, worst_rise } => write!(
                f,
                "losses do not fall along {along} in {violations} of {pairs} neighbours (worst: {worst_rise:+.4} nats)"
            ),
            Self::NarrowRange { along, factor } => write!(
                f,
                "{along} spans a factor of {factor:.1}: below {MIN_SPAN} an exponent and L0 can hardly be told apart"
            ),
            Self::NoOptimum => f.write_str("the law does not fall in both N and D: no split of a budget is best"),
            Self::OptimumOutside { outside, budgets } => write!(
                f,
                "at {outside} of {budgets} budgets the optimal model lies outside the N and D that were measured"
            ),
        }
    }
}

/// The smallest acceptable ratio of the largest to the smallest N or D. Measured on a grid of 5 sizes by 7 amounts of
/// data: without the smaller amounts, over a factor of 2.9, beta came out at half its value and L0 0.4 nats lower.
pub(crate) const MIN_SPAN: f64 = 4.0;
