//! Conditions on rows, such as `width=1024` or `loss<10`.

use std::fmt;
use std::str::FromStr;

use vocabulary::numeral::Numeral;

use crate::cell::Cell;
use crate::table::Decimals;

/// A condition that a row must satisfy.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    pub column: String,
    comparison: Comparison,
    value: Cell,
    /// The value as a number, if it is one.
    number: Option<f64>,
    /// The value as written.
    written: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Other,
    Below,
    AtMost,
    Above,
    AtLeast,
}

/// A condition that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No comparison sign.
    #[error("{found:?} is not a condition: expected COLUMN=VALUE, or !=, <, <=, > or >= in place of =")]
    NoComparison {
        /// The condition as written.
        found: String,
    },
    /// Two comparison signs in a row.
    #[error("{found:?} has {sign} after its comparison: expected COLUMN=VALUE, or !=, <, <=, > or >= in place of =")]
    TwoSigns {
        /// The condition as written.
        found: String,
        /// The second sign.
        sign: char,
    },
    /// An order comparison with something that is not a number.
    #[error("{found:?}: <, <=, > and >= need a number on their right")]
    NoNumber {
        /// The condition as written.
        found: String,
    },
}

/// Longer signs first, so that `<=` is not read as `<`.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("!=", Comparison::Other),
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("=", Comparison::Equal),
    ("<", Comparison::Below),
    (">", Comparison::Above),
];

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let first = |(sign, comparison): &(&str, Comparison)| Some((text.find(sign)?, sign.len(), *comparison));
        // Of two signs that begin at the same place, the longer one counts.
        let found =
            COMPARISONS.iter().filter_map(first).min_by_key(|(at, length, _)| (*at, std::cmp::Reverse(*length)));
        let Some((at, length, comparison)) = found.filter(|(at, ..)| *at > 0) else {
            return Err(FilterError::NoComparison { found: text.to_owned() });
        };
        let written = text[at + length..].trim().to_owned();
        if let Some(sign) = written.chars().next().filter(|first| "<>=".contains(*first)) {
            return Err(FilterError::TwoSigns { found: text.to_owned(), sign });
        }
        let value = Cell::of_text(&written);
        let number = value.numeral().and_then(Numeral::alone);
        let ordered = !matches!(comparison, Comparison::Equal | Comparison::Other);
        if ordered && number.is_none() {
            return Err(FilterError::NoNumber { found: text.to_owned() });
        }
        Ok(Self { column: text[..at].trim().to_owned(), comparison, value, number, written })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, _) = COMPARISONS.iter().find(|(_, other)| *other == self.comparison).expect("all have a sign");
        write!(f, "{}{sign}{}", self.column, self.written)
    }
}

impl Filter {
    /// Whether a cell satisfies the condition. Numbers are compared as numbers, however they are written. An order comparison
    /// with a cell that is not a number is false.
    pub(crate) fn accepts(&self, cell: &Cell, decimals: Decimals) -> bool {
        let numbers = decimals.number(cell).ok().zip(self.number);
        let is_equal = || match numbers {
            Some((found, value)) => found == value,
            None => cell == &self.value || cell.text() == self.value.text(),
        };
        match (self.comparison, numbers) {
            (Comparison::Equal, _) => is_equal(),
            (Comparison::Other, _) => !is_equal(),
            (Comparison::Below, Some((found, value))) => found < value,
            (Comparison::AtMost, Some((found, value))) => found <= value,
            (Comparison::Above, Some((found, value))) => found > value,
            (Comparison::AtLeast, Some((found, value))) => found >= value,
            (_, None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_mean_what_they_say() {
        let accepts =
            |filter: &str, cell: Cell| filter.parse::<Filter>().expect("a condition").accepts(&cell, Decimals::Unknown);
        let text = |text: &str| Cell::Text(text.to_owned());
        assert!(accepts("N=24M", text("24_000_000")) && accepts("N>1b", text("1.5 billion")));
        assert!(accepts("lr=1e-3", text("0.001")) && !accepts("lr!=1e-3", text("0.0010")));
        assert!(accepts("width=1024", Cell::Number(1024.0)) && accepts("width=1024.0", Cell::Number(1024.0)));
        assert!(accepts("text=c4", text("c4")) && !accepts("text=c4", Cell::Missing));
        assert!(accepts("text!=c4", text("rpj")));
        assert!(accepts("loss<=3", Cell::Number(3.0)) && !accepts("loss<3", Cell::Number(3.0)));
        assert!(!accepts("loss<10", Cell::Number(f64::NAN)) && !accepts("loss<10", Cell::Missing));
        assert_eq!("loss >= 2".parse::<Filter>().expect("a condition").to_string(), "loss>=2");
        assert_eq!("C > 1e20".parse::<Filter>().expect("a condition").to_string(), "C>1e20");
        for wrong in ["width", "=3", "", "a<b", "C=>1e20", "C==3", "C<>3", "C= <3"] {
            assert!(wrong.parse::<Filter>().is_err(), "{wrong}");
        }
    }
}
