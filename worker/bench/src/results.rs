//! Measured results, as data: speeds and memory by contestant, and ratios between contestants.

use serde::{Serialize, Serializer};
use vocabulary::Precision;

use crate::case::Case;
use crate::measure::{Around, Operations};
use crate::summary::Summary;
use crate::task::{Library, Mode};

/// A contestant's program and mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// This program.
    Windtunnel,
    /// This program, with matrix products in bfloat16.
    WindtunnelBf16,
    /// PyTorch in one of its modes.
    Torch(Mode),
}

impl Side {
    /// Name in tables and in JSON.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Windtunnel => "windtunnel".to_owned(),
            Self::WindtunnelBf16 => "windtunnel bf16".to_owned(),
            Self::Torch(mode) => format!("torch {}", mode.name()),
        }
    }

    /// Whether it is the peer.
    pub(crate) fn is_peer(self) -> bool {
        matches!(self, Self::Torch(_))
    }

    /// Number format of its matrix products.
    pub(crate) fn precision(self) -> Precision {
        match self {
            Self::Windtunnel | Self::Torch(Mode::Eager | Mode::Compile) => Precision::Fp32,
            Self::WindtunnelBf16 | Self::Torch(Mode::Bf16 | Mode::Bf16Compile) => Precision::Bf16,
        }
    }

    /// The mode in which it trains; `None` if it is the peer and there is no peer.
    pub(crate) fn mode_if(self, has_peer: bool) -> Option<Mode> {
        match self {
            Self::Windtunnel => Some(Mode::Eager),
            Self::WindtunnelBf16 => Some(Mode::Bf16),
            Self::Torch(mode) => has_peer.then_some(mode),
        }
    }
}

impl Serialize for Side {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

/// A measurement of the peer that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    pub what: String,
    pub reason: String,
}

/// Speed of a product of two square matrices.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Product {
    /// Library that computed it.
    pub library: Library,
    /// Threads used.
    pub threads: usize,
    /// GFLOP/s.
    pub gflops: Summary,
}

/// How fast a contestant trains a shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    pub side: Side,
    /// Threads per process.
    pub threads: usize,
    /// Processes at once.
    pub processes: usize,
    /// Over all processes together: over the steps of one process, or over the rounds of several.
    pub tokens_per_second: Summary,
    /// Median of each round, over all processes together, in tokens per second.
    pub rounds: Vec<f64>,
    /// Useful GFLOP/s.
    pub gflops: f64,
    /// `gflops` over those of the best matrix product with as many threads.
    pub share_of_best_product: Option<f64>,
    /// Peak resident bytes of all processes together.
    pub peak_bytes: Option<u64>,
    /// The last loss, in nats.
    pub loss: Option<f64>,
}

impl Entry {
    pub(crate) fn with_flops(self, per_token: f64) -> Self {
        Self { gflops: self.tokens_per_second.median * per_token / 1e9, ..self }
    }
}

/// One entry over another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ratio {
    /// Contestant in the numerator.
    pub of: Side,
    /// Contestant in the denominator.
    pub over: Side,
    /// Threads per process.
    pub threads: usize,
    /// Processes at once.
    pub processes: usize,
    /// Ratio of tokens per second, per round.
    pub speed: Summary,
    /// Ratio of peak memory.
    pub memory: Option<f64>,
}

/// Results of a shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShapeResult {
    pub case: Case,
    /// Number of parameters.
    pub params: u64,
    /// One per contestant.
    pub entries: Vec<Entry>,
    /// Ours over the peer's, with equal numbers of threads and processes.
    pub ratios: Vec<Ratio>,
    /// Several one-thread processes over one process with as many threads: above one, a campaign profits more from
    /// workers than from threads.
    pub processes_over_threads: Option<Summary>,
}

impl ShapeResult {
    pub(crate) fn new(case: Case, entries: Vec<Entry>) -> Self {
        let ours = |side, threads, processes| find(&entries, side, threads, processes);
        let pairs = entries.iter().filter(|entry| entry.side.is_peer()).flat_map(|peer| {
            // Ours in 32 bits against all, ours in bfloat16 against the peer in bfloat16.
            let half = (peer.side.precision() == Precision::Bf16).then_some(Side::WindtunnelBf16);
            [Some(Side::Windtunnel), half].into_iter().flatten().map(move |side| (side, peer))
        });
        let ratios = pairs.filter_map(|(side, peer)| {
            let own = ours(side, peer.threads, peer.processes)?;
            Some(Ratio {
                of: own.side,
                over: peer.side,
                threads: peer.threads,
                processes: peer.processes,
                speed: Summary::of_ratio(&own.rounds, &peer.rounds)?,
                memory: own.peak_bytes.zip(peer.peak_bytes).map(|(own, peer)| own as f64 / peer as f64),
            })
        });
        let ratios = ratios.collect();
        let several = entries.iter().find(|entry| entry.side == Side::Windtunnel && entry.processes > 1);
        let processes_over_threads = several.and_then(|several| {
            Summary::of_ratio(&several.rounds, &ours(Side::Windtunnel, several.processes, 1)?.rounds)
        });
        Self { params: case.params(), case, entries, ratios, processes_over_threads }
    }

    /// The entry of a contestant with this many threads and processes.
    #[must_use]
    pub fn entry(&self, side: Side, threads: usize, processes: usize) -> Option<&Entry> {
        find(&self.entries, side, threads, processes)
    }
}

fn find(entries: &[Entry], side: Side, threads: usize, processes: usize) -> Option<&Entry> {
    entries.iter().find(|entry| (entry.side, entry.threads, entry.processes) == (side, threads, processes))
}

/// The operations of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperationsResult {
    /// Name of the shape.
    pub shape: String,
    /// Threads used.
    pub threads: usize,
    pub measured: Operations,
    /// Share of a step that is not matrix products.
    pub share_outside_products: f64,
}

/// Times around a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AroundResult {
    /// Name of the shape.
    pub shape: String,
    /// Threads used.
    pub threads: usize,
    pub measured: Around,
    /// All of it, over a step.
    pub share_of_step: f64,
}

/// A row of a growth table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Growth {
    pub table: GrowthTable,
    pub result: ShapeResult,
    /// For contexts from the third on: the exponent with which memory beyond a constant grows, by the last two
    /// doublings. 1 is linear.
    pub memory_power: Option<f64>,
}

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrowthTable {
    /// The number of parameters.
    Model,
    /// The length of sequences.
    Context,
}
