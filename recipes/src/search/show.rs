//! A search before it runs, for people.

use std::fmt::Write;

use vocabulary::search::{Asha, Sampler, Search};
use vocabulary::units::human_count;

use super::budget::{budget, expected_trials};

/// The space, the sampler, the pruner, and the cost.
#[must_use]
pub fn summary(search: &Search) -> String {
    let Search { sampler, trials, seed, parallel, startup, space, base, .. } = search;
    let (n, d) = (human_count(base.n as f64), human_count((base.whole.steps.end * base.whole.batch.tokens()) as f64));
    let mut text =
        format!("a search of {trials} trials of {} (N {n}) at {d} tokens, {parallel} at a time\n", base.size);
    let _ = match sampler {
        Sampler::Tpe => writeln!(text, "sampler {sampler}, seed {seed}, the first {startup} random"),
        Sampler::Grid | Sampler::Random => writeln!(text, "sampler {sampler}, seed {seed}"),
    };
    let width = space.iter().map(|dimension| dimension.parameter.name().len()).max().unwrap_or_default();
    for dimension in space {
        let _ = writeln!(text, "  {:<width$}  {}", dimension.parameter, dimension.values);
    }
    let (budget, expected) = (budget(search), expected_trials(search));
    if let Some(Asha { reduction, rungs }) = &search.pruner {
        let at = |(index, (rung, trials)): (usize, (&u64, &f64))| {
            let unit = if index == 0 { " trials" } else { "" };
            format!("at step {rung} (of {trials:.0}{unit})")
        };
        let rungs: Vec<String> = rungs.iter().zip(&expected).enumerate().map(at).collect();
        let ends = base.whole.steps.end;
        let to_the_end = expected.last().copied().unwrap_or_default();
        let _ = writeln!(
            text,
            "ASHA promotes one in {reduction} {}; about {to_the_end:.0} reach the end, step {ends}",
            rungs.join(" and ")
        );
    }
    let _ = write!(text, "at most {} tokens, {} FLOPs", budget.tokens, budget.flops);
    if search.pruner.is_some() {
        let saved = 100.0 * (1.0 - budget.expected_flops.0 / budget.flops.0);
        let _ = write!(
            text,
            "; about {} tokens, {} FLOPs, if trials come in random order: ASHA saves {saved:.0}%",
            budget.expected_tokens, budget.expected_flops
        );
    }
    text.push('\n');
    text
}
