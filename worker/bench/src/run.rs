//! The whole benchmark: which contests are held, and how they are evaluated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use trainer::Interrupter;
use vocabulary::{DatasetId, Precision};

use crate::campaign::{Campaign, tokens_by_size};
use crate::case::Case;
use crate::contest::{Contestant, Ring, alternate};
use crate::data::random_tokens;
use crate::error::BenchError;
use crate::growth::{memory_power, own_peak};
use crate::machine::Machine;
use crate::measure::{Around, Operations};
use crate::peer::{Peer, Versions};
use crate::process::{Probe, ProbeError};
use crate::report::Report;
use crate::results::{AroundResult, Growth, GrowthTable, OperationsResult, Product, ShapeResult, Side};
use crate::targets;
use crate::task::{Mode, Request, Task};

/// Shapes whose operations are measured one by one: all except the quick start's.
const OPERATIONS_OF: [&str; 3] = ["A", "B", "C"];
/// The shape that is measured for what a worker does around its steps.
const AROUND_OF: &str = "A";
/// Samples that are taken only once are longer by this factor.
const LONGER: f64 = 4.0;

/// What to measure, and for how long.
pub struct Options<'a> {
    /// Shapes to train.
    pub cases: Vec<Case>,
    /// Thread counts to train with; not empty. The last one is used to compare the machine's cores.
    pub threads: Vec<usize>,
    /// Samples per contestant.
    pub rounds: usize,
    /// Seconds per sample. A step in progress is finished, and at least three are taken.
    pub sample_seconds: f64,
    /// A Python with PyTorch; without it only this program is measured.
    pub python: Option<PathBuf>,
    /// PyTorch's modes to measure.
    pub modes: Vec<Mode>,
    /// Whether to measure models and contexts of increasing size.
    pub grow: bool,
    /// Command of a process that calls [`crate::measure()`].
    pub measuring: &'a dyn Fn() -> Command,
    /// Stops the benchmark early.
    pub interrupter: Interrupter,
}

/// Runs the benchmark. `progress` receives messages.
///
/// # Errors
/// Fails if this program cannot be measured. A peer that is missing or fails is recorded in the report instead.
pub fn train(options: &Options<'_>, progress: &mut dyn FnMut(&str)) -> Result<Report, BenchError> {
    let machine = Machine::this();
    let scratch = tempfile::Builder::new().prefix("windtunnel-bench-").tempdir().map_err(BenchError::Scratch)?;
    let found = options.python.as_ref().map(|python| find_peer(python, scratch.path())).transpose()?;
    let (peer, versions, no_peer_because) = match found {
        None => (None, None, None),
        Some(Ok((peer, versions))) => (Some(peer), Some(versions), None),
        Some(Err(reason)) => {
            progress(&format!("no peer: {reason}"));
            (None, None, Some(reason))
        }
    };
    let ring = Ring {
        ours: options.measuring,
        peer,
        rounds: options.rounds,
        request: Request { seconds: options.sample_seconds, at_least: 3 },
        scratch: scratch.path(),
        interrupter: &options.interrupter,
        progress,
        missing: Vec::new(),
    };
    let has_numpy = versions.as_ref().is_some_and(|versions| versions.numpy.is_some());
    let mut run = Run { options, ring, data: BTreeMap::new() };

    let products = run.products(has_numpy)?;
    let (mut shapes, mut operations, mut around) = (Vec::new(), Vec::new(), None);
    for case in &options.cases {
        shapes.push(run.shape(case, &products)?);
        if OPERATIONS_OF.contains(&case.name.as_str()) {
            operations.extend(run.operations(case)?);
        }
        if case.name == AROUND_OF {
            around = Some(run.around(case)?);
        }
    }
    let growth = if options.grow { run.growth(&products)? } else { Vec::new() };
    let campaign = Campaign::compute(&tokens_by_size()?, &shapes, run.most_threads());
    Ok(Report {
        machine,
        rounds: options.rounds,
        sample_seconds: options.sample_seconds,
        peer: versions,
        no_peer_because,
        missing: run.ring.missing,
        products,
        verdicts: targets::verdicts(&shapes, campaign.as_ref()),
        shapes,
        operations,
        around,
        campaign,
        growth,
    })
}

/// Finds a peer that can train, or the reason why there is none.
fn find_peer(python: &Path, scratch: &Path) -> Result<Result<(Peer, Versions), String>, BenchError> {
    let peer = Peer::new(python, scratch).map_err(BenchError::Scratch)?;
    let name = python.display();
    Ok(match peer.versions(scratch) {
        Ok(versions) if versions.torch.is_some() => Ok((peer, versions)),
        Ok(Versions { torch_error: Some(error), .. }) => Err(format!("`{name}` has no usable PyTorch: {error}")),
        Ok(_) => Err(format!("`{name}` has no PyTorch")),
        Err(ProbeError::Start { source, .. }) => Err(format!("`{name}` does not start: {source}")),
        Err(error) => Err(error.to_string()),
    })
}

struct Run<'a> {
    options: &'a Options<'a>,
    ring: Ring<'a>,
    /// Datasets by vocabulary size.
    data: BTreeMap<u32, (DatasetId, PathBuf)>,
}

impl Run<'_> {
    fn most_threads(&self) -> usize {
        self.options.threads.iter().copied().max().unwrap_or(1)
    }

    fn data(&mut self, vocab: u32) -> Result<(DatasetId, PathBuf), BenchError> {
        if let Some(data) = self.data.get(&vocab) {
            return Ok(data.clone());
        }
        let data = random_tokens(&self.ring.scratch.join("datasets"), vocab)?;
        self.data.insert(vocab, data.clone());
        Ok(data)
    }

    fn products(&mut self, has_numpy: bool) -> Result<Vec<Product>, BenchError> {
        let mut products = Vec::new();
        for &threads in &self.options.threads {
            products.extend(self.ring.products(threads, has_numpy)?);
        }
        Ok(products)
    }

    fn shape(&mut self, case: &Case, products: &[Product]) -> Result<ShapeResult, BenchError> {
        let contestants = contestants(case.is_of_quickstart(), &self.options.threads, &self.options.modes);
        self.contest(case, products, &contestants)
    }

    fn contest(
        &mut self,
        case: &Case,
        products: &[Product],
        contestants: &[Contestant],
    ) -> Result<ShapeResult, BenchError> {
        let data = self.data(case.model.vocab)?;
        let mut entries = self.ring.steps(case, &data, contestants)?;
        for entry in &mut entries {
            let of_as_many = products.iter().filter(|product| product.threads == entry.threads * entry.processes);
            let best = of_as_many.map(|product| product.gflops.median).max_by(f64::total_cmp);
            entry.share_of_best_product = best.map(|best| entry.gflops / best);
        }
        Ok(ShapeResult::new(case.clone(), entries))
    }

    fn operations(&mut self, case: &Case) -> Result<Vec<OperationsResult>, BenchError> {
        let (id, dataset) = self.data(case.model.vocab)?;
        let mut results = Vec::new();
        for &threads in &self.options.threads {
            let task =
                Task::Operations { spec: Box::new(case.stage(id, Precision::Fp32)), dataset: dataset.clone(), threads };
            let measured: Operations = self.once(threads, &task, &format!("{}: operations", case.name))?;
            let share_outside_products = measured.share_outside_products();
            results.push(OperationsResult { shape: case.name.clone(), threads, measured, share_outside_products });
        }
        Ok(results)
    }

    fn around(&mut self, case: &Case) -> Result<AroundResult, BenchError> {
        let (id, dataset) = self.data(case.model.vocab)?;
        let threads = self.most_threads();
        let scratch = self.ring.scratch.to_owned();
        let task = Task::Around { spec: Box::new(case.stage(id, Precision::Fp32)), dataset, threads, scratch };
        let measured: Around = self.once(threads, &task, &format!("{}: around the step", case.name))?;
        let share_of_step = measured.shares().iter().sum();
        Ok(AroundResult { shape: case.name.clone(), threads, measured, share_of_step })
    }

    /// Takes one, longer sample of ours.
    fn once<R: serde::de::DeserializeOwned>(
        &mut self,
        threads: usize,
        task: &Task,
        what: &str,
    ) -> Result<R, BenchError> {
        let mut probe = self.ring.warm(Side::Windtunnel, threads, task, what)?;
        let request = Request { seconds: self.ring.request.seconds * LONGER, ..self.ring.request };
        let mut sampled = || {
            Probe::ask(&mut probe, request)?;
            probe.receive()
        };
        let sampled = sampled();
        self.ring.or_interrupted(sampled)
    }

    fn growth(&mut self, products: &[Product]) -> Result<Vec<Growth>, BenchError> {
        let threads = self.most_threads();
        let contestants = [Contestant::ours(threads, 1), Contestant::torch(Mode::Eager, threads, 1)];
        let mut rows = Vec::new();
        for case in Case::growing_models() {
            let result = self.contest(&case, products, &contestants)?;
            rows.push(Growth { table: GrowthTable::Model, result, memory_power: None });
        }
        let mut peaks = [None; 3];
        for case in Case::growing_contexts() {
            let result = self.contest(&case, products, &contestants)?;
            peaks.rotate_left(1);
            peaks[2] = own_peak(&result.entries);
            rows.push(Growth { table: GrowthTable::Context, result, memory_power: memory_power(peaks) });
        }
        Ok(rows)
    }
}

/// The contestants on a shape. The quick start's shapes run on one thread in as many workers as there are cores; for
/// the others one process has all threads.
fn contestants(is_of_quickstart: bool, threads: &[usize], modes: &[Mode]) -> Vec<Contestant> {
    let most = threads.iter().copied().max().unwrap_or(1);
    let mut ours: Vec<Contestant> = threads.iter().map(|&threads| Contestant::ours(threads, 1)).collect();
    let compared_at = if is_of_quickstart { threads.iter().copied().min().unwrap_or(1) } else { most };
    ours.push(Contestant::ours_in_bf16(compared_at, 1));
    let mut theirs: Vec<Contestant> = modes.iter().map(|&mode| Contestant::torch(mode, compared_at, 1)).collect();
    if most > 1 {
        ours.push(Contestant::ours(1, most));
        if is_of_quickstart {
            theirs.extend(modes.iter().map(|&mode| Contestant::torch(mode, 1, most)));
        } else {
            theirs.extend(modes.first().map(|&mode| Contestant::torch(mode, 1, 1)));
        }
    }
    alternate(ours, theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(contestants: &[Contestant]) -> Vec<String> {
        let text = |one: &Contestant| format!("{} {}x{}", one.side.name(), one.processes, one.threads);
        contestants.iter().map(text).collect()
    }

    #[test]
    fn large_shapes_are_compared_with_all_threads() {
        let all = contestants(false, &[1, 2], &[Mode::Eager, Mode::Bf16]);
        assert_eq!(
            text(&all),
            [
                "windtunnel 1x1",
                "torch eager 1x2",
                "windtunnel 1x2",
                "torch bf16 1x2",
                "windtunnel bf16 1x2",
                "torch eager 1x1",
                "windtunnel 2x1",
            ]
        );
    }

    #[test]
    fn the_quick_starts_are_compared_with_one_thread_and_in_several_processes() {
        let all = contestants(true, &[1, 2], &[Mode::Eager]);
        assert_eq!(
            text(&all),
            [
                "windtunnel 1x1",
                "torch eager 1x1",
                "windtunnel 1x2",
                "torch eager 2x1",
                "windtunnel bf16 1x1",
                "windtunnel 2x1",
            ]
        );
    }

    #[test]
    fn on_one_thread_there_is_one_process() {
        let all = contestants(false, &[1], &[Mode::Eager]);
        assert_eq!(text(&all), ["windtunnel 1x1", "torch eager 1x1", "windtunnel bf16 1x1"]);
    }
}
