//! What a trial of a search was given.

use std::collections::BTreeMap;

use super::space::Parameter;

/// The values of the searched keys.
pub type Settings = BTreeMap<Parameter, f64>;
