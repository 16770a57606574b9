//! The batch size that reaches a loss with the fewest tokens, for campaigns that try several.

use std::collections::BTreeMap;

use scaling::batch::{BatchError, BatchFit, BatchOptions, BatchRun, fit};

use super::points::MeasuredPoint;

/// The fitted law, or why the fit failed; `None` if the campaign has too few batch sizes to attempt it.
pub(crate) fn law(points: &[MeasuredPoint]) -> Option<Result<BatchFit, BatchError>> {
    let mut sizes: Vec<u64> = points.iter().map(|point| point.batch_tokens).collect();
    sizes.sort_unstable();
    sizes.dedup();
    (sizes.len() >= scaling::valley::MIN_SETTINGS).then(|| fit(&runs(points), &BatchOptions::default()))
}

/// One run per model size and batch size: decayed losses by tokens, averaged over seeds. Losses at the peak learning rate
/// would favour large batches merely because they are less noisy.
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
