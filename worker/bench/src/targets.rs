//! The trainer's performance targets as one table, and whether they are met.

use serde::Serialize;

use crate::campaign::Campaign;
use crate::results::{Ratio, ShapeResult, Side};
use crate::summary::Summary;
use crate::task::Mode;

/// The quantity a target bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    /// Speed over the peer's, in one of its modes.
    SpeedOver(Mode),
    /// Speed over the peer's, in its fastest mode.
    SpeedOverFastest,
    /// Our speed with products in bfloat16 over the peer's with the same, in the faster of its modes.
    Bf16OverBf16,
    /// Useful FLOP/s over the best matrix product's.
    ShareOfBestProduct,
    /// Memory over the peer's in eager mode.
    Memory,
}

/// A bound on the median.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Number of threads the target applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threads {
    One,
    Two,
}

struct Target {
    shapes: &'static [&'static str],
    threads: Threads,
    quantity: Quantity,
    bound: Bound,
}

const LARGE: &[&str] = &["A", "B"];
const QUICKSTART: &[&str] = &["tiny-32", "tiny-48", "tiny-64", "tiny-96", "tiny-128"];

/// The targets of all shapes.
const TARGETS: &[Target] = &[
    target(LARGE, Threads::Two, Quantity::SpeedOver(Mode::Eager), Bound::AtLeast(2.2)),
    target(LARGE, Threads::Two, Quantity::SpeedOver(Mode::Compile), Bound::AtLeast(2.2)),
    target(LARGE, Threads::Two, Quantity::SpeedOverFastest, Bound::AtLeast(1.15)),
    target(LARGE, Threads::Two, Quantity::Bf16OverBf16, Bound::AtLeast(1.2)),
    target(LARGE, Threads::Two, Quantity::ShareOfBestProduct, Bound::AtLeast(0.8)),
    target(LARGE, Threads::Two, Quantity::Memory, Bound::AtMost(0.3)),
    target(QUICKSTART, Threads::One, Quantity::SpeedOverFastest, Bound::AtLeast(2.5)),
];

/// The quick start's training time over PyTorch's.
const CAMPAIGN: Bound = Bound::AtMost(0.45);

const fn target(shapes: &'static [&'static str], threads: Threads, quantity: Quantity, bound: Bound) -> Target {
    Target { shapes, threads, quantity, bound }
}

/// A target and the value reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Name of the shape; `None` for the whole quick start.
    pub shape: Option<String>,
    /// Description of the quantity.
    pub what: String,
    /// The bound, for display.
    pub target: String,
    /// The value reached; `None` if it was not measured.
    pub reached: Option<Summary>,
    /// Whether the median meets the target.
    pub holds: Option<bool>,
}

/// Verdicts on the shapes that were measured.
pub(crate) fn verdicts(shapes: &[ShapeResult], campaign: Option<&Campaign>) -> Vec<Verdict> {
    let of_shape = |shape: &ShapeResult| {
        let applies = |target: &&Target| target.shapes.contains(&shape.case.name.as_str());
        TARGETS.iter().filter(applies).map(|target| target.verdict(shape)).collect::<Vec<_>>()
    };
    let mut verdicts: Vec<Verdict> = shapes.iter().flat_map(of_shape).collect();
    if let Some(campaign) = campaign {
        let what = format!("time of {} one-thread workers, computed, over torch's", campaign.workers);
        verdicts.push(CAMPAIGN.verdict(None, what, campaign.ratio));
    }
    verdicts
}

impl Target {
    fn verdict(&self, shape: &ShapeResult) -> Verdict {
        let threads = self.threads.number();
        let ratios: Vec<&Ratio> =
            shape.ratios.iter().filter(|ratio| (ratio.threads, ratio.processes) == (threads, 1)).collect();
        let of = |side| ratios.iter().copied().filter(move |ratio| ratio.of == side);
        let over = |mode| of(Side::Windtunnel).find(|ratio| ratio.over == Side::Torch(mode));
        let least = |a: &&Ratio, b: &&Ratio| a.speed.median.total_cmp(&b.speed.median);
        let (what, reached) = match self.quantity {
            Quantity::SpeedOver(mode) => {
                (format!("tokens/s over torch {}", mode.name()), over(mode).map(|ratio| ratio.speed))
            }
            Quantity::SpeedOverFastest => {
                let fastest = of(Side::Windtunnel).min_by(least);
                let name = fastest.map_or_else(|| "torch".to_owned(), |ratio| ratio.over.name());
                (format!("tokens/s over the fastest ({name})"), fastest.map(|ratio| ratio.speed))
            }
            Quantity::Bf16OverBf16 => {
                let fastest = of(Side::WindtunnelBf16).min_by(least);
                ("tokens/s in bf16 over torch's fastest bf16".to_owned(), fastest.map(|ratio| ratio.speed))
            }
            Quantity::ShareOfBestProduct => {
                let entry = shape.entry(Side::Windtunnel, threads, 1);
                let reached = entry.and_then(|entry| {
                    let share = entry.share_of_best_product?;
                    Some(entry.tokens_per_second.times(share / entry.tokens_per_second.median))
                });
                ("useful GFLOP/s over the best sgemm's".to_owned(), reached)
            }
            Quantity::Memory => {
                let memory = over(Mode::Eager).and_then(|ratio| ratio.memory);
                ("peak memory over torch eager's".to_owned(), memory.and_then(|memory| Summary::of([memory])))
            }
        };
        let what = format!("{what}, {}", self.threads.text());
        self.bound.verdict(Some(shape.case.name.clone()), what, reached)
    }
}

impl Threads {
    fn number(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::One => "1 thread",
            Self::Two => "2 threads",
        }
    }
}

impl Bound {
    fn verdict(self, shape: Option<String>, what: String, reached: Option<Summary>) -> Verdict {
        let (target, holds) = match self {
            Self::AtLeast(bound) => (format!(">= {bound}"), reached.map(|reached| reached.median >= bound)),
            Self::AtMost(bound) => (format!("<= {bound}"), reached.map(|reached| reached.median <= bound)),
        };
        Verdict { shape, what, target, reached, holds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Case;
    use crate::results::Entry;

    fn entry(side: Side, speed: f64, peak_bytes: u64) -> Entry {
        Entry {
            side,
            threads: 2,
            processes: 1,
            tokens_per_second: Summary::of([speed]).expect("some"),
            rounds: vec![speed],
            gflops: speed,
            share_of_best_product: Some(speed / 800.0),
            peak_bytes: Some(peak_bytes),
            loss: None,
        }
    }

    #[test]
    fn every_shape_of_the_table_exists() {
        let known = Case::names();
        assert!(TARGETS.iter().flat_map(|target| target.shapes).all(|shape| known.iter().any(|name| name == shape)));
    }

    #[test]
    fn the_median_decides() {
        let entries = vec![
            entry(Side::Windtunnel, 600.0, 20),
            entry(Side::Torch(Mode::Eager), 200.0, 100),
            entry(Side::Torch(Mode::Bf16), 550.0, 80),
        ];
        let shape = ShapeResult::new(Case::find("A").expect("is there"), entries);
        let verdicts = verdicts(&[shape], None);
        let said: Vec<_> = verdicts.iter().map(|verdict| (verdict.what.as_str(), verdict.holds)).collect();
        assert_eq!(
            said,
            [
                ("tokens/s over torch eager, 2 threads", Some(true)),
                ("tokens/s over torch compile, 2 threads", None),
                ("tokens/s over the fastest (torch bf16), 2 threads", Some(false)),
                ("tokens/s in bf16 over torch's fastest bf16, 2 threads", None),
                ("useful GFLOP/s over the best sgemm's, 2 threads", Some(false)),
                ("peak memory over torch eager's, 2 threads", Some(true)),
            ]
        );
        assert_eq!(verdicts[0].reached.map(|reached| reached.median), Some(3.0));
    }
}
