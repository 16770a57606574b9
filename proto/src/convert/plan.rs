//! Plans, which travel as the JSON that they are stored as.

use vocabulary::Plan;

use super::stage::check_key;
use super::{ConvertError, Problem, dataset, evaluation, line};
use crate::limits::MAX_NAME_BYTES;

/// A plan as it is sent.
///
/// # Panics
/// Never: every plan has a JSON form.
#[must_use]
pub fn sent_plan(plan: &Plan) -> String {
    serde_json::to_string(plan).expect("a plan always has a JSON form")
}

/// Reads a plan.
///
/// # Errors
/// If it is missing, is not the JSON of a plan that this version knows, has a stage whose key is not the hash of what it
/// trains, a search that cannot be searched, or texts that are not lines.
pub fn plan(field: &str, json: &str) -> Result<Plan, ConvertError> {
    if json.is_empty() {
        return Err(ConvertError::new(field, Problem::Missing));
    }
    let refuse = |error: serde_json::Error| ConvertError::new(field, Problem::Json { reason: error.to_string() });
    let plan: Plan = serde_json::from_str(json).map_err(refuse)?;
    check(&plan).map_err(|error| error.within(field))?;
    Ok(plan)
}

fn check(plan: &Plan) -> Result<(), ConvertError> {
    if let Some(data) = &plan.dataset {
        dataset::check(data).map_err(|error| error.within("dataset"))?;
    }
    for (index, stage) in plan.stages.iter().enumerate() {
        check_key(stage).map_err(|error| error.within(&format!("stages[{index}]")))?;
    }
    for (index, known) in plan.evaluations.iter().enumerate() {
        evaluation::check(known).map_err(|error| error.within(&format!("evaluations[{index}]")))?;
    }
    for (index, trial) in plan.trials.iter().enumerate() {
        if trial.path.is_empty() {
            return Err(ConvertError::new(format!("trials[{index}].path"), Problem::Missing));
        }
        if let Some(arm) = &trial.arm {
            line(&format!("trials[{index}].arm"), arm, MAX_NAME_BYTES)?;
        }
    }
    if let Some(search) = &plan.search {
        line("search.size", &search.base.size, MAX_NAME_BYTES)?;
        search.check().map_err(|unsound| ConvertError::new("search", Problem::Range { reason: unsound.0 }))?;
    }
    Ok(())
}
