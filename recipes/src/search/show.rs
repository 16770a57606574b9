//! A search as people read it before it runs.

use std::fmt;

use super::asha::Asha;
use super::spec::{Sampler, Search};
use crate::units::human_count;

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Grid => "grid",
            Self::Random => "random",
            Self::Tpe => "tpe",
        })
    }
}

/// The space, how it is searched, and what that costs.
impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sampler, trials, seed, parallel, startup, space, base, .. } = self;
        let (n, d) =
            (human_count(base.n as f64), human_count((base.whole.end_step * base.whole.batch.tokens()) as f64));
        writeln!(f, "a search of {trials} trials of {} (N {n}) at {d} tokens, {parallel} at a time", base.size)?;
        match sampler {
            Sampler::Tpe => writeln!(f, "sampler {sampler}, seed {seed}, the first {startup} random")?,
            Sampler::Grid | Sampler::Random => writeln!(f, "sampler {sampler}, seed {seed}")?,
        }
        let width = space.iter().map(|dimension| dimension.parameter.name().len()).max().unwrap_or_default();
        for dimension in space {
            writeln!(f, "  {:<width$}  {}", dimension.parameter, dimension.values)?;
        }
        let (budget, expected) = (self.budget(), self.expected_trials());
        if let Some(Asha { reduction, rungs }) = &self.pruner {
            let at = |(rung, trials): (&u64, &f64)| format!("{rung} ({trials:.0})");
            let rungs: Vec<String> = rungs.iter().zip(&expected).map(at).collect();
            let ends = base.whole.end_step;
            let to_the_end = expected.last().copied().unwrap_or_default();
            writeln!(
                f,
                "ASHA keeps one in {reduction} after step {}; about {to_the_end:.0} go to the end, step {ends}",
                rungs.join(" and after step ")
            )?;
        }
        write!(f, "at most {} tokens, {} FLOPs", budget.tokens, budget.flops)?;
        if self.pruner.is_some() {
            let saved = 100.0 * (1.0 - budget.expected_flops.0 / budget.flops.0);
            write!(
                f,
                "; about {} tokens, {} FLOPs, if trials come in no particular order: ASHA saves {saved:.0}%",
                budget.expected_tokens, budget.expected_flops
            )?;
        }
        writeln!(f)
    }
}
