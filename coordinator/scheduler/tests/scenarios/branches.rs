//! Which branches are planned, and which are refused.

use recipes::branch::{BranchError, Rate};
use scheduler::{BranchLength, BranchRefusal, BranchTerms, PlannedBranch};
use vocabulary::{CampaignId, DecayShape, StageRole, Surgery, Tokens, sample};

use crate::scenario::Scenario;
use crate::support::{campaign, plan};

/// A trunk that is trained with a checkpoint in its middle, and a branch of it that waits.
fn trained() -> Scenario {
    let mut story = Scenario::with_one_worker(&plan("c", &[("trunk", "", 100), ("short", "trunk", 10)]));
    for step in [40, 100] {
        story.checkpoint("w1", "trunk#1", step);
        story.take();
    }
    story.complete("w1", "trunk#1");
    story.take();
    story
}

fn terms() -> BranchTerms {
    let tokens = Tokens(5 * sample::stage().batch.tokens());
    BranchTerms {
        step: None,
        name: Some("branch".to_owned()),
        length: BranchLength::Tokens(tokens),
        rate: Rate::Decay { shape: DecayShape::Linear, floor: 0.1 },
        peak_lr: None,
        surgery: Vec::new(),
        dataset: None,
    }
}

fn branch(story: &Scenario, label: &str, terms: &BranchTerms) -> Result<PlannedBranch, BranchRefusal> {
    story.scheduler.ledger().branch(story.stage(label), terms, &submitted())
}

fn submitted() -> [CampaignId; 1] {
    [campaign("c")]
}

#[test]
fn a_branch_has_the_path_to_its_start_and_one_stage_of_its_own() {
    let story = trained();
    let PlannedBranch { plan, stages_done } = branch(&story, "trunk", &terms()).expect("it can be");
    assert_eq!((plan.stages.len(), stages_done), (2, 1));
    let own = &plan.stages[1];
    assert_eq!((own.parent, own.role), (Some(story.stage("trunk")), StageRole::Decay));
    assert_eq!((own.spec.steps.start, own.spec.steps.end), (100, 105));
    let at_end = BranchTerms { step: Some(100), length: BranchLength::Fraction(0.05), ..terms() };
    assert_eq!(branch(&story, "trunk", &at_end).expect("it can be").plan, plan);
}

#[test]
fn a_branch_without_a_name_is_named_after_its_campaign_and_its_stage() {
    let story = trained();
    let unnamed = BranchTerms { name: None, ..terms() };
    let plan = branch(&story, "trunk", &unnamed).expect("it can be").plan;
    let digits = plan.stages[1].key.short().replace("stage_", "");
    assert_eq!(plan.name, format!("c-linear-{digits}"));
}

#[test]
fn what_nothing_can_branch_off_is_refused() {
    let mut story = trained();
    let middle = branch(&story, "trunk", &BranchTerms { step: Some(40), ..terms() }).expect_err("it is in the middle");
    let nearest = format!("the nearest are {}@100", story.stage("trunk").short());
    assert!(middle.to_string().ends_with(&nearest), "{middle}");
    let below = branch(&story, "short", &BranchTerms { step: Some(105), ..terms() }).expect_err("likewise");
    let nearest = format!("{}@100 and {}@110", story.stage("trunk").short(), story.stage("short").short());
    assert!(below.to_string().ends_with(&nearest), "{below}");
    let early = branch(&story, "short", &terms());
    assert_eq!(early, Err(BranchRefusal::NotTrained { stage: story.stage("short"), state: "running" }));
    let taken = branch(&story, "trunk", &BranchTerms { name: Some("c".to_owned()), ..terms() });
    assert_eq!(taken, Err(BranchRefusal::NameTaken { name: "c".to_owned(), campaign: campaign("c") }));
    let empty = branch(&story, "trunk", &BranchTerms { length: BranchLength::Fraction(f64::NAN), ..terms() });
    assert!(matches!(empty, Err(BranchRefusal::Terms(BranchError::Steps { steps: 0, .. }))), "{empty:?}");
    let twice = branch(&story, "trunk", &BranchTerms { surgery: vec![Surgery::Untie; 2], ..terms() });
    assert!(matches!(twice, Err(BranchRefusal::Terms(BranchError::Surgery { .. }))), "{twice:?}");
    story.damage("trunk", 100);
    story.take();
    let lost = branch(&story, "trunk", &terms());
    assert_eq!(lost, Err(BranchRefusal::NoCheckpoint { stage: story.stage("trunk"), step: 100 }));
}
