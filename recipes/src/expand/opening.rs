//! The first steps of models under a recipe, at arbitrary shapes: what a coordinate check trains.

use vocabulary::{Dataset, LrSchedule, Shape, StageSpec, Tokens};

use super::check_dataset;
use crate::recipe::Recipe;
use crate::recipe::error::RecipeError;
use crate::recipe::format::{Parametrization, RecordedStages};
use crate::recipe::order::Order;
use crate::recipe::runs::Run;
use crate::recipe::whole::{batch, whole_specs};

/// The first steps of a model, as a recipe or one of its arms would train it.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// `None` if the recipe has no arms.
    pub arm: Option<String>,
    /// Whether the model has the Tensor-Program scalings.
    pub parametrization: Parametrization,
    /// Name of the shape.
    pub size: String,
    pub spec: StageSpec,
}

/// The first `steps` steps of each shape, under each arm and seed, in that order.
///
/// They use the first peak learning rate, without warm-up: in its warm-up a run hardly moves, and the movement is what
/// the check measures. No plan contains these stages.
///
/// # Errors
/// Fails if the data is too small for the recipe, or no batch fits the memory it names.
pub fn openings(
    recipe: &Recipe,
    dataset: &Dataset,
    shapes: &[(String, Shape)],
    seeds: &[u64],
    steps: u64,
) -> Result<Vec<Opening>, RecipeError> {
    check_dataset(recipe, dataset).map_err(|fault| recipe.refuse(fault))?;
    let mut openings = Vec::new();
    for variant in recipe.variants() {
        let contents = &variant.contents;
        let Some(&peak_lr) = contents.optimizer.peak_lr.first() else { continue };
        let schedule = LrSchedule::Constant { warmup_steps: 0 };
        let nominal = Tokens(steps * batch(contents).tokens());
        let recorded = RecordedStages::None;
        let run = |size: &String, shape, seed| Run {
            size: size.clone(),
            shape,
            seed,
            peak_lr,
            nominal,
            schedule,
            steps,
            recorded,
            decay_weights: None,
        };
        let runs: Vec<Run> = shapes
            .iter()
            .flat_map(|(size, shape)| seeds.iter().map(move |&seed| (size, *shape, seed)))
            .map(|(size, shape, seed)| run(size, shape, seed))
            .collect();
        let specs = whole_specs(variant, &runs, dataset.id, dataset.vocab, Order::default())
            .map_err(|fault| recipe.refuse(fault))?;
        openings.extend(runs.into_iter().zip(specs).map(|(run, spec)| Opening {
            arm: variant.arm.clone(),
            parametrization: contents.model.parametrization,
            size: run.size,
            spec,
        }));
    }
    Ok(openings)
}
