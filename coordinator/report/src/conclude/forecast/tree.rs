//! The trunk and the branches of one size, seed and arm.

use std::collections::BTreeMap;

use scaling::multipower::forecast::{Branch, Donor, ForecastError, Forecasts, Tree, forecast};
use scaling::multipower::{CurveOptions, LossCurve, Schedule};
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{LrSchedule, Mixture, Stage, StageKey, StageRole, Trial};

use crate::conclude::campaign::Campaign;

/// A trunk with its branches.
#[derive(Debug, Clone, PartialEq)]
pub struct SizeTree {
    /// The size, as the recipe names it.
    pub size: String,
    /// N: non-embedding parameters.
    pub n: u64,
    /// The seed, as the recipe numbers it.
    pub seed: u64,
    /// The arm, if the recipe has arms and all branches belong to one.
    pub arm: Option<String>,
    /// Peak learning rate.
    pub peak_lr: f64,
    /// D of each branch, in order.
    pub d: Vec<u64>,
    /// The arm of each branch, in order, if the recipe has arms.
    pub arms: Vec<Option<String>>,
    tree: Tree,
    template: Template,
}

/// Runs without a trunk to forecast from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoTree {
    /// The size, as the recipe names it.
    pub size: String,
    pub reason: &'static str,
}

/// Why a branch of some amount of data is impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PointError {
    /// Too little data for warm-up and decay.
    #[error("{d} tokens give `{size}` {steps} steps: too few for {warmup} steps of warm-up and a decay")]
    TooShort {
        /// The tokens.
        d: u64,
        size: String,
        /// The resulting steps.
        steps: u64,
        /// Warm-up steps.
        warmup: u64,
    },
    /// More steps than the limit.
    #[error("{d} tokens give `{size}` {steps} steps: at most {most} can be forecast")]
    TooLong {
        /// The tokens.
        d: u64,
        size: String,
        /// The resulting steps.
        steps: u64,
        /// The limit.
        most: u64,
    },
    /// Decays whose shape does not scale to another length.
    #[error("the decays of `{size}` do not scale to another length")]
    NoForm { size: String },
}

/// The template of a branch of another length.
#[derive(Debug, Clone, PartialEq)]
struct Template {
    schedule: LrSchedule,
    warmup: u64,
    batch_tokens: u64,
    steps: u64,
    arm: Option<String>,
}

/// Limit on steps: at eight bytes per learning rate, 80 MB.
const MOST_STEPS: u64 = 10_000_000;
/// The first 1/LEFT_OUT of a trunk, and at least twice the warm-up, is skipped: there the loss does not follow a power law.
const LEFT_OUT: u64 = 10;

impl SizeTree {
    /// The trees of a campaign in plan order. Arms share a tree if they share the trunk and the text of their decays, on which
    /// the effect of a decay depends. `held_out` has held-out losses at the ends of stages; those of trials are in the campaign.
    #[must_use]
    pub fn all(campaign: &Campaign, held_out: &BTreeMap<StageKey, f64>) -> Vec<Result<Self, NoTree>> {
        let stages = campaign.plan.stages_by_key();
        let mut roots: Vec<(StageKey, Vec<&Trial>)> = Vec::new();
        for trial in &campaign.plan.trials {
            let Some(&root) = trial.path.first() else { continue };
            match roots.iter_mut().find(|(key, _)| *key == root) {
                Some((_, trials)) => trials.push(trial),
                None => roots.push((root, vec![trial])),
            }
        }
        let alike = roots.into_iter().flat_map(|(_, trials)| by_decay(&stages, trials));
        alike.map(|trials| Self::of(campaign, &stages, &trials, held_out)).collect()
    }

    fn of(
        campaign: &Campaign,
        stages: &BTreeMap<StageKey, &Stage>,
        trials: &[&Trial],
        held_out: &BTreeMap<StageKey, f64>,
    ) -> Result<Self, NoTree> {
        let first = trials[0];
        let no = |reason| NoTree { size: first.size.clone(), reason };
        let path =
            |trial: &Trial| -> Vec<&Stage> { trial.path.iter().filter_map(|key| stages.get(key).copied()).collect() };
        let is = |stage: &&&Stage, role: StageRole| stage.role == role;
        let trunk: Vec<&Stage> = trials
            .iter()
            .map(|trial| {
                path(trial).iter().take_while(|stage| is(stage, StageRole::Trunk)).copied().collect::<Vec<_>>()
            })
            .max_by_key(Vec::len)
            .unwrap_or_default();
        let Some(root) = trunk.first() else { return Err(no("its runs share no trunk")) };
        let decays: Vec<(&Trial, Vec<&Stage>)> = trials
            .iter()
            .map(|trial| (*trial, path(trial)))
            .filter(|(_, path)| path.last().is_some_and(|last| last.role == StageRole::Decay))
            .collect();
        // The longest decay is the template.
        let Some((longest, last)) =
            decays.iter().max_by_key(|(trial, _)| trial.d.0).and_then(|(trial, path)| Some((trial, *path.last()?)))
        else {
            return Err(no("no decay branches off its trunk"));
        };
        let warmup = root.spec.schedule.warmup_steps();
        let unusable = no("its learning rates do not form a schedule that can be forecast");
        let written_out = |path: &[&Stage]| {
            if path.last()?.spec.steps.end > MOST_STEPS {
                return None;
            }
            let rates =
                path.iter().flat_map(|stage| stage.spec.steps.clone().map(|step| stage.spec.learning_rate(step)));
            Schedule::new(rates.collect(), warmup as usize).ok()
        };
        let schedule = written_out(&trunk).ok_or_else(|| unusable.clone())?;
        let skip = (2 * warmup).max(schedule.steps() as u64 / LEFT_OUT).max(1);
        let curve = |stage: &Stage| -> Vec<(usize, f64)> {
            let points = campaign.curves.get(&stage.key).into_iter().flatten();
            let sound = points.filter(|point| point.step > skip && point.loss.is_finite() && point.loss > 0.0);
            sound.map(|point| (point.step as usize, point.loss)).collect()
        };
        let branch = |(trial, path): &(&Trial, Vec<&Stage>)| {
            Some(Branch {
                name: trial.d.0.to_string(),
                schedule: written_out(path)?,
                points: curve(path.last()?),
                loss: campaign
                    .results
                    .get(&trial.id)
                    .and_then(|result| result.get(VALIDATION_LOSS))
                    .filter(|loss| loss.is_finite()),
            })
        };
        let branches: Vec<Branch> = decays.iter().filter_map(branch).collect();
        if branches.len() < decays.len() {
            return Err(unusable);
        }
        let ends = trunk.iter().filter_map(|stage| Some((stage.spec.steps.end as usize, *held_out.get(&stage.key)?)));
        Ok(Self {
            size: first.size.clone(),
            n: first.n,
            seed: first.seed,
            arm: first.arm.clone().filter(|_| decays.iter().all(|(trial, _)| trial.arm == first.arm)),
            peak_lr: root.spec.peak_lr,
            d: decays.iter().map(|(trial, _)| trial.d.0).collect(),
            arms: decays.iter().map(|(trial, _)| trial.arm.clone()).collect(),
            template: Template {
                schedule: last.spec.schedule,
                warmup,
                batch_tokens: last.spec.batch.tokens(),
                steps: longest.d.0 / last.spec.batch.tokens(),
                arm: longest.arm.clone(),
            },
            tree: Tree {
                trunk: LossCurve {
                    name: "trunk".to_owned(),
                    points: trunk.iter().flat_map(|stage| curve(stage)).collect(),
                    schedule,
                },
                held_out: ends.filter(|(step, _)| *step as u64 > skip).collect(),
                branches,
            },
        })
    }

    /// Adds a hypothetical branch of `d` tokens, with a decay in proportion to the longest one.
    ///
    /// # Errors
    /// The branch would be too short for a decay, or too long.
    pub fn add_point(&mut self, d: u64) -> Result<(), PointError> {
        let Template { schedule, warmup, batch_tokens, steps: of, .. } = self.template;
        let (steps, size) = (d / batch_tokens, self.size.clone());
        if steps > MOST_STEPS {
            return Err(PointError::TooLong { d, size, steps, most: MOST_STEPS });
        }
        let LrSchedule::Wsd { decay_steps, decay, floor, .. } = schedule else {
            return Err(PointError::NoForm { size });
        };
        let decay_steps = ((decay_steps as f64 / of as f64 * steps as f64).round() as u64).max(1);
        let decay_start = steps.saturating_sub(decay_steps);
        let schedule = LrSchedule::Wsd { warmup_steps: warmup, decay_start, decay_steps, decay, floor };
        let rates = (0..steps).map(|step| self.peak_lr * schedule.factor(step)).collect();
        let too_short = PointError::TooShort { d, size, steps, warmup };
        let schedule = match Schedule::new(rates, warmup as usize) {
            Ok(schedule) if decay_start > warmup => schedule,
            _ => return Err(too_short),
        };
        self.d.push(d);
        self.arms.push(self.template.arm.clone());
        self.tree.branches.push(Branch { name: d.to_string(), schedule, points: Vec::new(), loss: None });
        Ok(())
    }

    /// Forecasts the branches, from the tree's own finished decays or with a donor's decay term.
    ///
    /// # Errors
    /// There is too little data to forecast from.
    pub fn forecast(&self, donor: Option<&Donor>, options: &CurveOptions) -> Result<Forecasts, ForecastError> {
        forecast(&self.tree, donor, options)
    }
    /// Whether the forecast of a branch used its own curve and loss, because the law has no fit without them: it then describes
    /// the branch instead of forecasting it.
    #[must_use]
    pub fn saw(&self, index: usize, donor: Option<&Donor>, found: &Forecasts) -> bool {
        let branch = &self.tree.branches[index];
        let finished = branch.loss.is_some() && !branch.points.is_empty();
        // The predictor does not tell these branches apart, except that their value is the law's own.
        donor.is_none()
            && finished
            && found.branches[index].loss == found.fit.law.predict_end(&branch.schedule) + found.offset.0
    }
}

/// The trials of one root, grouped by the text of their arms' decays.
fn by_decay<'a>(stages: &BTreeMap<StageKey, &Stage>, trials: Vec<&'a Trial>) -> Vec<Vec<&'a Trial>> {
    let mixtures = |arm: &Option<String>| -> Vec<Option<Mixture>> {
        let of_arm = trials.iter().filter(|trial| trial.arm == *arm);
        let decays =
            of_arm.filter_map(|trial| stages.get(trial.path.last()?)).filter(|last| last.role == StageRole::Decay);
        let mut found = Vec::new();
        for mixture in decays.map(|stage| stage.spec.data.mixture) {
            if !found.contains(&mixture) {
                found.push(mixture);
            }
        }
        found
    };
    let mut alike: Vec<(Vec<Option<Mixture>>, Vec<&Trial>)> = Vec::new();
    for trial in &trials {
        let mixtures = mixtures(&trial.arm);
        match alike.iter_mut().find(|(others, _)| *others == mixtures) {
            Some((_, trials)) => trials.push(trial),
            None => alike.push((mixtures, vec![trial])),
        }
    }
    alike.into_iter().map(|(_, trials)| trials).collect()
}
