//! Whether N and D can be counts of parameters and tokens.

use scaling::Point;
use vocabulary::numbers::three_digits;

/// A note on N and D that cannot be counts of parameters and tokens.
pub(crate) fn implausible(points: &[Point]) -> Option<String> {
    let range = |of: fn(&Point) -> f64| {
        points.iter().map(of).fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (n, d) = (range(|point| point.n), range(|point| point.d));
    let ratio = range(|point| point.d / point.n);
    let spelt = |(low, high): (f64, f64)| format!("{low} to {high}");
    let small = |(low, high): (f64, f64)| high < 1e3 || (high < 1e6 && low.fract() != 0.0);
    let columns = match (small(n), small(d)) {
        (true, true) => format!("N of {} and D of {} are", spelt(n), spelt(d)),
        (true, false) => format!("N of {} is", spelt(n)),
        (false, true) => format!("D of {} is", spelt(d)),
        (false, false) if ratio.1 < 0.01 => {
            return Some(format!(
                "D is at most {} of N: if N and D are not counts of the same unit, name the unit in the header (params_M, \
                 tokens_B), or another column with `fit --n` or `fit --d`",
                three_digits(ratio.1)
            ));
        }
        (false, false) if ratio.0 > 1e6 => {
            return Some(format!(
                "D is at least {} times N: if N and D are not counts of the same unit, name the unit in the header (params_M, \
                 tokens_B), or another column with `fit --n` or `fit --d`",
                three_digits(ratio.0)
            ));
        }
        _ => return None,
    };
    Some(format!(
        "{columns} too small to count parameters or tokens, and then so are C = 6ND and the optima: if they are millions or \
         billions, name the unit in the header (params_M, tokens_B); if it is another column, name it with `fit --n` or `fit \
         --d`"
    ))
}
