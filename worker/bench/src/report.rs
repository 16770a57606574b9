//! What was measured, as data.

use serde::{Serialize, Serializer};
use vocabulary::Precision;

use crate::campaign::Campaign;
use crate::case::Case;
use crate::machine::Machine;
use crate::measure::{Around, Operations};
use crate::peer::Versions;
use crate::summary::Summary;
use crate::targets::Verdict;
use crate::task::{Library, Mode};

/// Everything.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// What it was measured on.
    pub machine: Machine,
    /// How often each was sampled.
    pub rounds: usize,
    /// How long a sample is.
    pub sample_seconds: f64,
    /// What the peer is; `None` where there is none.
    pub peer: Option<Versions>,
    /// Why there is no peer, where one was asked for.
    pub no_peer_because: Option<String>,
    /// What was to be measured of the peer and could not be.
    pub missing: Vec<Missing>,
    /// How fast the machine multiplies matrices.
    pub products: Vec<Product>,
    /// Each shape that was asked for.
    pub shapes: Vec<ShapeResult>,
    /// What takes its time in a step.
    pub operations: Vec<OperationsResult>,
    /// What a worker does around its steps.
    pub around: Option<AroundResult>,
    /// The quick start, computed from what its shapes do.
    pub campaign: Option<Campaign>,
    /// Models and contexts that grow.
    pub growth: Vec<Growth>,
    /// The targets, and what was reached.
    pub verdicts: Vec<Verdict>,
}

/// Who trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// This program.
    Windtunnel,
    /// This program, with matrix products in bfloat16.
    WindtunnelBf16,
    /// PyTorch, in one of its ways.
    Torch(Mode),
}

impl Side {
    /// Its name in tables and in JSON.
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

    /// In which number format it multiplies.
    pub(crate) fn precision(self) -> Precision {
        match self {
            Self::Windtunnel | Self::Torch(Mode::Eager | Mode::Compile) => Precision::Fp32,
            Self::WindtunnelBf16 | Self::Torch(Mode::Bf16 | Mode::Bf16Compile) => Precision::Bf16,
        }
    }

    /// How the peer is to train; nothing where it is the peer and there is none.
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

/// Something of the peer that was not measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// A product of two square matrices.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Product {
    /// Whose.
    pub library: Library,
    /// Threads used.
    pub threads: usize,
    /// Operations a second, in thousand millions.
    pub gflops: Summary,
}

/// How fast someone trains a shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Who.
    pub side: Side,
    /// Threads of each process.
    pub threads: usize,
    /// Processes at once.
    pub processes: usize,
    /// Of all processes together: over all steps of one process, over rounds of several.
    pub tokens_per_second: Summary,
    /// The median of each round, of all processes together.
    pub rounds: Vec<f64>,
    /// Useful operations a second, in thousand millions.
    pub gflops: f64,
    /// The same, over the best product's of as many threads.
    pub share_of_best_product: Option<f64>,
    /// The most memory resident, of all processes together.
    pub peak_bytes: Option<u64>,
    /// The last loss.
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
    /// Who.
    pub of: Side,
    /// Over whom.
    pub over: Side,
    /// Threads of each process.
    pub threads: usize,
    /// Processes at once.
    pub processes: usize,
    /// Tokens a second over tokens a second, round by round.
    pub speed: Summary,
    /// Memory over memory.
    pub memory: Option<f64>,
}

/// What became of a shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShapeResult {
    /// The shape.
    pub case: Case,
    /// Its parameters.
    pub params: u64,
    /// Who trained it how fast.
    pub entries: Vec<Entry>,
    /// Ours over the peer's, with as many threads in as many processes.
    pub ratios: Vec<Ratio>,
    /// Several one-thread processes over one process of as many threads: above one, a campaign is better off with more
    /// workers than with more threads.
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

    /// What someone did with so many threads in so many processes.
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
    /// Of which shape.
    pub shape: String,
    /// Threads used.
    pub threads: usize,
    /// What was measured.
    pub measured: Operations,
    /// What of a step is not matrix products.
    pub share_outside_products: f64,
}

/// What is around a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AroundResult {
    /// Of which shape.
    pub shape: String,
    /// Threads used.
    pub threads: usize,
    /// What was measured.
    pub measured: Around,
    /// All of it, over a step.
    pub share_of_step: f64,
}

/// A row of the tables of growth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Growth {
    /// Which table.
    pub table: GrowthTable,
    /// What was measured.
    pub result: ShapeResult,
    /// Of contexts, from the third on: the power of the context that memory beyond a constant grows with, by the last two
    /// doublings. One is linear.
    pub memory_power: Option<f64>,
}

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrowthTable {
    /// The model.
    Model,
    /// The context.
    Context,
}
