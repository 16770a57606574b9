//! What a recipe asks for and does not get, although nothing in it is wrong.

use vocabulary::search::{Parameter, Values};

use super::Recipe;
use super::fixed_search::values;
use super::search::RangeRecipe;

impl Recipe {
    /// One sentence for each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let ranges = self.contents.search.iter().flat_map(|search| search.space.ranges());
        ranges.filter_map(|(parameter, range)| unreached(parameter, range)).collect()
    }
}

/// A note on a range whose steps pass over its upper end.
fn unreached(parameter: Parameter, range: &RangeRecipe) -> Option<String> {
    let (step, low, high) = (range.step?, range.low?, range.high?);
    let Ok(Values::Levels { levels }) = values("", parameter, range) else { return None };
    let last = *levels.last()?;
    // Levels are rounded to ten digits.
    if last >= high * (1.0 - 1e-9) {
        return None;
    }
    let key = format!("search.space.{parameter}");
    Some(match levels.len() {
        1 => format!("`{key}` is never more than {low}: its step of {step} leads beyond its `high` of {high} at once"),
        _ => format!(
            "`{key}` never reaches its `high` of {high}: from {low} in steps of {step} the last value is {last}"
        ),
    })
}
