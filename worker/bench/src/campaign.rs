//! The quick start's training time, computed: its tokens per shape over the throughput of that shape's processes.
//!
//! Nothing is run for it. It leaves out, for both sides: validation, checkpoints, process start-up, and the idle worker
//! at the end of a campaign.

use std::collections::BTreeMap;

use recipes::{Recipe, RecipeError, sketch};
use serde::Serialize;

use crate::results::{Entry, ShapeResult, Side};
use crate::summary::Summary;
use crate::task::Mode;

/// The recipe, as of this program's compilation.
const RECIPE: &str = include_str!("../../../recipes/quickstart.toml");

/// The quick start's training time, computed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Campaign {
    /// Tokens of the whole plan, counting each stage once.
    pub tokens: u64,
    /// Workers of one thread each.
    pub workers: usize,
    /// Seconds, per round.
    pub seconds: Summary,
    /// Seconds that as many one-thread processes of PyTorch need for the same plan, each shape in its fastest mode.
    pub peer_seconds: Option<Summary>,
    /// Ours over the peer's, per round.
    pub ratio: Option<Summary>,
}

/// Tokens of the quick start's stages, by size.
///
/// # Errors
/// Fails only if the recipe is invalid.
pub fn tokens_by_size() -> Result<BTreeMap<String, u64>, RecipeError> {
    let plan = sketch(&Recipe::parse("recipes/quickstart.toml", RECIPE)?)?;
    let mut tokens = BTreeMap::new();
    for stage in &plan.stages {
        *tokens.entry(stage.size.clone()).or_default() += stage.spec.tokens().0;
    }
    Ok(tokens)
}

impl Campaign {
    /// Computes the time from the results of its shapes; `None` if a shape was not measured in this many processes.
    pub(crate) fn compute(tokens: &BTreeMap<String, u64>, shapes: &[ShapeResult], workers: usize) -> Option<Self> {
        let result = |size: &String| shapes.iter().find(|shape| shape.case.name == *size);
        let seconds = |entry_of: &dyn Fn(&ShapeResult) -> Option<Entry>| -> Option<Vec<f64>> {
            let mut rounds: Vec<f64> = Vec::new();
            for (size, tokens) in tokens {
                let entry = entry_of(result(size)?)?;
                rounds.resize(entry.rounds.len(), 0.0);
                rounds.iter_mut().zip(&entry.rounds).for_each(|(sum, speed)| *sum += *tokens as f64 / speed);
            }
            Some(rounds)
        };
        let ours = seconds(&|shape| shape.entry(Side::Windtunnel, 1, workers).cloned())?;
        let peers = seconds(&|shape| {
            let modes = Mode::ALL.into_iter().filter_map(|mode| shape.entry(Side::Torch(mode), 1, workers));
            modes.max_by(|a, b| a.tokens_per_second.median.total_cmp(&b.tokens_per_second.median)).cloned()
        });
        Some(Self {
            tokens: tokens.values().sum(),
            workers,
            seconds: Summary::of(ours.clone())?,
            ratio: peers.as_ref().and_then(|peers| Summary::of_ratio(&ours, peers)),
            peer_seconds: peers.and_then(Summary::of),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Case;

    fn entry(side: Side, rounds: &[f64]) -> Entry {
        Entry {
            side,
            threads: 1,
            processes: 2,
            tokens_per_second: Summary::of(rounds.to_vec()).expect("some"),
            rounds: rounds.to_vec(),
            gflops: 0.0,
            share_of_best_product: None,
            peak_bytes: None,
            loss: None,
        }
    }

    fn shape(name: &str, entries: Vec<Entry>) -> ShapeResult {
        ShapeResult::new(Case::find(name).expect("is there"), entries)
    }

    #[test]
    fn the_plan_has_the_tokens_that_it_prints() {
        let tokens = tokens_by_size().expect("the recipe is valid");
        assert_eq!(tokens.len(), 5);
        assert_eq!(vocabulary::Tokens(tokens.values().sum()).to_string(), "39.3M");
        assert!(tokens.keys().all(|size| Case::find(size).is_ok_and(|case| case.is_of_quickstart())));
    }

    #[test]
    fn each_shape_counts_by_its_tokens_and_the_peer_in_its_fastest_mode() {
        let tokens = BTreeMap::from([("tiny-32".to_owned(), 100), ("tiny-48".to_owned(), 300)]);
        let (eager, compile) = (Side::Torch(Mode::Eager), Side::Torch(Mode::Compile));
        let shapes = [
            shape("tiny-32", vec![entry(Side::Windtunnel, &[100.0, 50.0]), entry(eager, &[10.0, 10.0])]),
            shape(
                "tiny-48",
                vec![
                    entry(Side::Windtunnel, &[300.0, 300.0]),
                    entry(eager, &[10.0, 10.0]),
                    entry(compile, &[30.0, 30.0]),
                ],
            ),
        ];
        let campaign = Campaign::compute(&tokens, &shapes, 2).expect("all was measured");
        assert_eq!(campaign.tokens, 400);
        assert_eq!((campaign.seconds.low, campaign.seconds.high), (2.0, 3.0));
        assert_eq!(campaign.peer_seconds.map(|seconds| seconds.median), Some(20.0));
        assert_eq!(campaign.ratio.map(|ratio| (ratio.low, ratio.high)), Some((0.1, 0.15)));
        assert_eq!(Campaign::compute(&tokens, &shapes[..1], 2), None);
    }
}
