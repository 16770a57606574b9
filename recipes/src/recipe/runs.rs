//! The individual runs that a recipe asks for: the grid, and the rounding of tokens to steps.

use vocabulary::units::human_count;
use vocabulary::{DecayShape, LrSchedule, MAX_DOMAINS, Recording, Shape, Tokens};

use super::error::{Fault, Problem};
use super::format::{Counted, DecayKind, DecayRecipe, RecipeFile, RecordedStages, ScheduleKind, ScheduleRecipe};

/// Maximum number of runs of a recipe, over all its arms.
const MAX_RUNS: usize = 10_000;

/// Maximum number of stages along the paths of all runs. A run passes through a stage for each shorter point of its
/// size, so this grows with the square of the number of points, and with it the plan that is stored and sent.
const MAX_PATHS: usize = 200_000;

/// Maximum number of steps of a run.
const MAX_STEPS: u64 = 1_000_000_000;

/// One model, trained to one point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub(crate) size: String,
    pub(crate) shape: Shape,
    pub(crate) seed: u64,
    pub(crate) peak_lr: f64,
    /// Tokens, as the recipe counts them.
    pub(crate) nominal: Tokens,
    /// The learning rate over the whole run.
    pub(crate) schedule: LrSchedule,
    /// Total number of steps.
    pub(crate) steps: u64,
    /// Shares of the domains in the decay; `None` if they do not change.
    pub(crate) decay_weights: Option<[u32; MAX_DOMAINS]>,
    /// Which of its stages record dynamics.
    pub(crate) recorded: RecordedStages,
}

impl Run {
    /// What a stage records, given the part of the schedule that it covers.
    pub(crate) fn recording(&self, schedule: &LrSchedule) -> Option<Recording> {
        let records = match self.recorded {
            RecordedStages::None => false,
            RecordedStages::Decay => matches!(schedule, LrSchedule::Wsd { .. }),
            RecordedStages::All => true,
        };
        records.then_some(Recording::Dynamics)
    }
}

/// Every run, in the recipe's order: sizes, then seeds, then learning rates, then points. The recipe is one of
/// `variants` variants, which share the limits.
pub(crate) fn runs(recipe: &RecipeFile, variants: usize) -> Result<Vec<Run>, Fault> {
    let [max_runs, max_paths] = [MAX_RUNS, MAX_PATHS].map(|limit| limit / variants.max(1));
    let points = recipe.points.tokens.as_ref().map_or(0, Vec::len) + recipe.points.times_n.as_ref().map_or(0, Vec::len);
    let count = recipe.model.sizes.len() * recipe.seeds.len() * recipe.optimizer.peak_lr.len() * points;
    if count > max_runs {
        let reason = format!("make {count} runs with the sizes, seeds and learning rates");
        return Err(Fault::conflict("points", reason, format!("at most {max_runs} runs")));
    }
    let along = count.saturating_mul(points + 1) / 2;
    if matches!(recipe.schedule.kind, ScheduleKind::Wsd | ScheduleKind::Constant) && along > max_paths {
        let reason = format!("make up to {along} stages along the paths of {count} runs");
        return Err(Fault::conflict("points", reason, format!("fewer points of a size, or runs: at most {max_paths}")));
    }
    let mut runs = Vec::with_capacity(count);
    for (size, shape) in recipe.model.sizes.iter().filter_map(|name| Some((name, recipe.shape(name)?))) {
        let curves = curves(recipe, size, shape)?;
        for &seed in &recipe.seeds {
            for &peak_lr in &recipe.optimizer.peak_lr {
                runs.extend(curves.iter().map(|&(nominal, schedule, steps)| Run {
                    size: size.clone(),
                    shape,
                    seed,
                    peak_lr,
                    nominal,
                    schedule,
                    steps,
                    recorded: recipe.record.dynamics,
                    decay_weights: recipe.data.decay_weights(),
                }));
            }
        }
    }
    Ok(runs)
}

/// The points of one size: tokens as requested, the learning rate over the run, and its number of steps.
fn curves(recipe: &RecipeFile, size: &str, shape: Shape) -> Result<Vec<(Tokens, LrSchedule, u64)>, Fault> {
    let mut curves: Vec<(Tokens, LrSchedule, u64)> = Vec::new();
    let points = nominal_tokens(recipe, shape);
    let warmup_steps = warmup_steps(recipe, &points);
    for (key, nominal) in points {
        let (schedule, steps) = curve(recipe, &key, size, nominal, warmup_steps)?;
        if curves.iter().any(|(_, other_schedule, other)| (*other_schedule, *other) == (schedule, steps)) {
            let found = format!("a run of {steps} steps for `{size}`");
            let accepted = format!("points a step of {} tokens apart", batch_tokens(recipe));
            return Err(Fault::new(key, Problem::Duplicate { found }, accepted));
        }
        curves.push((nominal, schedule, steps));
    }
    Ok(curves)
}

/// The points of a shape in tokens, each with its key in the recipe.
fn nominal_tokens(recipe: &RecipeFile, shape: Shape) -> Vec<(String, Tokens)> {
    let n = shape.non_embedding_params() as f64;
    let fixed = recipe.points.tokens.iter().flatten().copied();
    let multiples = recipe.points.times_n.iter().flatten().map(|times| (times * n).round() as u64);
    let name = |list: &str, index| format!("points.{list}[{index}]");
    let fixed = fixed.enumerate().map(|(index, tokens)| (name("tokens", index), Tokens(tokens)));
    let multiples = multiples.enumerate().map(|(index, tokens)| (name("times_n", index), Tokens(tokens)));
    fixed.chain(multiples).collect()
}

/// Steps of warm-up of a size, whose points are these: at least one where a warm-up is asked for.
fn warmup_steps(recipe: &RecipeFile, points: &[(String, Tokens)]) -> u64 {
    let schedule = &recipe.schedule;
    let shortest = points.iter().map(|(_, tokens)| tokens.0).min().unwrap_or_default();
    let of_shortest = |fraction: f64| {
        let steps = (fraction * to_steps(recipe, shortest) as f64).round() as u64;
        steps.max(u64::from(fraction > 0.0))
    };
    let in_tokens = schedule.warmup_tokens.map(|tokens| to_steps(recipe, tokens).max(u64::from(tokens > 0)));
    schedule.warmup_steps.or(in_tokens).or(schedule.warmup_fraction.map(of_shortest)).unwrap_or_default()
}

fn curve(
    recipe: &RecipeFile,
    key: &str,
    size: &str,
    nominal: Tokens,
    warmup_steps: u64,
) -> Result<(LrSchedule, u64), Fault> {
    let schedule = &recipe.schedule;
    let points_steps = to_steps(recipe, nominal.0);
    if points_steps == 0 {
        let reason = format!("gives `{size}` not even one step of {} tokens", batch_tokens(recipe));
        return Err(Fault::conflict(key, reason, format!("at least {} tokens", batch_tokens(recipe))));
    }
    let floor = schedule.floor.unwrap_or(1.0);
    let period_steps = schedule.period_tokens.map_or(points_steps, |tokens| to_steps(recipe, tokens).max(1));
    // The curve, its length, and the number of steps available for warm-up.
    let (curve, steps, room) = match (schedule.kind, &schedule.decay) {
        (ScheduleKind::Wsd, Some(decay)) => {
            let decay_steps = (points_steps as f64 * decay.fraction).round() as u64;
            if decay_steps == 0 {
                let reason =
                    format!("gives `{size}` a run of {points_steps} steps, too short for even one step of decay");
                let least = (0.5 / decay.fraction).ceil();
                return Err(Fault::conflict(key, reason, format!("at least {least} steps")));
            }
            let decay_start = match decay.counted {
                Counted::Inside => points_steps.saturating_sub(decay_steps),
                Counted::After => points_steps,
            };
            let shape = decay_shape(recipe, decay);
            let curve = LrSchedule::Wsd { warmup_steps, decay_start, decay_steps, decay: shape, floor };
            (curve, decay_start + decay_steps, decay_start)
        }
        (ScheduleKind::Cosine, _) => {
            (LrSchedule::Cosine { warmup_steps, period_steps, floor }, points_steps, period_steps - 1)
        }
        (ScheduleKind::CosineLoop, _) => {
            (LrSchedule::CosineLoop { warmup_steps, period_steps, floor }, points_steps, period_steps - 1)
        }
        (ScheduleKind::Constant | ScheduleKind::Wsd, _) => {
            (LrSchedule::Constant { warmup_steps }, points_steps, points_steps)
        }
    };
    if warmup_steps > room {
        let reason = format!(
            "{warmup_steps} steps do not fit: `{size}` has room for {room} at {} tokens",
            human_count(nominal.0 as f64)
        );
        let (key, most) = match schedule {
            ScheduleRecipe { warmup_tokens: Some(_), .. } => {
                ("schedule.warmup_tokens", format!("at most {}", room * batch_tokens(recipe)))
            }
            ScheduleRecipe { warmup_fraction: Some(_), .. } => ("schedule.warmup_fraction", "a smaller one".to_owned()),
            _ => ("schedule.warmup_steps", format!("at most {room}")),
        };
        return Err(Fault::conflict(key, reason, most));
    }
    if steps > MAX_STEPS {
        return Err(Fault::conflict(
            key,
            format!("gives `{size}` {steps} steps"),
            format!("at most {MAX_STEPS} steps"),
        ));
    }
    Ok((curve, steps))
}

fn decay_shape(recipe: &RecipeFile, decay: &DecayRecipe) -> DecayShape {
    match decay.shape {
        DecayKind::Linear => DecayShape::Linear,
        DecayKind::Exponential => DecayShape::Exponential,
        DecayKind::Cosine => DecayShape::Cosine,
        DecayKind::OneMinusSqrt => DecayShape::OneMinusSqrt,
        DecayKind::HalfLife => {
            let half_life = decay.half_life_tokens.unwrap_or_default();
            DecayShape::HalfLife { half_life_steps: to_steps(recipe, half_life).max(1) }
        }
    }
}

fn batch_tokens(recipe: &RecipeFile) -> u64 {
    u64::from(recipe.batch.sequences) * u64::from(recipe.batch.context)
}

/// The number of steps nearest to a number of tokens.
fn to_steps(recipe: &RecipeFile, tokens: u64) -> u64 {
    (tokens + batch_tokens(recipe) / 2) / batch_tokens(recipe)
}
