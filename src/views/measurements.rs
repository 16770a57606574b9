//! Results as commands print them.

use std::collections::BTreeMap;

use vocabulary::Measurements;
use vocabulary::metrics::HELD_OUT_LOSSES;

/// What was measured besides the losses on held-out text, which have fields of their own. JSON has `null` for what is not a
/// finite number.
pub(crate) fn others(result: &Measurements) -> BTreeMap<String, f64> {
    result.besides(&HELD_OUT_LOSSES).map(|(name, value)| (name.to_string(), value)).collect()
}
