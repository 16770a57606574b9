//! Datasets and their domains.

use vocabulary::{Dataset, Domain, MAX_DOMAINS};

use super::{ConvertError, Problem, id, line};
use crate::limits::{MAX_NAME_BYTES, MAX_SOURCE_BYTES, MAX_SOURCES};
use crate::v1;

impl From<&Dataset> for v1::Dataset {
    fn from(dataset: &Dataset) -> Self {
        Self {
            id: dataset.id.to_string(),
            vocab: dataset.vocab,
            train_tokens: dataset.train_tokens,
            validation_tokens: dataset.validation_tokens,
            train_bytes: dataset.train_bytes,
            validation_bytes: dataset.validation_bytes,
            sources: dataset.sources.clone(),
            domains: dataset.domains.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::Dataset> for Dataset {
    type Error = ConvertError;

    fn try_from(dataset: v1::Dataset) -> Result<Self, ConvertError> {
        let dataset = Self {
            id: id("id", &dataset.id)?,
            vocab: dataset.vocab,
            train_tokens: dataset.train_tokens,
            validation_tokens: dataset.validation_tokens,
            train_bytes: dataset.train_bytes,
            validation_bytes: dataset.validation_bytes,
            sources: dataset.sources,
            domains: dataset.domains.into_iter().map(Into::into).collect(),
        };
        check(&dataset)?;
        Ok(dataset)
    }
}

/// Whether a dataset can be trained on and shown.
pub(super) fn check(dataset: &Dataset) -> Result<(), ConvertError> {
    if dataset.vocab == 0 {
        return Err(ConvertError::new("vocab", Problem::NotPositive));
    }
    for (field, count, limit) in
        [("sources", dataset.sources.len(), MAX_SOURCES), ("domains", dataset.domains.len(), MAX_DOMAINS)]
    {
        if count > limit {
            return Err(ConvertError::new(field, Problem::TooMany { count, limit }));
        }
    }
    for (index, text) in dataset.sources.iter().enumerate() {
        line(&format!("sources[{index}]"), text, MAX_SOURCE_BYTES)?;
    }
    for (index, domain) in dataset.domains.iter().enumerate() {
        line(&format!("domains[{index}].name"), &domain.name, MAX_NAME_BYTES)?;
    }
    Ok(())
}

impl From<&Domain> for v1::Domain {
    fn from(domain: &Domain) -> Self {
        let Domain { name, train_tokens, validation_tokens, train_bytes, validation_bytes } = domain.clone();
        Self { name, train_tokens, validation_tokens, train_bytes, validation_bytes }
    }
}

impl From<v1::Domain> for Domain {
    fn from(domain: v1::Domain) -> Self {
        let v1::Domain { name, train_tokens, validation_tokens, train_bytes, validation_bytes } = domain;
        Self { name, train_tokens, validation_tokens, train_bytes, validation_bytes }
    }
}
