//! The section `[search]` with every number fixed.

use vocabulary::search::{Asha, Dimension, MAX_TRIALS, Parameter, Sampler, Scale, Search, SearchBase, Values};
use vocabulary::{DatasetId, LrSchedule, StageSpec};

use super::error::{Fault, Problem};
use super::format::{RecipeFile, SearchRecipe};
use super::order::Order;
use super::runs::Run;
use super::search::{PrunerKind, PrunerRecipe, RangeRecipe};
use super::whole::whole_spec;
use super::{Variant, limits_of};

/// The default number of random trials before TPE begins to choose. It does not depend on the number of trials, because
/// existing trials must not change when that is raised.
const STARTUP: u32 = 16;

/// The first fault of a recipe's search, if it has one.
pub(crate) fn check(recipe: &RecipeFile, runs: &[(&Variant, Vec<Run>)]) -> Result<(), Fault> {
    let Some(search) = &recipe.search else { return Ok(()) };
    if !recipe.arms.is_empty() {
        return Err(Fault::conflict("search", "cannot be combined with arms", "one of the two"));
    }
    let lists = [
        ("model.sizes", recipe.model.sizes.len()),
        ("seeds", recipe.seeds.len()),
        ("optimizer.peak_lr", recipe.optimizer.peak_lr.len()),
        ("points", recipe.points.tokens.iter().flatten().count() + recipe.points.times_n.iter().flatten().count()),
    ];
    if let Some((key, count)) = lists.into_iter().find(|(_, count)| *count != 1) {
        let reason = format!("gives {count}, but a search varies a single run");
        return Err(Fault::conflict(key, reason, "exactly one"));
    }
    for run in runs.iter().flat_map(|(_, runs)| runs) {
        // Nothing that is checked depends on the data.
        let vocab = recipe.data.vocab.unwrap_or_default();
        let whole = whole_spec(recipe, run, DatasetId::from_content(b""), vocab, Order::default());
        fix(search, run, whole)?;
    }
    Ok(())
}

/// The search over a run, where `whole` is the run as one stage.
pub(crate) fn fix(search: &SearchRecipe, run: &Run, whole: StageSpec) -> Result<Search, Fault> {
    if run.decay_weights.is_some() {
        let reason = "cannot be combined with a search, whose trials keep the mixture they begin with";
        return Err(Fault::conflict("data.decay_weights", reason, "leave out this key, or `search`"));
    }
    let dimension = |(parameter, range): (Parameter, &RangeRecipe)| {
        let key = format!("search.space.{parameter}");
        let values = values(&key, parameter, range)?;
        if search.sampler == Sampler::Grid && values.count().is_none() {
            let reason = "is a continuous range, which the sampler \"grid\" cannot enumerate";
            return Err(Fault::conflict(key, reason, "`step`, `levels` or `values`"));
        }
        Ok(Dimension { parameter, values })
    };
    let space = search.space.ranges().map(dimension).collect::<Result<Vec<_>, _>>()?;
    if space.is_empty() {
        let accepted = format!("a table with {}", Parameter::ALL.map(Parameter::name).join(", "));
        return Err(Fault::conflict("search.space", "is empty", accepted));
    }
    let base = SearchBase {
        size: run.size.clone(),
        seed: run.seed,
        n: run.shape.non_embedding_params(),
        nominal: run.nominal,
        whole,
    };
    let pruner = search.pruner.as_ref().map(|pruner| asha(pruner, &base.whole)).transpose()?;
    let (sampler, seed, parallel) = (search.sampler, search.seed, search.parallel);
    let mut fixed = Search { sampler, trials: 0, seed, parallel, startup: 0, space, pruner, base };
    fixed.trials = trials(search, fixed.combinations())?;
    fixed.startup = search.startup.unwrap_or(STARTUP);
    if search.startup.is_some() && search.sampler != Sampler::Tpe {
        let accepted = "that sampler, or leave it out";
        return Err(Fault::conflict("search.startup", "only applies to the sampler \"tpe\"", accepted));
    }
    Ok(fixed)
}

fn trials(search: &SearchRecipe, combinations: Option<usize>) -> Result<u32, Fault> {
    let most = combinations.unwrap_or(usize::MAX).min(MAX_TRIALS);
    match search.trials {
        Some(trials) if trials as usize > most => {
            let reason = format!("{trials} are more than there are combinations");
            Err(Fault::conflict("search.trials", reason, format!("at most {most}")))
        }
        Some(trials) => Ok(trials),
        None if search.sampler != Sampler::Grid => {
            Err(Fault::new("search.trials", Problem::Missing, format!("an integer from 1 to {most}")))
        }
        None => match combinations.and_then(|count| u32::try_from(count).ok()) {
            Some(count) if count as usize <= MAX_TRIALS => Ok(count),
            _ => {
                let reason = "has more combinations of values than a search has trials";
                Err(Fault::conflict("search.space", reason, format!("at most {MAX_TRIALS}, or `trials`")))
            }
        },
    }
}

/// The values that a range gives its key.
pub(crate) fn values(key: &str, parameter: Parameter, range: &RangeRecipe) -> Result<Values, Fault> {
    let values = match (&range.values, range.low, range.high) {
        (Some(levels), None, None) if range.step.is_none() && range.levels.is_none() => {
            if let Some(index) = levels.windows(2).position(|pair| pair[0] >= pair[1]) {
                let reason = format!("{} is not above the value before it", levels[index + 1]);
                return Err(Fault::conflict(format!("{key}.values[{}]", index + 1), reason, "ascending values"));
            }
            Values::Levels { levels: levels.clone() }
        }
        (None, Some(low), Some(high)) => between(key, range, low, high)?,
        _ => {
            let accepted = "either `values`, or `low` and `high`";
            return Err(Fault::conflict(key, "does not say which values the key may take", accepted));
        }
    };
    check_limits(key, parameter, range, &values)?;
    Ok(values)
}

fn between(key: &str, range: &RangeRecipe, low: f64, high: f64) -> Result<Values, Fault> {
    let scale = range.scale;
    if low >= high {
        return Err(Fault::conflict(format!("{key}.high"), format!("{high} is not above {low}"), "more than `low`"));
    }
    if scale == Scale::Log && low <= 0.0 {
        let reason = "0 cannot be the lower end of a logarithmic scale";
        return Err(Fault::conflict(format!("{key}.low"), reason, "a number above 0"));
    }
    match (range.step, range.levels) {
        (None, None) => Ok(Values::Between { low, high, scale }),
        (None, Some(levels)) => {
            let whole = Values::Between { low, high, scale };
            let last = f64::from(levels - 1);
            Ok(Values::Levels { levels: (0..levels).map(|index| whole.at(f64::from(index) / last)).collect() })
        }
        (Some(step), None) if scale == Scale::Linear => {
            // Rounded to ten digits, to drop the rounding error of the addition.
            let count = ((high - low) / step + 1e-9).floor() as usize + 1;
            if count > MAX_TRIALS {
                let reason = format!("makes {count} values");
                return Err(Fault::conflict(format!("{key}.step"), reason, format!("at most {MAX_TRIALS} values")));
            }
            let level = |index| vocabulary::search::digits(low + index as f64 * step, 9);
            Ok(Values::Levels { levels: (0..count).map(level).collect() })
        }
        _ => {
            let accepted = "`step` on a linear scale, or `levels`";
            Err(Fault::conflict(
                format!("{key}.step"),
                "cannot be combined with `levels` or a logarithmic scale",
                accepted,
            ))
        }
    }
}

/// A searched key has the same limits as the key itself.
fn check_limits(key: &str, parameter: Parameter, range: &RangeRecipe, values: &Values) -> Result<(), Fault> {
    let limits = limits_of(parameter);
    let ends: Vec<(String, f64)> = match (&range.values, values) {
        (Some(levels), _) => {
            levels.iter().enumerate().map(|(index, level)| (format!("{key}.values[{index}]"), *level)).collect()
        }
        (None, Values::Between { low, high, .. }) => vec![(format!("{key}.low"), *low), (format!("{key}.high"), *high)],
        (None, Values::Levels { levels }) => {
            let first_and_last = [("low", levels.first()), ("high", levels.last())];
            let ends = first_and_last.into_iter().filter_map(|(end, level)| Some((format!("{key}.{end}"), *level?)));
            ends.collect()
        }
    };
    if let Some((key, value)) = ends.into_iter().find(|(_, value)| !limits.accepts(*value)) {
        let problem = Problem::OutOfRange { found: value.to_string(), suggestion: None };
        return Err(Fault::new(key, problem, limits.accepted()));
    }
    let is_whole = |values: &Values| match values {
        Values::Between { .. } => false,
        Values::Levels { levels } => levels.iter().all(|level| level.fract() == 0.0),
    };
    if parameter.is_whole() && !is_whole(values) {
        return Err(Fault::conflict(key, "has values that are not whole numbers", "whole `values`, or a whole `step`"));
    }
    Ok(())
}

fn asha(pruner: &PrunerRecipe, whole: &StageSpec) -> Result<Asha, Fault> {
    let PrunerKind::Asha = pruner.kind;
    // Losses are comparable while trials are at the same phase of the schedule: between the warm-up and the decay.
    let latest = match whole.schedule {
        LrSchedule::Wsd { decay_start, .. } => decay_start,
        _ => whole.steps.end - 1,
    };
    let earliest = whole.schedule.warmup_steps().max(1);
    let steps = |fraction: f64| (fraction * whole.steps.end as f64).round() as u64;
    let accepted = || {
        let [from, to] = [earliest, latest].map(|step| step as f64 / whole.steps.end as f64);
        format!("{from:.4} to {to:.4}, the stretch between the warm-up and the decay")
    };
    let reduction = pruner.reduction;
    let (rungs, key) = match (&pruner.rungs, pruner.min_fraction) {
        (Some(rungs), None) => (rungs.iter().map(|fraction| steps(*fraction)).collect(), "search.pruner.rungs"),
        (None, Some(first)) => {
            let fractions = std::iter::successors(Some(first), |rung| Some(rung * f64::from(reduction)));
            let mut rungs: Vec<u64> = fractions.map(steps).take_while(|step| *step <= latest).take(20).collect();
            if rungs.is_empty() {
                rungs.push(steps(first));
            }
            (rungs, "search.pruner.min_fraction")
        }
        _ => {
            let accepted = "either `rungs`, or `min_fraction` for the first of them";
            return Err(Fault::conflict("search.pruner", "does not say where trials are judged", accepted));
        }
    };
    let place = |index: usize| if pruner.rungs.is_some() { format!("{key}[{index}]") } else { key.to_owned() };
    for (index, step) in rungs.iter().enumerate() {
        if !(earliest..=latest).contains(step) {
            let reason = format!("step {step} is in the warm-up, in the decay or past the end");
            return Err(Fault::conflict(place(index), reason, accepted()));
        }
        if index > 0 && rungs[index - 1] >= *step {
            let reason = format!("step {step} is not after the previous rung");
            return Err(Fault::conflict(place(index), reason, "ascending fractions at least one step apart"));
        }
    }
    Ok(Asha { reduction, rungs })
}
