//! What a stage costs beside its training: 10,000 empty stages, and as many empty tasks of HyperQueue and of Ray.
//!
//! ```text
//! cargo bench -p windtunnel-coordinator --bench overhead                                   # this coordinator alone
//! cargo bench -p windtunnel-coordinator --bench overhead -- --checkpoints /dev/shm --hq hq --python venv/bin/python
//! ```
//!
//! The engines take turns, so that all meet the same machine. Ours is the real coordinator over gRPC on loopback, with
//! a store on disk, and workers that train nothing: each stage is assigned, its checkpoint (two small files and a manifest)
//! is written, verified and committed, its result is committed, and every acknowledgement means that it is on the disk. Half of the
//! stages wait for another one. No task of a peer writes a file; with `--checkpoints` ours is measured a second time with its
//! checkpoints in that folder, so that one in memory leaves what the coordinator costs, with its store on the disk. HyperQueue is the program `hq` with a journal, or, where `--python` has the package
//! `hyperqueue` and no `--hq` is given, its server in one process without a journal; its tasks are processes that run
//! `true`. Ray's are empty functions in worker processes, and it writes nothing down. Figures are in `docs/experiments.md`.

#![allow(dead_code, reason = "the coordinator's tests have more use for their bench and their worker")]

#[path = "../../tests/end_to_end/bench.rs"]
mod bench;
mod peers;
#[path = "../../tests/end_to_end/worker.rs"]
mod worker;

use std::path::Path;
use std::time::{Duration, Instant};

use proto::v1;
use proto::v1::coordinator_message::Body as Down;

use bench::{Bench, RECIPE, last, submission};
use worker::{Job, Worker};

/// Trials of two stages each: 100 seeds, which are the most that a recipe has, and as many learning rates as it takes.
const SEEDS: usize = 100;

const OURS: &str = "windtunnel";
const OURS_ALONE: &str = "windtunnel, checkpoints apart";

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
    /// A folder for the checkpoints of a second measurement of ours
    #[arg(long)]
    checkpoints: Option<std::path::PathBuf>,
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
    let mut engines: Vec<(String, Vec<f64>)> = vec![(OURS.to_owned(), Vec::new())];
    engines.extend(options.checkpoints.iter().map(|_| (OURS_ALONE.to_owned(), Vec::new())));
    engines.extend(peers::names(&options).into_iter().map(|name| (name, Vec::new())));
    for round in 1..=options.rounds {
        for (name, costs) in &mut engines {
            let took = match name.as_str() {
                OURS => ours(&options, None).await,
                OURS_ALONE => ours(&options, options.checkpoints.as_deref()).await,
                peer => peers::run(peer, &options),
            };
            let cost = took.as_secs_f64() * 1e3 / options.tasks as f64;
            println!("round {round}: {name:<28} {:>8.2} s  {cost:>7.3} ms a task", took.as_secs_f64());
            costs.push(cost);
        }
    }
    let is_ours = |name: &str| [OURS, OURS_ALONE].contains(&name);
    println!("\n{:<30}  {:>10}", "", "ms a task");
    for (name, costs) in &engines {
        println!("{name:<30}  {:>10.3}", median(&mut costs.clone()));
    }
    for (own, own_costs) in engines.iter().filter(|(name, _)| is_ours(name)) {
        println!("\n{own}, as a share of");
        for (peer, costs) in engines.iter().filter(|(name, _)| !is_ours(name)) {
            let mut ratios: Vec<f64> = own_costs.iter().zip(costs).map(|(own, peer)| own / peer).collect();
            let middle = median(&mut ratios);
            println!("{peer:<30}  {middle:>10.2} ({:.2} to {:.2})", ratios[0], ratios[ratios.len() - 1]);
        }
    }
}

/// From the submission of the campaign to its end.
async fn ours(options: &Options, checkpoints: Option<&Path>) -> Duration {
    let checkpoints = checkpoints.map(|folder| tempfile::tempdir_in(folder).expect("it can be written"));
    let storage = checkpoints.as_ref().map(|folder| folder.path().display().to_string());
    let mut bench = Bench::on_disk_with(|options| options.storage = storage).await;
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
