//! A campaign over a simulated network: the coordinator with its driver, gRPC services and SQLite, and workers with
//! their session, shell, outbox and connection, each a host of `turmoil`; only the trainer is simulated. Minutes of
//! partitions, one-way loss, latency, connections that hang and recover, killed processes and disks that fail pass in
//! seconds.
//!
//! [`faults`] draws from a seed what goes wrong, [`world`] and [`disk`] play it, [`checks`] says what must be true afterwards, and
//! the results and curves must equal those of an undisturbed simulation. `WINDTUNNEL_TURMOIL_SEEDS=50` plays the first
//! 50 seeds instead of the first few, `WINDTUNNEL_TURMOIL_SEED=7` only that one; with `--nocapture` a table shows what
//! happened.
//!
//! # Time
//!
//! A host's runtime has a simulated clock, which the scheduler's timer, leases, heartbeats and the keep-alive of
//! connections use. Two kinds of threads do not know it: those of SQLite and those of training. The simulation
//! therefore advances by a tick of 20 ms, and then waits, in real time, until all other threads sleep ([`settle`]). A
//! statement of SQLite is answered one tick after it was asked, so a commit takes 100 to 400 ms: the coordinator has a
//! slow disk, and its crashes hit the middle of a commit more often than not. Without that wait the time of a commit
//! would depend on the machine, and a lease could expire meanwhile on a busy one; with it none does: the undisturbed
//! campaign has each attempt once and no more connections than workers, and the test asserts that. A training thread
//! waits for the simulated time at which its next step is due.
//!
//! # How far a seed repeats
//!
//! The seed determines the faults with their times, latencies and the identities of workers. It does not determine the
//! delays before a worker dials again, the branches that `select!` takes, and which of two threads that wake in one
//! tick is first. A failing seed is therefore likely, but not certain, to fail again.
//!
//! # Can it fail?
//!
//! docs/experiments.md has a table of faults injected by hand, and of what caught each.

mod checks;
mod disk;
mod faults;
mod settle;
mod table;
mod trainer;
mod world;

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use checks::Found;
use proto::v1::TrialResult;
use table::Table;
use vocabulary::StageKey;
use world::{Played, play};

/// Seeds of every test run.
const SEEDS: u64 = 5;

/// The purpose of a campaign: its results, and the losses of its curves.
#[derive(Debug, PartialEq)]
struct Yield {
    results: Vec<TrialResult>,
    curves: Vec<(StageKey, Vec<(u64, u64)>)>,
}

impl Yield {
    fn of(played: &Played, found: &Found) -> Self {
        let bits = |curve: &Vec<coordinator::store::CurvePoint>| {
            curve.iter().map(|point| (point.step, point.loss.to_bits())).collect()
        };
        let curves = found.curves.iter().map(|(stage, curve)| (*stage, bits(curve))).collect();
        Self { results: played.results.clone(), curves }
    }
}

/// Threads of another simulation look as if they were of this one.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn simulate(seed: u64, faults: &[faults::Fault]) -> (Played, Found) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = dir.path().canonicalize().expect("it is there");
    let played = play(&dir, seed, faults);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let found = runtime.block_on(Found::read(&dir));
    found.check(&played, faults);
    (played, found)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text}")))
}

/// The campaign without a fault.
struct Undisturbed {
    outcome: Yield,
    took: Duration,
}

static UNDISTURBED: LazyLock<Undisturbed> = LazyLock::new(|| {
    let (played, found) = simulate(0, &[]);
    let outcome = Yield::of(&played, &found);
    assert!(!outcome.results.is_empty(), "the campaign has results");
    assert_eq!(found.repeated(&played.track.trained()), 0, "without a fault nothing is done twice");
    assert_eq!(found.attempts, outcome.curves.len(), "and no lease runs out");
    assert_eq!(played.connections, world::WORKERS, "and no connection is given up");
    Undisturbed { outcome, took: played.took }
});

#[test]
fn a_campaign_over_a_network_that_fails_is_the_undisturbed_one() {
    let Undisturbed { outcome: undisturbed, took } = &*UNDISTURBED;
    let seeds = match number("WINDTUNNEL_TURMOIL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("WINDTUNNEL_TURMOIL_SEEDS").unwrap_or(SEEDS) + 1,
    };
    let mut table = Table::new(*took);
    for seed in seeds {
        let began = Instant::now();
        let faults = faults::draw(seed);
        println!("seed {seed}: {} faults (again: WINDTUNNEL_TURMOIL_SEED={seed})", faults.len());
        let (played, found) = simulate(seed, &faults);
        let outcome = Yield::of(&played, &found);
        table.add(&faults, &played, &found, undisturbed, &outcome, began.elapsed());
        assert_eq!(found.given_up(), 0, "seed {seed} gives no stage up");
        assert_eq!(outcome, *undisturbed, "seed {seed} gives the same results and curves");
    }
    println!("{table}");
}

/// It is the one that is always free, so it is offered everything first.
#[test]
fn a_worker_that_fails_whatever_it_is_given_costs_a_campaign_nothing() {
    let (from, until) = (Duration::ZERO, Duration::from_secs(100));
    let broken = faults::Fault { kind: faults::Kind::BlackHole, worker: 0, from, until };
    let (played, found) = simulate(0, &[broken]);
    assert!(played.track.failures() >= 3, "it is given stages: {}", played.track.failures());
    assert_eq!(found.given_up(), 0, "and gives none of them up");
    assert_eq!(Yield::of(&played, &found), UNDISTURBED.outcome);
}

/// None of these faults is a stage's, so the retries that every recipe has are enough.
#[test]
fn disks_that_fail_cost_a_campaign_nothing() {
    let fault = |kind, worker, seconds: std::ops::Range<u64>| {
        let [from, until] = [seconds.start, seconds.end].map(Duration::from_secs);
        faults::Fault { kind, worker, from, until }
    };
    let faults = [
        fault(faults::Kind::StorageNotShared, 0, 3..60),
        fault(faults::Kind::StorageNotShared, 1, 6..20),
        fault(faults::Kind::SecondWriter, 0, 10..20),
        fault(faults::Kind::StorageAway, 0, 25..45),
    ];
    let (played, found) = simulate(0, &faults);
    assert_eq!(played.held, 1, "another process held the store");
    assert!(found.kept_by_the_storage() > 1, "attempts end: {}", found.kept_by_the_storage());
    assert_eq!(found.given_up(), 0, "and no stage is given up");
    assert_eq!(Yield::of(&played, &found), UNDISTURBED.outcome);
}
