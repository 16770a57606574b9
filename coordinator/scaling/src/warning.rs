//! Warnings to read before using the law.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::intervals::Interval;
use crate::intervals::Method;
use crate::law::Parameter;
use crate::outliers::Outlier;

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
    /// The best floor is zero, and the interval of L0 has an upper end alone.
    NoFloor { interval: Interval },
    /// The intervals of some parameters are another method's.
    OtherMethod {
        /// Those concerned, in the order of the law.
        parameters: Vec<Parameter>,
        /// The method that gives much wider ones.
        method: Method,
    },
    /// The law passes through every point, so its intervals have no width.
    NoNoise,
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
        /// From the smallest N to the largest.
        #[serde(default)]
        n: (f64, f64),
        /// From the smallest D to the largest.
        #[serde(default)]
        d: (f64, f64),
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
    /// Points far off the law, whose neighbours are not.
    Outliers {
        /// Number of points.
        count: usize,
        /// The farthest.
        worst: Outlier,
    },
    /// Points far off the law together with their neighbours.
    Misfit {
        /// Number of points.
        count: usize,
        /// From the smallest N to the largest.
        n: (f64, f64),
        /// From the smallest D to the largest.
        d: (f64, f64),
        /// Measured minus predicted at the farthest, in nats.
        worst: f64,
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
                "the points hardly determine {parameter}: it may be {:.3} to {:.3}",
                interval.low, interval.high
            ),
            Self::NoFloor { interval } => write!(
                f,
                "the law fits best without a floor: L0 is below {:.3} as far as the points tell, and other intervals hold \
                 for any such floor",
                interval.high
            ),
            Self::OtherMethod { parameters, method: Method::Trimmed } => {
                let names: Vec<String> = parameters.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "the law without the outliers has another {}: the intervals are those of the {}",
                    listed(&names),
                    Method::Trimmed.describe()
                )
            }
            Self::OtherMethod { parameters, method } => {
                let names: Vec<String> = parameters.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "the intervals of {} by the usual method are much narrower than by another, which is shown instead: {}. \
                     Uneven noise, outliers or unlike runs in one table are the usual reasons",
                    listed(&names),
                    method.describe()
                )
            }
            Self::NoNoise => f.write_str("the law passes through every point: nothing tells how far off it may be"),
            Self::FewTrunks { trunks, .. } => write!(
                f,
                "the intervals are wide because they rest on {trunks} trunks; another seed makes them narrower"
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
            Self::ResidualPattern { t, n, d, .. } => write!(
                f,
                "the misfit is systematic: it changes with N and D together, by more than the trunks differ (t = {t:.1}). \
                 Take the exponents as local to N {} to {}, D {} to {}",
                count_of(n.0),
                count_of(n.1),
                count_of(d.0),
                count_of(d.1)
            ),
            Self::Systematic { along, places, worst_at, worst_mean } => write!(
                f,
                "the misfit is systematic: all trunks lie off alike at {places} value{} of {along} (worst at {}: \
                 {worst_mean:+.4} nats). The form does not follow the losses along {along}",
                if *places == 1 { "" } else { "s" },
                count_of(*worst_at)
            ),
            Self::Outliers { count, worst } => write!(
                f,
                "{count} point{} far off the law, the farthest (size {}, N {}, D {}) by {:+.4} nats, {:.0} times the typical \
                 residual. Look at the run before you use the law",
                if *count == 1 { " lies" } else { "s lie" },
                worst.size,
                count_of(worst.n),
                count_of(worst.d),
                worst.residual,
                worst.deviations
            ),
            Self::Misfit { count, n, d, worst } => write!(
                f,
                "{count} point{} far off the law together with {} neighbours, at N {} to {} and D {} to {} (worst {worst:+.4} \
                 nats): the law does not follow the losses there. Fit without that corner and compare",
                if *count == 1 { " lies" } else { "s lie" },
                if *count == 1 { "its" } else { "their" },
                count_of(n.0),
                count_of(n.1),
                count_of(d.0),
                count_of(d.1)
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
                "{along} spans a factor of {factor:.2}: below {MIN_SPAN} an exponent and L0 can hardly be told apart"
            ),
            Self::NoOptimum => f.write_str("the law does not fall in both N and D: no split of a budget is best"),
            Self::OptimumOutside { outside, budgets } => write!(
                f,
                "at {outside} of {budgets} budgets the optimal model lies outside the N and D that were measured"
            ),
        }
    }
}

fn listed(names: &[String]) -> String {
    match names {
        [all @ .., one, last] => {
            format!("{}{one} and {last}", all.iter().map(|name| format!("{name}, ")).collect::<String>())
        }
        one => one.concat(),
    }
}

/// A count with three digits, such as `24.0k` or `1.2e15`.
fn count_of(value: f64) -> String {
    let (scaled, unit) = match value {
        _ if value < 1e3 => (value, ""),
        _ if value < 1e6 => (value / 1e3, "k"),
        _ if value < 1e9 => (value / 1e6, "M"),
        _ if value < 1e12 => (value / 1e9, "B"),
        _ if value < 1e15 => (value / 1e12, "T"),
        _ => return format!("{value:.2e}"),
    };
    let digits = if scaled < 10.0 {
        2
    } else if scaled < 100.0 {
        1
    } else {
        0
    };
    format!("{scaled:.digits$}{unit}")
}

/// The smallest acceptable ratio of the largest to the smallest N or D. Measured on a grid of 5 sizes by 7 amounts of
/// data: without the smaller amounts, over a factor of 2.9, beta came out at half its value and L0 0.4 nats lower.
pub(crate) const MIN_SPAN: f64 = 4.0;
