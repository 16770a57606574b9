//! The tables beside the log.

use coordinator::store::{CampaignRow, Commit, Differences, RecipeText};
use scheduler::Fact;
use vocabulary::{Attempt, CampaignId, Evaluation, EvaluationSpec, Growth, Plan, StageKey, WorkerId, sample};

use crate::scratch::{AT_MS, Scratch, checkpoint, completed, conforming, ended, plan, reached, root, started, worker};

conforming! {
    the_position_in_a_stream_is_the_last_one,
    checkpoints_are_found_by_step_and_the_last_one_without,
    a_campaign_keeps_its_first_time_and_its_latest_recipe,
    a_campaign_that_grows_has_the_stages_that_are_new_besides_those_it_had,
    an_evaluation_is_a_row_that_begins_and_ends_where_its_stage_does,
}

async fn the_position_in_a_stream_is_the_last_one(scratch: Scratch) {
    let (one, other) = (worker(), WorkerId::from_content(b"another"));
    for (sequence, huge) in [(1, 5), (9, u64::MAX)] {
        scratch.commit(Commit { session: vec![(one, sequence), (other, huge)], ..Commit::default() }).await;
    }
    let scratch = scratch.reopen().await;
    let last = |worker| scratch.store.last_sequence(worker);
    assert_eq!(last(one).await.expect("it can be read"), Some(9));
    assert_eq!(last(other).await.expect("it can be read"), Some(u64::MAX), "whatever a worker says");
    assert_eq!(last(WorkerId::from_content(b"a stranger")).await.expect("it can be read"), None);
}

async fn checkpoints_are_found_by_step_and_the_last_one_without(scratch: Scratch) {
    let stage = scratch.start_a_stage().await;
    assert_eq!(scratch.store.last_checkpoint(stage).await.expect("it can be read"), None);
    let facts = vec![reached(stage, 1, 9), ended(stage, 1), started(stage, 2), reached(stage, 2, 10)];
    let checkpoints = vec![checkpoint(stage, 1, 9), checkpoint(stage, 2, 10)];
    scratch.commit(Commit { facts, checkpoints, ..Commit::default() }).await;

    let store = &scratch.reopen().await.store;
    assert_eq!(store.checkpoint(stage, 9).await.expect("it can be read"), Some(checkpoint(stage, 1, 9)));
    assert_eq!(store.checkpoint(stage, 8).await.expect("it can be read"), None);
    assert_eq!(store.last_checkpoint(stage).await.expect("it can be read"), Some(checkpoint(stage, 2, 10)));
    let other = StageKey::from_content(b"another");
    assert_eq!(store.last_checkpoint(other).await.expect("it can be read"), None);
}

async fn a_campaign_keeps_its_first_time_and_its_latest_recipe(scratch: Scratch) {
    let plan = plan();
    let campaign = plan.campaign;
    assert_eq!(scratch.store.recipe(campaign).await.expect("it can be read"), None);
    let accept = |at_ms, text: &str| Commit {
        at_ms,
        facts: vec![Fact::CampaignAccepted { plan: plan.clone() }],
        recipes: vec![(campaign, "smoke.toml".to_owned(), text.to_owned())],
        ..Commit::default()
    };
    scratch.commit(accept(AT_MS, "once")).await;
    scratch.record([Fact::CampaignCancelled { campaign }]).await;
    scratch.commit(accept(AT_MS + 1, "again")).await;

    let scratch = scratch.reopen().await;
    let rows = scratch.store.campaign_rows().await.expect("they can be read");
    assert_eq!(rows, [CampaignRow { campaign, submitted_at_ms: AT_MS }]);
    let recipe = scratch.store.recipe(campaign).await.expect("it can be read");
    assert_eq!(recipe, Some(RecipeText { file: "smoke.toml".to_owned(), text: "again".to_owned() }));
    let stranger = CampaignId::from_content(b"another");
    assert_eq!(scratch.store.recipe(stranger).await.expect("it can be read"), None);

    let stages = plan.stages.len();
    let check = scratch.store.check_derived(Differences::Leave).await.expect("it can be read");
    assert_eq!(check.rows, 1 + 2 * stages, "a campaign, its stages, and that it wants them");
    if let Some(file) = scratch.file() {
        let stages = stages as i64;
        assert_eq!((file.count("stages").await, file.count("campaign_stages").await), (stages, stages));
    }
}

async fn a_campaign_that_grows_has_the_stages_that_are_new_besides_those_it_had(scratch: Scratch) {
    let plan = plan();
    let campaign = plan.campaign;
    let first = Plan { stages: plan.stages[..1].to_vec(), ..plan.clone() };
    scratch.record([Fact::CampaignAccepted { plan: first }]).await;
    let (trials, stages) = (plan.trials.clone(), plan.stages[1..].to_vec());
    scratch.record([Fact::CampaignGrown { growth: Growth { trials, stages, ..Growth::nothing(campaign) } }]).await;

    if let Some(file) = scratch.file() {
        let all = plan.stages.len() as i64;
        assert_eq!((file.count("stages").await, file.count("campaign_stages").await), (all, all));
    }
    let check = scratch.store.check_derived(Differences::Leave).await.expect("it can be read");
    assert_eq!(check.wrong, Vec::<&str>::new());
    assert_eq!(check.rows, 1 + 2 * plan.stages.len());
}

async fn an_evaluation_is_a_row_that_begins_and_ends_where_its_stage_does(scratch: Scratch) {
    let (plan, stage) = (plan(), root());
    let spec = EvaluationSpec { model: stage.spec.model, ..sample::evaluation() };
    let (key, parent, size) = (spec.key(&stage.key), stage.key, stage.size.clone());
    let evaluation = Evaluation { key, parent, spec, name: "news".to_owned(), size, seed: stage.seed };
    let stages = plan.stages.len();
    let growth = Growth { evaluations: vec![evaluation], ..Growth::nothing(plan.campaign) };
    let grown = Fact::CampaignGrown { growth };
    scratch.record([Fact::CampaignAccepted { plan }, grown, started(key, 1), completed(key, 1)]).await;
    let check = scratch.store.check_derived(Differences::Leave).await.expect("it can be read");
    assert_eq!(check.wrong, Vec::<&str>::new());
    let Some(file) = scratch.file() else { return };
    let rows = stages as i64 + 1;
    assert_eq!((file.count("stages").await, file.count("campaign_stages").await), (rows, rows));
    let row = format!("SELECT parent, size, start_step, end_step FROM stages WHERE stage = '{key}'");
    let (end, parent) = (stage.spec.steps.end as i64, stage.key.to_string());
    assert_eq!(file.select::<(String, String, i64, i64)>(&row).await, [(parent, stage.size, end, end)]);
}

#[tokio::test]
async fn a_database_has_no_place_for_a_nul_and_takes_the_commit_all_the_same() {
    let Some(scratch) = Scratch::postgres().await else { return };
    let plan = plan();
    let recipe = (plan.campaign, "a\0b.toml".to_owned(), "text\0".to_owned());
    let (campaign, facts) = (plan.campaign, vec![Fact::CampaignAccepted { plan }]);
    scratch.commit(Commit { facts: facts.clone(), recipes: vec![recipe], ..Commit::default() }).await;
    let kept = RecipeText { file: "a\u{fffd}b.toml".to_owned(), text: "text\u{fffd}".to_owned() };
    assert_eq!(scratch.store.recipe(campaign).await.expect("it can be read"), Some(kept));
    assert_eq!(scratch.store.facts().await.expect("it is sound"), facts);
}

#[tokio::test]
async fn people_see_who_trained_what_and_what_came_out() {
    let scratch = Scratch::sqlite().await;
    let (stage, file) = (scratch.start_a_stage().await, scratch.file().expect("it is one"));
    scratch.record([ended(stage, 1), started(stage, 2), completed(stage, 2)]).await;
    let other = plan().stages.into_iter().find(|other| other.key != stage).expect("there is another").key;
    let diverged = Fact::StageDiverged { stage: other, attempt: Attempt(1), step: 7, loss: None };
    scratch.record([started(other, 1), diverged]).await;

    let attempts = "SELECT attempt, worker, ended_at_ms, outcome FROM attempts JOIN stages USING (stage) \
                    JOIN campaign_stages USING (stage) JOIN campaigns USING (campaign) \
                    WHERE name = 'smoke' AND stage = ";
    let attempts = file.select::<(u32, String, Option<i64>, Option<String>)>(&format!("{attempts}'{stage}'")).await;
    let at = Some(AT_MS as i64);
    let how = |attempt, outcome: &str| (attempt, worker().to_string(), at, Some(outcome.to_owned()));
    assert_eq!(attempts, [how(1, "worker came back without it"), how(2, "completed")]);

    let results = "SELECT stage, value, diverged_at_step, diverged_loss \
                   FROM results LEFT JOIN result_measurements USING (stage) ORDER BY attempt DESC";
    let results = file.select::<(String, Option<f64>, Option<i64>, Option<f64>)>(results).await;
    assert_eq!(results, [(stage.to_string(), Some(3.25), None, None), (other.to_string(), None, Some(7), None)]);
    let ends = format!("SELECT start_step, end_step FROM stages WHERE stage = '{stage}'");
    let spec = root().spec;
    assert_eq!(file.select::<(i64, i64)>(&ends).await, [(spec.steps.start as i64, spec.steps.end as i64)]);
}
