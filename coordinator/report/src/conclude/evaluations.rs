//! Evaluations: the trials' losses on text that was added to a campaign.

use vocabulary::{Measurements, Plan, StageKey};

use super::campaign::Campaign;

/// The names of the texts that stages of a campaign are evaluated on, in the order they were asked for.
pub(crate) fn names(plan: &Plan) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for evaluation in &plan.evaluations {
        if !names.contains(&evaluation.name.as_str()) {
            names.push(&evaluation.name);
        }
    }
    names
}

/// The measurements of a stage's last checkpoint on a text; `None` if it has not been evaluated.
pub(crate) fn result<'a>(campaign: &'a Campaign, stage: &StageKey, name: &str) -> Option<&'a Measurements> {
    let evaluations = campaign.plan.evaluations.iter();
    let of = evaluations.filter(|evaluation| evaluation.parent == *stage && evaluation.name == name);
    of.filter_map(|evaluation| campaign.evaluations.get(&evaluation.key)).next()
}
