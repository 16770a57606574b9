//! What a campaign has to grow by to have all that a recipe asks for.

use vocabulary::{CampaignId, Growth, Plan};

use super::known::Known;
use super::{check_dataset, plan};
use crate::recipe::Recipe;
use crate::recipe::error::RecipeError;

/// Why a recipe is not what a campaign can grow to.
#[derive(Debug, thiserror::Error)]
pub enum GrowthError {
    /// The plan is one without data, which was never accepted.
    #[error("{campaign} has no prepared dataset")]
    NoDataset {
        /// Whose plan.
        campaign: CampaignId,
    },
    /// The recipe has another name.
    #[error("the recipe is that of `{recipe}`, and the campaign is named `{campaign}`")]
    OtherName {
        /// The recipe's.
        recipe: String,
        /// The campaign's.
        campaign: String,
    },
    /// One of them is a search, or another one.
    #[error("the recipe's search is not that of the campaign: all but `trials` has to be as it was")]
    OtherSearch,
    /// The recipe cannot be expanded over the campaign's data.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
}

/// What a campaign of this plan has to grow by to have all that a recipe asks for, over the same data.
///
/// Its trials and stages stay what they are. A new point between two old ones branches off in the middle of a stage: it
/// goes along the stages before that one, and trains a stretch of the trunk once more.
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
    let whole = plan(recipe, dataset.id, dataset.vocab, Some(dataset.clone()), &Known::of(&campaign.stages))?;
    let (name, order) = (campaign.campaign, whole.trials.iter().map(|trial| trial.id).collect());
    match (&whole.search, &campaign.search) {
        (None, None) => {}
        // Which trials there are is for the campaign to decide, which knows the results.
        (Some(search), Some(_)) if whole.campaign == campaign.campaign => {
            return Ok(Growth::of_search(name, search.trials).beyond(campaign));
        }
        _ => return Err(GrowthError::OtherSearch),
    }
    let Plan { trials, stages, .. } = whole;
    Ok(Growth { campaign: name, trials, stages, order, search_trials: None }.beyond(campaign))
}
