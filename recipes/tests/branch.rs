//! Branches: what they train, and what they continue from.

use recipes::branch;
use recipes::branch::{Branch, BranchError, Rate};
use vocabulary::{
    CheckpointPolicy, Dataset, DatasetId, DecayShape, LrSchedule, Plan, Retries, StageRole, Surgery, SurgeryError,
    Tokens,
};

/// A plan of two points, and data of another kind in the same vocabulary.
fn plan() -> (Plan, Dataset) {
    let recipe = recipes::Recipe::parse(
        "trunk.toml",
        "name = \"trunk\"\n[data]\nsources = [\"x.txt\"]\nvocab = 300\nvalidation_tokens = 1000\n[model]\n\
         sizes = [\"tiny-32\"]\n[points]\ntokens = [20_000, 40_000]\n[schedule]\nkind = \"wsd\"\nwarmup_steps = 2\n\
         floor = 0.1\n[schedule.decay]\nshape = \"linear\"\nfraction = 0.1\ncounted = \"after\"\n[batch]\n\
         sequences = 10\ncontext = 100\n[optimizer]\npeak_lr = [0.01]\n",
    );
    let dataset = |text: &[u8]| Dataset {
        id: DatasetId::from_content(text),
        vocab: 300,
        train_tokens: 50_000,
        validation_tokens: 2_000,
        train_bytes: 100_000,
        validation_bytes: 2_000,
        sources: vec!["y.txt".to_owned()],
        domains: Vec::new(),
    };
    let plan = recipes::expand(&recipe.expect("it is sound"), &dataset(b"first")).expect("there is enough");
    (plan, Dataset { validation_tokens: 700, ..dataset(b"other") })
}

fn decay(dataset: Dataset) -> Branch {
    Branch {
        name: "adapted".to_owned(),
        tokens: Tokens(4_400),
        rate: Rate::Decay { shape: DecayShape::Linear, floor: 0.1 },
        peak_lr: None,
        surgery: Vec::new(),
        dataset,
        retries: Retries::DEFAULT,
        checkpoints: CheckpointPolicy::default(),
    }
}

#[test]
fn a_branch_has_its_ancestors_and_one_stage_of_its_own() {
    let (plan, other) = plan();
    let ancestors = &plan.stages[..1];
    let branched = branch(ancestors, &decay(other.clone())).expect("it is one");
    assert_eq!(branched.stages[..1], plan.stages[..1]);
    let new = &branched.stages[1];
    assert_eq!((new.spec.steps.start, new.spec.steps.end), (20, 24), "to the nearest step");
    assert_eq!((new.parent, new.role), (Some(plan.stages[0].key), StageRole::Decay));
    assert_eq!((new.spec.data.dataset, new.spec.validation_tokens), (other.id, 700));
    assert_eq!(branched.trials[0].d, Tokens(24_000));
    assert!((new.spec.schedule.factor(23) - 0.1).abs() < 1e-12, "it ends at its floor");
    assert_eq!(new.spec.key(new.parent.as_ref()), new.key);
}

#[test]
fn a_decay_on_the_same_text_is_the_stage_of_a_recipe_that_asks_for_it() {
    let (plan, _) = plan();
    let same = plan.dataset.clone().expect("it is prepared");
    let branched = branch(&plan.stages[..1], &Branch { tokens: Tokens(2_000), ..decay(same) }).expect("it is one");
    assert_eq!(branched.trials[0].path, plan.trials[0].path, "nothing is trained for it");
    assert_ne!(branched.campaign, plan.campaign);
}

#[test]
fn passes_are_counted_over_the_text_that_a_branch_is_on() {
    let (plan, other) = plan();
    let passes = |dataset: Dataset| {
        let branched = branch(&plan.stages[..1], &decay(dataset)).expect("it is one");
        let trial = &branched.trials[0];
        (branched.passes(trial), branched.passes_at(trial, 22), branched.passes_at(trial, 20))
    };
    // 10 sequences a step; 500 windows are a pass.
    assert_eq!(passes(other), (vec![0.08], vec![0.04], vec![]), "the trunk has not seen it");
    let same = plan.dataset.clone().expect("it is prepared");
    assert_eq!(passes(same), (vec![0.48], vec![0.44], vec![0.4]));
}

#[test]
fn a_stable_branch_stays_at_its_peak() {
    let (plan, other) = plan();
    let stable = Branch { rate: Rate::Stable, peak_lr: Some(0.002), ..decay(other) };
    let branched = branch(&plan.stages[..1], &stable).expect("it is one");
    let new = &branched.stages[1];
    assert_eq!((new.spec.schedule, new.spec.peak_lr), (LrSchedule::Constant { warmup_steps: 0 }, 0.002));
    assert_eq!(new.role, StageRole::Trunk);
}

#[test]
fn a_branch_after_surgery_trains_the_model_it_leads_to_and_one_below_goes_on_with_that() {
    let (plan, other) = plan();
    let untie = Branch { surgery: vec![Surgery::Untie], ..decay(other.clone()) };
    let untied = branch(&plan.stages[..1], &untie).expect("the head is tied");
    let new = &untied.stages[1];
    assert!(!new.spec.model.tied && plan.stages[0].spec.model.tied);
    assert_eq!(new.spec.start.surgery, [Surgery::Untie]);
    assert!(untied.description.contains("@20 after untie: "), "{}", untied.description);
    let tree = recipes::show::tree(&untied);
    assert!(tree.lines().any(|line| line.contains(&new.key.short()) && line.ends_with("  after untie")), "{tree}");
    let plain = branch(&plan.stages[..1], &decay(other.clone())).expect("it is one");
    assert_ne!(plain.stages[1].key, new.key);

    let below = branch(&untied.stages, &decay(other.clone())).expect("it is one");
    let last = below.stages.last().expect("it has stages");
    assert!(!last.spec.model.tied && last.spec.start.surgery.is_empty());
    let twice = Branch { surgery: vec![Surgery::Untie; 2], ..decay(other) };
    for (ancestors, wrong) in [(&untied.stages[..], &untie), (&plan.stages[..1], &twice)] {
        let refused = branch(ancestors, wrong).expect_err("it is untied already");
        assert!(matches!(refused, BranchError::Surgery { why: SurgeryError::AlreadyUntied, .. }), "{refused}");
    }
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let (plan, other) = plan();
    let refuse = |wrong: Branch| branch(&plan.stages[..1], &wrong).expect_err("it is refused");
    let right = || decay(other.clone());
    let rate = |shape, floor| Rate::Decay { shape, floor };
    assert!(matches!(refuse(Branch { name: "../x".to_owned(), ..right() }), BranchError::Name { .. }));
    for tokens in [0, 499, u64::MAX] {
        assert!(matches!(refuse(Branch { tokens: Tokens(tokens), ..right() }), BranchError::Steps { .. }), "{tokens}");
    }
    for peak_lr in [0.0, -1.0, f64::NAN, f64::INFINITY, 11.0] {
        assert!(matches!(refuse(Branch { peak_lr: Some(peak_lr), ..right() }), BranchError::PeakLr(_)), "{peak_lr}");
    }
    for floor in [-0.1, 1.1, f64::NAN] {
        let wrong = Branch { rate: rate(DecayShape::Cosine, floor), ..right() };
        assert!(matches!(refuse(wrong), BranchError::Floor(_)), "{floor}");
    }
    let exponential = Branch { rate: rate(DecayShape::Exponential, 0.0), ..right() };
    assert_eq!(refuse(exponential), BranchError::Floor(0.0));
    let longer = Dataset { vocab: 301, ..other.clone() };
    assert_eq!(refuse(decay(longer)), BranchError::Vocabulary { text: 301, model: 300 });
    let short = Dataset { train_tokens: 100, ..other.clone() };
    assert!(matches!(refuse(decay(short)), BranchError::Text { .. }));
    let nothing_held_out = Dataset { validation_tokens: 0, ..other.clone() };
    assert!(matches!(refuse(decay(nothing_held_out)), BranchError::Text { .. }));
    assert_eq!(branch(&[], &right()), Err(BranchError::NoAncestors));
}
