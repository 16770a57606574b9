//! The first steps of models under a recipe, at whatever shapes: what a coordinate check trains.

use vocabulary::{Dataset, LrSchedule, Shape, StageSpec, Tokens};

use super::{Run, check_dataset, whole_specs};
use crate::recipe::Recipe;
use crate::recipe::error::RecipeError;
use crate::recipe::format::{Parametrization, RecordedStages};

/// A model's first steps, as a recipe or one of its arms takes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// The arm, where the recipe has arms.
    pub arm: Option<String>,
    /// How the model is scaled with its size.
    pub parametrization: Parametrization,
    /// What the shape is called.
    pub size: String,
    /// What is trained.
    pub spec: StageSpec,
}

/// The first `steps` steps of each shape, under each arm and seed, in that order.
///
/// They are taken at the first of the peak learning rates, without warm-up: at its first steps a recipe hardly moves, and
/// what it moves by is what is wanted. No plan has these stages.
///
/// # Errors
/// If the data does not suffice for the recipe, or no batch fits the memory it names.
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
        let nominal = Tokens(steps * super::batch(contents).tokens());
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
        let specs = whole_specs(variant, &runs, dataset.id, dataset.vocab).map_err(|fault| recipe.refuse(fault))?;
        openings.extend(runs.into_iter().zip(specs).map(|(run, spec)| Opening {
            arm: variant.arm.clone(),
            parametrization: contents.model.parametrization,
            size: run.size,
            spec,
        }));
    }
    Ok(openings)
}
