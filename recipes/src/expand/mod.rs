//! From a recipe and its data to a plan.
//!
//! `recipe::runs` fixes the numbers of every run that the recipe asks for, as if each were trained alone. `tree` cuts the runs where
//! they diverge, and merges what they share. `opening` gives single stages outside any plan.

mod growth;
mod known;
mod opening;
mod tree;

pub use growth::{GrowthError, growth};
use known::Known;
pub use opening::{Opening, openings};

use vocabulary::search::{Search, Settings};
use vocabulary::{CampaignId, Dataset, DatasetId, Plan, StageKey, StageSpec, Tokens, Trial, TrialId};

use crate::recipe::error::{Fault, RecipeError};
use crate::recipe::order::Order;
use crate::recipe::runs::Run;
use crate::recipe::whole::whole_specs;
use crate::recipe::{Recipe, Variant, fixed_search};
use crate::search::grow;

/// The plan of a recipe over prepared data. The same recipe over the same data is the same plan.
///
/// # Errors
/// If the data does not suffice for the recipe: too few tokens held out, or none to train on.
pub fn expand(recipe: &Recipe, dataset: &Dataset) -> Result<Plan, RecipeError> {
    check_dataset(recipe, dataset).map_err(|fault| recipe.refuse(fault))?;
    plan(recipe, dataset.id, dataset.vocab, Some(dataset.clone()), &Known::default(), Order::default())
}

/// The plan as it was made before sizes had orders of their own: every size of a seed sees the same batches. A campaign
/// recorded then keeps that plan, and is found by its identifier when it is resumed.
///
/// # Errors
/// As [`expand()`].
pub fn expand_as_before(recipe: &Recipe, dataset: &Dataset) -> Result<Plan, RecipeError> {
    check_dataset(recipe, dataset).map_err(|fault| recipe.refuse(fault))?;
    plan(recipe, dataset.id, dataset.vocab, Some(dataset.clone()), &Known::default(), Order::OfSeed)
}

/// The plan of a recipe whose data is not prepared yet, to be shown and not run. Sizes, steps and costs are right if the
/// tokenizer turns out as large as asked for; keys are not.
///
/// # Errors
/// If the recipe names a tokenizer by its path, because the size of its vocabulary is not known before it is read.
pub fn sketch(recipe: &Recipe) -> Result<Plan, RecipeError> {
    let vocab = recipe.data().vocab.ok_or_else(|| {
        let reason = "has a vocabulary of unknown size until the data is prepared";
        recipe.refuse(Fault::conflict("data.tokenizer", reason, "a recipe whose data is prepared"))
    })?;
    plan(
        recipe,
        DatasetId::from_content(b"data that is not prepared"),
        vocab,
        None,
        &Known::default(),
        Order::default(),
    )
}

fn check_dataset(recipe: &Recipe, dataset: &Dataset) -> Result<(), Fault> {
    let context = u64::from(recipe.contents().batch.context);
    if dataset.train_tokens <= context {
        return Err(Fault::conflict(
            "data.sources",
            format!("give {} tokens to train on", dataset.train_tokens),
            format!("text of more than one sequence of {context} tokens"),
        ));
    }
    if !dataset.domains.is_empty() || recipe.data().domains.is_some() {
        return check_domains(recipe, dataset);
    }
    if dataset.validation_tokens < recipe.data().validation_tokens {
        return Err(Fault::conflict(
            "data.validation_tokens",
            format!(
                "{} tokens are more than the {} that are held out",
                recipe.data().validation_tokens,
                dataset.validation_tokens
            ),
            "fewer, a larger `validation_fraction`, or more text",
        ));
    }
    Ok(())
}

fn check_domains(recipe: &Recipe, dataset: &Dataset) -> Result<(), Fault> {
    let data = recipe.data();
    let asked = data.domain_names();
    let found: Vec<&str> = dataset.domains.iter().map(|domain| domain.name.as_str()).collect();
    if asked != found {
        let reason = format!("[{}] are not the [{}] of the data", asked.join(", "), found.join(", "));
        return Err(Fault::conflict("data.domains", reason, "the domains that the data was prepared with"));
    }
    let context = u64::from(recipe.contents().batch.context);
    for (index, domain) in dataset.domains.iter().enumerate() {
        if domain.train_tokens <= context {
            return Err(Fault::conflict(
                format!("data.domains[{index}].sources"),
                format!("give {} tokens to train on", domain.train_tokens),
                format!("text of more than one sequence of {context} tokens"),
            ));
        }
        if domain.validation_tokens < data.validation_tokens {
            let (asked, held_out) = (data.validation_tokens, domain.validation_tokens);
            return Err(Fault::conflict(
                "data.validation_tokens",
                format!("{asked} tokens are more than the {held_out} of `{}` that are held out", domain.name),
                "fewer, a larger `validation_fraction`, or more text",
            ));
        }
    }
    Ok(())
}

fn plan(
    recipe: &Recipe,
    data: DatasetId,
    vocab: u32,
    dataset: Option<Dataset>,
    known: &Known<'_>,
    order: Order,
) -> Result<Plan, RecipeError> {
    let mut runs: Vec<(&Variant, Run, StageSpec)> = Vec::new();
    for (variant, of_variant) in recipe.runs()? {
        let specs = whole_specs(variant, &of_variant, data, vocab, order).map_err(|fault| recipe.refuse(fault))?;
        runs.extend(of_variant.into_iter().zip(specs).map(|(run, spec)| (variant, run, spec)));
    }
    if let (Some(search), [(_, run, whole)]) = (&recipe.contents().search, runs.as_slice()) {
        let search = fixed_search::fix(search, run, whole.clone()).map_err(|fault| recipe.refuse(fault))?;
        return Ok(plan_of_search(recipe, dataset, search));
    }
    let (stages, paths) = tree::merge(&runs.iter().map(|(_, run, spec)| (run, spec)).collect::<Vec<_>>(), known);
    let trials: Vec<Trial> = runs
        .iter()
        .zip(paths)
        .map(|((variant, run, spec), path)| Trial {
            id: trial_id(variant.arm.as_deref(), path.last().expect("a run has steps")),
            size: run.size.clone(),
            seed: run.seed,
            arm: variant.arm.clone(),
            n: run.shape.non_embedding_params(),
            d: Tokens(run.steps * spec.batch.tokens()),
            nominal: run.nominal,
            path,
            settings: Settings::new(),
        })
        .collect();
    Ok(Plan {
        campaign: campaign_id(recipe.name(), &trials),
        name: recipe.name().to_owned(),
        description: recipe.contents().description.clone(),
        dataset,
        trials,
        stages,
        evaluations: Vec::new(),
        retries: recipe.retries(),
        checkpoints: recipe.contents().checkpoints.policy(),
        search: None,
    })
}

/// The plan of a search without results: the first trials, up to where they are judged.
fn plan_of_search(recipe: &Recipe, dataset: Option<Dataset>, search: Search) -> Plan {
    let progress = grow(&search, &[], |_| None);
    Plan {
        campaign: search.campaign(recipe.name()),
        name: recipe.name().to_owned(),
        description: recipe.contents().description.clone(),
        dataset,
        trials: progress.trials,
        stages: progress.stages,
        evaluations: Vec::new(),
        retries: recipe.retries(),
        checkpoints: recipe.contents().checkpoints.policy(),
        search: Some(Box::new(search)),
    }
}

/// A trial's identifier, from its last stage and its arm: two arms may train the same stages.
pub(crate) fn trial_id(arm: Option<&str>, last: &StageKey) -> TrialId {
    let arm = arm.map(str::as_bytes).unwrap_or_default();
    TrialId::from_content(&[last.as_bytes().as_slice(), arm].concat())
}

/// A campaign's identifier, from its name and its trials' last stages and arms, whatever their order.
pub(crate) fn campaign_id(name: &str, trials: &[Trial]) -> CampaignId {
    let mut ends: Vec<_> = trials.iter().map(|trial| (trial.last_stage(), trial.arm.as_deref())).collect();
    ends.sort_unstable();
    let ends = ends.into_iter().flat_map(|(key, arm)| key.as_bytes().iter().copied().chain(arm.unwrap_or("").bytes()));
    CampaignId::from_content(&name.bytes().chain([0]).chain(ends).collect::<Vec<u8>>())
}
