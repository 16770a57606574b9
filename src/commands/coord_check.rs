//! `windtunnel coord-check`

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use corpus::OpenDataset;
use recipes::{Opening, Recipe, openings};
use trainer::coordinates::{observe, slopes};
use vocabulary::Shape;

use crate::args::Global;
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::data_dir::{WritableDir, data_dir};
use crate::local::preparing::prepare_data;
use crate::local::signals::stopped_by_signals;
use crate::logging::say;
use crate::views::output;
use crate::views::{CoordinatesView, ModelCoordinates, VariantCoordinates};

/// Check whether activations depend on model width, by training several widths for a few steps
///
/// The coordinate check of Tensor Programs. With correct scalings, the size of activations and how far training moves them
/// are the same at every width, so one learning rate serves all widths. Checks each arm of the recipe at its first peak
/// learning rate, without warm-up. Keeps nothing but the prepared data.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel coord-check recipes/quickstart.toml
  windtunnel coord-check recipes/smoke.toml --sizes smoke-16 --widths 16,32")]
pub(crate) struct Args {
    /// Recipe file
    recipe: PathBuf,

    /// Sizes of the recipe to check [default: all; with --widths, the first]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    sizes: Vec<String>,

    /// Widths to check instead: the size with more or fewer heads, all else in proportion
    #[arg(long, value_name = "D_MODEL", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=65_536))]
    widths: Vec<u32>,

    /// Steps to train
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    steps: u64,

    /// Seeds per model, averaged [default: the recipe's]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    seeds: Vec<u64>,

    /// Device to train on: `auto`, `flex` (the CPU), `cuda:INDEX` or `wgpu`
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: String,

    /// CPU threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let recipe = Recipe::load(&self.recipe).or_bad_input()?;
        let shapes = self.shapes(&recipe)?;
        let compute = minicpm::Compute::parse(&self.device, usize::from(self.threads)).or_bad_input()?;
        let seeds = if self.seeds.is_empty() { recipe.contents().seeds.clone() } else { self.seeds };
        let data_dir = WritableDir::prepare_private(&data_dir(global)?)?;
        let prepared = prepare_data(&recipe, data_dir.path())?;
        let data = Arc::new(OpenDataset::open(&prepared.dir).or_bad_input()?);
        let openings = openings(&recipe, &prepared.dataset, &shapes, &seeds, self.steps).or_bad_input()?;

        let interrupter = stopped_by_signals()?;
        let mut variants = Vec::new();
        for of_arm in openings.chunk_by(|one, other| one.arm == other.arm) {
            let mut models = Vec::with_capacity(of_arm.len());
            for opening in of_arm {
                say(&line(opening));
                let Some(observed) = observe(&opening.spec, &data, &compute, &interrupter).or_bad_input()? else {
                    return Ok(Exit::Interrupted);
                };
                models.push(ModelCoordinates {
                    size: opening.size.clone(),
                    d_model: opening.spec.model.shape.d_model,
                    seed: opening.spec.start.init_seed,
                    observed,
                });
            }
            let observed: Vec<_> = models.iter().map(|model| (model.d_model, model.observed.as_slice())).collect();
            variants.push(VariantCoordinates {
                arm: of_arm[0].arm.clone(),
                parametrization: of_arm[0].parametrization,
                peak_lr: of_arm[0].spec.peak_lr,
                exponents: slopes(&observed),
                models,
            });
        }
        let view = CoordinatesView { recipe: recipe.name().to_owned(), steps: self.steps, seeds, variants };
        output::print(&view, global.json)?;
        Ok(Exit::Done)
    }

    /// The models to compare, of at least two widths.
    fn shapes(&self, recipe: &Recipe) -> anyhow::Result<Vec<(String, Shape)>> {
        let sizes = recipe.sizes();
        let find = |name: &String| {
            sizes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).copied().ok_or_else(|| {
                let known: Vec<_> = sizes.iter().map(|(name, _)| *name).collect();
                bad_input(anyhow!("{} has no size `{name}`: choose from {}", recipe.file(), known.join(", ")))
            })
        };
        let chosen = match self.sizes.as_slice() {
            [] => sizes.clone(),
            names => names.iter().map(find).collect::<anyhow::Result<_>>()?,
        };
        let shapes: Vec<(String, Shape)> = if self.widths.is_empty() {
            chosen.into_iter().map(|(name, shape)| (name.to_owned(), shape)).collect()
        } else {
            if self.sizes.len() > 1 {
                return Err(bad_input(anyhow!("--widths applies to a single size: give one with --sizes")));
            }
            let (name, base) = chosen[0];
            let at = |&width: &u32| {
                let shape = base.at_width(width).ok_or_else(|| {
                    bad_input(anyhow!(
                        "{name} cannot be scaled to width {width}: its {} heads and feed-forward layer of {} are not whole \
                         numbers in proportion to its width of {}",
                        base.n_heads,
                        base.d_ff,
                        base.d_model
                    ))
                })?;
                Ok((format!("{name}-at-{width}"), shape))
            };
            self.widths.iter().map(at).collect::<anyhow::Result<_>>()?
        };
        let width = |(_, shape): &(String, Shape)| shape.d_model;
        if shapes.windows(2).all(|pair| width(&pair[0]) == width(&pair[1])) {
            return Err(bad_input(anyhow!(
                "a coordinate check compares widths: give at least two with --sizes or --widths"
            )));
        }
        Ok(shapes)
    }
}

fn line(opening: &Opening) -> String {
    let arm = opening.arm.as_ref().map(|arm| format!(" of {arm}")).unwrap_or_default();
    let (size, seed, steps) = (&opening.size, opening.spec.start.init_seed, opening.spec.steps.end);
    format!("{size}{arm}, seed {seed}: {steps} steps")
}
