//! Histories that nobody thought of: whatever is committed or refused, all implementations answer alike.

use coordinator::store::{Commit, PackedSnapshot, Speaker, Store};
use proptest::prelude::*;
use proptest::sample::select;
use scheduler::{Fact, Scheduler, Settings, Timestamp};
use vocabulary::{Attempt, AttemptKey, CampaignId, Growth, Plan, StageKey, WorkerId};

use crate::observed::observe;
use crate::scratch::{AT_MS, Scratch, checkpoint, completed, ended, plan, point, reached, removed, started, token};

/// Cases: each opens a file and commits to it some ten times, so a hundred take seconds.
const CASES: u32 = 48;

/// Cases over a database, of which each is created for one of them.
const DATABASES: u32 = 12;

/// What a commit may have in it. The numbers pick from few things, so that much of it meets.
#[derive(Debug, Clone)]
enum Part {
    Accept { whole: bool },
    Grow,
    Start { stage: usize, attempt: u32 },
    End { stage: usize, attempt: u32 },
    Complete { stage: usize, attempt: u32 },
    Diverge { stage: usize, attempt: u32 },
    Reach { stage: usize, attempt: u32, step: u64, has_row: bool },
    Remove { stage: usize, step: u64 },
    Reopen { stage: usize },
    Points { stage: usize, attempt: u32, from: u64, count: u64, loss: f64 },
    Recipe { text: u64 },
    Report { worker: usize, sequence: u64 },
    Bind { worker: usize, token: u64 },
}

/// What is done to a store.
#[derive(Debug, Clone)]
enum Deed {
    Commit(Vec<Part>),
    Snapshot,
    AddToken(u64),
    RevokeToken(u64),
    /// The writer ends and another one begins.
    Reopen,
}

const STAGES: usize = 3;

fn part() -> impl Strategy<Value = Part> {
    let (stage, attempt, step) = (0..STAGES, 1..4_u32, 0..10_u64);
    let key = (stage.clone(), attempt.clone());
    let loss = select(vec![5.0, 0.1 + 0.2, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE]);
    prop_oneof![
        1 => any::<bool>().prop_map(|whole| Part::Accept { whole }),
        1 => Just(Part::Grow),
        4 => key.clone().prop_map(|(stage, attempt)| Part::Start { stage, attempt }),
        2 => key.clone().prop_map(|(stage, attempt)| Part::End { stage, attempt }),
        1 => key.clone().prop_map(|(stage, attempt)| Part::Complete { stage, attempt }),
        1 => key.clone().prop_map(|(stage, attempt)| Part::Diverge { stage, attempt }),
        3 => (key.clone(), step.clone(), prop::bool::weighted(0.9))
            .prop_map(|((stage, attempt), step, has_row)| Part::Reach { stage, attempt, step, has_row }),
        2 => (stage.clone(), step.clone()).prop_map(|(stage, step)| Part::Remove { stage, step }),
        1 => stage.prop_map(|stage| Part::Reopen { stage }),
        4 => (key, step, 0..6_u64, loss)
            .prop_map(|((stage, attempt), from, count, loss)| Part::Points { stage, attempt, from, count, loss }),
        1 => (0..3_u64).prop_map(|text| Part::Recipe { text }),
        1 => (0..2_usize, any::<u64>()).prop_map(|(worker, sequence)| Part::Report { worker, sequence }),
        1 => (0..2_usize, 0..3_u64).prop_map(|(worker, token)| Part::Bind { worker, token }),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        12 => prop::collection::vec(part(), 0..4).prop_map(Deed::Commit),
        2 => Just(Deed::Snapshot),
        1 => (0..3_u64).prop_map(Deed::AddToken),
        1 => (0..3_u64).prop_map(Deed::RevokeToken),
        1 => Just(Deed::Reopen),
    ]
}

/// The things that the numbers pick from.
struct World {
    plan: Plan,
    stages: Vec<StageKey>,
    workers: [WorkerId; 2],
}

impl World {
    fn new() -> Self {
        let plan = plan();
        let stages = plan.stages.iter().map(|stage| stage.key).take(STAGES).collect();
        Self { plan, stages, workers: [b"one", b"two"].map(|name| WorkerId::from_content(name)) }
    }

    fn commit(&self, number: u64, parts: &[Part]) -> Commit {
        let mut commit = Commit { at_ms: AT_MS + number, ..Commit::default() };
        parts.iter().for_each(|part| self.add(part, &mut commit));
        commit
    }

    fn add(&self, part: &Part, commit: &mut Commit) {
        let campaign = self.plan.campaign;
        let fact = match *part {
            Part::Accept { whole } => {
                let stages = if whole { self.plan.stages.len() } else { 2 };
                Fact::CampaignAccepted {
                    plan: Plan { stages: self.plan.stages[..stages].to_vec(), ..self.plan.clone() },
                }
            }
            Part::Grow => {
                let (trials, stages) = (self.plan.trials.clone(), self.plan.stages[2..].to_vec());
                Fact::CampaignGrown { growth: Growth { trials, stages, ..Growth::nothing(campaign) } }
            }
            Part::Start { stage, attempt } => started(self.stages[stage], attempt),
            Part::End { stage, attempt } => ended(self.stages[stage], attempt),
            Part::Complete { stage, attempt } => completed(self.stages[stage], attempt),
            Part::Diverge { stage, attempt } => {
                Fact::StageDiverged { stage: self.stages[stage], attempt: Attempt(attempt), step: 7, loss: None }
            }
            Part::Reach { stage, attempt, step, has_row } => {
                if has_row {
                    commit.checkpoints.push(checkpoint(self.stages[stage], attempt, step));
                }
                reached(self.stages[stage], attempt, step)
            }
            Part::Remove { stage, step } => removed(self.stages[stage], step),
            Part::Reopen { stage } => Fact::StageReopened { stage: self.stages[stage] },
            Part::Points { stage, attempt, from, count, loss } => {
                let points = (from..from + count).map(|step| point(step, loss)).collect();
                return commit
                    .curve
                    .push((AttemptKey { stage: self.stages[stage], attempt: Attempt(attempt) }, points));
            }
            Part::Recipe { text } => {
                return commit.recipes.push((campaign, "a.toml".to_owned(), format!("version {text}")));
            }
            Part::Report { worker, sequence } => return commit.session.push((self.workers[worker], sequence)),
            Part::Bind { worker, token } => {
                let (token, secret_hash) =
                    (format!("token-{token}"), (token % 2 == 1).then(|| format!("{token:064x}")));
                let speaker = Speaker { token: Some(token), secret_hash };
                return commit.speakers.push((self.workers[worker], speaker));
            }
        };
        commit.facts.push(fact);
    }

    async fn see(&self, store: &dyn Store) -> Vec<String> {
        observe(store, &self.stages, &[self.plan.campaign, CampaignId::from_content(b"another")], &self.workers).await
    }

    /// Does it, and returns what came of it.
    async fn perform(&self, number: u64, deed: &Deed, scratch: Scratch) -> (Scratch, String) {
        let Scratch { store, term, .. } = &scratch;
        let outcome = match deed {
            Deed::Commit(parts) => {
                let before = self.see(store.as_ref()).await;
                let committed = scratch.try_commit(&self.commit(number, parts)).await;
                if committed.is_err() {
                    assert_eq!(self.see(store.as_ref()).await, before, "a commit that fails leaves nothing");
                }
                committed.is_ok().to_string()
            }
            Deed::Snapshot => {
                let facts = store.facts().await.expect("the log is sound");
                // Of what is in the log, little makes sense to the scheduler; its form is all that counts here.
                let scheduler = Scheduler::restore(Settings::default(), Timestamp(0), Vec::new()).expect("it is sound");
                let packed = PackedSnapshot::pack(&scheduler.snapshot());
                let saved = store.save_snapshot(*term, facts.len() as u64, AT_MS, &packed).await;
                saved.is_ok().to_string()
            }
            Deed::AddToken(number) => store.add_token(&token(*number)).await.is_ok().to_string(),
            Deed::RevokeToken(number) => {
                store.revoke_token(&token(*number).token, AT_MS).await.expect("it is written").to_string()
            }
            Deed::Reopen => {
                let scratch = scratch.reopen().await;
                let term = scratch.term.to_string();
                return (scratch, term);
            }
        };
        (scratch, outcome)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn all_implementations_answer_alike(deeds in prop::collection::vec(deed(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        runtime.block_on(async {
            let world = World::new();
            let (mut file, mut memory) = (Scratch::sqlite().await, Scratch::memory().await);
            for (number, deed) in (0..).zip(&deeds) {
                let (in_file, in_memory);
                (file, in_file) = world.perform(number, deed, file).await;
                (memory, in_memory) = world.perform(number, deed, memory).await;
                assert_eq!(in_memory, in_file, "{deed:?}");
                assert_eq!(world.see(memory.store.as_ref()).await, world.see(file.store.as_ref()).await, "{deed:?}");
            }
            file.store.close().await;
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(DATABASES) })]

    #[test]
    fn a_database_answers_like_the_others(deeds in prop::collection::vec(deed(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        runtime.block_on(async {
            let world = World::new();
            let Some(mut database) = Scratch::postgres().await else { return };
            let mut memory = Scratch::memory().await;
            for (number, deed) in (0..).zip(&deeds) {
                let (in_database, in_memory);
                (database, in_database) = world.perform(number, deed, database).await;
                (memory, in_memory) = world.perform(number, deed, memory).await;
                assert_eq!(in_memory, in_database, "{deed:?}");
                assert_eq!(world.see(memory.store.as_ref()).await, world.see(database.store.as_ref()).await, "{deed:?}");
            }
            database.store.close().await;
        });
    }
}
