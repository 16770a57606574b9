//! Which trials and stages of a search exist by now.

use std::cell::OnceCell;

use vocabulary::search::{Asha, Search, Settings, Verdict};
use vocabulary::{Stage, StageKey, Tokens, Trial};

use super::suggest::{self, Observed};

/// What a stage came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// It was trained to its end, with this loss on the validation tokens.
    Completed {
        /// In nats a token.
        loss: Option<f64>,
    },
    /// Its loss left all bounds.
    Diverged,
    /// It was given up. The search goes on without the trial, and with it again if the stage is tried again.
    Failed,
}

/// A search as far as it has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The trials, in their order, each with its stages so far.
    pub trials: Vec<Trial>,
    /// Those of their stages that were not known before, parents before children.
    pub stages: Vec<Stage>,
    /// How each trial stands.
    pub standings: Vec<Standing>,
}

/// How a trial stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The losses at the rungs it came to, and at its end; infinite where it diverged.
    pub losses: Vec<f64>,
    /// Whether it is over, and how.
    pub end: Option<TrialEnd>,
    /// It came to a rung that some trial before it has still to come to.
    pub awaits_judgement: bool,
}

/// How a trial of a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialEnd {
    /// With its final loss.
    Completed,
    /// After this step, because others were better there: a result, and no failure.
    Pruned {
        /// Steps done.
        step: u64,
    },
    /// Its loss left all bounds.
    Diverged,
    /// A stage of it was given up.
    Failed,
}

/// Works out which trials and stages there are, from the results so far.
///
/// `known` are the trials that exist already, as an earlier call gave them: what was decided stays decided, even if a stage
/// that was given up is tried again and then has a result. `outcome` is what a stage came to, if it is settled.
#[must_use]
pub fn grow(search: &Search, known: &[Trial], outcome: impl Fn(&StageKey) -> Option<Outcome>) -> Progress {
    let mut progress = Progress { trials: Vec::new(), stages: Vec::new(), standings: Vec::new() };
    for number in 0..search.trials {
        let known = known.get(number as usize);
        let settings = known.map(|trial| trial.settings.clone()).or_else(|| next(search, number, &progress));
        // A trial waits for the results of those before it, and those after it wait for more.
        let Some(settings) = settings else { break };
        progress.follow(search, settings, known, &outcome);
    }
    progress
}

/// The settings of the next trial, if what they hang on is there.
fn next(search: &Search, number: u32, before: &Progress) -> Option<Settings> {
    let mut observed = Vec::new();
    for (index, (trial, standing)) in before.trials.iter().zip(&before.standings).enumerate() {
        // How far a trial is looked at hangs on how long ago it was, and not on how far it is.
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

/// How many trials ago one has to be for what it came to at a rung, or at its end, to count for the next one.
///
/// It grows with the rung as ASHA's stretches do: while one trial in eta goes on to the next rung, the others do not
/// wait for it.
fn lag(search: &Search, rung: usize) -> u64 {
    let reduction = search.pruner.as_ref().map_or(1, |asha| u64::from(asha.reduction));
    let times = u32::try_from(rung).ok().and_then(|rung| reduction.checked_pow(rung));
    u64::from(search.parallel).saturating_mul(times.unwrap_or(u64::MAX))
}

impl Progress {
    /// Adds the next trial, with its stages as far as they exist. Those it is known to have were given out before.
    fn follow(
        &mut self,
        search: &Search,
        settings: Settings,
        known: Option<&Trial>,
        outcome: impl Fn(&StageKey) -> Option<Outcome>,
    ) {
        let known_path = known.map_or(&[][..], |trial| &trial.path);
        // Names are hashes, which is what takes time here: only those of new stages are worked out.
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
        // A stage that has to be trained again has others after it.
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

    /// The verdict on a trial at a rung, once all trials before it have come to it or ended.
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

    /// The trial with the lowest final loss, or, while none has one, that of those that came furthest.
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
