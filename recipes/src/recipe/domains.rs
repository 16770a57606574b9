//! Checks the keys about one or several texts against each other.

use std::collections::BTreeMap;

use vocabulary::{MAX_DOMAINS, Mixture};

use super::check::{check_name, distinct};
use super::error::{Fault, Problem, nearest, shown};
use super::format::{DataRecipe, DomainRecipe, RecipeFile, ScheduleKind};

/// Name of the mean over all domains in results.
const AVERAGE: &str = "average";

pub(super) fn check(recipe: &RecipeFile) -> Result<(), Fault> {
    let data = &recipe.data;
    let accepted = "either `sources`, or `[[data.domains]]` for several texts";
    let domains = match (&data.sources, &data.domains) {
        (None, None) => return Err(Fault::new("data.sources", Problem::Missing, accepted)),
        (Some(_), Some(_)) => {
            return Err(Fault::conflict("data.domains", "cannot be combined with `sources`", accepted));
        }
        (Some(sources), None) => {
            distinct("data.sources", sources.iter())?;
            return [("weights", &data.weights), ("decay_weights", &data.decay_weights)]
                .into_iter()
                .find(|(_, weights)| weights.is_some())
                .map_or(Ok(()), |(key, _)| {
                    let reason = "only applies to `[[data.domains]]`";
                    Err(Fault::conflict(format!("data.{key}"), reason, "domains, or leave it out"))
                });
        }
        (None, Some(domains)) => domains,
    };
    check_names(domains)?;
    let Some(weights) = &data.weights else {
        return Err(Fault::new(
            "data.weights",
            Problem::Missing,
            "a table of the domains' names, each a number from 0",
        ));
    };
    check_weights("data.weights", weights, domains)?;
    let Some(weights) = &data.decay_weights else { return Ok(()) };
    check_weights("data.decay_weights", weights, domains)?;
    if recipe.schedule.kind != ScheduleKind::Wsd {
        let reason = "apply from the start of the decay, but the schedule has none";
        return Err(Fault::conflict("data.decay_weights", reason, "the schedule `wsd`, or leave it out"));
    }
    Ok(())
}

fn check_names(domains: &[DomainRecipe]) -> Result<(), Fault> {
    for (index, domain) in domains.iter().enumerate() {
        let key = format!("data.domains[{index}]");
        check_name(&format!("{key}.name"), &domain.name)?;
        if domain.name == AVERAGE {
            let reason = "is reserved for the mean over all domains";
            return Err(Fault::conflict(format!("{key}.name"), reason, "another name"));
        }
        distinct(&format!("{key}.sources"), domain.sources.iter())?;
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, name) in domains.iter().map(|domain| domain.name.as_str()).enumerate() {
        // Names become parts of file names, and some file systems ignore case.
        if seen.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            let problem = Problem::Duplicate { found: format!("`{name}`") };
            return Err(Fault::new(format!("data.domains[{index}].name"), problem, "a name for each domain"));
        }
        seen.push(name);
    }
    Ok(())
}

fn check_weights(key: &str, weights: &BTreeMap<String, f64>, domains: &[DomainRecipe]) -> Result<(), Fault> {
    let names: Vec<&str> = domains.iter().map(|domain| domain.name.as_str()).collect();
    if let Some(unknown) = weights.keys().find(|name| !names.contains(&name.as_str())) {
        let suggestion = nearest(unknown, names.iter().copied());
        let (key, problem) = (format!("{key}.{}", shown(unknown)), Problem::UnknownKey { suggestion });
        return Err(Fault::new(key, problem, format!("names of domains: {}", names.join(", "))));
    }
    if Mixture::of(&in_order(weights, domains)).is_none() {
        return Err(Fault::conflict(key, "give every domain a weight of zero", "at least one weight above 0"));
    }
    Ok(())
}

fn in_order(weights: &BTreeMap<String, f64>, domains: &[DomainRecipe]) -> Vec<f64> {
    domains.iter().map(|domain| weights.get(&domain.name).copied().unwrap_or(0.0)).collect()
}

impl DataRecipe {
    /// Every source, over all domains.
    #[must_use]
    pub fn all_sources(&self) -> Vec<String> {
        let of_domains = self.domains.iter().flatten().flat_map(|domain| &domain.sources);
        self.sources.iter().flatten().chain(of_domains).cloned().collect()
    }

    /// The domains' names, in order; empty for a single text.
    #[must_use]
    pub fn domain_names(&self) -> Vec<&str> {
        self.domains.iter().flatten().map(|domain| domain.name.as_str()).collect()
    }

    /// The mixture of a run from its start; `None` for a single text.
    pub(crate) fn mixture(&self) -> Option<Mixture> {
        Mixture::of(&in_order(self.weights.as_ref()?, self.domains.as_ref()?))
    }

    /// Shares in the decay; `None` if they do not change.
    pub(crate) fn decay_weights(&self) -> Option<[u32; MAX_DOMAINS]> {
        let decay = Mixture::of(&in_order(self.decay_weights.as_ref()?, self.domains.as_ref()?))?.weights;
        (decay != self.mixture()?.weights).then_some(decay)
    }
}
