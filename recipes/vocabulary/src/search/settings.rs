//! The settings that a search gave a trial.

use std::collections::BTreeMap;

use super::space::Parameter;

/// Values by searched key.
pub type Settings = BTreeMap<Parameter, f64>;
