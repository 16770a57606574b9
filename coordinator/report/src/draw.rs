//! From a campaign, running or finished, to the inputs of its figures; and the list of figures in a report.

use std::collections::{BTreeMap, BTreeSet};

use scaling::{Analysis, Law};
use vocabulary::metrics::{D1, D2, GRADIENT_COSINE};
use vocabulary::search::{Dimension, Scale, Values};
use vocabulary::{LrSchedule, MeasurementName, Plan, StageKey, Tokens, dynamics};

use crate::conclude::campaign::{Campaign, CurvePoint, DynamicsPoint, StageEnd};
use crate::conclude::conclusion::Conclusion;
use crate::conclude::grid::Labels;
use crate::conclude::measure::Unit;
use crate::conclude::optimum_lr::optima;
use crate::conclude::points::{MeasuredPoint, is_decay};
use crate::conclude::search::{Searched, Tried};
use crate::figures::{self, End, Fate, Figure, Key, Palette, Run, Runs, Spread, Stage, State, Sweep, Track, Trial};

/// Steps at which a curved learning rate is drawn.
const DRAWN: u64 = 40;

/// The stages of a plan, and its runs.
#[must_use]
pub fn runs(plan: &Plan) -> Runs {
    let labels = Labels::of(plan);
    let numbers = numbers(plan);
    let mut runs = Runs {
        has_arms: plan.trials.iter().any(|trial| trial.arm.is_some()),
        is_search: plan.search.is_some(),
        ..Runs::default()
    };
    for stage in &plan.stages {
        let n = stage.spec.model.shape.non_embedding_params() as f64;
        let parent = stage.parent.and_then(|parent| numbers.get(&parent).copied());
        let run = match parent {
            Some(parent) => runs.stages[parent].run,
            None => {
                let label = labels.root(&stage.key).unwrap_or_default().to_owned();
                runs.runs.push(Run { label, n });
                runs.runs.len() - 1
            }
        };
        runs.stages.push(Stage {
            run,
            parent,
            is_decay: is_decay(stage),
            size: stage.size.clone(),
            key: stage.key.short(),
            steps: stage.spec.steps.clone(),
            tokens_per_step: stage.spec.batch.tokens(),
            flops: stage.spec.flops().0,
        });
    }
    runs
}

/// The index of each stage in a plan.
fn numbers(plan: &Plan) -> BTreeMap<StageKey, usize> {
    plan.stages.iter().enumerate().map(|(number, stage)| (stage.key, number)).collect()
}

/// The measured ends of a plan's trials.
fn ends(plan: &Plan, runs: &Runs, points: &[MeasuredPoint]) -> Vec<End> {
    let numbers = numbers(plan);
    let end = |point: &MeasuredPoint| {
        Some(End {
            run: runs.stages[*numbers.get(&point.trunk)?].run,
            stage: *numbers.get(&point.stage)?,
            size: point.size.clone(),
            arm: point.arm.clone(),
            seed: point.seed,
            peak_lr: point.peak_lr,
            d: point.d,
            loss: point.loss,
            decayed: point.decayed,
        })
    };
    points.iter().filter_map(end).collect()
}

/// How far each stage of a plan has got, and how it ended.
#[must_use]
pub fn fates(campaign: &Campaign) -> Vec<Fate> {
    let progress = &campaign.progress;
    let fate = |stage: &vocabulary::Stage| {
        let state = match progress.ended.get(&stage.key) {
            Some(StageEnd::Diverged) => State::Diverged,
            Some(StageEnd::GivenUp) => State::GivenUp,
            Some(StageEnd::NotRun) => State::NotRun,
            None if progress.open.contains(&stage.key) => State::Open,
            None => State::Completed,
        };
        let last = campaign.curves.get(&stage.key).and_then(|curve| curve.last()).map(|point| point.step + 1);
        let trained_to = match state {
            State::Completed => stage.spec.steps.end,
            _ => last.unwrap_or(stage.spec.steps.start),
        };
        Fate { trained_to, state }
    };
    campaign.plan.stages.iter().map(fate).collect()
}

/// Steps and losses per stage of a plan, as far as trained.
#[must_use]
pub fn curves(plan: &Plan, curves: &BTreeMap<StageKey, Vec<CurvePoint>>) -> Vec<Vec<(u64, f64)>> {
    let curve = |stage: &vocabulary::Stage| {
        let points = curves.get(&stage.key).into_iter().flatten();
        points.map(|point| (point.step, point.loss)).collect()
    };
    plan.stages.iter().map(curve).collect()
}

/// A quarter of the shortest trial, in steps: losses before it are far above all others.
#[must_use]
pub fn settled(plan: &Plan) -> u64 {
    let stages = plan.stages_by_key();
    let ends = plan.trials.iter().filter_map(|trial| Some(stages.get(trial.last_stage())?.spec.steps.end));
    ends.min().unwrap_or_default() / 4
}

/// Learning rates per stage of a plan, at the steps that a line needs.
#[must_use]
pub fn rates(plan: &Plan) -> Vec<Vec<(u64, f64)>> {
    let stages = plan.stages_by_key();
    let rates = |stage: &vocabulary::Stage| {
        // Starts at the last step before the stage, so that a branch begins on its trunk.
        let before =
            stage.parent.and_then(|parent| Some((stages.get(&parent)?, stage.spec.steps.start.checked_sub(1)?)));
        let before = before.map(|(parent, step)| (step, parent.spec.learning_rate(step)));
        let own = steps(stage).into_iter().map(|step| (step, stage.spec.learning_rate(step)));
        before.into_iter().chain(own).collect()
    };
    plan.stages.iter().map(rates).collect()
}

/// The steps that a line through a stage's learning rates needs.
fn steps(stage: &vocabulary::Stage) -> Vec<u64> {
    let (start, last) = (stage.spec.steps.start, stage.spec.steps.end - 1);
    let mut steps: Vec<u64> = if let LrSchedule::Constant { warmup_steps } = stage.spec.schedule {
        vec![start, (start + warmup_steps.saturating_sub(1)).min(last), last]
    } else {
        let stride = (last - start).div_ceil(DRAWN).max(1);
        (start..=last).step_by(stride as usize).chain([last]).collect()
    };
    steps.dedup();
    steps
}

/// What stages recorded of gradients and weights, the learning rate first, which has a value at each recorded step; then
/// whatever else they recorded, by name.
#[must_use]
pub fn tracks(plan: &Plan, recorded: &BTreeMap<StageKey, Vec<DynamicsPoint>>) -> Vec<Track> {
    let track = |title: &str, is_logarithmic, value: &dyn Fn(&DynamicsPoint) -> Option<f64>| {
        let values = |stage: &vocabulary::Stage| {
            let points = recorded.get(&stage.key).into_iter().flatten();
            points.filter_map(|point| Some((point.step, value(point)?))).collect()
        };
        Track { title: title.to_owned(), is_logarithmic, values: plan.stages.iter().map(values).collect() }
    };
    let mut tracks = vec![
        track("learning rate", false, &|point| Some(point.learning_rate)),
        track("gradient norm", true, &|point| Some(point.grad_norm)),
        track("cosine of\ngradients", false, &|point| point.measurements.get(GRADIENT_COSINE)),
        track("|D1|", true, &|point| point.measurements.get(D1).map(f64::abs)),
        track("D2", false, &|point| point.measurements.get(D2)),
        track("curvature", true, &|point| dynamics::curvature(&point.measurements)),
        track("largest\nupdate", true, &|point| dynamics::largest_update(&point.measurements)),
    ];
    let others = recorded.values().flatten().flat_map(|point| point.measurements.besides(&dynamics::METRICS));
    let others: BTreeSet<&MeasurementName> = others.map(|(name, _)| name).collect();
    tracks.extend(others.into_iter().map(|name| track(&name.in_words(), false, &|point| point.measurements.get(name))));
    tracks
}

/// Every figure that has something to show, in page order.
pub(crate) fn report(conclusion: &Conclusion) -> Vec<Figure> {
    let campaign = &conclusion.campaign;
    let plan = &campaign.plan;
    let runs = runs(plan);
    let palette = Palette::of(&runs);
    let ends = ends(plan, &runs, &conclusion.points);
    let mut drawn: Vec<Figure> = Vec::new();
    let unit = conclusion.measure.unit.in_words();
    if let Ok(analysis) = &conclusion.analysis {
        let missing = plan.trials.len() - conclusion.points.len();
        drawn.push(figures::law(analysis, &palette, Some(missing), unit));
        drawn.push(figures::surface(analysis, conclusion.points.len(), unit));
        drawn.push(figures::residuals(analysis, &palette, unit));
        drawn.extend(figures::optimum(analysis));
    }
    if let Some(searched) = Searched::of(campaign) {
        drawn.extend(search(&searched));
    }
    drawn.extend(figures::arms(&ends, unit));
    // The trials of a search differ in more than the learning rate.
    if plan.search.is_none() {
        drawn.extend(figures::peak_lr(&sweeps(conclusion), unit));
    }
    if let Some(Ok(law)) = conclusion.batch_law.as_ref().map(|law| &law.fit) {
        drawn.push(figures::batches(law, &palette));
    }
    // Training losses are in nats a token: held-out losses in another unit do not stand beside them.
    let beside: &[End] = if conclusion.measure.unit == Unit::Token { &ends } else { &[] };
    drawn.extend(figures::curves(&runs, &curves(plan, &campaign.curves), beside, settled(plan), &palette));
    drawn.push(figures::learning_rate(&runs, &rates(plan), &palette));
    drawn.extend(figures::tracks(&runs, &tracks(plan, &campaign.dynamics), &palette));
    let trained = Tokens(campaign.progress.tokens_trained);
    drawn.push(figures::tree(&runs, &ends, &fates(campaign), trained, &plan.cost(), &palette));
    drawn
}

/// The figures of a law fitted to a table, which has no curves. `unit` is that of its losses, empty where nobody said it.
pub(crate) fn table<L: Law>(analysis: &Analysis<L>, unit: &str) -> Vec<Figure> {
    let palette = Palette::of_sizes(analysis.diagnostics.residuals.iter().map(|row| row.n));
    let drawn = [figures::law(analysis, &palette, None, unit), figures::residuals(analysis, &palette, unit)];
    drawn.into_iter().chain(figures::optimum(analysis)).collect()
}

fn sweeps(Conclusion { campaign, points, measure, .. }: &Conclusion) -> Vec<Sweep> {
    let optima = optima(campaign, points, *measure).into_iter();
    optima.map(|found| Sweep { arm: found.arm, size: found.size, losses: found.losses, best: found.best }).collect()
}

/// The figures of a search; empty if no trial has a loss.
fn search(searched: &Searched<'_>) -> Vec<Figure> {
    let key = |dimension: &Dimension| Key {
        name: dimension.parameter.name().to_owned(),
        spread: match &dimension.values {
            Values::Between { low, high, scale: Scale::Log } => Spread::Log([*low, *high]),
            _ => Spread::Even,
        },
    };
    let trial = |tried: &Tried<'_>| {
        let value = |dimension: &Dimension| tried.settings.get(&dimension.parameter).copied().unwrap_or(f64::NAN);
        Some(Trial {
            number: tried.number,
            values: searched.space.iter().map(value).collect(),
            loss: tried.loss?,
            early: tried.early.is_some(),
            state: tried.state(),
        })
    };
    let trials: Vec<Trial> = searched.trials.iter().filter_map(trial).collect();
    if trials.is_empty() {
        return Vec::new();
    }
    let keys: Vec<Key> = searched.space.iter().map(key).collect();
    let parts = searched
        .importance()
        .map(|parts| parts.into_iter().rev().map(|(parameter, part)| (parameter.name().to_owned(), part)).collect());
    let slices = figures::slices(&keys, &trials, searched.best().map(|best| best.number));
    parts.map(figures::importance).into_iter().chain([slices]).collect()
}
