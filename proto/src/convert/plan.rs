//! Datasets, trials, plans.

use vocabulary::{CheckpointPolicy, Dataset, Domain, Keep, MAX_DOMAINS, Plan, Retries, Tokens, Trial};

use super::search::{settings_from_wire, settings_to_wire};
use super::{ConvertError, Problem, id, ids, line, list, positive, required};
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
        if dataset.sources.len() > MAX_SOURCES {
            let problem = Problem::TooMany { count: dataset.sources.len(), limit: MAX_SOURCES };
            return Err(ConvertError::new("sources", problem));
        }
        if dataset.domains.len() > MAX_DOMAINS {
            let problem = Problem::TooMany { count: dataset.domains.len(), limit: MAX_DOMAINS };
            return Err(ConvertError::new("domains", problem));
        }
        let source = |(index, text)| line(&format!("sources[{index}]"), text, MAX_SOURCE_BYTES);
        Ok(Self {
            id: id("id", &dataset.id)?,
            vocab: positive("vocab", dataset.vocab)?,
            train_tokens: dataset.train_tokens,
            validation_tokens: dataset.validation_tokens,
            train_bytes: dataset.train_bytes,
            validation_bytes: dataset.validation_bytes,
            sources: dataset.sources.into_iter().enumerate().map(source).collect::<Result<_, _>>()?,
            domains: list("domains", dataset.domains)?,
        })
    }
}

impl From<&Domain> for v1::Domain {
    fn from(domain: &Domain) -> Self {
        let Domain { name, train_tokens, validation_tokens, train_bytes, validation_bytes } = domain.clone();
        Self { name, train_tokens, validation_tokens, train_bytes, validation_bytes }
    }
}

impl TryFrom<v1::Domain> for Domain {
    type Error = ConvertError;

    fn try_from(domain: v1::Domain) -> Result<Self, ConvertError> {
        let v1::Domain { name, train_tokens, validation_tokens, train_bytes, validation_bytes } = domain;
        let name = line("name", name, MAX_NAME_BYTES)?;
        Ok(Self { name, train_tokens, validation_tokens, train_bytes, validation_bytes })
    }
}

impl From<&Trial> for v1::Trial {
    fn from(trial: &Trial) -> Self {
        Self {
            id: trial.id.to_string(),
            size: trial.size.clone(),
            seed: trial.seed,
            n: trial.n,
            d: trial.d.0,
            nominal: trial.nominal.0,
            path: trial.path.iter().map(ToString::to_string).collect(),
            arm: trial.arm.clone(),
            settings: settings_to_wire(&trial.settings),
        }
    }
}

impl TryFrom<v1::Trial> for Trial {
    type Error = ConvertError;

    fn try_from(trial: v1::Trial) -> Result<Self, ConvertError> {
        Ok(Self {
            id: id("id", &trial.id)?,
            size: trial.size,
            seed: trial.seed,
            n: trial.n,
            d: Tokens(trial.d),
            nominal: Tokens(trial.nominal),
            path: ids("path", &trial.path)?,
            arm: trial.arm.map(|arm| line("arm", arm, MAX_NAME_BYTES)).transpose()?,
            settings: settings_from_wire(trial.settings)?,
        })
    }
}

impl From<Retries> for v1::Retries {
    fn from(retries: Retries) -> Self {
        let Retries { not_started, preempted, failed, backoff_ms, longest_backoff_ms } = retries;
        Self { not_started, preempted, failed, backoff_ms, longest_backoff_ms }
    }
}

impl From<v1::Retries> for Retries {
    fn from(retries: v1::Retries) -> Self {
        let v1::Retries { not_started, preempted, failed, backoff_ms, longest_backoff_ms } = retries;
        Self { not_started, preempted, failed, backoff_ms, longest_backoff_ms }
    }
}

impl From<CheckpointPolicy> for v1::CheckpointPolicy {
    fn from(policy: CheckpointPolicy) -> Self {
        let CheckpointPolicy { quota_bytes, keep, min_interval_seconds, max_interval_seconds } = policy;
        let keep = match keep {
            Keep::Results => v1::Keep::Results,
            Keep::Best => v1::Keep::Best,
        };
        Self { quota_bytes, keep: keep.into(), min_interval_seconds, max_interval_seconds }
    }
}

impl From<v1::CheckpointPolicy> for CheckpointPolicy {
    fn from(policy: v1::CheckpointPolicy) -> Self {
        let keep = match policy.keep() {
            v1::Keep::Best => Keep::Best,
            // A value this version does not know keeps more rather than less.
            v1::Keep::Results | v1::Keep::Unspecified => Keep::Results,
        };
        let v1::CheckpointPolicy { quota_bytes, min_interval_seconds, max_interval_seconds, .. } = policy;
        Self { quota_bytes, keep, min_interval_seconds, max_interval_seconds }
    }
}

impl From<&Plan> for v1::Plan {
    fn from(plan: &Plan) -> Self {
        Self {
            campaign: plan.campaign.to_string(),
            name: plan.name.clone(),
            description: plan.description.clone(),
            dataset: plan.dataset.as_ref().map(Into::into),
            trials: plan.trials.iter().map(Into::into).collect(),
            stages: plan.stages.iter().map(Into::into).collect(),
            retries: Some(plan.retries.into()),
            checkpoints: Some(plan.checkpoints.into()),
            search: plan.search.as_deref().map(Into::into),
        }
    }
}

impl TryFrom<v1::Plan> for Plan {
    type Error = ConvertError;

    fn try_from(plan: v1::Plan) -> Result<Self, ConvertError> {
        Ok(Self {
            campaign: id("campaign", &plan.campaign)?,
            name: plan.name,
            description: plan.description,
            dataset: plan.dataset.map(|dataset| required("dataset", Some(dataset))).transpose()?,
            trials: list("trials", plan.trials)?,
            stages: list("stages", plan.stages)?,
            retries: plan.retries.map(Into::into).unwrap_or_default(),
            checkpoints: plan.checkpoints.map(Into::into).unwrap_or_default(),
            search: plan.search.map(|search| required("search", Some(search))).transpose()?.map(Box::new),
        })
    }
}
