//! What it costs to look at a large campaign, and how long a worker waits for its acknowledgement meanwhile.
//!
//! ```text
//! cargo bench -p windtunnel-coordinator --bench looks            # 1,000, 4,000 and 20,000 stages
//! cargo bench -p windtunnel-coordinator --bench looks -- 500     # as many
//! ```
//!
//! Real services on loopback, with coordinator and client in one process: the processor time is of both. One worker is
//! connected, and all other stages wait.

#![allow(dead_code, reason = "the coordinator's tests have more use for their bench and their worker")]

#[path = "../tests/end_to_end/bench.rs"]
mod bench;
#[path = "../tests/end_to_end/worker.rs"]
mod worker;

use std::time::{Duration, Instant};

use proto::v1;

use bench::{Bench, RECIPE, submission};
use worker::Worker;

const LOOKS: u32 = 5;
const WATCHERS: usize = 3;
const ACKNOWLEDGEMENTS: u64 = 50;

/// Learning rates, so that 100 seeds, which are the most a recipe has, make enough.
const LEARNING_RATES: &str = "peak_lr = [0.01, 0.02, 0.03, 0.04, 0.05]";
/// Stages of two sizes and five learning rates for each seed: ten points of two stages each.
const STAGES_A_SEED: usize = 200;

#[tokio::main]
async fn main() {
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![1000, 4000, 20_000] } else { asked };
    println!("{:>8}  {:>16}  {:>16}  {:>24}", "stages", "CPU a detail", "CPU a list", "acknowledged, watched");
    for stages in sizes {
        look(stages).await;
    }
}

async fn look(stages: usize) {
    let mut bench = Bench::on_disk().await;
    let list = |numbers: Vec<usize>| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let seeds = list((0..stages.div_ceil(STAGES_A_SEED)).collect());
    let tokens = list((1..=10).map(|point| point * 5120).collect());
    let recipe = RECIPE
        .replace("seeds = [0]", &format!("seeds = [{seeds}]"))
        .replace("tokens = [5_120, 10_240, 20_480]", &format!("tokens = [{tokens}]"))
        .replace("peak_lr = [0.01]", LEARNING_RATES);
    let submitted = bench.client.submit(v1::SubmitRequest { recipe_text: recipe, ..submission() }).await;
    let submitted = submitted.expect("it is accepted").into_inner();
    let mut worker = Worker::join(&bench.handle, "a worker").await;
    let job = worker.next_job().await;

    let request = || v1::GetCampaignRequest { campaign: submitted.campaign.clone() };
    let before = cpu_time();
    for _ in 0..LOOKS {
        let mut parts = bench.client.read_campaign(request()).await.expect("it is known").into_inner();
        while parts.message().await.expect("it is whole").is_some() {}
    }
    let detail = (cpu_time() - before) / LOOKS;
    let before = cpu_time();
    for _ in 0..LOOKS {
        bench.client.list_campaigns(v1::ListCampaignsRequest {}).await.expect("it is answered");
    }
    let listed = (cpu_time() - before) / LOOKS;

    let mut watching = Vec::new();
    for _ in 0..WATCHERS {
        let mut updates = bench.watch(&submitted.campaign).await;
        watching.push(tokio::spawn(async move { while let Ok(Some(_)) = updates.message().await {} }));
    }
    let mut waits = Vec::new();
    for step in 0..ACKNOWLEDGEMENTS.min(job.end_step()) {
        let began = Instant::now();
        worker.report_points(&job, step..step + 1).await;
        worker.settle().await;
        waits.push(began.elapsed());
    }
    waits.sort_unstable();
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let [median, most] = [waits[waits.len() / 2], waits[waits.len() - 1]].map(ms);
    println!("{:>8}  {:>16}  {:>16}  {median:>10}, most {most:>8}", submitted.stages, ms(detail), ms(listed));
    watching.iter().for_each(tokio::task::JoinHandle::abort);
    bench.handle.shutdown().await;
}

/// The processor time of this process so far.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this is Linux");
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
