//! What a stage costs beside its training: 10,000 empty stages, and as many empty tasks of HyperQueue and of Ray.
//!
//! ```text
//! cargo bench -p windtunnel-coordinator --bench overhead                                   # this coordinator alone
//! cargo bench -p windtunnel-coordinator --bench overhead -- --hq hq --python venv/bin/python
//! ```
//!
//! The engines take turns, so that all meet the same machine. Ours is the real coordinator over gRPC on loopback, with
//! a store on disk, and workers that train nothing: each stage is assigned, its checkpoint (two small files and a manifest)
//! is written, verified and committed, its result is committed, and every acknowledgement means that it is on the disk. Half of the
//! stages wait for another one. HyperQueue is the program `hq` with a journal, or, where `--python` has the package
//! `hyperqueue` and no `--hq` is given, its server in one process without a journal; its tasks are processes that run
//! `true`. Ray's are empty functions in worker processes, and it writes nothing down. Figures are in `docs/experiments.md`.

#![allow(dead_code, reason = "the coordinator's tests have more use for their bench and their worker")]

#[path = "../../tests/end_to_end/bench.rs"]
mod bench;
mod peers;
#[path = "../../tests/end_to_end/worker.rs"]
mod worker;

use std::time::{Duration, Instant};

use proto::v1;
use proto::v1::coordinator_message::Body as Down;

use bench::{Bench, RECIPE, last, submission};
use worker::{Job, Worker};

/// Trials of two stages each: 100 seeds, which are the most that a recipe has, and as many learning rates as it takes.
const SEEDS: usize = 100;

#[derive(Debug, clap::Parser)]
struct Options {
    /// Stages, and tasks of each peer
    #[arg(long, default_value_t = 10_000)]
    tasks: usize,
    /// Workers that are connected at once, each with one stage
    #[arg(long, default_value_t = 64)]
    workers: usize,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The program `hq`
    #[arg(long)]
    hq: Option<std::path::PathBuf>,
    /// A Python with `ray`, and with `hyperqueue` unless `--hq` is given
    #[arg(long)]
    python: Option<std::path::PathBuf>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() {
    let options = <Options as clap::Parser>::parse();
    println!("{} tasks, {} rounds, on {}", options.tasks, options.rounds, cpu_name());
    let mut engines: Vec<(String, Vec<f64>)> = vec![("windtunnel".to_owned(), Vec::new())];
    engines.extend(peers::names(&options).into_iter().map(|name| (name, Vec::new())));
    for round in 1..=options.rounds {
        for (name, costs) in &mut engines {
            let took = match name.as_str() {
                "windtunnel" => ours(&options).await,
                peer => peers::run(peer, &options),
            };
            let cost = took.as_secs_f64() * 1e3 / options.tasks as f64;
            println!("round {round}: {name:<28} {:>8.2} s  {cost:>7.3} ms a task", took.as_secs_f64());
            costs.push(cost);
        }
    }
    let own = engines[0].1.clone();
    println!("\n{:<28}  {:>10}  {:>17}", "", "ms a task", "of it, windtunnel");
    for (name, costs) in &engines {
        let mut ratios: Vec<f64> = own.iter().zip(costs).map(|(own, peer)| own / peer).collect();
        let mut costs = costs.clone();
        println!(
            "{name:<28}  {:>10.3}  {:>6.2} ({:.2} to {:.2})",
            median(&mut costs),
            median(&mut ratios),
            ratios[0],
            ratios[ratios.len() - 1]
        );
    }
}

/// From the submission of the campaign to its end.
async fn ours(options: &Options) -> Duration {
    let mut bench = Bench::on_disk().await;
    let mut workers = Vec::new();
    for number in 0..options.workers {
        workers.push(Worker::join(&bench.handle, &format!("worker {number}")).await);
    }
    let seeds = options.tasks.div_ceil(2).min(SEEDS);
    let rates = options.tasks.div_ceil(2 * seeds);
    let list = |numbers: Vec<String>| numbers.join(", ");
    let recipe = RECIPE
        .replace("seeds = [0]", &format!("seeds = [{}]", list((0..seeds).map(|seed| seed.to_string()).collect())))
        .replace(r#"sizes = ["smoke-16", "smoke-32"]"#, r#"sizes = ["smoke-16"]"#)
        .replace("tokens = [5_120, 10_240, 20_480]", "tokens = [5_120]")
        .replace(
            "peak_lr = [0.01]",
            &format!("peak_lr = [{}]", list((1..=rates).map(|rate| format!("{}", rate as f64 * 1e-4)).collect())),
        );
    let request = v1::SubmitRequest { recipe_text: recipe, ..submission() };

    let began = Instant::now();
    let submitted = bench.client.submit(request).await.expect("it is accepted").into_inner();
    let updates = bench.watch(&submitted.campaign).await;
    let working: Vec<_> = workers.into_iter().map(|worker| tokio::spawn(work(worker))).collect();
    last(updates).await;
    let took = began.elapsed();

    assert_eq!(submitted.stages as usize, 2 * seeds * rates, "the recipe has as many stages as were asked for");
    // The detail of so many stages is longer than a message.
    let listed = bench.client.list_campaigns(v1::ListCampaignsRequest {}).await.expect("it is answered").into_inner();
    let stages = listed.campaigns.into_iter().next().and_then(|summary| summary.stages).expect("it counts its stages");
    assert_eq!(stages.completed, submitted.stages, "every stage is completed");
    working.iter().for_each(tokio::task::JoinHandle::abort);
    bench.handle.shutdown().await;
    took.mul_f64(options.tasks as f64 / (2 * seeds * rates) as f64)
}

/// Does everything it is given, and trains nothing.
async fn work(mut worker: Worker) {
    loop {
        if let Down::Assignment(v1::Assignment { attempt, stage, start, .. }) = worker.next().await {
            let job = Job {
                attempt: attempt.expect("it has an attempt"),
                stage: stage.expect("it has a stage").try_into().expect("the stage is sound"),
                start,
            };
            worker.report_checkpoint(&job, job.end_step()).await;
            worker.report_completed(&job).await;
        }
    }
}

fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn cpu_name() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let names: Vec<&str> = cpus
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map(|(_, name)| name)
        .collect();
    format!("{} cores of {}", names.len(), names.first().copied().unwrap_or("an unknown CPU"))
}
