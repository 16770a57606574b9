//! What has to be added to a campaign so that it covers a larger recipe.

use vocabulary::{CampaignId, Growth, Plan};

use super::known::Known;
use super::{check_dataset, plan};
use crate::recipe::Recipe;
use crate::recipe::error::RecipeError;
use crate::recipe::order::Order;

/// Why a campaign cannot grow to a recipe.
#[derive(Debug, thiserror::Error)]
pub enum GrowthError {
    /// The plan has no data, so it was never accepted.
    #[error("{campaign} has no prepared dataset")]
    NoDataset {
        /// The campaign of the plan.
        campaign: CampaignId,
    },
    /// The recipe has another name.
    #[error("the recipe is named `{recipe}`, but the campaign is named `{campaign}`")]
    OtherName {
        /// The recipe's name.
        recipe: String,
        /// The campaign's name.
        campaign: String,
    },
    /// Only one of them is a search, or they are different searches.
    #[error("the recipe's search differs from the campaign's: only `trials` may change")]
    OtherSearch,
    /// The recipe cannot be expanded over the campaign's data.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
}

/// What has to be added to the campaign of a plan so that it covers a recipe, over the same data.
///
/// Existing trials and stages stay as they are. A new point between two old ones branches off in the middle of a stage, so it
/// shares the stages before that one and trains a stretch of the trunk again.
///
/// # Errors
/// If the recipe is that of another campaign, or as [`expand`](super::expand()).
pub fn growth(campaign: &Plan, recipe: &Recipe) -> Result<Growth, GrowthError> {
    let dataset = campaign.dataset.as_ref().ok_or(GrowthError::NoDataset { campaign: campaign.campaign })?;
    if recipe.name() != campaign.name {
        let [recipe, campaign] = [recipe.name(), &campaign.name].map(str::to_owned);
        return Err(GrowthError::OtherName { recipe, campaign });
    }
    check_dataset(recipe, dataset).map_err(|fault| recipe.refuse(fault))?;
    let whole = plan(
        recipe,
        dataset.id,
        dataset.vocab,
        Some(dataset.clone()),
        &Known::of(&campaign.stages),
        Order::of(campaign),
    )?;
    let (name, order) = (campaign.campaign, whole.trials.iter().map(|trial| trial.id).collect());
    match (&whole.search, &campaign.search) {
        (None, None) => {}
        // The campaign decides on the trials, because it knows the results.
        (Some(search), Some(_)) if whole.campaign == campaign.campaign => {
            return Ok(Growth::of_search(name, search.trials).beyond(campaign));
        }
        _ => return Err(GrowthError::OtherSearch),
    }
    let Plan { trials, stages, .. } = whole;
    Ok(Growth { trials, stages, order, ..Growth::nothing(name) }.beyond(campaign))
}
