//! The trunk and the branches of one size, seed and arm.

use std::collections::BTreeMap;

use scaling::multipower::forecast::{Branch, Donor, ForecastError, Forecasts, Tree, forecast};
use scaling::multipower::{CurveOptions, LossCurve, Schedule};
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{LrSchedule, Mixture, Stage, StageKey, StageRole, Trial};

use crate::conclude::campaign::Campaign;

/// A trunk with its branches, and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct SizeTree {
    /// The size, as the recipe names it.
    pub size: String,
    /// N: non-embedding parameters.
    pub n: u64,
    /// The seed, as the recipe numbers it.
    pub seed: u64,
    /// The arm, where the recipe has arms and all branches are of one.
    pub arm: Option<String>,
    /// Peak learning rate.
    pub peak_lr: f64,
    /// D of each branch, in order.
    pub d: Vec<u64>,
    /// The arm of each branch, in order, where the recipe has arms.
    pub arms: Vec<Option<String>>,
    tree: Tree,
    template: Template,
}

/// Runs that have no trunk to forecast from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoTree {
    /// The size, as the recipe names it.
    pub size: String,
    /// Why.
    pub reason: &'static str,
}

/// Why there is no branch for an amount of data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PointError {
    /// Too little data for a warm-up and a decay.
    #[error("{d} tokens give `{size}` {steps} steps, which have no room for {warmup} of warm-up and a decay")]
    TooShort {
        /// The tokens.
        d: u64,
        /// The size.
        size: String,
        /// Steps that they make.
        steps: u64,
        /// Steps of warm-up.
        warmup: u64,
    },
    /// More steps than a schedule is written out for.
    #[error("{d} tokens give `{size}` {steps} steps: at most {most} can be forecast")]
    TooLong {
        /// The tokens.
        d: u64,
        /// The size.
        size: String,
        /// Steps that they make.
        steps: u64,
        /// The most there may be.
        most: u64,
    },
    /// Decays of a kind that there is no other length of.
    #[error("the decays of `{size}` have no form that another length could have")]
    NoForm {
        /// The size.
        size: String,
    },
}

/// What a branch of another length looks like.
#[derive(Debug, Clone, PartialEq)]
struct Template {
    schedule: LrSchedule,
    warmup: u64,
    batch_tokens: u64,
    steps: u64,
    arm: Option<String>,
}

/// A learning rate for each, eight bytes: 80 MB.
const MOST_STEPS: u64 = 10_000_000;
/// The beginning of a trunk is left out, where the loss falls as no power law does: this share of it, and twice the warm-up.
const LEFT_OUT: u64 = 10;

impl SizeTree {
    /// The trees of a campaign in the plan's order. Arms share a tree where they share the trunk and what text their decays
    /// are on: what a decay brings depends on it. `held_out` has the losses on held-out text at the ends of stages; those
    /// of trials are in the campaign.
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
        let Some(root) = trunk.first() else { return Err(no("its runs have no trunk in common")) };
        let decays: Vec<(&Trial, Vec<&Stage>)> = trials
            .iter()
            .map(|trial| (*trial, path(trial)))
            .filter(|(_, path)| path.last().is_some_and(|last| last.role == StageRole::Decay))
            .collect();
        // The longest decay says what another one would look like.
        let Some((longest, last)) =
            decays.iter().max_by_key(|(trial, _)| trial.d.0).and_then(|(trial, path)| Some((trial, *path.last()?)))
        else {
            return Err(no("no decay branches off its trunk"));
        };
        let warmup = root.spec.schedule.warmup_steps();
        let unusable = no("its learning rates are no schedule to forecast with");
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

    /// Adds a branch that the campaign does not have, for so much data, its decay in the proportion of the longest one.
    ///
    /// # Errors
    /// Where it has no room for one, or would be too long.
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

    /// Forecasts its branches, from its own finished decays or with a donor's decay term.
    ///
    /// # Errors
    /// Where it has too little to forecast from.
    pub fn forecast(&self, donor: Option<&Donor>, options: &CurveOptions) -> Result<Forecasts, ForecastError> {
        forecast(&self.tree, donor, options)
    }
    /// Whether the forecast of a branch is from its own curve and loss, too: where the law has no fit without them, and they
    /// are not forecast but described.
    #[must_use]
    pub fn saw(&self, index: usize, donor: Option<&Donor>, found: &Forecasts) -> bool {
        let branch = &self.tree.branches[index];
        let finished = branch.loss.is_some() && !branch.points.is_empty();
        // The predictor says the same of what it left out and of what it could not, except that the latter is the law's.
        donor.is_none()
            && finished
            && found.branches[index].loss == found.fit.law.predict_end(&branch.schedule) + found.offset.0
    }
}

/// The trials of one root, apart by the arms whose decays are on other text.
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
