//! What the store says of a campaign that is over: queries of its log and its tables, made without the coordinator.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use coordinator::store::{AttemptRow, Store, open_in};
use scaling::{Document, Documents};
use scheduler::Fact;
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{Measurements, Plan, Rows, Stage, StageKey, Trial};

/// The only campaign of a data directory.
pub(crate) struct Truth {
    pub(crate) plan: Plan,
    pub(crate) submitted_at_ms: u64,
    /// Attempts at stages and evaluations, in order.
    pub(crate) attempts: BTreeMap<StageKey, Vec<Attempt>>,
    /// Where stages diverged, and with which loss.
    pub(crate) diverged: BTreeMap<StageKey, (u64, Option<f64>)>,
    results: BTreeMap<StageKey, Measurements>,
    checkpoints: BTreeMap<StageKey, BTreeSet<u64>>,
    rows: BTreeMap<StageKey, Rows>,
}

/// An attempt, and the name of its worker.
pub(crate) struct Attempt {
    pub(crate) worker: String,
    pub(crate) started_at_ms: u64,
    pub(crate) ended_at_ms: Option<u64>,
}

/// What became of a stage or an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Completed,
    Diverged,
    NotRun,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Diverged => "diverged",
            Self::NotRun => "not run",
        }
    }
}

impl Attempt {
    pub(crate) fn device_ms(&self) -> u64 {
        self.ended_at_ms.expect("everything is over") - self.started_at_ms
    }
}

impl Truth {
    /// Reads the store of a data directory that nobody uses.
    pub(crate) fn read(data_dir: &Path) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("it starts");
        runtime.block_on(async {
            let store = open_in(data_dir).await.expect("it opens");
            let truth = Self::of(store.as_ref()).await;
            store.close().await;
            truth
        })
    }

    async fn of(store: &dyn Store) -> Self {
        let campaigns = store.campaign_rows().await.expect("they can be read");
        let [campaign] = campaigns.as_slice() else { panic!("there are {} campaigns", campaigns.len()) };
        let mut plan: Option<Plan> = None;
        let (mut results, mut diverged) = (BTreeMap::new(), BTreeMap::new());
        let mut checkpoints: BTreeMap<StageKey, BTreeSet<u64>> = BTreeMap::new();
        for fact in store.facts().await.expect("the log is sound") {
            match fact {
                Fact::CampaignAccepted { plan: accepted } => plan = Some(accepted),
                Fact::CampaignGrown { growth } => {
                    let plan = plan.as_mut().expect("was accepted before");
                    for trial in growth.trials {
                        match plan.trials.iter_mut().find(|known| known.id == trial.id) {
                            Some(known) => *known = trial,
                            None => plan.trials.push(trial),
                        }
                    }
                    plan.stages.extend(growth.stages);
                    plan.evaluations.extend(growth.evaluations);
                }
                Fact::StageCompleted { stage, result, .. } => drop(results.insert(stage, result)),
                Fact::StageDiverged { stage, step, loss, .. } => drop(diverged.insert(stage, (step, loss))),
                Fact::CheckpointCommitted { stage, step, .. } => {
                    checkpoints.entry(stage).or_default().insert(step);
                }
                Fact::CheckpointRemoved { stage, step, .. } => {
                    checkpoints.entry(stage).or_default().remove(&step);
                }
                _ => {}
            }
        }
        let plan = plan.expect("was accepted");
        let mut attempts: BTreeMap<StageKey, Vec<Attempt>> = BTreeMap::new();
        for row in store.attempts(campaign.campaign).await.expect("they can be read") {
            let AttemptRow { key, worker_name: worker, started_at_ms, ended_at_ms } = row;
            attempts.entry(key.stage).or_default().push(Attempt { worker, started_at_ms, ended_at_ms });
        }
        let mut rows = BTreeMap::new();
        for stage in &plan.stages {
            rows.insert(stage.key, store.rows(stage.key).await.expect("they can be read"));
        }
        Self { plan, submitted_at_ms: campaign.submitted_at_ms, attempts, diverged, results, checkpoints, rows }
    }

    pub(crate) fn stages(&self) -> Vec<StageKey> {
        self.plan.stages.iter().map(|stage| stage.key).collect()
    }

    pub(crate) fn evaluations(&self) -> Vec<StageKey> {
        self.plan.evaluations.iter().map(|evaluation| evaluation.key).collect()
    }

    pub(crate) fn state(&self, key: &StageKey) -> State {
        match (self.results.contains_key(key), self.diverged.contains_key(key)) {
            (true, false) => State::Completed,
            (false, true) => State::Diverged,
            (false, false) => State::NotRun,
            (true, true) => panic!("{key} has two ends"),
        }
    }

    /// A measurement of a completed stage or evaluation.
    pub(crate) fn result(&self, key: &StageKey, name: &str) -> Option<f64> {
        let result = self.results.get(key)?;
        result.iter().find(|(known, _)| known.as_str() == name).map(|(_, value)| value)
    }

    pub(crate) fn committed(&self, key: &StageKey) -> Option<u64> {
        self.checkpoints.get(key)?.last().copied()
    }

    pub(crate) fn device_ms(&self, key: &StageKey) -> u64 {
        self.attempts.get(key).into_iter().flatten().map(Attempt::device_ms).sum()
    }

    /// Of completed stages all tokens, of those that diverged up to that step.
    pub(crate) fn tokens_trained(&self) -> u64 {
        let steps = |stage: &Stage| match (self.state(&stage.key), self.diverged.get(&stage.key)) {
            (State::Completed, _) => stage.spec.steps.end - stage.spec.steps.start,
            (_, Some((step, _))) => step + 1 - stage.spec.steps.start,
            _ => 0,
        };
        self.plan.stages.iter().map(|stage| steps(stage) * stage.spec.batch.tokens()).sum()
    }

    /// The trials that share a stage, with their numbers.
    pub(crate) fn trials_of(&self, stage: &StageKey) -> Vec<(usize, &Trial)> {
        let trials = self.plan.trials.iter().enumerate().map(|(index, trial)| (index + 1, trial));
        trials.filter(|(_, trial)| trial.path.contains(stage)).collect()
    }

    pub(crate) fn trial_state(&self, trial: &Trial) -> &'static str {
        if trial.path.iter().any(|stage| self.diverged.contains_key(stage)) {
            return "diverged";
        }
        assert_eq!(self.state(trial.last_stage()), State::Completed, "everything is over");
        if self.plan.is_whole(trial) { "completed" } else { "pruned" }
    }

    /// The state of a trial with the step at which a search ended it.
    pub(crate) fn trial_end(&self, trial: &Trial) -> String {
        match self.trial_state(trial) {
            "pruned" => format!("pruned at {}", self.trial_step(trial)),
            state => state.to_owned(),
        }
    }

    /// The steps that a trial was trained for.
    pub(crate) fn trial_step(&self, trial: &Trial) -> u64 {
        let diverged = trial.path.iter().find_map(|stage| self.diverged.get(stage));
        let last = self.plan.stage(trial.last_stage()).expect("is planned");
        diverged.map_or(last.spec.steps.end, |(step, _)| step + 1)
    }

    /// The number of the completed trial of a search with the lowest loss.
    pub(crate) fn best_trial(&self) -> Option<usize> {
        self.plan.search.as_ref()?;
        let trials = self.plan.trials.iter().enumerate().filter(|(_, trial)| self.trial_state(trial) == "completed");
        let loss = |trial: &Trial| self.result(trial.last_stage(), VALIDATION_LOSS.name).expect("has a loss");
        trials.min_by(|(_, one), (_, other)| loss(one).total_cmp(&loss(other))).map(|(index, _)| index + 1)
    }

    /// The standard errors of a stage's loss, a token and a byte, and the number of documents; `None` where these are too few.
    pub(crate) fn errors(&self, stage: &StageKey) -> Option<[f64; 3]> {
        let rows = self.rows.get(stage)?.get(VALIDATION_LOSS)?;
        let of = |weight: fn(&vocabulary::DocumentLoss) -> u64| {
            let documents = rows.iter().map(|row| Document { sum: row.nats, weight: weight(row) as f64 });
            Documents::new(vec![documents.collect()])
        };
        let [token, byte] = [of(|row| row.tokens)?, of(|row| row.bytes)?];
        Some([token.standard_error(), byte.standard_error(), token.count() as f64])
    }
}
