//! The batch size that reaches a loss with the fewest tokens, for campaigns that try several.

use std::collections::{BTreeMap, BTreeSet};

use scaling::batch::{BatchError, BatchFit, BatchOptions, BatchRun, fit};
use vocabulary::StageKey;

use super::points::MeasuredPoint;

/// The law of the batch size, and what it is the law of.
#[derive(Debug, Clone)]
pub(crate) struct BatchLaw {
    /// The fitted law, or why the fit failed.
    pub(crate) fit: Result<BatchFit, BatchError>,
    /// The arms it compares, if the campaign has others.
    pub(crate) arms: Vec<String>,
}

/// `None` if the campaign has too few batch sizes to attempt it. Models that differ in more than their batch size and
/// learning rate do not compare: of several kinds, the law is that of the one with the most batch sizes.
pub(crate) fn law(points: &[MeasuredPoint]) -> Option<BatchLaw> {
    let decayed: Vec<&MeasuredPoint> = points.iter().filter(|point| point.decayed).collect();
    let mut kinds: Vec<(StageKey, BTreeSet<u64>)> = Vec::new();
    for point in &decayed {
        match kinds.iter_mut().find(|(kind, _)| *kind == point.kind) {
            Some((_, batches)) => _ = batches.insert(point.batch_tokens),
            None => kinds.push((point.kind, BTreeSet::from([point.batch_tokens]))),
        }
    }
    // The first among equals.
    let (kind, batches) = kinds.iter().rev().max_by_key(|(_, batches)| batches.len())?;
    if batches.len() < scaling::valley::MIN_SETTINGS {
        return None;
    }
    let (of_kind, others): (Vec<&MeasuredPoint>, Vec<&MeasuredPoint>) =
        decayed.iter().partition(|point| point.kind == *kind);
    let mut arms: Vec<String> = Vec::new();
    if !others.is_empty() {
        arms.extend(of_kind.iter().filter_map(|point| point.arm.clone()));
        arms.dedup();
    }
    Some(BatchLaw { fit: fit(&runs(&of_kind), &BatchOptions::default()), arms })
}

/// One run per model size and batch size: decayed losses by tokens, each with the best learning rate of that batch, averaged
/// over seeds. Losses at the peak learning rate would favour large batches merely because they are less noisy.
fn runs(points: &[&MeasuredPoint]) -> Vec<BatchRun> {
    type Curve = BTreeMap<u64, BTreeMap<u64, f64>>;
    let mut losses: BTreeMap<(u64, &str, u64), Curve> = BTreeMap::new();
    for point in points {
        let run = losses.entry((point.n, &point.size, point.batch_tokens)).or_default();
        let best = run.entry(point.d).or_default().entry(point.seed).or_insert(point.loss);
        *best = best.min(point.loss);
    }
    let mean = |(d, losses): (u64, BTreeMap<u64, f64>)| (d as f64, losses.values().sum::<f64>() / losses.len() as f64);
    let run = |((n, size, batch), curve): ((u64, &str, u64), Curve)| BatchRun {
        size: size.to_owned(),
        n: n as f64,
        batch: batch as f64,
        curve: curve.into_iter().map(mean).collect(),
    };
    losses.into_iter().map(run).collect()
}

#[cfg(test)]
mod tests {
    use super::super::points::testing::point;
    use super::*;

    /// A valley at a batch of 400: fewest tokens to a loss.
    fn points(kind: &[u8], arm: &str, worse: f64) -> Vec<MeasuredPoint> {
        let mut points = Vec::new();
        for batch in [100_u64, 200, 400, 800, 1600] {
            let waste = 1.0 + 0.1 * (batch as f64 / 400.0).ln().powi(2);
            for d in [10_000_u64, 20_000, 40_000, 80_000] {
                let loss = 2.0 + worse + (d as f64 / waste).powf(-0.3) * 20.0;
                points.push(MeasuredPoint {
                    d,
                    batch_tokens: batch,
                    kind: StageKey::from_content(kind),
                    arm: Some(format!("{arm}{batch}")),
                    size: "one".to_owned(),
                    ..point(0, 0.01, loss)
                });
            }
        }
        points
    }

    fn best(law: &BatchLaw) -> Vec<Option<(f64, f64)>> {
        law.fit
            .as_ref()
            .map(|fit| fit.iso_losses.iter().map(scaling::batch::IsoLoss::best).collect())
            .unwrap_or_default()
    }

    #[test]
    fn a_learning_rate_that_is_worse_everywhere_changes_nothing() {
        let good = points(b"a", "", 0.0);
        let mut both = good.clone();
        // Worst at small batches, so that the mean would move the valley.
        both.extend(good.iter().map(|point| MeasuredPoint {
            peak_lr: 0.1,
            loss: point.loss + 300.0 / point.batch_tokens as f64,
            ..point.clone()
        }));
        let (alone, both) = (law(&good).expect("five batches"), law(&both).expect("five batches"));
        assert!(best(&alone).iter().flatten().count() > 0);
        assert_eq!(best(&alone), best(&both));
    }

    #[test]
    fn models_that_differ_in_more_than_the_batch_are_not_averaged() {
        let good = points(b"a", "a", 0.0);
        let mut both = good.clone();
        both.extend(points(b"b", "b", 0.5));
        let (alone, both) = (law(&good).expect("five batches"), law(&both).expect("five batches"));
        assert_eq!(best(&alone), best(&both));
        assert_eq!(
            (alone.arms.len(), both.arms.as_slice()),
            (0, &["a100", "a200", "a400", "a800", "a1600"].map(str::to_owned)[..])
        );
    }
}
