//! What people and their tools ask for.

use std::time::Duration;

use proto::convert;
use proto::limits::{MAX_LISTED, MAX_NAME_BYTES, MAX_RECIPE_BYTES, MAX_SURGERIES};
use proto::v1;
use recipes::branch::Rate;
use scheduler::{BranchLength, BranchTerms, Weight};
use vocabulary::{Dataset, DecayShape, Surgery, Tokens};

use super::DecodeError;
use crate::api::limit::at_most;
use crate::api::requests::{
    BranchRequest, CollectRequest, CurvesRequest, EvaluateRequest, ExtendRequest, ForgetRequest, RecipeSource,
    Selector, SubmitRequest,
};

/// A campaign that has to be named.
pub(crate) fn selector(campaign: String) -> Result<Selector, DecodeError> {
    Ok(Selector::new("campaign", campaign)?)
}

/// A campaign, or all where the text is empty.
pub(crate) fn optional(campaign: String) -> Result<Option<Selector>, DecodeError> {
    (!campaign.is_empty()).then(|| selector(campaign)).transpose()
}

pub(crate) fn submit(request: v1::SubmitRequest) -> Result<SubmitRequest, DecodeError> {
    let v1::SubmitRequest { recipe_file, recipe_text, dataset, weight } = request;
    let recipe = recipe(recipe_file, recipe_text)?;
    let weight = weight.map(|weight| Weight::new(weight).ok_or(DecodeError::Weight { weight })).transpose()?;
    Ok(SubmitRequest { recipe, dataset: convert::required("dataset", dataset)?, weight })
}

pub(crate) fn extend(request: v1::ExtendCampaignRequest) -> Result<ExtendRequest, DecodeError> {
    let v1::ExtendCampaignRequest { campaign, recipe_file, recipe_text } = request;
    Ok(ExtendRequest { campaign: selector(campaign)?, recipe: recipe(recipe_file, recipe_text)? })
}

fn recipe(file: String, text: String) -> Result<RecipeSource, DecodeError> {
    let file = convert::name("recipe_file", file)?;
    at_most(MAX_RECIPE_BYTES, "recipe_text", text.len())?;
    Ok(RecipeSource { file, text })
}

pub(crate) fn branch(request: v1::BranchCampaignRequest) -> Result<BranchRequest, DecodeError> {
    let v1::BranchCampaignRequest {
        stage,
        step,
        name,
        tokens,
        fraction,
        decay,
        floor,
        peak_lr,
        surgery,
        dataset,
        dry_run,
    } = request;
    let stage = Selector::new("stage", stage)?;
    at_most(MAX_NAME_BYTES, "name", name.len())?;
    let rate = match decay.as_str() {
        "" => Rate::Stable,
        name => Rate::Decay { shape: DecayShape::named(name).ok_or(DecodeError::UnknownDecay)?, floor },
    };
    let length = if tokens > 0 { BranchLength::Tokens(Tokens(tokens)) } else { BranchLength::Fraction(fraction) };
    at_most(MAX_SURGERIES, "surgery", surgery.len())?;
    let surgery =
        surgery.iter().map(|name| Surgery::named(name).ok_or(DecodeError::UnknownSurgery)).collect::<Result<_, _>>()?;
    let dataset = dataset.map(Dataset::try_from).transpose()?;
    let name = (!name.is_empty()).then_some(name);
    Ok(BranchRequest { stage, terms: BranchTerms { step, name, length, rate, peak_lr, surgery, dataset }, dry_run })
}

pub(crate) fn evaluate(request: v1::EvaluateCampaignRequest) -> Result<EvaluateRequest, DecodeError> {
    let v1::EvaluateCampaignRequest { campaign, name, dataset, tokens, stages, dry_run, kind_json } = request;
    at_most(MAX_NAME_BYTES, "name", name.len())?;
    at_most(MAX_LISTED, "stages", stages.len())?;
    let stages = stages.into_iter().map(|stage| Selector::new("stages", stage)).collect::<Result<_, _>>()?;
    let dataset = convert::required("dataset", dataset)?;
    let (campaign, tokens) = (selector(campaign)?, Some(tokens).filter(|tokens| *tokens > 0));
    let kind = convert::evaluation_kind("kind_json", &kind_json)?;
    Ok(EvaluateRequest { campaign, name, kind, dataset, tokens, stages, dry_run })
}

pub(crate) fn curves(request: v1::GetCurvesRequest) -> Result<CurvesRequest, DecodeError> {
    let v1::GetCurvesRequest { campaign, stages, after_step } = request;
    at_most(MAX_LISTED, "stages", stages.len())?;
    let stages = stages.into_iter().map(|stage| Selector::new("stages", stage)).collect::<Result<_, _>>()?;
    let from_step = after_step.map_or(0, |step| step.saturating_add(1));
    Ok(CurvesRequest { campaign: selector(campaign)?, stages, from_step })
}

pub(crate) fn forget(request: v1::ForgetCampaignRequest) -> Result<ForgetRequest, DecodeError> {
    let v1::ForgetCampaignRequest { campaign, datasets, dry_run } = request;
    Ok(ForgetRequest { campaign: selector(campaign)?, datasets, dry_run })
}

pub(crate) fn collect(request: v1::CollectCheckpointsRequest) -> Result<CollectRequest, DecodeError> {
    let v1::CollectCheckpointsRequest { campaign, dry_run, min_age_seconds } = request;
    Ok(CollectRequest { campaign: optional(campaign)?, min_age: Duration::from_secs(min_age_seconds), dry_run })
}
