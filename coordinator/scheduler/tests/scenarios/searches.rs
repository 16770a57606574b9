//! Searches: campaigns that decide by their results what else there is to train.

use std::collections::BTreeMap;

use scheduler::{CampaignPhase, Effect, Event, Fact, Scheduler, Timestamp, TrialCounts};
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{Abilities, AttemptKey, Growth, Measurements, Plan, WorkerId};

use crate::scenario::settings;
use crate::support::{campaign, search, worker};

/// A scheduler with its log, and workers that do what they are told: the one that was told first is done first, or the
/// one that was told last.
struct Hall {
    scheduler: Scheduler,
    facts: Vec<Fact>,
    assigned: Vec<(WorkerId, AttemptKey)>,
    ended: usize,
    last_first: bool,
}

impl Hall {
    fn of(workers: usize, last_first: bool) -> Self {
        let scheduler = Scheduler::new(settings());
        let mut hall = Self { scheduler, facts: Vec::new(), assigned: Vec::new(), ended: 0, last_first };
        for index in 0..workers {
            let name = format!("w{index}");
            let (worker, running, holds) = (worker(&name), Vec::new(), Vec::new());
            hall.handle(Event::WorkerJoined {
                worker,
                name,
                memory_bytes: None,
                can: Abilities::default(),
                running,
                holds,
                unfit: None,
            });
        }
        hall
    }

    fn handle(&mut self, event: Event) {
        for effect in self.scheduler.handle(Timestamp(0), event) {
            match effect {
                Effect::Record(fact) => self.facts.push(fact),
                Effect::Assign { worker, key, .. } => self.assigned.push((worker, key)),
                Effect::CampaignEnded { .. } => self.ended += 1,
                other => panic!("{other:?}"),
            }
        }
        let restored = Scheduler::restore(settings(), Timestamp(0), self.facts.clone()).expect("the log can be read");
        assert_eq!(restored.ledger(), self.scheduler.ledger(), "the log adds up to the state");
    }

    /// One stage is trained, with a loss that is lower the nearer the learning rate is to 0.01.
    fn train_one(&mut self) -> Option<WorkerId> {
        let index = if self.last_first { self.assigned.len().checked_sub(1)? } else { 0 };
        if self.assigned.is_empty() {
            return None;
        }
        let (worker, key) = self.assigned.remove(index);
        let spec = self.scheduler.stage(&key.stage).expect("it was assigned").spec.clone();
        let step = spec.steps.end;
        self.handle(Event::CheckpointCommitted { worker, key, step });
        let loss = 3.0 + (spec.peak_lr / 0.01).log10().abs() + 1.0 / step as f64;
        let result = Measurements::new().with(VALIDATION_LOSS, loss);
        self.handle(Event::StageCompleted { worker, key, result });
        Some(worker)
    }

    fn train_all(&mut self) {
        while self.train_one().is_some() {}
    }

    fn submit(&mut self, plan: &Plan) {
        self.handle(Event::CampaignSubmitted { plan: plan.clone() });
    }

    fn plan(&self, name: &str) -> &Plan {
        self.scheduler.plan(&campaign(name)).expect("it was submitted")
    }

    fn trials(&self) -> TrialCounts {
        self.scheduler.campaign_status(&campaign("s")).expect("it was submitted").trials
    }
}

#[test]
fn any_fleet_searches_the_same_and_the_campaign_ends_once() {
    let mut plans = BTreeMap::new();
    for (workers, last_first) in [(1, false), (2, true), (5, false), (5, true)] {
        let mut hall = Hall::of(workers, last_first);
        hall.submit(&search("s", 12));
        assert_eq!(hall.trials(), TrialCounts { open: 12, ..TrialCounts::default() });
        hall.train_all();
        let TrialCounts { open, completed, diverged, failed, pruned } = hall.trials();
        assert_eq!((open, completed + pruned, diverged + failed), (0, 12, 0));
        assert!(completed > 1 && pruned > 4, "{completed} went to the end, {pruned} were pruned");
        assert_eq!(hall.ended, 1);
        let plan = hall.plan("s");
        let mut stages: Vec<_> = plan.stages.iter().map(|stage| stage.key).collect();
        stages.sort_unstable();
        plans.insert((workers, last_first), (plan.trials.clone(), stages));
    }
    let first = &plans[&(1, false)];
    assert!(plans.values().all(|plan| plan == first));
}

#[test]
fn the_worker_of_a_trial_that_ends_early_has_another_stage_at_once() {
    let mut hall = Hall::of(1, false);
    hall.submit(&search("s", 12));
    let mut pruned = 0;
    while let Some(worker) = hall.train_one() {
        if hall.trials().pruned > pruned && hall.trials().open > 0 {
            assert!(hall.assigned.iter().any(|(next, ..)| *next == worker), "the worker waits");
        }
        pruned = hall.trials().pruned;
    }
    assert!(pruned > 4);
}

#[test]
fn more_trials_go_on_with_the_search_and_the_same_request_twice_does_nothing() {
    let mut whole = Hall::of(2, false);
    whole.submit(&search("s", 12));
    whole.train_all();

    for asked_for_as_a_recipe in [true, false] {
        let mut hall = Hall::of(2, false);
        hall.submit(&search("s", 7));
        hall.train_all();
        let stages = hall.plan("s").stages.len();
        for _ in 0..2 {
            match asked_for_as_a_recipe {
                true => hall.submit(&search("s", 12)),
                false => hall.handle(Event::GrowthRequested { growth: Growth::of_search(campaign("s"), 12) }),
            }
        }
        assert_eq!(hall.scheduler.campaign_status(&campaign("s")).map(|it| it.phase), Some(CampaignPhase::Open));
        hall.submit(&search("s", 7));
        assert!(hall.plan("s").stages.len() > stages, "it continues at once");
        hall.train_all();
        assert_eq!(hall.plan("s").trials, whole.plan("s").trials);
        assert_eq!(hall.trials(), whole.trials());
        let attempts =
            |hall: &Hall| hall.facts.iter().filter(|fact| matches!(fact, Fact::AttemptStarted { .. })).count();
        assert_eq!(attempts(&hall), attempts(&whole), "nothing is trained twice");
    }
}

#[test]
fn a_search_that_was_cancelled_goes_on_where_it_was() {
    let mut whole = Hall::of(1, false);
    whole.submit(&search("s", 9));
    whole.train_all();

    let mut hall = Hall::of(1, false);
    hall.submit(&search("s", 9));
    for _ in 0..6 {
        hall.train_one();
    }
    let (worker, key) = hall.assigned.pop().expect("it continues");
    let revoked = hall.scheduler.handle(Timestamp(0), Event::CampaignCancelled { campaign: campaign("s") });
    hall.facts.extend(revoked.into_iter().filter_map(|effect| match effect {
        Effect::Record(fact) => Some(fact),
        _ => None,
    }));
    hall.handle(Event::RevocationConfirmed { worker, key });
    hall.submit(&search("s", 9));
    hall.train_all();
    assert_eq!(hall.plan("s").trials, whole.plan("s").trials);
}

#[test]
fn what_another_search_has_trained_is_not_trained_again() {
    let mut hall = Hall::of(1, false);
    hall.submit(&search("s", 9));
    hall.train_all();
    let facts = hall.facts.len();
    hall.submit(&search("again", 9));
    assert_eq!(hall.assigned, [], "all of it is known");
    assert_eq!(hall.plan("again").trials, hall.plan("s").trials);
    assert!(hall.facts[facts..].iter().all(|fact| fact.stage().is_none()));
    assert_eq!(hall.ended, 2);
}
