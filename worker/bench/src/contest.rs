//! Contestants that take turns: each has its processes, and every round samples each of them, ours and the peer's
//! alternately.

use std::path::{Path, PathBuf};
use std::process::Command;

use trainer::Interrupter;

use crate::case::Case;
use crate::error::BenchError;
use crate::peer::Peer;
use crate::process::{Probe, ProbeError};
use crate::results::{Entry, Missing, Product, Side};
use crate::summary::Summary;
use crate::task::{Library, Mode, Request, Sample, Task};

/// Rows and columns of the matrix product that measures the machine.
pub(crate) const GEMM_SIZE: usize = 2048;

/// What all contests share.
pub(crate) struct Ring<'a> {
    /// Command of one of our measuring processes.
    pub(crate) ours: &'a dyn Fn() -> Command,
    /// The peer, if there is one.
    pub(crate) peer: Option<Peer>,
    /// Samples per contestant.
    pub(crate) rounds: usize,
    /// Length of a sample.
    pub(crate) request: Request,
    /// Directory for temporary files.
    pub(crate) scratch: &'a Path,
    /// Tells whether the run should stop.
    pub(crate) interrupter: &'a Interrupter,
    /// Receives progress messages.
    pub(crate) progress: &'a mut dyn FnMut(&str),
    /// Contestants that could not be measured.
    pub(crate) missing: Vec<Missing>,
}

/// Results of a contestant: per round, a sample of each of its processes.
type Rounds = Vec<Vec<Sample>>;

/// A contestant, running in one or several processes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contestant {
    pub(crate) side: Side,
    pub(crate) threads: usize,
    pub(crate) processes: usize,
}

impl Contestant {
    pub(crate) fn ours(threads: usize, processes: usize) -> Self {
        Self { side: Side::Windtunnel, threads, processes }
    }

    pub(crate) fn ours_in_bf16(threads: usize, processes: usize) -> Self {
        Self { side: Side::WindtunnelBf16, threads, processes }
    }

    pub(crate) fn torch(mode: Mode, threads: usize, processes: usize) -> Self {
        Self { side: Side::Torch(mode), threads, processes }
    }

    fn text(&self) -> String {
        let Self { side, threads, processes } = self;
        let plural =
            |count: usize, one: &str, more: &str| if count == 1 { one.to_owned() } else { format!("{count} {more}") };
        format!(
            "{}, {}, {}",
            side.name(),
            plural(*processes, "one process", "processes"),
            plural(*threads, "one thread", "threads")
        )
    }
}

/// Alternates ours and theirs, each in its own order.
pub(crate) fn alternate<T>(ours: Vec<T>, theirs: Vec<T>) -> Vec<T> {
    let (mut ours, mut theirs) = (ours.into_iter(), theirs.into_iter());
    let mut all = Vec::with_capacity(ours.len() + theirs.len());
    loop {
        let pair = [ours.next(), theirs.next()];
        if pair.iter().all(Option::is_none) {
            return all;
        }
        all.extend(pair.into_iter().flatten());
    }
}

impl Ring<'_> {
    /// Measures contestants on a case. One that fails to start is missing from the result.
    pub(crate) fn steps(
        &mut self,
        case: &Case,
        data: &(vocabulary::DatasetId, PathBuf),
        contestants: &[Contestant],
    ) -> Result<Vec<Entry>, BenchError> {
        let mut started = Vec::new();
        for contestant in contestants {
            let Some(mode) = contestant.side.mode_if(self.peer.is_some()) else { continue };
            let task = Task::Steps {
                spec: Box::new(case.stage(data.0, contestant.side.precision())),
                dataset: data.1.clone(),
                threads: contestant.threads,
                mode,
            };
            let what = format!("{}: {}", case.name, contestant.text());
            let probes =
                (0..contestant.processes).map(|_| self.warm(contestant.side, contestant.threads, &task, &what));
            let probes: Result<Vec<Probe>, BenchError> = probes.collect();
            if let Some(probes) = self.unless_peer(contestant.side, &what, probes)? {
                started.push((*contestant, probes));
            }
        }
        let samples = self.rounds(&case.name, started)?;
        let entries = samples.into_iter().map(|(contestant, rounds)| entry(case, contestant, &rounds));
        Ok(entries.collect())
    }

    /// Measures matrix products with this many threads.
    pub(crate) fn products(&mut self, threads: usize, has_numpy: bool) -> Result<Vec<Product>, BenchError> {
        let libraries = [(Library::Windtunnel, true), (Library::Numpy, has_numpy), (Library::Torch, true)];
        let mut started = Vec::new();
        for (library, _) in libraries.into_iter().filter(|(_, is_there)| *is_there) {
            let side = if library == Library::Windtunnel { Side::Windtunnel } else { Side::Torch(Mode::Eager) };
            if side.mode_if(self.peer.is_some()).is_none() {
                continue;
            }
            let task = Task::Gemm { library, size: GEMM_SIZE, threads };
            let what = format!("the matrix product of {} on {threads} threads", library.name());
            let probe = self.warm(side, threads, &task, &what);
            if let Some(probe) = self.unless_peer(side, &what, probe)? {
                started.push((library, vec![probe]));
            }
        }
        let samples = self.rounds("matrix products", started)?;
        let flops = 2.0 * (GEMM_SIZE as f64).powi(3);
        let product = |(library, rounds): (Library, Vec<Vec<Sample>>)| {
            let times = rounds.iter().flatten().flat_map(|sample| &sample.seconds);
            let gflops = Summary::of(times.map(|seconds| flops / seconds / 1e9))?;
            Some(Product { library, threads, gflops })
        };
        Ok(samples.into_iter().filter_map(product).collect())
    }

    /// Starts a process and waits until it is warm.
    pub(crate) fn warm(&mut self, side: Side, threads: usize, task: &Task, what: &str) -> Result<Probe, BenchError> {
        if self.interrupter.should_stop() {
            return Err(BenchError::Interrupted);
        }
        (self.progress)(&format!("{what}: warming up"));
        let command = match (side, &self.peer) {
            (Side::Torch(_), Some(peer)) => peer.command(threads),
            _ => (self.ours)(),
        };
        self.or_interrupted(Probe::warm(command, task, what.to_owned(), self.scratch))
    }

    /// Reports an interruption if a process ended because of the signal that this one received, too.
    pub(crate) fn or_interrupted<T>(&self, result: Result<T, ProbeError>) -> Result<T, BenchError> {
        match result {
            Err(_) if self.interrupter.should_stop() => Err(BenchError::Interrupted),
            result => Ok(result?),
        }
    }

    /// A process that was started; `None` if it is the peer's and failed to start, which is recorded.
    fn unless_peer<T>(
        &mut self,
        side: Side,
        what: &str,
        started: Result<T, BenchError>,
    ) -> Result<Option<T>, BenchError> {
        match (side, started) {
            (Side::Torch(_), Err(BenchError::Probe(error))) => {
                (self.progress)(&format!("skipped: {error}"));
                self.missing.push(Missing { what: what.to_owned(), reason: error.to_string() });
                Ok(None)
            }
            (_, started) => started.map(Some),
        }
    }

    /// Samples every contestant, round by round. A contestant's processes run at the same time.
    fn rounds<T>(&mut self, what: &str, started: Vec<(T, Vec<Probe>)>) -> Result<Vec<(T, Rounds)>, BenchError> {
        let mut all: Vec<(T, Vec<Probe>, Rounds)> =
            started.into_iter().map(|(who, probes)| (who, probes, Vec::new())).collect();
        for round in 1..=self.rounds {
            (self.progress)(&format!("{what}: round {round} of {}", self.rounds));
            for (_, probes, rounds) in &mut all {
                if self.interrupter.should_stop() {
                    return Err(BenchError::Interrupted);
                }
                let sampled = sample(probes, self.request);
                rounds.push(self.or_interrupted(sampled)?);
            }
        }
        Ok(all.into_iter().map(|(who, _, rounds)| (who, rounds)).collect())
    }
}

fn sample(probes: &mut [Probe], request: Request) -> Result<Vec<Sample>, ProbeError> {
    probes.iter_mut().try_for_each(|probe| probe.ask(request))?;
    probes.iter_mut().map(Probe::receive).collect()
}

/// Summarises a contestant's samples, of which each round has one per process.
fn entry(case: &Case, contestant: Contestant, rounds: &[Vec<Sample>]) -> Entry {
    let Contestant { side, threads, processes } = contestant;
    let tokens = case.batch.tokens() as f64;
    let speeds = |sample: &Sample| sample.seconds.iter().map(move |seconds| tokens / seconds).collect::<Vec<_>>();
    let median = |sample: &Sample| Summary::of(speeds(sample)).map_or(0.0, |speed| speed.median);
    let by_round: Vec<f64> = rounds.iter().map(|samples| samples.iter().map(median).sum()).collect();
    // Steps of several processes do not correspond; their sums per round do.
    let tokens_per_second = if processes == 1 {
        Summary::of(rounds.iter().flatten().flat_map(speeds))
    } else {
        Summary::of(by_round.clone())
    };
    let last = rounds.last().map(Vec::as_slice).unwrap_or_default();
    Entry {
        side,
        threads,
        processes,
        tokens_per_second: tokens_per_second.expect("every contestant is sampled"),
        rounds: by_round,
        gflops: 0.0,
        share_of_best_product: None,
        peak_bytes: last.iter().map(|sample| sample.peak_bytes).sum(),
        loss: last.first().and_then(|sample| sample.loss),
    }
    .with_flops(case.flops_per_token())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: &[f64]) -> Sample {
        Sample { seconds: seconds.to_vec(), peak_bytes: Some(10), loss: Some(1.0) }
    }

    #[test]
    fn sides_alternate() {
        assert_eq!(alternate(vec![1, 3], vec![2, 4, 5]), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn processes_at_once_add_up_and_steps_of_one_are_pooled() {
        let case = Case::find("tiny-32").expect("is there"); // 1024 tokens per step
        let rounds = [vec![sample(&[1.0, 2.0, 1.0]), sample(&[4.0])], vec![sample(&[1.0]), sample(&[2.0])]];
        let two = entry(&case, Contestant::ours(1, 2), &rounds);
        assert_eq!(two.rounds, [1024.0 + 256.0, 1024.0 + 512.0]);
        assert_eq!(two.tokens_per_second.count, 2);
        assert_eq!(two.peak_bytes, Some(20));
        let rounds = [vec![sample(&[1.0, 2.0, 1.0])], vec![sample(&[1.0])]];
        let one = entry(&case, Contestant::ours(2, 1), &rounds);
        assert_eq!(one.rounds, [1024.0, 1024.0]);
        assert_eq!((one.tokens_per_second.low, one.tokens_per_second.count), (512.0, 4));
        assert!((one.gflops - 1024.0 * case.flops_per_token() / 1e9).abs() < 1e-9);
    }
}
