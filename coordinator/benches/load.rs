//! A flood of curve points: what the coordinator takes in a second, and how long others wait meanwhile.
//!
//! ```text
//! cargo bench -p windtunnel-coordinator --bench load             # 100 workers
//! cargo bench -p windtunnel-coordinator --bench load -- 10       # as many
//! cargo bench -p windtunnel-coordinator --bench load -- 10 postgres://windtunnel@db-1/empty
//! ```
//!
//! Real services on loopback and a real store; the workers train nothing and say all their points as fast as they are
//! taken. Figures are in `docs/experiments.md`.

#![allow(dead_code, reason = "the coordinator's tests have more use for their bench and their worker")]

#[path = "../tests/end_to_end/bench.rs"]
mod bench;
#[path = "../tests/end_to_end/worker.rs"]
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coordinator::store::{Place, PostgresStore, Presence};
use proto::v1;

use bench::{Bench, RECIPE, submission};
use worker::Worker;

const POINTS_A_REPORT: u64 = 64;
const STEPS: u64 = 60_000;
const BETWEEN_PROBES: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() {
    let workers: usize = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(100);
    let database = std::env::args().skip(1).find(|word| Place::is_postgres(word));
    let mut bench = match database.map(|address| Place::parse(&address).expect("an address of a database")) {
        Some(Place::Postgres(address)) => {
            let store = PostgresStore::new(&address, Presence::default()).expect("the address can be used");
            Bench::over_store(Arc::new(store)).await
        }
        Some(Place::File) | None => Bench::on_disk().await,
    };
    let seeds: Vec<String> = (0..workers.div_ceil(2)).map(|seed| seed.to_string()).collect();
    let recipe = RECIPE
        .replace("seeds = [0]", &format!("seeds = [{}]", seeds.join(", ")))
        .replace("tokens = [5_120, 10_240, 20_480]", &format!("tokens = [{}]", STEPS * 256));
    let request = v1::SubmitRequest { recipe_text: recipe, ..submission() };
    bench.client.submit(request).await.expect("it is accepted");
    let mut quiet = probe(&bench, &Arc::new(AtomicBool::new(false)), 100).await;

    let mut joined = Vec::new();
    for number in 0..workers {
        let mut worker = Worker::join(&bench.handle, &format!("worker {number}")).await;
        let job = worker.next_job().await;
        joined.push((worker, job));
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let flood: Vec<_> = joined
        .into_iter()
        .map(|(mut worker, job)| {
            tokio::spawn(async move {
                let (mut reports, end) = (0_u64, job.end_step());
                for from in (0..end).step_by(POINTS_A_REPORT as usize) {
                    worker.report_points(&job, from..(from + POINTS_A_REPORT).min(end)).await;
                    reports += 1;
                }
                worker.settle().await;
                (reports, end)
            })
        })
        .collect();
    let probing = {
        let is_over = Arc::clone(&is_over);
        let bench = &bench;
        async move { probe(bench, &is_over, usize::MAX).await }
    };
    let taken = async {
        let mut sum = (0, 0);
        for worker in flood {
            let (reports, points) = worker.await.expect("it does not panic");
            sum = (sum.0 + reports, sum.1 + points);
        }
        is_over.store(true, Ordering::Relaxed);
        (sum, began.elapsed())
    };
    let (mut flooded, ((reports, points), took)) = tokio::join!(probing, taken);
    println!("workers                       {workers:>9}");
    println!("points                        {points:>9}  in {reports} reports");
    println!("taken in, a second            {:>9.0}  points", points as f64 / took.as_secs_f64());
    println!("a call beside it, quiet       {}", quantiles(&mut quiet));
    println!("a call beside it, flooded     {}", quantiles(&mut flooded));
    bench.handle.shutdown().await;
}

/// Times of a call that looks at everything, one after the other.
async fn probe(bench: &Bench, is_over: &AtomicBool, most: usize) -> Vec<Duration> {
    let mut client = bench.client.clone();
    let mut times = Vec::new();
    while times.len() < most && !is_over.load(Ordering::Relaxed) {
        let began = Instant::now();
        client.list_campaigns(v1::ListCampaignsRequest {}).await.expect("it is answered");
        times.push(began.elapsed());
        tokio::time::sleep(BETWEEN_PROBES).await;
    }
    times
}

fn quantiles(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    format!("median {:.1} ms, 99% {:.1} ms, most {:.1} ms, of {}", at(0.5), at(0.99), at(1.0), times.len())
}
