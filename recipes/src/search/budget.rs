//! What a search costs.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vocabulary::search::{Search, Verdict};
use vocabulary::{Flops, Tokens};

/// The number of simulated trials behind an estimate. For a search of fifty trials that is four hundred simulated searches,
/// and a mean that is right to one or two percent.
const PLAYED_TRIALS: u32 = 20_000;

/// What a search costs at most, and what it is expected to cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchBudget {
    /// Tokens if every trial is trained to its end.
    pub tokens: Tokens,
    /// Operations if every trial is trained to its end.
    pub flops: Flops,
    /// Expected tokens if trials come in random order, as they do while settings are random.
    pub expected_tokens: Tokens,
    /// Expected operations, under the same assumption.
    pub expected_flops: Flops,
}

/// The expected number of trials that train each stretch between rungs, if trials come in random order and rank the same at
/// every rung.
#[must_use]
pub fn expected_trials(search: &Search) -> Vec<f64> {
    let mut come = vec![0.0; search.ends().len()];
    come[0] = f64::from(search.trials);
    let Some(asha) = &search.pruner else { return come };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let draws = (PLAYED_TRIALS / search.trials.max(1)).clamp(16, 1000);
    for _ in 0..draws {
        let mut at_rungs: Vec<Vec<f64>> = vec![Vec::new(); asha.rungs.len()];
        for _ in 0..search.trials {
            let loss = rng.random();
            for (rung, before) in at_rungs.iter_mut().enumerate() {
                let verdict = asha.judge(before, loss);
                before.push(loss);
                if verdict == Verdict::Pruned {
                    break;
                }
                come[rung + 1] += 1.0 / f64::from(draws);
            }
        }
    }
    come
}

/// What it costs.
#[must_use]
pub fn budget(search: &Search) -> SearchBudget {
    let whole = &search.base.whole;
    let flops_per_step = whole.flops().0 / whole.steps.end as f64;
    let (mut steps, mut start) = (0.0, 0);
    for (end, trials) in search.ends().into_iter().zip(expected_trials(search)) {
        steps += trials * (end - start) as f64;
        start = end;
    }
    let at_most = u64::from(search.trials) * whole.steps.end;
    let tokens = |steps: f64| Tokens((steps * whole.batch.tokens() as f64).round() as u64);
    SearchBudget {
        tokens: Tokens(at_most * whole.batch.tokens()),
        flops: Flops(flops_per_step * at_most as f64),
        expected_tokens: tokens(steps),
        expected_flops: Flops(flops_per_step * steps),
    }
}
