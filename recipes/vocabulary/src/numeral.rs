//! Numbers as people write them: `24M`, `1.5 billion`, `12_800`, `1,000,000`, `4,7361`, `35.2%`.
//!
//! Of most of them there is one reading. `1,234` has two: where nothing around it tells which sign begins the fraction, the
//! caller must ask rather than guess.

/// The sign in front of a number's fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalSign {
    /// As in `4.7361`.
    Point,
    /// As in `4,7361`.
    Comma,
}

/// A number as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Numeral {
    /// It has one reading.
    Certain {
        value: f64,
        /// The decimal sign that it gives away; `None` for most whole numbers.
        sign: Option<DecimalSign>,
    },
    /// One sign with three digits on its right, as in `1,234`: a fraction, or thousands.
    Either {
        /// The sign between the digits.
        sign: DecimalSign,
        /// Its value if the sign begins a fraction.
        fraction: f64,
        /// Its value if the sign separates thousands.
        thousands: f64,
    },
}

/// What may follow the digits, and the power of ten that it stands for.
const UNITS: [(&str, i64); 21] = [
    ("k", 3),
    ("thousand", 3),
    ("thousands", 3),
    ("m", 6),
    ("mn", 6),
    ("mio", 6),
    ("million", 6),
    ("millions", 6),
    ("b", 9),
    ("bn", 9),
    ("g", 9),
    ("billion", 9),
    ("billions", 9),
    ("t", 12),
    ("tn", 12),
    ("trillion", 12),
    ("trillions", 12),
    ("1e3", 3),
    ("1e6", 6),
    ("1e9", 9),
    ("1e12", 12),
];

/// What a number may count, behind its unit.
const COUNTED: [&str; 8] = ["param", "params", "parameter", "parameters", "tok", "token", "tokens", "flops"];

/// The power of ten that a unit stands for, such as `M`, `bn` or `millions`.
#[must_use]
pub fn power_of_unit(unit: &str) -> Option<i64> {
    UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name)).map(|(_, power)| *power)
}

impl Numeral {
    /// Reads a number; `None` if the text is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (minus, digits) = match text.chars().next()? {
            '-' | '\u{2212}' => (true, text.trim_start_matches(['-', '\u{2212}'])),
            '+' => (false, &text[1..]),
            _ => (false, text),
        };
        let sign = if minus { -1.0 } else { 1.0 };
        match digits.to_ascii_lowercase().as_str() {
            "nan" => return Some(Self::Certain { value: f64::NAN, sign: None }),
            "inf" | "infinity" => return Some(Self::Certain { value: sign * f64::INFINITY, sign: None }),
            _ => {}
        }
        let (digits, power) = power_behind(digits)?;
        let (digits, exponent) = match digits.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok().filter(|_| is_exponent(exponent))?),
            None => (digits, 0),
        };
        let written = Written { minus, power: power + i64::from(exponent) };
        written.numeral(&ungrouped(digits)?)
    }

    /// Its value where nothing else tells the decimal sign: a point begins a fraction, and of a comma with three digits on
    /// its right there is no telling (`None`).
    #[must_use]
    pub fn alone(self) -> Option<f64> {
        match self {
            Self::Certain { value, .. } => Some(value),
            Self::Either { sign: DecimalSign::Point, fraction, .. } => Some(fraction),
            Self::Either { sign: DecimalSign::Comma, .. } => None,
        }
    }

    /// Its value among numbers with this decimal sign.
    #[must_use]
    pub fn with(self, decimal: DecimalSign) -> f64 {
        match self {
            Self::Certain { value, .. } => value,
            Self::Either { sign, fraction, .. } if sign == decimal => fraction,
            Self::Either { thousands, .. } => thousands,
        }
    }
}

fn is_exponent(text: &str) -> bool {
    text.trim_start_matches(['+', '-']).bytes().all(|digit| digit.is_ascii_digit())
}

/// Splits off what stands behind the digits: the power of ten that it stands for. `None` if it is unknown.
fn power_behind(text: &str) -> Option<(&str, i64)> {
    if let Some(digits) = text.strip_suffix('%') {
        return Some((digits.trim_end(), -2));
    }
    // An `e` belongs to the digits if more digits follow.
    let mut end = 0;
    let letters: Vec<(usize, char)> = text.char_indices().collect();
    for (index, (at, letter)) in letters.iter().enumerate() {
        let next = |steps: usize| letters.get(index + steps).map(|(_, letter)| *letter);
        let is_exponent = matches!(letter, 'e' | 'E')
            && match next(1) {
                Some('+' | '-') => next(2).is_some_and(|digit| digit.is_ascii_digit()),
                other => other.is_some_and(|digit| digit.is_ascii_digit()),
            };
        let is_sign = matches!(letter, '+' | '-') && index > 0 && matches!(letters[index - 1].1, 'e' | 'E');
        if !(letter.is_ascii_digit()
            || ".,_'\u{2019}".contains(*letter)
            || letter.is_whitespace()
            || is_exponent
            || is_sign)
        {
            break;
        }
        end = at + letter.len_utf8();
    }
    let mut words = text[end..].split_whitespace();
    let power = match (words.next(), words.next(), words.next()) {
        (None, ..) => 0,
        (Some(word), None, _) => power_of_unit(word).or_else(|| is_counted(word).then_some(0))?,
        (Some(unit), Some(word), None) if is_counted(word) => power_of_unit(unit)?,
        _ => return None,
    };
    Some((text[..end].trim_end(), power))
}

fn is_counted(word: &str) -> bool {
    COUNTED.iter().any(|counted| word.eq_ignore_ascii_case(counted))
}

/// Removes `_` between digits, and spaces and apostrophes between groups of three.
fn ungrouped(text: &str) -> Option<String> {
    let is_space = |letter: char| letter.is_whitespace() || letter == '\'' || letter == '\u{2019}';
    let whole_ends = text.find(['.', ',']).unwrap_or(text.len());
    let (whole, rest) = text.split_at(whole_ends);
    let groups: Vec<&str> = whole.split(is_space).collect();
    if rest.contains(is_space) || (groups.len() > 1 && !are_thousands(&groups)) {
        return None;
    }
    let mut plain = String::new();
    for part in groups.iter().copied().chain([rest]) {
        let inner = part.trim_start_matches('_').len() == part.len() && !part.ends_with('_') && !part.contains("__");
        if !inner || part.contains("_.") || part.contains("._") || part.contains("_,") || part.contains(",_") {
            return None;
        }
        plain.extend(part.chars().filter(|letter| *letter != '_'));
    }
    Some(plain)
}

/// Whether these are one to three digits and then groups of three.
fn are_thousands(groups: &[&str]) -> bool {
    let is_number = |group: &str| group.bytes().all(|digit| digit.is_ascii_digit());
    let [first, others @ ..] = groups else { return false };
    (1..=3).contains(&first.len())
        && is_number(first)
        && others.iter().all(|group| group.len() == 3 && is_number(group))
}

/// What surrounds the digits of a number.
#[derive(Clone, Copy)]
struct Written {
    minus: bool,
    power: i64,
}

impl Written {
    /// Reads digits with points and commas between them.
    fn numeral(self, digits: &str) -> Option<Numeral> {
        let (points, commas) = (digits.matches('.').count(), digits.matches(',').count());
        let last = digits.rfind(['.', ',']);
        let certain = |value, sign| Some(Numeral::Certain { value, sign });
        match (points, commas, last) {
            (0, 0, _) => certain(self.value(digits, "")?, None),
            (1, 0, Some(at)) => self.one_sign(digits, at, DecimalSign::Point),
            (0, 1, Some(at)) => self.one_sign(digits, at, DecimalSign::Comma),
            (0, _, _) => certain(self.thousands(digits, ',')?, Some(DecimalSign::Point)),
            (_, 0, _) => certain(self.thousands(digits, '.')?, Some(DecimalSign::Comma)),
            (1, _, Some(at)) if digits[at..].starts_with('.') => {
                let whole: Vec<&str> = digits[..at].split(',').collect();
                let value = are_thousands(&whole).then(|| self.value(&whole.concat(), &digits[at + 1..]))??;
                certain(value, Some(DecimalSign::Point))
            }
            (_, 1, Some(at)) if digits[at..].starts_with(',') => {
                let whole: Vec<&str> = digits[..at].split('.').collect();
                let value = are_thousands(&whole).then(|| self.value(&whole.concat(), &digits[at + 1..]))??;
                certain(value, Some(DecimalSign::Comma))
            }
            _ => None,
        }
    }

    fn one_sign(self, digits: &str, at: usize, sign: DecimalSign) -> Option<Numeral> {
        let (whole, behind) = (&digits[..at], &digits[at + 1..]);
        if behind.is_empty() && sign == DecimalSign::Comma {
            return None;
        }
        let fraction = self.value(whole, behind)?;
        if are_thousands(&[whole, behind]) && !whole.starts_with('0') {
            return Some(Numeral::Either { sign, fraction, thousands: self.value(&[whole, behind].concat(), "")? });
        }
        Some(Numeral::Certain { value: fraction, sign: (!behind.is_empty()).then_some(sign) })
    }

    fn thousands(self, digits: &str, sign: char) -> Option<f64> {
        let groups: Vec<&str> = digits.split(sign).collect();
        if are_thousands(&groups) { self.value(&groups.concat(), "") } else { None }
    }

    /// One correctly rounded number, whatever its unit.
    fn value(self, whole: &str, fraction: &str) -> Option<f64> {
        let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let minus = if self.minus { "-" } else { "" };
        format!("{minus}{whole}.{fraction}e{}", self.power).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(text: &str) -> Option<f64> {
        Numeral::parse(text)?.alone()
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        let read = [
            ("24000000", 2.4e7),
            ("24M", 2.4e7),
            ("2.4b", 2.4e9),
            ("7bn", 7e9),
            ("7 BN", 7e9),
            ("1.1T", 1.1e12),
            ("1.5 billion", 1.5e9),
            ("125M params", 1.25e8),
            ("300 B tokens", 3e11),
            ("12_800", 12_800.0),
            ("1_000_000", 1e6),
            ("1,000,000", 1e6),
            ("1.000.000", 1e6),
            ("24 000 000", 2.4e7),
            ("24\u{a0}000\u{a0}000", 2.4e7),
            ("24'000'000", 2.4e7),
            ("1,234.5", 1234.5),
            ("1.234,5", 1234.5),
            ("4,7361", 4.7361),
            ("0,123", 0.123),
            (",5", 0.5),
            ("4.736", 4.736),
            ("5.", 5.0),
            (".5", 0.5),
            ("1e9", 1e9),
            ("1E+09", 1e9),
            ("2.5e-4", 2.5e-4),
            ("4,7361E+00", 4.7361),
            ("35.2%", 0.352),
            ("35,2 %", 0.352),
            ("-1.5", -1.5),
            ("\u{2212}1.5", -1.5),
            ("+3", 3.0),
            ("1e21 FLOPs", 1e21),
            ("-inf", f64::NEG_INFINITY),
        ];
        for (text, value) in read {
            assert_eq!(alone(text), Some(value), "{text}");
        }
        assert!(alone("NaN").is_some_and(f64::is_nan));
    }

    #[test]
    fn what_is_not_a_number_is_not_read() {
        for text in [
            "",
            "M",
            "b",
            "e5",
            "1.2.3",
            "2024-11-30",
            "1,23,456",
            "1__0",
            "_1",
            "1_",
            "12 34",
            "4 000 00",
            "1e",
            "1e5x",
            "0x10",
            "2 µ",
            "five",
            "1,2.3,4",
            "--",
            "5,",
            "1e5e5",
            "24Mx",
            "192.168.1.1",
            "tiny-32",
            "1 2 3 B",
        ] {
            assert_eq!(Numeral::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_lone_comma_with_three_digits_has_two_readings() {
        let Some(read @ Numeral::Either { sign: DecimalSign::Comma, .. }) = Numeral::parse("1,234M") else {
            panic!("two readings");
        };
        assert_eq!(read.alone(), None);
        assert_eq!((read.with(DecimalSign::Comma), read.with(DecimalSign::Point)), (1.234e6, 1.234e9));
        let read = Numeral::parse("24.000").expect("a number");
        assert_eq!((read.alone(), read.with(DecimalSign::Comma)), (Some(24.0), 24_000.0));
    }

    #[test]
    fn a_unit_costs_no_digit() {
        for text in ["1.1", "2.3", "0.7", "4.35"] {
            assert_eq!(alone(&format!("{text}t")), Some(format!("{text}e12").parse().expect("a number")));
        }
    }
}
