//! A trial's settings as lines of a recipe.

use std::collections::BTreeMap;
use std::fmt::Write;

use vocabulary::search::{Parameter, Settings};

/// Formats settings as lines of a recipe, under the headings of their tables.
///
/// ```
/// use recipes::search::recipe_lines;
/// use vocabulary::search::{Parameter, Settings};
///
/// let best = Settings::from([(Parameter::PeakLr, 0.01), (Parameter::ScaleDepth, 1.4)]);
/// assert_eq!(recipe_lines(&best), "[model]\nscale_depth = 1.4\n\n[optimizer]\npeak_lr = [0.01]\n");
/// ```
#[must_use]
pub fn recipe_lines(settings: &Settings) -> String {
    let mut tables: BTreeMap<&str, String> = BTreeMap::new();
    for (parameter, value) in settings {
        let lines = tables.entry(parameter.table()).or_default();
        let name = parameter.name();
        let _ = match parameter {
            Parameter::PeakLr => writeln!(lines, "{name} = [{value}]"),
            _ => writeln!(lines, "{name} = {value}"),
        };
    }
    let tables: Vec<String> = tables.into_iter().map(|(table, lines)| format!("[{table}]\n{lines}")).collect();
    tables.join("\n")
}
