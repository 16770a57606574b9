//! Many workers for a minute: how long each waits for its acknowledgements, what the coordinator takes, and that nothing is lost.
//!
//! ```text
//! cargo bench -p windtunnel-coordinator --bench fleet                     # 2,000 workers, 60 s
//! cargo bench -p windtunnel-coordinator --bench fleet -- --workers 100 --seconds 10
//! ```
//!
//! Real services on loopback, a store on disk, a connection for each worker. A worker says ten points of its stage's curve a
//! second, in one report, and a heartbeat every five seconds, and trains nothing. Coordinator and workers are one process, so memory and processor time
//! are of both. Figures are in `docs/experiments.md`.

#![allow(dead_code, reason = "the coordinator's tests have more use for their bench and their worker")]

#[path = "../tests/end_to_end/bench.rs"]
mod bench;
#[path = "../tests/end_to_end/worker.rs"]
mod worker;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use proto::v1;
use proto::v1::coordinator_message::Body as Down;
use proto::v1::worker_message::Body as Up;
use tokio::time::MissedTickBehavior;

use bench::{Bench, RECIPE, submission};
use worker::{Job, Worker};

const BETWEEN_REPORTS: Duration = Duration::from_secs(1);
const POINTS_A_REPORT: u64 = 10;
const REPORTS_A_HEARTBEAT: u64 = 5;
const SEEDS: usize = 100;
/// Files that are open beside the two ends of each connection.
const OTHER_FILES: u64 = 200;

#[derive(Debug, clap::Parser)]
struct Options {
    #[arg(long, default_value_t = 2000)]
    workers: usize,
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() {
    let options = <Options as clap::Parser>::parse();
    let wanted = 2 * options.workers as u64 + OTHER_FILES;
    let files = rlimit::increase_nofile_limit(wanted).expect("the limit can be read");
    assert!(files >= wanted, "{wanted} open files are needed, and {files} are allowed");
    let mut bench = Bench::on_disk().await;
    let idle = memory();
    let list = |numbers: Vec<String>| numbers.join(", ");
    let rates = options.workers.div_ceil(SEEDS);
    let steps = (options.seconds + 1) * POINTS_A_REPORT * 10;
    let recipe = RECIPE
        .replace("seeds = [0]", &format!("seeds = [{}]", list((0..SEEDS).map(|seed| seed.to_string()).collect())))
        .replace(r#"sizes = ["smoke-16", "smoke-32"]"#, r#"sizes = ["smoke-16"]"#)
        .replace("tokens = [5_120, 10_240, 20_480]", &format!("tokens = [{}]", steps * 256))
        .replace(
            "peak_lr = [0.01]",
            &format!("peak_lr = [{}]", list((1..=rates).map(|rate| format!("{}", rate as f64 * 1e-4)).collect())),
        );
    let submitted = bench.client.submit(v1::SubmitRequest { recipe_text: recipe, ..submission() }).await;
    let campaign = submitted.expect("it is accepted").into_inner().campaign;

    let mut joined = Vec::new();
    for number in 0..options.workers {
        let mut worker = Worker::join(&bench.handle, &format!("worker {number}")).await;
        let job = worker.next_job().await;
        joined.push((worker, job));
    }
    println!("workers                   {:>9}", options.workers);
    println!("memory before them        {:>9} MiB", idle >> 20);
    println!("memory with them          {:>9} MiB", memory() >> 20);
    let (began, cpu_before) = (Instant::now(), cpu_time());
    let working: Vec<_> = joined
        .into_iter()
        .enumerate()
        .map(|(number, (worker, job))| {
            let offset = BETWEEN_REPORTS.mul_f64(number as f64 / options.workers as f64);
            tokio::spawn(train(worker, job, offset, options.seconds))
        })
        .collect();
    let (mut waits, mut sent) = (Vec::new(), Vec::new());
    for worker in working {
        let (stage, points, waited) = worker.await.expect("it does not panic");
        waits.extend(waited);
        sent.push((stage, points));
    }
    let (took, cpu) = (began.elapsed(), cpu_time() - cpu_before);
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("seconds                   {:>9.1}", took.as_secs_f64());
    println!("reports, a second         {:>9.0}", waits.len() as f64 / took.as_secs_f64());
    println!("acknowledged after        {:>9.1} ms, 99%: {:.1} ms, at most {:.1} ms", at(0.5), at(0.99), at(1.0));
    println!("processor time            {:>9.0} % of a core", 100.0 * cpu.as_secs_f64() / took.as_secs_f64());
    println!("memory at the end         {:>9} MiB", memory() >> 20);
    let mut lost = 0;
    for (stage, points) in sent {
        let kept = bench.curve(&campaign, &stage).await.len() as u64;
        lost += points - kept;
    }
    println!("points lost               {lost:>9}");
    bench.handle.shutdown().await;
}

/// Reports for so many seconds. Returns the stage, how many points were acknowledged, and how long each report waited.
async fn train(mut worker: Worker, job: Job, offset: Duration, seconds: u64) -> (String, u64, Vec<Duration>) {
    let mut ticks = tokio::time::interval_at((Instant::now() + offset).into(), BETWEEN_REPORTS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut waiting, mut waits) = (VecDeque::new(), Vec::new());
    let mut reports = 0;
    while reports < seconds || !waiting.is_empty() {
        tokio::select! {
            _ = ticks.tick(), if reports < seconds => {
                let from = reports * POINTS_A_REPORT;
                worker.report_points(&job, from..from + POINTS_A_REPORT).await;
                waiting.push_back((worker.sequence, Instant::now()));
                reports += 1;
                if reports % REPORTS_A_HEARTBEAT == 0 {
                    let heartbeat = v1::Heartbeat { running: vec![job.attempt.clone()], ..Default::default() };
                    worker.say(0, Up::Heartbeat(heartbeat)).await;
                }
            }
            said = worker.next() => {
                let Down::Acknowledgement(v1::Acknowledgement { sequence, .. }) = said else { panic!("it is {said:?}") };
                while waiting.front().is_some_and(|(number, _)| *number <= sequence) {
                    waits.extend(waiting.pop_front().map(|(_, at): (u64, Instant)| at.elapsed()));
                }
            }
        }
    }
    (job.attempt.stage, reports * POINTS_A_REPORT, waits)
}

/// The memory of this process that is in use.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages: u64 = status.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
    pages * 4096
}

/// The processor time of this process so far.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this is Linux");
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
