//! Which trials and stages of a search exist, given the results so far.

use std::cell::OnceCell;

use vocabulary::search::{Asha, Search, Settings, Verdict};
use vocabulary::{Stage, StageKey, Tokens, Trial};

use super::suggest::{self, Observed};

/// The outcome of a stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// It was trained to its end, with this loss on the held-out tokens.
    Completed {
        /// In nats a token.
        loss: Option<f64>,
    },
    /// Its loss diverged.
    Diverged,
    /// It was given up. The search continues without the trial, until somebody has the stage tried again.
    Failed,
}

/// The state of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The trials in order, each with its stages so far.
    pub trials: Vec<Trial>,
    /// Their new stages, parents before children.
    pub stages: Vec<Stage>,
    /// The standing of each trial.
    pub standings: Vec<Standing>,
}

/// The standing of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The losses at the rungs it reached and at its end; infinite if it diverged.
    pub losses: Vec<f64>,
    /// How it ended, if it has.
    pub end: Option<TrialEnd>,
    /// Whether it waits at a rung for an earlier trial to reach it.
    pub awaits_judgement: bool,
}

/// How a trial of a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialEnd {
    /// With its final loss.
    Completed,
    /// After this step, because others were better there. That is a result, not a failure.
    Pruned {
        /// Steps done.
        step: u64,
    },
    /// Its loss diverged.
    Diverged,
    /// A stage of it was given up.
    Failed,
}

/// Derives the trials and stages of a search from the results so far.
///
/// `known` are the existing trials, from an earlier call. Decisions are final, even if a stage that was given up is tried
/// again and then has a result. `outcome` gives the outcome of a stage that is settled.
#[must_use]
pub fn grow(search: &Search, known: &[Trial], outcome: impl Fn(&StageKey) -> Option<Outcome>) -> Progress {
    let mut progress = Progress { trials: Vec::new(), stages: Vec::new(), standings: Vec::new() };
    for number in 0..search.trials {
        let known = known.get(number as usize);
        let settings = known.map(|trial| trial.settings.clone()).or_else(|| next(search, number, &progress));
        // Later trials would need even more results than this one waits for.
        let Some(settings) = settings else { break };
        progress.follow(search, settings, known, &outcome);
    }
    progress
}

/// The settings of the next trial, once the results that they depend on exist.
fn next(search: &Search, number: u32, before: &Progress) -> Option<Settings> {
    let mut observed = Vec::new();
    for (index, (trial, standing)) in before.trials.iter().zip(&before.standings).enumerate() {
        // How much of a trial is seen depends on how many trials ago it was, not on how far it has got.
        let distance = u64::from(number) - index as u64;
        let depth = (0..search.ends().len()).take_while(|rung| lag(search, *rung) <= distance).count();
        if standing.end.is_none() && standing.losses.len() < depth {
            return None;
        }
        let depth = standing.losses.len().min(depth);
        if let Some(loss) = standing.losses[..depth].last() {
            observed.push(Observed { settings: &trial.settings, depth, loss: *loss });
        }
    }
    let tried: Vec<&Settings> = before.trials.iter().map(|trial| &trial.settings).collect();
    suggest::suggest(search, number, &tried, &observed)
}

/// How many trials later a trial's loss at a rung, or at its end, is first taken into account.
///
/// It grows with the rung as ASHA's stretches do, so that other trials do not wait for the one in eta that is promoted.
fn lag(search: &Search, rung: usize) -> u64 {
    let reduction = search.pruner.as_ref().map_or(1, |asha| u64::from(asha.reduction));
    let times = u32::try_from(rung).ok().and_then(|rung| reduction.checked_pow(rung));
    u64::from(search.parallel).saturating_mul(times.unwrap_or(u64::MAX))
}

impl Progress {
    /// Adds the next trial with its stages so far. Stages of `known` are not new.
    fn follow(
        &mut self,
        search: &Search,
        settings: Settings,
        known: Option<&Trial>,
        outcome: impl Fn(&StageKey) -> Option<Outcome>,
    ) {
        let known_path = known.map_or(&[][..], |trial| &trial.path);
        // Keys are hashes and take most of the time here, so only those of new stages are computed.
        let built = OnceCell::new();
        let build = || built.get_or_init(|| search.path(&settings));
        let mut standing = Standing { losses: Vec::new(), end: None, awaits_judgement: false };
        let mut path = Vec::new();
        let mut rungs = search.ends().into_iter();
        let mut next_rung = rungs.next();
        for (index, end_step) in search.stage_ends().into_iter().enumerate() {
            let key = known_path.get(index).copied().unwrap_or_else(|| {
                let stage = build().1[index].clone();
                let key = stage.key;
                self.stages.push(stage);
                key
            });
            path.push(key);
            let loss = match outcome(&key) {
                Some(Outcome::Completed { loss }) => loss.filter(|loss| loss.is_finite()).unwrap_or(f64::INFINITY),
                Some(Outcome::Diverged) => {
                    standing.losses.push(f64::INFINITY);
                    standing.end = Some(TrialEnd::Diverged);
                    break;
                }
                Some(Outcome::Failed) => {
                    standing.end = Some(TrialEnd::Failed);
                    break;
                }
                None => break,
            };
            if next_rung != Some(end_step) {
                continue; // The decay starts here, and nothing is judged.
            }
            next_rung = rungs.next();
            let rung = standing.losses.len();
            standing.losses.push(loss);
            let Some(asha) = search.pruner.as_ref().filter(|_| next_rung.is_some()) else {
                standing.end = next_rung.is_none().then_some(TrialEnd::Completed);
                continue;
            };
            let verdict = self.judge(asha, rung, loss);
            if path.len() < known_path.len() || verdict == Some(Verdict::Promoted) {
                continue;
            }
            standing.end = verdict.map(|_| TrialEnd::Pruned { step: end_step });
            standing.awaits_judgement = verdict.is_none();
            break;
        }
        // Stages may exist behind one that has to be trained again.
        path.extend(known_path.iter().skip(path.len()));
        let base = &search.base;
        self.trials.push(Trial {
            id: known.map_or_else(|| build().0, |trial| trial.id),
            size: base.size.clone(),
            seed: base.seed,
            arm: None,
            n: base.n,
            d: Tokens(base.whole.steps.end * base.whole.batch.tokens()),
            nominal: base.nominal,
            path,
            settings: settings.clone(),
        });
        self.standings.push(standing);
    }

    /// The verdict on a trial at a rung, once all earlier trials have reached it or ended.
    fn judge(&self, asha: &Asha, rung: usize, loss: f64) -> Option<Verdict> {
        let mut before = Vec::new();
        for standing in &self.standings {
            match standing.losses.get(rung) {
                Some(other) => before.push(*other),
                None if standing.end.is_none() => return None,
                None => {}
            }
        }
        Some(asha.judge(&before, loss))
    }

    /// The trial with the lowest final loss or, while none has finished, the best of those that got furthest.
    #[must_use]
    pub fn best(&self) -> Option<(&Trial, f64)> {
        let ended = self.trials.iter().zip(&self.standings).filter_map(|(trial, standing)| {
            let loss = *standing.losses.last()?;
            Some((trial, standing.losses.len(), loss))
        });
        let by_merit = |a: &(&Trial, usize, f64), b: &(&Trial, usize, f64)| {
            let diverged = |loss: f64| !loss.is_finite();
            diverged(a.2).cmp(&diverged(b.2)).then(b.1.cmp(&a.1)).then(a.2.total_cmp(&b.2))
        };
        ended.min_by(by_merit).filter(|best| best.2.is_finite()).map(|(trial, _, loss)| (trial, loss))
    }
}
