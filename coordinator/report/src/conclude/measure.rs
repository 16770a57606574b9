//! Which held-out loss is considered: the set and the unit.

use serde::{Deserialize, Serialize};
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Metric, Plan, Trial};

use super::campaign::Campaign;
use super::evaluations;

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

/// One of several held-out texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldOut {
    /// The text of a domain of the campaign's data, by index.
    Domain(usize),
    /// A text that the campaign is evaluated on, by index.
    Evaluated(usize),
}

/// Which loss to consider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measure {
    /// The held-out text; `None` for the mean over all domains, or for a single set.
    pub set: Option<HeldOut>,
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
        let (domains, texts) = (names(plan), evaluations::names(plan));
        let domain = domains.iter().position(|known| *known == name).map(HeldOut::Domain);
        let set = domain.or_else(|| texts.iter().position(|known| *known == name).map(HeldOut::Evaluated));
        set.map(|set| Self { set: Some(set), unit }).ok_or_else(|| NoSuchSet {
            name: name.to_owned(),
            accepted: domains.iter().chain(&texts).copied().chain([AVERAGE]).map(str::to_owned).collect(),
        })
    }

    /// What it is of a trial; `None` where that was not measured.
    pub(crate) fn of(self, campaign: &Campaign, trial: &Trial) -> Option<f64> {
        let metric = self.unit.metric();
        match self.set {
            Some(HeldOut::Domain(set)) => campaign.results.get(&trial.id)?.get(metric.part(set)),
            Some(HeldOut::Evaluated(text)) => {
                let name = evaluations::names(&campaign.plan).get(text).copied()?;
                evaluations::result(campaign, trial.last_stage(), name)?.get(metric)
            }
            None => campaign.results.get(&trial.id)?.get(metric),
        }
    }

    /// In words: `nats a byte on the held-out text of code`.
    pub(crate) fn in_words(self, plan: &Plan) -> String {
        let (names, texts) = (names(plan), evaluations::names(plan));
        let name = self.set.and_then(|set| match set {
            HeldOut::Domain(set) => names.get(set),
            HeldOut::Evaluated(text) => texts.get(text),
        });
        let of = match name {
            Some(name) => format!("on the held-out text of {name}"),
            None if names.is_empty() => "on held-out text".to_owned(),
            None => format!("on held-out text, the mean over {} sets", names.len()),
        };
        format!("{} {of}", self.unit.in_words())
    }
}

/// The names of the held-out sets of a campaign's own data; empty if it has a single set.
pub(crate) fn names(plan: &Plan) -> Vec<&str> {
    plan.dataset.iter().flat_map(|dataset| &dataset.domains).map(|domain| domain.name.as_str()).collect()
}
