//! Which of the losses on held-out text is looked at: of which set, and in what unit.

use serde::{Deserialize, Serialize};
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Measurements, Metric, Plan};

/// What results call the mean over the held-out sets.
pub const AVERAGE: &str = "average";

/// What a loss is counted in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nats a token.
    #[default]
    Token,
    /// Nats a byte, which compares across tokenizers, and across sets that a tokenizer suits more or less well.
    Byte,
}

impl Unit {
    /// In words.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        self.metric().unit
    }

    fn metric(self) -> Metric {
        match self {
            Self::Token => VALIDATION_LOSS,
            Self::Byte => VALIDATION_LOSS_PER_BYTE,
        }
    }
}

/// A loss to look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measure {
    /// The number of the domain; `None` for the mean over all, or where there is one set.
    pub set: Option<usize>,
    pub unit: Unit,
}

/// A campaign has no such held-out set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the campaign has no held-out set `{name}`; accepted: {}", accepted.join(", "))]
pub struct NoSuchSet {
    /// What was asked for.
    pub name: String,
    pub accepted: Vec<String>,
}

impl Measure {
    /// The measure of a set's name, or of the mean.
    ///
    /// # Errors
    /// A name that the campaign's data does not have.
    pub fn named(plan: &Plan, name: &str, unit: Unit) -> Result<Self, NoSuchSet> {
        if name == AVERAGE {
            return Ok(Self { set: None, unit });
        }
        let names = names(plan);
        let set = names.iter().position(|known| *known == name);
        set.map(|set| Self { set: Some(set), unit }).ok_or_else(|| NoSuchSet {
            name: name.to_owned(),
            accepted: names.iter().copied().chain([AVERAGE]).map(str::to_owned).collect(),
        })
    }

    /// What it is of a trial; `None` where that was not measured.
    pub(crate) fn of(self, result: &Measurements) -> Option<f64> {
        let metric = self.unit.metric();
        match self.set {
            Some(set) => result.get(metric.part(set)),
            None => result.get(metric),
        }
    }

    /// In words: `nats a byte on the held-out text of code`.
    pub(crate) fn in_words(self, plan: &Plan) -> String {
        let names = names(plan);
        let of = match self.set.and_then(|set| names.get(set)) {
            Some(name) => format!("on the held-out text of {name}"),
            None if names.is_empty() => "on held-out text".to_owned(),
            None => format!("on held-out text, the mean over {} sets", names.len()),
        };
        format!("{} {of}", self.unit.in_words())
    }
}

/// The names of a campaign's held-out sets; none where there is one.
pub(crate) fn names(plan: &Plan) -> Vec<&str> {
    plan.dataset.iter().flat_map(|dataset| &dataset.domains).map(|domain| domain.name.as_str()).collect()
}
