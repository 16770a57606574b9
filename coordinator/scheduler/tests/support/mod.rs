//! What scenarios and simulation have in common: small stage trees with names, and the names of workers.

use std::ops::Range;

use recipes::search::{Progress, grow};
use vocabulary::search::{Asha, Dimension, Parameter, Sampler, Scale, Search, SearchBase, Settings, Values};
use vocabulary::{
    CampaignId, CheckpointPolicy, DataSpec, DatasetId, Evaluation, EvaluationKind, EvaluationSpec, EvaluationTask,
    Growth, LrSchedule, Plan, Retries, Stage, StageKey, StageRole, StageSpec, Tokens, Trial, TrialId, WorkerId, sample,
};

/// Each limit is small and another one.
pub(crate) const RETRIES: Retries =
    Retries { not_started: 1, preempted: 3, failed: 2, backoff_ms: 1_000, longest_backoff_ms: 4_000 };

/// A plan from lines of (stage, its parent or nothing, how many steps it trains). A stage is named by its `size`, and
/// stages of the same name, steps and parent have the same key in every plan.
pub(crate) fn plan(name: &str, lines: &[(&str, &str, u64)]) -> Plan {
    let mut stages: Vec<Stage> = Vec::new();
    for (label, parent, steps) in lines {
        let parent = stages.iter().find(|stage| stage.size == *parent);
        let start_step = parent.map_or(0, |parent| parent.spec.steps.end);
        let parent = parent.map(|parent| parent.key);
        let spec = spec(label, start_step..start_step + steps);
        let role = if parent.is_some() { StageRole::Decay } else { StageRole::Trunk };
        stages.push(Stage { key: spec.key(parent.as_ref()), parent, spec, role, size: (*label).to_owned(), seed: 0 });
    }
    let trials = stages.iter().filter(|stage| is_leaf(&stages, stage)).map(|leaf| trial(&stages, leaf)).collect();
    let description = String::new();
    let dataset = Some(sample::dataset());
    let retries = RETRIES;
    let checkpoints = CheckpointPolicy::default();
    Plan {
        campaign: campaign(name),
        name: name.to_owned(),
        description,
        dataset,
        trials,
        stages,
        evaluations: Vec::new(),
        retries,
        checkpoints,
        search: None,
    }
}

/// A search of this many trials, two at a time, each of up to three stages; one in two continues at steps 10 and 20.
pub(crate) fn search(name: &str, trials: u32) -> Plan {
    let whole = spec("search", 0..30);
    let values = Values::Between { low: 0.001, high: 0.1, scale: Scale::Log };
    let search = Search {
        sampler: Sampler::Tpe,
        trials,
        seed: 0,
        parallel: 2,
        startup: 3,
        space: vec![Dimension { parameter: Parameter::PeakLr, values }],
        pruner: Some(Asha { reduction: 2, rungs: vec![10, 20] }),
        base: SearchBase {
            size: "searched".to_owned(),
            seed: 0,
            n: whole.model.shape.non_embedding_params(),
            nominal: Tokens(1),
            whole,
        },
    };
    let Progress { trials, stages, .. } = grow(&search, &[], |_| None);
    Plan { trials, stages, search: Some(Box::new(search)), ..plan(name, &[]) }
}

/// What a campaign grows by to have all of a plan, in the plan's order.
pub(crate) fn growth(name: &str, to: &Plan) -> Growth {
    let order = to.trials.iter().map(|trial| trial.id).collect();
    Growth { trials: to.trials.clone(), stages: to.stages.clone(), order, ..Growth::nothing(campaign(name)) }
}

/// What a campaign grows by to have these stages of a plan evaluated on the text of a name.
pub(crate) fn evaluations(name: &str, plan: &Plan, stages: &[&str], text: &str) -> Growth {
    let evaluation = |label: &&str| {
        let stage = plan.stages.iter().find(|stage| stage.size == *label).expect("the plan has it");
        let dataset = DatasetId::from_content(text.as_bytes());
        let spec = EvaluationSpec {
            task: EvaluationTask { kind: EvaluationKind::HeldOutLoss, dataset, tokens: 2048, context: 64 },
            model: stage.spec.model,
            ..sample::evaluation()
        };
        let (key, parent) = (spec.key(&stage.key), stage.key);
        Evaluation { key, parent, spec, name: text.to_owned(), size: stage.size.clone(), seed: stage.seed }
    };
    Growth { evaluations: stages.iter().map(evaluation).collect(), ..Growth::nothing(campaign(name)) }
}

/// The identifier of the campaign of this name.
pub(crate) fn campaign(name: &str) -> CampaignId {
    CampaignId::from_content(name.as_bytes())
}

/// The identifier of the worker of this name.
pub(crate) fn worker(name: &str) -> WorkerId {
    WorkerId::from_content(name.as_bytes())
}

fn is_leaf(stages: &[Stage], stage: &Stage) -> bool {
    stages.iter().all(|other| other.parent != Some(stage.key))
}

fn trial(stages: &[Stage], leaf: &Stage) -> Trial {
    let mut path = vec![leaf.key];
    let mut parent: Option<StageKey> = leaf.parent;
    while let Some(key) = parent {
        path.push(key);
        parent = stages.iter().find(|stage| stage.key == key).and_then(|stage| stage.parent);
    }
    path.reverse();
    let d = Tokens(leaf.spec.steps.end * leaf.spec.batch.tokens());
    let id = TrialId::from_content(leaf.key.as_bytes());
    Trial {
        id,
        size: leaf.size.clone(),
        seed: 0,
        arm: None,
        n: leaf.spec.model.shape.non_embedding_params(),
        d,
        nominal: d,
        path,
        settings: Settings::new(),
    }
}

fn spec(label: &str, steps: Range<u64>) -> StageSpec {
    let order_seed = label.bytes().fold(0, |seed, byte| seed * 256 + u64::from(byte));
    StageSpec {
        data: DataSpec { order_seed, ..sample::stage().data },
        steps,
        schedule: LrSchedule::Constant { warmup_steps: 0 },
        ..sample::stage()
    }
}
