//! How long a restart takes after a long history: from the whole log, and from a snapshot and what came after it.
//!
//! ```text
//! cargo bench -p windtunnel-coordinator --bench restart              # 100,000 and 1,000,000 facts
//! cargo bench -p windtunnel-coordinator --bench restart -- 10000     # one length
//! ```
//!
//! The history is of a campaign of a thousand stages whose attempts are preempted again and again. Figures are in
//! `docs/experiments.md`.

use std::time::{Duration, Instant};

use coordinator::store::{Commit, PackedSnapshot, SqliteStore, Store, Term};
use scheduler::{AttemptEnd, Fact, Scheduler, Settings, Timestamp};
use vocabulary::{
    Attempt, CampaignId, CheckpointPolicy, DataSpec, Plan, Retries, Stage, StageKey, StageRole, StageSpec, Tokens,
    Trial, TrialId, WorkerId, sample,
};

const STAGES: u64 = 1_000;

/// Facts a commit, as a busy turn of the driver has them.
const COMMIT: usize = 500;

/// Facts after the snapshot.
const TAIL: u64 = 5_000;

#[tokio::main]
async fn main() {
    let asked: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let lengths = if asked.is_empty() { vec![100_000, 1_000_000] } else { asked };
    println!(
        "| facts | file | written at | whole log | snapshot and {TAIL} facts | snapshot | taking it | packing | storing |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for facts in lengths {
        measure(facts).await;
    }
}

async fn measure(facts: u64) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.sqlite");
    let store = SqliteStore::open(&path).await.expect("it opens");
    let term = store.begin_term().await.expect("it begins");
    let mut history = history(facts + TAIL);
    let begin = Instant::now();
    write(&store, term, history.by_ref().take(facts as usize)).await;
    let written = begin.elapsed();

    let (scheduler, whole) = timed(async {
        let facts = store.facts().await.expect("the log is sound");
        Scheduler::restore(Settings::default(), Timestamp(0), facts).expect("the log is sound")
    })
    .await;
    let (snapshot, taking) = timed(async { scheduler.snapshot() }).await;
    let (packed, packing) = timed(async { PackedSnapshot::pack(&snapshot) }).await;
    let ((), storing) =
        timed(async { store.save_snapshot(term, facts, 0, &packed).await.expect("it is stored") }).await;
    write(&store, term, history).await;
    store.close().await;

    let store = SqliteStore::open(&path).await.expect("it opens");
    let (short, short_time) = timed(async {
        let (position, snapshot) = store.snapshots().await.expect("it can be read").remove(0);
        let tail = store.facts_after(position).await.expect("the log is sound");
        let snapshot = snapshot.expect("it is sound");
        Scheduler::restore_from(Settings::default(), Timestamp(0), snapshot, tail).expect("it is sound")
    })
    .await;
    let all = store.facts().await.expect("the log is sound");
    let long = Scheduler::restore(Settings::default(), Timestamp(0), all).expect("the log is sound");
    assert_eq!(short.ledger(), long.ledger(), "both ways lead to the same state");

    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let file = std::fs::metadata(&path).expect("it is there").len();
    println!(
        "| {facts} | {:.0} MB | {:.0} facts/s | {:.0} ms | {:.0} ms | {:.1} MB | {:.1} ms | {:.1} ms | {:.0} ms |",
        megabytes(file),
        facts as f64 / written.as_secs_f64(),
        ms(whole),
        ms(short_time),
        megabytes(packed.bytes() as u64),
        ms(taking),
        ms(packing),
        ms(storing),
    );
}

async fn timed<T>(what: impl Future<Output = T>) -> (T, Duration) {
    let begin = Instant::now();
    let outcome = what.await;
    (outcome, begin.elapsed())
}

async fn write(store: &SqliteStore, term: Term, facts: impl Iterator<Item = Fact>) {
    let mut facts = facts.peekable();
    while facts.peek().is_some() {
        let commit = Commit { facts: facts.by_ref().take(COMMIT).collect(), ..Commit::default() };
        store.commit(term, &commit).await.expect("it is committed");
    }
}

/// A campaign, and attempts that each get one checkpoint further, in turn over all stages.
fn history(facts: u64) -> impl Iterator<Item = Fact> {
    let plan = plan();
    let stages: Vec<StageKey> = plan.stages.iter().map(|stage| stage.key).collect();
    let worker = WorkerId::from_content(b"a worker");
    let rounds = (1..).flat_map(move |round: u32| {
        stages.clone().into_iter().flat_map(move |stage| {
            let attempt = Attempt(round);
            [
                Fact::AttemptStarted { stage, worker, attempt, name: "a worker".to_owned() },
                Fact::CheckpointCommitted { stage, attempt, step: u64::from(round) },
                Fact::AttemptEnded { stage, attempt, why: AttemptEnd::Released, excused: false },
            ]
        })
    });
    std::iter::once(Fact::CampaignAccepted { plan }).chain(rounds).take(facts as usize)
}

fn plan() -> Plan {
    let stages: Vec<Stage> = (0..STAGES)
        .map(|order_seed| {
            let spec = StageSpec {
                data: DataSpec { order_seed, ..sample::stage().data },
                steps: 0..1_000_000,
                ..sample::stage()
            };
            let (key, size) = (spec.key(None), "a size".to_owned());
            Stage { key, parent: None, spec, role: StageRole::Whole, size, seed: order_seed }
        })
        .collect();
    let trial = |stage: &Stage| Trial {
        id: TrialId::from_content(stage.key.as_bytes()),
        size: stage.size.clone(),
        seed: stage.seed,
        n: stage.spec.model.shape.non_embedding_params(),
        d: Tokens(1),
        nominal: Tokens(1),
        arm: None,
        path: vec![stage.key],
        settings: vocabulary::search::Settings::new(),
    };
    Plan {
        search: None,
        campaign: CampaignId::from_content(b"a campaign"),
        name: "a campaign".to_owned(),
        description: String::new(),
        dataset: Some(sample::dataset()),
        trials: stages.iter().map(trial).collect(),
        stages,
        evaluations: Vec::new(),
        retries: Retries::DEFAULT,
        checkpoints: CheckpointPolicy::default(),
    }
}
