//! Which held-out loss is considered: the set and the unit.

use serde::{Deserialize, Serialize};
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Measurements, Metric, Plan};

/// The name of the mean over the held-out sets.
pub const AVERAGE: &str = "average";

/// The unit of a loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Nats a token.
    #[default]
    Token,
    /// Nats a byte: comparable across tokenizers, and across sets that a tokenizer suits differently.
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

/// Which loss to consider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measure {
    /// The index of the domain; `None` for the mean over all domains, or for a single set.
    pub set: Option<usize>,
    pub unit: Unit,
}

/// A campaign has no such held-out set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the campaign has no held-out set `{name}`; accepted: {}", accepted.join(", "))]
pub struct NoSuchSet {
    /// The requested name.
    pub name: String,
    /// The available names.
    pub accepted: Vec<String>,
}

impl Measure {
    /// The measure named by a set, or `average`.
    ///
    /// # Errors
    /// The campaign's data has no such set.
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

/// The names of a campaign's held-out sets; empty if it has a single set.
pub(crate) fn names(plan: &Plan) -> Vec<&str> {
    plan.dataset.iter().flat_map(|dataset| &dataset.domains).map(|domain| domain.name.as_str()).collect()
}
