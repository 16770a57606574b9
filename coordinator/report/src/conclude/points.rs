//! The final losses of trials, and which of them the law is fitted to.

use std::collections::BTreeMap;

use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::mixture::MAX_DOMAINS;
use vocabulary::passes::is_repeated;
use vocabulary::search::Settings;
use vocabulary::{
    Batch, DataSpec, DecayShape, LrSchedule, Measurements, Mixture, ModelSpec, Plan, Shape, Stage, StageKey, StageRole,
    StageSpec, StartSpec, TrialId,
};

use super::campaign::Campaign;
use super::measure::Measure;

/// A model trained to the end of its trial, with its held-out loss.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredPoint {
    /// The size, as the recipe names it.
    pub size: String,
    /// N: non-embedding parameters.
    pub n: u64,
    /// D: all tokens it was trained on.
    pub d: u64,
    /// The loss under consideration: by default in nats a token, averaged over the held-out sets.
    pub loss: f64,
    /// All that was measured at its end.
    pub result: Measurements,
    /// The seed, as the recipe numbers it.
    pub seed: u64,
    /// Peak learning rate.
    pub peak_lr: f64,
    /// The amount of data the recipe asked for.
    pub nominal: u64,
    /// Number of training steps.
    pub step: u64,
    /// Tokens per step.
    pub batch_tokens: u64,
    /// The arm as the recipe names it, if it has arms.
    pub arm: Option<String>,
    /// The settings a search chose for it.
    pub settings: Settings,
    /// Passes over each domain of the training text, or over all of it.
    pub passes: Vec<f64>,
    /// Whether its learning rate had decayed. A loss at a high rate is 0.1 nats or more above what a decay would reach, and
    /// says nothing about the law.
    pub decayed: bool,
    /// Seed of the order in which it saw its data.
    pub order_seed: u64,
    /// What it was trained with, apart from its size, seed, learning rate, batch size, and lengths in steps.
    pub kind: StageKey,
    /// The first stage of its trunk. Points that share a trunk share its luck.
    pub trunk: StageKey,
    /// The stage that produced the loss.
    pub stage: StageKey,
    pub trial: TrialId,
}

/// Which points the law is fitted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Every decayed point.
    All,
    /// The best learning rate for each size, seed and amount of data.
    BestLearningRate,
}

/// The measured points, in plan order.
pub(crate) fn measured(campaign: &Campaign, measure: Measure) -> Vec<MeasuredPoint> {
    let stages = campaign.plan.stages_by_key();
    let trunks = trunks(&campaign.plan);
    let measured = |trial: &vocabulary::Trial| {
        let result = campaign.results.get(&trial.id)?;
        let point = point(trial, stages.get(trial.last_stage())?, measure.of(campaign, trial)?, result);
        let passes = campaign.plan.passes(trial);
        let trunk = trunks.get(&point.trunk).copied().unwrap_or(point.trunk);
        Some(MeasuredPoint { trunk, passes, ..point })
    };
    campaign.plan.trials.iter().filter_map(measured).collect()
}

fn point(trial: &vocabulary::Trial, last: &Stage, loss: f64, result: &Measurements) -> MeasuredPoint {
    MeasuredPoint {
        size: trial.size.clone(),
        n: trial.n,
        d: trial.d.0,
        loss,
        result: result.clone(),
        seed: trial.seed,
        peak_lr: last.spec.peak_lr,
        nominal: trial.nominal.0,
        step: last.spec.steps.end,
        batch_tokens: last.spec.batch.tokens(),
        arm: trial.arm.clone(),
        settings: trial.settings.clone(),
        passes: Vec::new(),
        decayed: ends_decayed(last),
        order_seed: last.spec.data.order_seed,
        kind: kind(&last.spec),
        trunk: trial.path[0],
        stage: last.key,
        trial: trial.id,
    }
}

/// The name of the trunk that each root begins. Roots that differ only in length train identically as far as both go; a
/// campaign extended by points before its first one has several. The shortest names them all.
fn trunks(plan: &Plan) -> BTreeMap<StageKey, StageKey> {
    let alike = |root: &Stage| StageSpec { steps: 0..0, ..root.spec.clone() }.key(None);
    let roots = || plan.stages.iter().filter(|stage| stage.parent.is_none());
    let mut shortest: BTreeMap<StageKey, &Stage> = BTreeMap::new();
    for root in roots() {
        let place = shortest.entry(alike(root)).or_insert(root);
        if root.spec.steps.end < place.spec.steps.end {
            *place = root;
        }
    }
    roots().filter_map(|root| Some((root.key, shortest.get(&alike(root))?.key))).collect()
}

/// Whether a stage is drawn as a decay rather than as a trunk.
pub(crate) fn is_decay(stage: &Stage) -> bool {
    let constant = matches!(stage.spec.schedule, LrSchedule::Constant { .. });
    matches!(stage.role, StageRole::Decay | StageRole::Whole) && !constant
}

/// Whether the learning rate has decayed by the end of a stage: to the end of its decay, or to the floor of its cosine. The
/// tolerance of 0.01 of the peak exceeds what rounding to whole steps leaves.
fn ends_decayed(stage: &Stage) -> bool {
    let last = stage.spec.steps.end.saturating_sub(1);
    match stage.spec.schedule {
        LrSchedule::Constant { .. } => false,
        LrSchedule::Wsd { decay_start, decay_steps, .. } => last + 1 >= decay_start + decay_steps,
        LrSchedule::Cosine { floor, .. } | LrSchedule::CosineLoop { floor, .. } => {
            stage.spec.schedule.factor(last) <= floor + 0.01
        }
    }
}

impl MeasuredPoint {
    /// Whether it was trained on some of its text more than once.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        is_repeated(&self.passes)
    }
}

/// What becomes of points that were trained on repeated data, which a law of fresh data does not describe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Repeated {
    /// They are left out of the law.
    #[default]
    LeftOut,
    /// They are fitted like others.
    Fitted,
}

/// The arm whose points are fitted: the first one with a decayed point.
pub(crate) fn fitted_arm(points: &[MeasuredPoint]) -> Option<&str> {
    points.iter().find(|point| point.decayed)?.arm.as_deref()
}

/// The points the law is fitted to, in order: decayed, of one arm, and on data as fresh as wanted.
pub(crate) fn select(points: &[MeasuredPoint], repeated: Repeated) -> (Vec<&MeasuredPoint>, Selection) {
    let arm = fitted_arm(points);
    let is_fresh = |point: &MeasuredPoint| repeated == Repeated::Fitted || !point.is_repeated();
    let points: Vec<&MeasuredPoint> =
        points.iter().filter(|point| point.decayed && point.arm.as_deref() == arm && is_fresh(point)).collect();
    let mut best: BTreeMap<(u64, u64, u64), &MeasuredPoint> = BTreeMap::new();
    for &point in &points {
        let place = best.entry((point.n, point.d, point.seed)).or_insert(point);
        if point.loss < place.loss {
            *place = point;
        }
    }
    let several = points.iter().any(|point| point.peak_lr != points[0].peak_lr);
    if !several {
        return (points, Selection::All);
    }
    let is_best = |point: &&MeasuredPoint| best[&(point.n, point.d, point.seed)].trial == point.trial;
    (points.into_iter().filter(is_best).collect(), Selection::BestLearningRate)
}

/// A point as a row of the law's table.
pub(crate) fn row(point: &MeasuredPoint) -> scaling::Point {
    scaling::Point {
        size: point.size.clone(),
        n: point.n as f64,
        d: point.d as f64,
        loss: point.loss,
        trunk: point.trunk.to_string(),
        order: point.order_seed.to_string(),
        seed: point.seed.to_string(),
        setting: format!("{} {}", point.peak_lr, point.batch_tokens),
    }
}

/// The key of a spec without its size, seed, learning rate, batch size, and lengths: equal for models that a batch-size law may
/// compare.
fn kind(spec: &StageSpec) -> StageKey {
    let schedule = match spec.schedule {
        LrSchedule::Constant { .. } => LrSchedule::Constant { warmup_steps: 0 },
        LrSchedule::Wsd { decay, floor, .. } => {
            let decay = match decay {
                DecayShape::HalfLife { .. } => DecayShape::HalfLife { half_life_steps: 1 },
                other => other,
            };
            LrSchedule::Wsd { warmup_steps: 0, decay_start: 0, decay_steps: 0, decay, floor }
        }
        LrSchedule::Cosine { floor, .. } => LrSchedule::Cosine { warmup_steps: 0, period_steps: 0, floor },
        LrSchedule::CosineLoop { floor, .. } => LrSchedule::CosineLoop { warmup_steps: 0, period_steps: 0, floor },
    };
    let mixture = spec.data.mixture.map(|mixture| Mixture { from_sequence: 0, taken: [0; MAX_DOMAINS], ..mixture });
    let shape = Shape { d_model: 1, d_ff: 1, head_dim: 1, n_heads: 1, n_kv_heads: 1, n_layers: 1 };
    StageSpec {
        model: ModelSpec { shape, ..spec.model },
        start: StartSpec { surgery: spec.start.surgery.clone(), ..StartSpec::of_seed(0) },
        data: DataSpec { order_seed: 0, mixture, ..spec.data },
        steps: 0..0,
        schedule,
        peak_lr: 1.0,
        batch: Batch { sequences: 1, micro_sequences: 1, ..spec.batch },
        recording: None,
        ..spec.clone()
    }
    .key(None)
}

/// A trial that ended early, as a point at the step it reached, with its loss and how it ended.
pub(crate) fn early(
    campaign: &Campaign,
    stages: &BTreeMap<StageKey, &Stage>,
    trial: &vocabulary::Trial,
) -> Option<(MeasuredPoint, Option<f64>, &'static str)> {
    let end = campaign.early.get(&trial.id)?;
    let last = *stages.get(trial.last_stage())?;
    let point = MeasuredPoint {
        d: end.step * last.spec.batch.tokens(),
        step: end.step,
        passes: campaign.plan.passes_at(trial, end.step),
        decayed: false,
        ..point(trial, last, f64::NAN, end.result.as_ref().unwrap_or(&Measurements::new()))
    };
    let loss = end.result.as_ref().and_then(|result| result.get(VALIDATION_LOSS));
    Some((point, loss, if loss.is_some() { "pruned" } else { "diverged" }))
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A point whose size has to be quoted in CSV.
    pub(crate) fn point(seed: u64, peak_lr: f64, loss: f64) -> MeasuredPoint {
        let name = format!("{seed} {peak_lr}");
        MeasuredPoint {
            size: "a,\"b\"".to_owned(),
            n: 100,
            d: 2000,
            loss,
            result: Measurements::new(),
            seed,
            peak_lr,
            nominal: 2000,
            step: 20,
            batch_tokens: 100,
            arm: None,
            settings: Settings::new(),
            passes: vec![0.5],
            decayed: true,
            order_seed: seed,
            kind: StageKey::from_content(b"a kind"),
            trunk: StageKey::from_content(name.as_bytes()),
            stage: StageKey::from_content(b"a stage"),
            trial: TrialId::from_content(name.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::point;
    use super::*;

    #[test]
    fn of_several_learning_rates_the_best_is_fitted() {
        let points = [point(0, 0.01, 3.0), point(0, 0.02, 2.5), point(1, 0.01, 2.0), point(1, 0.02, 2.0)];
        let (rows, selection) = select(&points, Repeated::LeftOut);
        assert_eq!(selection, Selection::BestLearningRate);
        assert_eq!(rows.iter().map(|row| (row.seed, row.peak_lr)).collect::<Vec<_>>(), [(0, 0.02), (1, 0.01)]);
        assert_eq!(select(&points[..1], Repeated::LeftOut).1, Selection::All);
    }

    #[test]
    fn one_arm_is_fitted_and_nothing_that_is_not_decayed() {
        let of = |arm: &str, decayed| MeasuredPoint { arm: Some(arm.to_owned()), decayed, ..point(0, 0.01, 3.0) };
        let points = [of("stable", false), of("a", true), of("b", true), of("a", false), of("a", true)];
        assert_eq!(fitted_arm(&points), Some("a"));
        assert_eq!(select(&points, Repeated::LeftOut).0, [&points[1], &points[4]]);
        assert!(select(&points[..1], Repeated::LeftOut).0.is_empty());
    }

    #[test]
    fn points_on_repeated_data_are_fitted_where_that_is_asked_for() {
        let of = |passes: &[f64]| MeasuredPoint { passes: passes.to_vec(), ..point(0, 0.01, 3.0) };
        let points = [of(&[0.9]), of(&[1.005]), of(&[0.2, 1.19]), of(&[])];
        assert_eq!(select(&points, Repeated::LeftOut).0, [&points[0], &points[1], &points[3]]);
        assert_eq!(select(&points, Repeated::Fitted).0.len(), 4);
    }
}
