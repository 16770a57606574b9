//! Campaigns: trees of three trunks, each with a decay at its end.

use std::ops::Range;

use vocabulary::{
    CampaignId, CheckpointPolicy, DataSpec, LrSchedule, Plan, Retries, Stage, StageKey, StageRole, StageSpec, Tokens,
    Trial, TrialId, sample,
};

/// Stages of a tree.
const TREE: usize = 6;

/// Stages of a campaign: as many as a recipe with some thousands of points has.
const CAMPAIGN: usize = 10_000;

/// Widths of the models: a size is a fifth of the trees.
const WIDTHS: [u32; 5] = [64, 128, 192, 256, 320];

/// Steps of a trunk; a decay has a third of them.
const TRUNK_STEPS: u64 = 300;

/// The plans of all stages.
pub(crate) fn plans(stages: usize) -> Vec<Plan> {
    let trees = stages.div_ceil(TREE);
    let trees_a_campaign = CAMPAIGN / TREE;
    let first_trees = (0..trees).step_by(trees_a_campaign);
    first_trees.map(|first| campaign(first..(first + trees_a_campaign).min(trees))).collect()
}

fn campaign(trees: std::ops::Range<usize>) -> Plan {
    let name = format!("from {}", trees.start);
    let (mut stages, mut trials) = (Vec::new(), Vec::new());
    for tree in trees {
        let mut path: Vec<StageKey> = Vec::new();
        for segment in 0..TREE as u64 / 2 {
            let start = segment * TRUNK_STEPS;
            let trunk = stage(tree, start..start + TRUNK_STEPS, path.last().copied(), StageRole::Trunk);
            path.push(trunk.key);
            let (start, end) = (start + TRUNK_STEPS, start + TRUNK_STEPS + TRUNK_STEPS / 3);
            let decay = stage(tree, start..end, Some(trunk.key), StageRole::Decay);
            trials.push(trial(&decay, [path.as_slice(), &[decay.key]].concat()));
            stages.extend([trunk, decay]);
        }
    }
    let campaign = CampaignId::from_content(name.as_bytes());
    let (description, dataset, retries) = (String::new(), Some(sample::dataset()), Retries::DEFAULT);
    let checkpoints = CheckpointPolicy::default();
    Plan {
        campaign,
        name,
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

fn stage(tree: usize, steps: Range<u64>, parent: Option<StageKey>, role: StageRole) -> Stage {
    let mut model = sample::model();
    model.shape.d_model = WIDTHS[tree % WIDTHS.len()];
    // A decay has another schedule than the trunk beside it, or it would be the same stage.
    let schedule = LrSchedule::Constant { warmup_steps: if role == StageRole::Decay { 1 } else { 0 } };
    let data = DataSpec { order_seed: tree as u64, ..sample::stage().data };
    let spec = StageSpec { model, data, steps, schedule, ..sample::stage() };
    Stage { key: spec.key(parent.as_ref()), parent, spec, role, size: format!("{}", model.shape.d_model), seed: 0 }
}

fn trial(last: &Stage, path: Vec<StageKey>) -> Trial {
    let d = Tokens(last.spec.steps.end * last.spec.batch.tokens());
    let id = TrialId::from_content(last.key.as_bytes());
    Trial {
        id,
        size: last.size.clone(),
        seed: 0,
        arm: None,
        n: last.spec.model.shape.non_embedding_params(),
        d,
        nominal: d,
        path,
        settings: vocabulary::search::Settings::new(),
    }
}
