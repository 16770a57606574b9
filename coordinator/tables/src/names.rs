//! What the names of columns say. The words are in [`words`](crate::words).

use vocabulary::numeral::power_of_unit;

use crate::words::{APART, MEASURED, OF_ONE_RUN, SETTINGS};

/// A name in small letters, with its words joined by single underscores: `Val/Loss (nats)`, `valLoss` and `val_loss` begin alike.
pub(crate) fn plain(name: &str) -> String {
    let mut plain = String::new();
    let mut before = ' ';
    for letter in name.chars() {
        let begins_word = letter.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit());
        if begins_word || (!letter.is_alphanumeric() && letter != '+') {
            plain.push('_');
        }
        if letter.is_alphanumeric() || letter == '+' {
            plain.extend(letter.to_lowercase());
        }
        before = letter;
    }
    plain.split('_').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
}

/// A unit that the name of a column gives its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Multiple {
    /// The power of ten.
    pub(crate) power: i64,
}

impl Multiple {
    /// In words, where there is one.
    pub(crate) fn in_words(self) -> &'static str {
        match self.power {
            3 => "thousands",
            6 => "millions",
            9 => "billions",
            _ => "trillions",
        }
    }

    pub(crate) fn factor(self) -> f64 {
        match self.power {
            3 => 1e3,
            6 => 1e6,
            9 => 1e9,
            _ => 1e12,
        }
    }
}

/// Splits the unit off the name of a count: `params (M)`, `tokens_B`, `mparams`, `tokens_in_billions`, `D/1e9`.
pub(crate) fn multiple(name: &str) -> Option<(String, Multiple)> {
    let plain = plain(name);
    let words: Vec<&str> = plain.split('_').collect();
    if let [count @ .., last] = &words[..]
        && let Some(power) = power_of_unit(last)
    {
        let count = if let [count @ .., "in" | "of"] = count { count } else { count };
        let base = count.join("_");
        // `d_k` is a width, and `n_t` anything: a letter beside a letter is not a unit unless it stands in brackets.
        let is_marked = last.len() > 1 || name.contains(['(', '[', '{']);
        if !base.is_empty() && (base.len() > 1 || is_marked) {
            return Some((base, Multiple { power }));
        }
    }
    if let [first, rest @ ..] = &words[..]
        && !rest.is_empty()
        && first.len() > 2
        && let Some(power) = power_of_unit(first)
    {
        let rest = if let ["of", rest @ ..] = rest { rest } else { rest };
        return Some((rest.join("_"), Multiple { power }));
    }
    let power = power_of_unit(plain.get(..1)?)?;
    let counted = ["params", "parameters", "tokens"].contains(&plain.get(1..)?);
    counted.then(|| (plain[1..].to_owned(), Multiple { power }))
}

/// Whether a name is that of a setting.
pub(crate) fn is_setting(name: &str) -> bool {
    let plain = plain(name);
    holds(&plain, SETTINGS) && !holds(&plain, MEASURED)
}

/// The place of a column among [`APART`]; behind them if it is not one of them.
pub(crate) fn apart(name: &str) -> usize {
    let plain = plain(name);
    APART.iter().position(|known| *known == plain).unwrap_or(APART.len())
}

/// Whether a name is that of a measurement or an identifier.
pub(crate) fn is_of_one_run(name: &str) -> bool {
    let plain = plain(name);
    plain.is_empty() || plain.starts_with("unnamed") || holds(&plain, OF_ONE_RUN)
}

fn holds(plain: &str, words: &[&str]) -> bool {
    let padded = format!("_{plain}_");
    words.iter().any(|word| padded.contains(&format!("_{word}_")))
}

/// What the N column counts, judged by its name.
pub(crate) fn meaning_of_n(column: &str, of_a_campaign: bool) -> &'static str {
    let name = plain(column).replace('_', "");
    let without = ["noembed", "nonembed", "withoutembed"];
    if of_a_campaign || without.iter().any(|word| name.contains(word)) {
        "parameters without embeddings"
    } else {
        "parameters; the table does not say whether embeddings are included"
    }
}

/// The unit of a loss, judged by the name of its column; `None` if that does not tell.
pub(crate) fn unit_of_loss(column: &str, of_a_campaign: bool) -> Option<&'static str> {
    let plain = plain(column);
    let named = |words: &[&str]| holds(&plain, words);
    if named(&["bpb", "bits_per_byte", "bits_byte", "bits_a_byte"]) {
        Some("bits a byte")
    } else if named(&["bpc", "bits_per_character", "bits_per_char"]) {
        Some("bits a character")
    } else if named(&["bpt", "bits_per_token", "bits_token"]) {
        Some("bits a token")
    } else if named(&["nats_per_byte", "nats_byte", "loss_per_byte"]) {
        Some("nats a byte")
    } else if named(&["nats_per_token", "nats_token"]) || (of_a_campaign && named(&["loss"])) {
        Some("nats a token")
    } else if named(&["nats", "nat"]) {
        Some("nats")
    } else if named(&["bits", "bit"]) {
        Some("bits")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_by_their_words() {
        let names = ["Val Loss", "val/loss", "val-loss", "valLoss", " VAL_LOSS ", "val.loss"];
        assert!(names.iter().all(|name| plain(name) == "val_loss"), "{:?}", names.map(plain));
        assert_eq!((plain("N"), plain("numParams")), ("n".to_owned(), "num_params".to_owned()));
    }

    #[test]
    fn units_in_names_are_found() {
        let found = |name: &str| multiple(name).map(|(base, multiple)| (base, multiple.factor()));
        let params = |factor| Some(("params".to_owned(), factor));
        for name in [
            "params (M)",
            "params_M",
            "params [millions]",
            "mparams",
            "Params in millions",
            "millions of params",
            "params/1e6",
        ] {
            assert_eq!(found(name), params(1e6), "{name}");
        }
        assert_eq!(found("tokens_B"), Some(("tokens".to_owned(), 1e9)));
        assert_eq!(found("totalTokensBn"), Some(("total_tokens".to_owned(), 1e9)));
        assert_eq!(found("D (B)"), Some(("d".to_owned(), 1e9)));
        for name in ["d_k", "n_t", "params", "tokens", "n", "b", "m_tokens_x", "d_model"] {
            assert_eq!(found(name), None, "{name}");
        }
    }

    #[test]
    fn a_loss_has_the_unit_of_its_name() {
        assert_eq!(unit_of_loss("val_bpb", false), Some("bits a byte"));
        assert_eq!(unit_of_loss("Loss (nats)", false), Some("nats"));
        assert_eq!(unit_of_loss("loss_per_byte", true), Some("nats a byte"));
        assert_eq!((unit_of_loss("loss", true), unit_of_loss("loss", false)), (Some("nats a token"), None));
    }
}
