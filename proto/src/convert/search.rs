//! Searches, and what they give their trials.

use vocabulary::Tokens;
use vocabulary::search::{Asha, Dimension, Parameter, Sampler, Scale, Search, SearchBase, Settings, Values};

use super::{ConvertError, Problem, line, list, required};
use crate::limits::MAX_NAME_BYTES;
use crate::v1;

pub(super) fn settings_to_wire(settings: &Settings) -> Vec<v1::Setting> {
    let setting = |(parameter, value): (&Parameter, &f64)| v1::Setting { key: parameter.to_string(), value: *value };
    settings.iter().map(setting).collect()
}

pub(super) fn settings_from_wire(settings: Vec<v1::Setting>) -> Result<Settings, ConvertError> {
    let setting = |v1::Setting { key, value }: v1::Setting| Ok((parameter("settings", &key)?, value));
    settings.into_iter().map(setting).collect()
}

fn parameter(field: &str, name: &str) -> Result<Parameter, ConvertError> {
    name.parse()
        .map_err(|_| ConvertError::new(field, Problem::Range { reason: "is no key that this version can search" }))
}

impl From<&Search> for v1::Search {
    fn from(search: &Search) -> Self {
        let Search { trials, seed, parallel, startup, .. } = *search;
        let sampler = match search.sampler {
            Sampler::Grid => v1::Sampler::Grid,
            Sampler::Random => v1::Sampler::Random,
            Sampler::Tpe => v1::Sampler::Tpe,
        };
        let asha = |asha: &Asha| v1::Asha { reduction: asha.reduction, rungs: asha.rungs.clone() };
        Self {
            sampler: sampler.into(),
            trials,
            seed,
            parallel,
            startup,
            space: search.space.iter().map(Into::into).collect(),
            asha: search.pruner.as_ref().map(asha),
            size: search.base.size.clone(),
            init_seed: search.base.seed,
            n: search.base.n,
            nominal: search.base.nominal.0,
            whole: Some((&search.base.whole).into()),
        }
    }
}

impl TryFrom<v1::Search> for Search {
    type Error = ConvertError;

    fn try_from(search: v1::Search) -> Result<Self, ConvertError> {
        let sampler = match v1::Sampler::try_from(search.sampler) {
            Ok(v1::Sampler::Grid) => Sampler::Grid,
            Ok(v1::Sampler::Random) => Sampler::Random,
            Ok(v1::Sampler::Tpe) => Sampler::Tpe,
            Ok(v1::Sampler::Unspecified) | Err(_) => {
                let problem = Problem::Enum { of: "Sampler", value: search.sampler };
                return Err(ConvertError::new("sampler", problem));
            }
        };
        let base = SearchBase {
            size: line("size", search.size, MAX_NAME_BYTES)?,
            seed: search.init_seed,
            n: search.n,
            nominal: Tokens(search.nominal),
            whole: required("whole", search.whole)?,
        };
        let v1::Search { trials, seed, parallel, startup, .. } = search;
        let pruner = search.asha.map(|v1::Asha { reduction, rungs }| Asha { reduction, rungs });
        let space = list("space", search.space)?;
        let search = Self { sampler, trials, seed, parallel, startup, space, pruner, base };
        search.check().map_err(|unsound| ConvertError::new("space", Problem::Range { reason: unsound.0 }))?;
        Ok(search)
    }
}

impl From<&Dimension> for v1::Dimension {
    fn from(dimension: &Dimension) -> Self {
        let key = dimension.parameter.to_string();
        match &dimension.values {
            Values::Levels { levels } => Self { key, levels: levels.clone(), low: None, high: None, log: false },
            Values::Between { low, high, scale } => {
                Self { key, levels: Vec::new(), low: Some(*low), high: Some(*high), log: *scale == Scale::Log }
            }
        }
    }
}

impl TryFrom<v1::Dimension> for Dimension {
    type Error = ConvertError;

    fn try_from(dimension: v1::Dimension) -> Result<Self, ConvertError> {
        let v1::Dimension { key, levels, low, high, log } = dimension;
        let scale = if log { Scale::Log } else { Scale::Linear };
        let values = match (low, high) {
            (Some(low), Some(high)) => Values::Between { low, high, scale },
            _ => Values::Levels { levels },
        };
        Ok(Self { parameter: parameter("key", &key)?, values })
    }
}
