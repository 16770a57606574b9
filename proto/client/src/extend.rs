//! What a campaign is to have more of.

use recipes::{Additions, GrowthError, Recipe, RecipeError};
use vocabulary::Growth;

use crate::Detail;

/// Why a campaign cannot be extended so. Whoever asked can ask for something else.
#[derive(Debug, thiserror::Error)]
pub enum ExtendError {
    /// It was submitted as a plan.
    #[error("no recipe is stored for {campaign}, so there is none to add to")]
    NoRecipe {
        /// Its name.
        campaign: String,
    },
    /// The larger recipe is no recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// It is not one that the campaign can grow to.
    #[error(transparent)]
    Growth(#[from] GrowthError),
}

/// The larger recipe of a campaign, and what it asks for that the campaign does not have.
///
/// # Errors
/// Where there is no such recipe.
pub fn larger(detail: &Detail, more: &Additions) -> Result<(Recipe, Growth), ExtendError> {
    if detail.recipe_text.is_empty() {
        return Err(ExtendError::NoRecipe { campaign: detail.plan.name.clone() });
    }
    let recipe = Recipe::parse(&detail.recipe_file, &detail.recipe_text)?.with(more)?;
    let growth = recipes::growth(&detail.plan, &recipe)?;
    Ok((recipe, growth))
}
