//! The language the stories are told in.
//!
//! Campaigns, stages and workers go by their names, an attempt is written `trunk#1`, and effects are sentences.

use std::collections::BTreeMap;
use std::time::Duration;

use scheduler::{
    AttemptEnd, CampaignPhase, Effect, Event, Fact, Scheduler, Settings, Slot, StageState, StageStatus, Timestamp,
    Weight,
};
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Abilities, Attempt, AttemptKey, CampaignId, Evaluation, Measurements, Plan, StageKey, WorkerId};

use crate::support::{campaign, evaluations, growth, worker};

/// A lease is 30 s, the grace after a restart 60 s.
pub(crate) fn settings() -> Settings {
    Settings {
        lease_duration: Duration::from_secs(30),
        heartbeat_interval: Duration::from_secs(5),
        restart_grace: Duration::from_secs(60),
    }
}

/// A scheduler, its time and its log.
pub(crate) struct Scenario {
    pub(crate) scheduler: Scheduler,
    pub(crate) facts: Vec<Fact>,
    now: Timestamp,
    unaccounted: Vec<String>,
    stages: BTreeMap<StageKey, String>,
    campaigns: BTreeMap<CampaignId, String>,
    workers: BTreeMap<WorkerId, String>,
}

impl Scenario {
    pub(crate) fn new() -> Self {
        Self {
            scheduler: Scheduler::new(settings()),
            facts: Vec::new(),
            now: Timestamp(0),
            unaccounted: Vec::new(),
            stages: BTreeMap::new(),
            campaigns: BTreeMap::new(),
            workers: BTreeMap::new(),
        }
    }

    /// One with an idle worker `w1` and this plan submitted, so that its first root is assigned.
    pub(crate) fn with_one_worker(plan: &Plan) -> Self {
        let mut story = Self::new();
        story.join("w1", &[]);
        story.expect_nothing();
        story.submit(plan);
        let root = &plan.stages[0].size;
        story.expect(&[
            format!("accepted {}", plan.name),
            format!("started {root}#1 on w1"),
            format!("assign {root}#1 to w1 from initial weights"),
        ]);
        story
    }

    /// A campaign that has ended, of a trunk of 100 steps with a decay `short` of 10; with an idle worker.
    pub(crate) fn ended(plan: &Plan) -> Self {
        let mut story = Self::with_one_worker(plan);
        for (attempt, step) in [("trunk#1", 100), ("short#1", 110)] {
            story.checkpoint("w1", attempt, step);
            story.complete_after_checkpoint("w1", attempt);
        }
        assert_eq!(story.phase(&plan.name), CampaignPhase::Ended);
        story
    }

    /// Of a campaign, by its name.
    pub(crate) fn phase(&self, name: &str) -> CampaignPhase {
        self.scheduler.campaign_status(&campaign(name)).expect("it was submitted").phase
    }

    /// Accounts for everything that was ordered since the last time, in its order.
    #[track_caller]
    pub(crate) fn expect<S: AsRef<str>>(&mut self, effects: &[S]) {
        let expected: Vec<&str> = effects.iter().map(AsRef::as_ref).collect();
        let found = std::mem::take(&mut self.unaccounted);
        assert_eq!(found, expected, "effects found, then those expected");
    }

    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        self.expect::<&str>(&[]);
    }

    /// What [`expect`](Self::expect) would compare, for a story that has to look at it.
    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unaccounted)
    }

    #[track_caller]
    pub(crate) fn handle(&mut self, event: Event) {
        assert!(self.unaccounted.is_empty(), "not accounted for: {:#?}", self.unaccounted);
        for effect in self.scheduler.handle(self.now, event) {
            self.unaccounted.push(self.sentence(&effect));
            if let Effect::Record(fact) = effect {
                self.facts.push(fact);
            }
        }
        let restored = Scheduler::restore(settings(), self.now, self.facts.clone()).expect("the log can be read");
        assert_eq!(restored.ledger(), self.scheduler.ledger(), "the log adds up to the state");
    }

    // What people do.

    #[track_caller]
    pub(crate) fn submit(&mut self, plan: &Plan) {
        self.campaigns.insert(plan.campaign, plan.name.clone());
        self.stages.extend(plan.stages.iter().map(|stage| (stage.key, stage.size.clone())));
        self.handle(Event::CampaignSubmitted { plan: plan.clone() });
    }

    /// A campaign is to have all of a plan besides what it has.
    #[track_caller]
    pub(crate) fn grow(&mut self, name: &str, to: &Plan) {
        self.campaigns.insert(campaign(name), name.to_owned());
        self.stages.extend(to.stages.iter().map(|stage| (stage.key, stage.size.clone())));
        self.handle(Event::GrowthRequested { growth: growth(name, to) });
    }

    /// Stages of a campaign's plan are to be evaluated on the text of a name. An evaluation is called `stage/text`.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, name: &str, stages: &[&str], text: &str) {
        let plan = self.scheduler.plan(&campaign(name)).expect("it was submitted");
        let growth = evaluations(name, plan, stages, text);
        self.stages.extend(growth.evaluations.iter().map(|evaluation| (evaluation.key, label(evaluation))));
        self.handle(Event::GrowthRequested { growth });
    }

    /// A campaign is to have this share of the workers.
    #[track_caller]
    pub(crate) fn weigh(&mut self, name: &str, weight: u32) {
        let weight = Weight::new(weight).expect("a weight");
        self.handle(Event::WeightRequested { campaign: campaign(name), weight });
    }

    #[track_caller]
    pub(crate) fn cancel(&mut self, name: &str) {
        self.handle(Event::CampaignCancelled { campaign: campaign(name) });
    }

    #[track_caller]
    pub(crate) fn retry(&mut self, name: &str) {
        self.handle(Event::RetryRequested { campaign: campaign(name), diverged: false });
    }

    #[track_caller]
    pub(crate) fn retry_diverged(&mut self, name: &str) {
        self.handle(Event::RetryRequested { campaign: campaign(name), diverged: true });
    }

    // What workers do.

    #[track_caller]
    pub(crate) fn join(&mut self, name: &str, running: &[&str]) {
        self.join_as(name, None, running, &[]);
    }

    /// A worker joins that can do this alone.
    #[track_caller]
    pub(crate) fn join_able(&mut self, name: &str, can: Abilities) {
        let worker = self.worker(name);
        let (name, running, holds) = (name.to_owned(), Vec::new(), Vec::new());
        self.handle(Event::WorkerJoined { worker, name, memory_bytes: None, can, running, holds, unfit: None });
    }

    /// Another process of a worker's name joins; it is called `name` here.
    #[track_caller]
    pub(crate) fn join_in_place_of(&mut self, name: &str, place: &str) {
        let (worker, can) = (self.worker(name), Abilities::default());
        let (name, running, holds) = (place.to_owned(), Vec::new(), Vec::new());
        self.handle(Event::WorkerJoined { worker, name, memory_bytes: None, can, running, holds, unfit: None });
    }

    #[track_caller]
    pub(crate) fn is_unfit(&mut self, name: &str, reason: &str) {
        let worker = self.worker(name);
        self.handle(Event::WorkerUnfit { worker, reason: reason.to_owned() });
    }

    #[track_caller]
    pub(crate) fn is_fit(&mut self, name: &str) {
        let worker = self.worker(name);
        self.handle(Event::WorkerFit { worker });
    }

    #[track_caller]
    pub(crate) fn join_as(&mut self, name: &str, memory_bytes: Option<u64>, running: &[&str], holds: &[&str]) {
        let worker = self.worker(name);
        let running = running.iter().map(|text| self.attempt(text)).collect();
        let holds = holds.iter().map(|label| self.stage(label)).collect();
        let (name, can) = (name.to_owned(), Abilities::default());
        self.handle(Event::WorkerJoined { worker, name, memory_bytes, can, running, holds, unfit: None });
    }

    #[track_caller]
    pub(crate) fn heartbeat(&mut self, name: &str, running: &[&str]) {
        let worker = self.worker(name);
        let running = running.iter().map(|text| self.attempt(text)).collect();
        self.handle(Event::HeartbeatReceived { worker, running, holds: None });
    }

    #[track_caller]
    pub(crate) fn disconnect(&mut self, name: &str) {
        let worker = self.worker(name);
        self.handle(Event::WorkerDisconnected { worker });
    }

    #[track_caller]
    pub(crate) fn leave(&mut self, name: &str) {
        let worker = self.worker(name);
        self.handle(Event::WorkerLeft { worker, in_order: false });
    }

    /// It was told to leave, and says goodbye.
    #[track_caller]
    pub(crate) fn leave_in_order(&mut self, name: &str) {
        let worker = self.worker(name);
        self.handle(Event::WorkerLeft { worker, in_order: true });
    }

    #[track_caller]
    pub(crate) fn checkpoint(&mut self, name: &str, attempt: &str, step: u64) {
        let (worker, key) = (self.worker(name), self.attempt(attempt));
        self.handle(Event::CheckpointCommitted { worker, key, step });
    }

    #[track_caller]
    pub(crate) fn complete(&mut self, name: &str, attempt: &str) {
        self.complete_with(name, attempt, result(3.0));
    }

    /// Completes a stage whose last checkpoint was just committed, whatever follows from it.
    #[track_caller]
    pub(crate) fn complete_after_checkpoint(&mut self, name: &str, attempt: &str) {
        self.take();
        self.complete(name, attempt);
        self.take();
    }

    #[track_caller]
    pub(crate) fn complete_with(&mut self, name: &str, attempt: &str, result: Measurements) {
        let (worker, key) = (self.worker(name), self.attempt(attempt));
        self.handle(Event::StageCompleted { worker, key, result });
    }

    #[track_caller]
    pub(crate) fn diverge(&mut self, name: &str, attempt: &str, step: u64, loss: f64) {
        let (worker, key) = (self.worker(name), self.attempt(attempt));
        self.handle(Event::StageDiverged { worker, key, step, loss });
    }

    #[track_caller]
    pub(crate) fn fail(&mut self, name: &str, attempt: &str, started: bool) {
        let (worker, key) = (self.worker(name), self.attempt(attempt));
        self.handle(Event::AttemptFailed { worker, key, reason: "disk full".to_owned(), started });
    }

    #[track_caller]
    pub(crate) fn release(&mut self, name: &str, attempt: &str) {
        let (worker, key) = (self.worker(name), self.attempt(attempt));
        self.handle(Event::AttemptReleased { worker, key });
    }

    /// A worker could not start from a checkpoint, and the coordinator saw for itself that it is damaged.
    #[track_caller]
    pub(crate) fn cannot_start(&mut self, name: &str, attempt: &str, of: &str, step: u64) {
        let (worker, key, of) = (self.worker(name), self.attempt(attempt), self.stage(of));
        self.handle(Event::CheckpointDamaged { stage: of, step });
        let damaged = self.take();
        self.handle(Event::StartUnusable { worker, key, of, step });
        self.unaccounted.splice(0..0, damaged);
    }

    /// A worker could not start from a checkpoint, and nobody else knows that anything is wrong with it.
    #[track_caller]
    pub(crate) fn cannot_start_for_no_reason(&mut self, name: &str, attempt: &str, of: &str, step: u64) {
        let (worker, key, of) = (self.worker(name), self.attempt(attempt), self.stage(of));
        self.handle(Event::StartUnusable { worker, key, of, step });
    }

    /// A heartbeat that says what is at hand.
    #[track_caller]
    pub(crate) fn holds_now(&mut self, name: &str, running: &[&str], holds: &[&str]) {
        let worker = self.worker(name);
        let running = running.iter().map(|text| self.attempt(text)).collect();
        let holds = Some(holds.iter().map(|label| self.stage(label)).collect());
        self.handle(Event::HeartbeatReceived { worker, running, holds });
    }

    #[track_caller]
    pub(crate) fn damage(&mut self, label: &str, step: u64) {
        let stage = self.stage(label);
        self.handle(Event::CheckpointDamaged { stage, step });
    }

    #[track_caller]
    pub(crate) fn collect(&mut self, checkpoints: &[(&str, u64)]) {
        let checkpoints = checkpoints.iter().map(|(label, step)| (self.stage(label), *step)).collect();
        self.handle(Event::CollectionRequested { checkpoints });
    }

    #[track_caller]
    pub(crate) fn storage_fails(&mut self, name: &str, attempt: &str) {
        let (worker, key) = (self.worker(name), self.attempt(attempt));
        self.handle(Event::StorageFailed { worker, key, reason: "disk full".to_owned() });
    }

    #[track_caller]
    pub(crate) fn refuse_checkpoint(&mut self, name: &str, attempt: &str, is_impossible: bool) {
        let (worker, key) = (self.worker(name), self.attempt(attempt));
        let reason = "it is not there".to_owned();
        self.handle(Event::CheckpointRefused { worker, key, reason, is_impossible });
    }

    #[track_caller]
    pub(crate) fn confirm(&mut self, name: &str, attempt: &str) {
        let (worker, key) = (self.worker(name), self.attempt(attempt));
        self.handle(Event::RevocationConfirmed { worker, key });
    }

    // What happens by itself.

    #[track_caller]
    pub(crate) fn wait(&mut self, seconds: u64) {
        assert!(self.unaccounted.is_empty(), "not accounted for: {:#?}", self.unaccounted);
        let until = self.now + Duration::from_secs(seconds);
        let mut ordered = Vec::new();
        while let Some(deadline) = self.scheduler.next_deadline().filter(|deadline| *deadline <= until) {
            self.now = deadline;
            self.handle(Event::TimePassed);
            ordered.extend(self.take());
        }
        self.now = until;
        self.unaccounted = ordered;
    }

    /// Nothing is handled for so long: the coordinator is stopped, or its machine suspended.
    #[track_caller]
    pub(crate) fn be_away(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.handle(Event::TimePassed);
    }

    /// The coordinator ends, and another restores the log, with a clock of its own.
    pub(crate) fn restart(&mut self) {
        self.now = Timestamp(0);
        self.scheduler = Scheduler::restore(settings(), self.now, self.facts.clone()).expect("the log can be read");
    }

    // What can be seen.

    /// The state of a stage, or why it waits, in words.
    #[track_caller]
    pub(crate) fn stage_is(&self, label: &str) -> String {
        let StageStatus { state, waits, .. } = self.status(label);
        waits.map_or_else(|| state.name().to_owned(), |reason| reason.to_string())
    }

    #[track_caller]
    pub(crate) fn status(&self, label: &str) -> StageStatus {
        self.scheduler.stage_status(&self.stage(label)).expect("a known stage")
    }

    /// Whether a worker has this attempt by the log.
    #[track_caller]
    pub(crate) fn holds(&self, name: &str, attempt: &str) -> bool {
        self.scheduler.is_current(worker(name), self.attempt(attempt))
    }

    #[track_caller]
    pub(crate) fn state(&self, label: &str) -> StageState {
        self.status(label).state
    }

    /// The step that a stage ends with.
    pub(crate) fn end_of(&self, label: &str) -> u64 {
        self.scheduler.stage(&self.stage(label)).expect("a stage to train").spec.steps.end
    }

    /// The attempt that a worker has.
    pub(crate) fn running_on(&self, name: &str) -> String {
        let known = self.scheduler.workers().find(|known| known.worker == worker(name)).expect("it is there");
        let Slot::Busy(key) = known.slot else { panic!("{name} has {:?}", known.slot) };
        format!("{}{}", self.stages[&key.stage], key.attempt)
    }

    /// A campaign's share of the workers.
    pub(crate) fn weight(&self, name: &str) -> u32 {
        self.scheduler.ledger().campaign(&campaign(name)).expect("it was submitted").weight().get()
    }

    /// The stage of this name, whatever campaign it came with.
    #[track_caller]
    pub(crate) fn stage(&self, label: &str) -> StageKey {
        let found = self.stages.iter().find(|(_, name)| *name == label);
        *found.unwrap_or_else(|| panic!("no plan has a stage {label}")).0
    }

    #[track_caller]
    pub(crate) fn attempt(&self, text: &str) -> AttemptKey {
        let (label, number) = text.split_once('#').expect("an attempt is written stage#number");
        AttemptKey { stage: self.stage(label), attempt: Attempt(number.parse().expect("an attempt's number")) }
    }

    fn worker(&mut self, name: &str) -> WorkerId {
        let worker = worker(name);
        self.workers.insert(worker, name.to_owned());
        worker
    }

    fn sentence(&self, effect: &Effect) -> String {
        let campaign = |id: &CampaignId| self.campaigns[id].as_str();
        let stage = |key: &StageKey| self.stages[key].as_str();
        let worker = |id: &WorkerId| self.workers[id].as_str();
        let attempt = |key: &AttemptKey| format!("{}{}", stage(&key.stage), key.attempt);
        match effect {
            Effect::Record(fact) => self.fact_in_words(fact),
            Effect::Assign { worker: to, key, resume_from, parent } => {
                let start = match (resume_from, parent) {
                    (Some(step), _) => format!("step {step}"),
                    (None, Some(parent)) => stage(parent).to_owned(),
                    (None, None) => "initial weights".to_owned(),
                };
                format!("assign {} to {} from {start}", attempt(key), worker(to))
            }
            Effect::Revoke { worker: on, key } => format!("revoke {} on {}", attempt(key), worker(on)),
            Effect::Refuse { worker: to, key } => format!("refuse {} to {}", attempt(key), worker(to)),
            Effect::CloseSession { worker: of } => format!("close the session of {}", worker(of)),
            Effect::ForgetWorker { worker: gone } => format!("forget {}", worker(gone)),
            Effect::CampaignEnded { campaign: id } => format!("{} is over", campaign(id)),
            Effect::Forget { stages } => {
                let names: Vec<&str> = stages.iter().map(|stage| self.stages[stage].as_str()).collect();
                format!("forget {}", names.join(", "))
            }
            Effect::ResultDiffers { key, .. } => format!("{} came out differently", attempt(key)),
            Effect::RejectPlan { campaign: id, error } => format!("reject {}: {error}", campaign(id)),
        }
    }

    fn fact_in_words(&self, fact: &Fact) -> String {
        let stage = |key: &StageKey| self.stages[key].as_str();
        match fact {
            Fact::CampaignAccepted { plan } => format!("accepted {}", plan.name),
            Fact::CampaignGrown { growth } => {
                let added: Vec<&str> = growth.nodes().map(|work| self.stages[&work.key()].as_str()).collect();
                format!("{} grew by {}", self.campaigns[&growth.campaign], added.join(", "))
            }
            Fact::CampaignCancelled { campaign } => format!("cancelled {}", self.campaigns[campaign]),
            Fact::EvaluationsCancelled { campaign, evaluations } => {
                let labels: Vec<&str> = evaluations.iter().map(stage).collect();
                format!("cancelled {} of {}", labels.join(", "), self.campaigns[campaign])
            }
            Fact::CampaignForgotten { campaign } => format!("forgot {}", self.campaigns[campaign]),
            Fact::WeightChanged { campaign, weight } => {
                format!("{} has weight {}", self.campaigns[campaign], weight.get())
            }
            Fact::RetriesChanged { campaign, retries } => {
                format!("{} allows {} failures", self.campaigns[campaign], retries.failed)
            }
            Fact::AttemptStarted { stage: key, worker, attempt, .. } => {
                format!("started {}{attempt} on {}", stage(key), self.workers[worker])
            }
            Fact::CheckpointCommitted { stage: key, attempt, step } => {
                format!("checkpoint of {}{attempt} at {step}", stage(key))
            }
            Fact::StageCompleted { stage: key, attempt, .. } => format!("completed {}{attempt}", stage(key)),
            Fact::StageDiverged { stage: key, attempt, step, loss } => {
                format!("diverged {}{attempt} at {step} with {loss:?}", stage(key))
            }
            Fact::AttemptEnded { stage: key, attempt, why: AttemptEnd::StartUnusable { of, step }, .. } => {
                format!("ended {}{attempt}: the checkpoint of {} at {step} is of no use", stage(key), stage(of))
            }
            Fact::AttemptEnded { stage: key, attempt, why, excused } => {
                let excused = if *excused { ", excused" } else { "" };
                format!("ended {}{attempt}: {why}{excused}", stage(key))
            }
            Fact::StagePoisoned { stage: key, limit } => format!("gave up {}: {limit}", stage(key)),
            Fact::StageRetried { stage: key } => format!("retried {}", stage(key)),
            Fact::CheckpointRemoved { stage: key, step, why } => {
                format!("removed the checkpoint of {} at {step}: {why}", stage(key))
            }
            Fact::StageReopened { stage: key } => format!("reopened {}", stage(key)),
        }
    }
}

impl Drop for Scenario {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.unaccounted.is_empty(), "not accounted for: {:#?}", self.unaccounted);
        }
    }
}

fn label(evaluation: &Evaluation) -> String {
    format!("{}/{}", evaluation.size, evaluation.name)
}

/// A result with this loss a token.
pub(crate) fn result(validation_loss: f64) -> Measurements {
    Measurements::new().with(VALIDATION_LOSS, validation_loss).with(VALIDATION_LOSS_PER_BYTE, validation_loss / 4.0)
}
