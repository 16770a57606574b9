//! Extending a campaign.

use recipes::{Additions, GrowthError, Recipe, RecipeError};
use vocabulary::Growth;

use crate::Detail;

/// Why a campaign cannot be extended as requested. All are errors in the request.
#[derive(Debug, thiserror::Error)]
pub enum ExtendError {
    /// It was submitted without a recipe.
    #[error("{campaign} has no stored recipe to extend")]
    NoRecipe {
        /// Its name.
        campaign: String,
    },
    /// The larger recipe is invalid.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The campaign cannot grow to it.
    #[error(transparent)]
    Growth(#[from] GrowthError),
}

/// The larger recipe, and the trials and stages it adds to the campaign.
///
/// # Errors
/// The addition does not make a valid larger recipe.
pub fn larger(detail: &Detail, more: &Additions) -> Result<(Recipe, Growth), ExtendError> {
    if detail.recipe_text.is_empty() {
        return Err(ExtendError::NoRecipe { campaign: detail.plan.name.clone() });
    }
    let recipe = Recipe::parse(&detail.recipe_file, &detail.recipe_text)?.with(more)?;
    let growth = recipes::growth(&detail.plan, &recipe)?;
    Ok((recipe, growth))
}
