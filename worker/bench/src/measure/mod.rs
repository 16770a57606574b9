//! A measuring process: it reads a task, warms up, and answers requests until its input ends.

mod around;
mod gemm;
mod operations;
mod steps;

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use corpus::{OpenDataset, OpenError};
use minicpm::{Compute, ComputeError};
use serde::Serialize;
use trainer::{Origin, StageRun, StartError, StepError};
use vocabulary::StageSpec;

pub use around::{Around, CHECKPOINT_INTERVAL};
pub use operations::{Operation, Operations};

use crate::machine::peak_bytes;
use crate::task::{Library, Ready, Request, Sample, Task};

/// A measurement that failed.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The input is not a task or a request.
    #[error("the input is not a task or a request")]
    Input(#[source] serde_json::Error),
    /// The parent is gone.
    #[error("cannot read the task or write the answer")]
    Pipe(#[from] io::Error),
    /// The task is for the peer.
    #[error("this task is for the peer")]
    NotMine,
    #[error("cannot use the CPU")]
    Compute(#[from] ComputeError),
    /// The data is damaged.
    #[error("cannot open the data")]
    Data(#[from] OpenError),
    #[error("cannot start to train")]
    Start(#[from] StartError),
    #[error("cannot train a step")]
    Step(#[from] StepError),
    #[error("the worker's runner failed: {reason}")]
    Runner { reason: String },
}

/// A piece of work that is measured by repeating it.
trait Unit {
    /// Does the work once; returns a loss, if there is one.
    fn once(&mut self) -> Result<Option<f64>, MeasureError>;
}

/// Measures the task on the first line of the input, until the input ends.
///
/// # Errors
/// Fails if the task cannot be measured.
pub fn measure(input: &mut dyn BufRead, output: &mut dyn Write) -> Result<(), MeasureError> {
    let mut lines = input.lines();
    let Some(line) = lines.next() else { return Ok(()) };
    let requests = &mut lines.map(|line| serde_json::from_str::<Request>(&line?).map_err(MeasureError::Input));
    match serde_json::from_str(&line?).map_err(MeasureError::Input)? {
        Task::Steps { spec, dataset, threads, .. } => {
            let mut steps = Stage::open(&spec, &dataset, threads)?.start()?;
            serve(&mut steps, requests, output)
        }
        Task::Gemm { library: Library::Windtunnel, size, threads } => {
            serve(&mut gemm::Product::new(size, threads)?, requests, output)
        }
        Task::Operations { spec, dataset, threads } => {
            let stage = Stage::open(&spec, &dataset, threads)?;
            let mut run = stage.start()?;
            answer_each(requests, output, |request| operations::measure(&stage, &mut run, request))
        }
        Task::Around { spec, dataset, threads, scratch } => {
            let stage = Stage::open(&spec, &dataset, threads)?;
            answer_each(requests, output, |request| around::measure(&stage, &dataset, &scratch, request))
        }
        Task::Gemm { .. } | Task::Versions => Err(MeasureError::NotMine),
    }
}

/// Requests as they arrive.
type Requests<'a> = dyn Iterator<Item = Result<Request, MeasureError>> + 'a;

/// Warms up, then answers with samples.
fn serve(unit: &mut dyn Unit, requests: &mut Requests<'_>, output: &mut dyn Write) -> Result<(), MeasureError> {
    const WARM: usize = 4;
    for _ in 0..WARM {
        unit.once()?;
    }
    answer_each(requests, output, |request| {
        // The caches belong to the process that ran last.
        let mut loss = unit.once()?;
        let mut timed = || {
            let before = Instant::now();
            loss = unit.once()?;
            Ok(before.elapsed().as_secs_f64())
        };
        let seconds = repeat(request, &mut timed)?;
        Ok(Sample { seconds, peak_bytes: peak_bytes(), loss })
    })
}

/// Reports that it is warm, then answers each request.
fn answer_each<R: Serialize>(
    requests: &mut Requests<'_>,
    output: &mut dyn Write,
    mut answer: impl FnMut(Request) -> Result<R, MeasureError>,
) -> Result<(), MeasureError> {
    say(output, &Ready { ready: true })?;
    for request in requests {
        say(output, &answer(request?)?)?;
    }
    Ok(())
}

fn say(output: &mut dyn Write, message: &impl Serialize) -> Result<(), MeasureError> {
    writeln!(output, "{}", serde_json::to_string(message).map_err(io::Error::from)?)?;
    Ok(output.flush()?)
}

/// Repeats something for the time and count that a request asks for.
fn repeat<T>(request: Request, once: &mut dyn FnMut() -> Result<T, MeasureError>) -> Result<Vec<T>, MeasureError> {
    let (start, long) = (Instant::now(), Duration::from_secs_f64(request.seconds));
    let mut done = Vec::new();
    while done.len() < request.at_least || start.elapsed() < long {
        done.push(once()?);
    }
    Ok(done)
}

/// A stage, ready to be trained.
struct Stage {
    spec: StageSpec,
    data: Arc<OpenDataset>,
    compute: Compute,
}

impl Stage {
    fn open(spec: &StageSpec, dataset: &std::path::Path, threads: usize) -> Result<Self, MeasureError> {
        let data = Arc::new(OpenDataset::open(dataset)?);
        Ok(Self { spec: spec.clone(), data, compute: Compute::parse("flex", threads)? })
    }

    fn start(&self) -> Result<StageRun, MeasureError> {
        Ok(StageRun::new(&self.spec, Arc::clone(&self.data), &self.compute, Origin::Initial)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Case;
    use crate::data::random_tokens;

    /// A process's answers to a task and requests.
    fn answers(task: &Task, requests: &[Request]) -> Vec<serde_json::Value> {
        let mut input = vec![serde_json::to_string(task).expect("has a form")];
        input.extend(requests.iter().map(|request| serde_json::to_string(request).expect("has a form")));
        let mut output = Vec::new();
        measure(&mut input.join("\n").as_bytes(), &mut output).expect("measures");
        let text = String::from_utf8(output).expect("is text");
        text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
    }

    #[test]
    fn steps_are_sampled_as_often_as_asked_and_train() {
        let folder = tempfile::tempdir().expect("a directory");
        let case = Case::find("tiny-32").expect("is there");
        let (id, dataset) = random_tokens(folder.path(), case.model.vocab).expect("is written");
        let task = Task::Steps {
            spec: Box::new(case.stage(id, vocabulary::Precision::Fp32)),
            dataset,
            threads: 1,
            mode: crate::Mode::Eager,
        };
        let request = Request { seconds: 0.0, at_least: 3 };
        let answers = answers(&task, &[request, request]);
        assert_eq!(answers[0], serde_json::json!({ "ready": true }));
        for answer in &answers[1..] {
            let sample: Sample = serde_json::from_value(answer.clone()).expect("a sample");
            assert_eq!(sample.seconds.len(), 3);
            assert!(sample.seconds.iter().all(|seconds| *seconds > 0.0));
            // Random tokens cannot be predicted, so the loss stays near ln 512.
            assert!(sample.loss.is_some_and(|loss| (loss - 512.0_f64.ln()).abs() < 1.0), "{sample:?}");
        }
    }

    #[test]
    fn operations_are_timed_one_by_one() {
        let folder = tempfile::tempdir().expect("a directory");
        let case = Case::find("tiny-32").expect("is there");
        let (id, dataset) = random_tokens(folder.path(), case.model.vocab).expect("is written");
        let spec = Box::new(case.stage(id, vocabulary::Precision::Fp32));
        let task = Task::Operations { spec, dataset, threads: 1 };
        let answers = answers(&task, &[Request { seconds: 0.0, at_least: 2 }]);
        let measured: Operations = serde_json::from_value(answers[1].clone()).expect("operations");
        let names: Vec<_> = measured.operations.iter().map(|operation| operation.name.as_str()).collect();
        assert!(names.contains(&"attention") && names.contains(&"clip, AdamW"), "{names:?}");
        assert!(measured.operations.iter().all(|operation| operation.forward_seconds > 0.0), "{measured:?}");
        assert!(measured.product_seconds > 0.0);
    }

    #[test]
    fn what_is_no_task_is_refused() {
        let refusal = |input: &str| measure(&mut input.as_bytes(), &mut Vec::new()).expect_err("is refused");
        assert!(matches!(refusal("hello"), MeasureError::Input(_)));
        assert!(matches!(refusal(r#"{"kind":"versions"}"#), MeasureError::NotMine));
    }
}
