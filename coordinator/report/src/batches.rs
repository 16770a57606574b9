//! The batch that reaches a loss with the fewest tokens, where a campaign tries several batch sizes.

use std::collections::BTreeMap;

use scaling::batch::{BatchError, BatchFit, BatchOptions, BatchRun, fit};
use vocabulary::units::human_count;

use crate::number::three_digits;
use crate::points::MeasuredPoint;

/// The law, or why there is none; `None` where there are too few batch sizes for one.
pub(crate) fn law(points: &[MeasuredPoint]) -> Option<Result<BatchFit, BatchError>> {
    let mut sizes: Vec<u64> = points.iter().map(|point| point.batch_tokens).collect();
    sizes.sort_unstable();
    sizes.dedup();
    (sizes.len() >= scaling::valley::MIN_SETTINGS).then(|| fit(&runs(points), &BatchOptions::default()))
}

/// A run for each size and batch size: its decayed losses over its tokens, the mean over seeds. Losses at the peak learning
/// rate would speak for large batches, which are only less noisy.
fn runs(points: &[MeasuredPoint]) -> Vec<BatchRun> {
    let mut losses: BTreeMap<(u64, &str, u64), BTreeMap<u64, Vec<f64>>> = BTreeMap::new();
    for point in points.iter().filter(|point| point.decayed) {
        let run = losses.entry((point.n, &point.size, point.batch_tokens)).or_default();
        run.entry(point.d).or_default().push(point.loss);
    }
    let mean = |(d, losses): (u64, Vec<f64>)| (d as f64, losses.iter().sum::<f64>() / losses.len() as f64);
    let run = |((n, size, batch), curve): ((u64, &str, u64), BTreeMap<u64, Vec<f64>>)| BatchRun {
        size: size.to_owned(),
        n: n as f64,
        batch: batch as f64,
        curve: curve.into_iter().map(mean).collect(),
    };
    losses.into_iter().map(run).collect()
}

/// The law in a line.
pub(crate) fn in_words(law: &BatchFit) -> String {
    let mut text = format!("batch = {} / L^{}", three_digits(law.c), three_digits(law.p));
    if let Some(intervals) = &law.intervals {
        let [p, c] = [intervals.p, intervals.c];
        text.push_str(&format!(
            " ({:.0}% intervals: exponent {} to {}, coefficient {} to {})",
            100.0 * intervals.level,
            three_digits(p.low),
            three_digits(p.high),
            three_digits(c.low),
            three_digits(c.high)
        ));
    }
    text
}

/// Rows for the terminal: size, loss, the best batch and the tokens it needs, and last why there is none.
pub(crate) fn rows(law: &BatchFit) -> Vec<Vec<String>> {
    let row = |iso: &scaling::batch::IsoLoss| {
        let [batch, tokens, why_not] = match iso.best() {
            Some((batch, tokens)) => [human_count(batch), human_count(tokens), String::new()],
            None => ["-".to_owned(), "-".to_owned(), iso.valley.why_not().unwrap_or_default()],
        };
        vec![iso.size.clone(), format!("{:.3}", iso.loss), batch, tokens, why_not]
    };
    law.iso_losses.iter().map(row).collect()
}
