//! Campaigns that grow, and branches of them: over the wire, while they are watched, and across a restart.

use proto::v1::{self, CampaignPhase};
use recipes::{Additions, Recipe};
use tonic::Code;
use vocabulary::sample::smoke_dataset;
use vocabulary::{Dataset, DatasetId};

use crate::bench::{Bench, PATIENCE, RECIPE, last, phase, plan_of};
use crate::worker::Worker;

/// The recipe of these tests with a third more points.
fn larger() -> Recipe {
    let recipe = Recipe::parse("smoke.toml", RECIPE).expect("it is sound");
    recipe.with(&Additions { tokens: vec![15_360, 40_960], ..Additions::default() }).expect("it is sound")
}

fn extension(campaign: &str, recipe: &Recipe) -> v1::ExtendCampaignRequest {
    v1::ExtendCampaignRequest {
        campaign: campaign.to_owned(),
        recipe_file: recipe.file().to_owned(),
        recipe_text: recipe.text().to_owned(),
    }
}

async fn extend(bench: &mut Bench, campaign: &str) -> v1::ExtendCampaignResponse {
    bench.client.extend_campaign(extension(campaign, &larger())).await.expect("it grows").into_inner()
}

/// The attempts that each stage of a campaign took.
async fn attempts(bench: &mut Bench, campaign: &str) -> Vec<Option<u32>> {
    bench.detail(campaign).await.stages.iter().map(|stage| stage.attempt).collect()
}

#[tokio::test]
async fn a_campaign_that_has_ended_grows_and_trains_what_is_new_alone() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "first").await;
    worker.work(submitted.stages as usize).await;
    worker.settle().await;

    let extended = extend(&mut bench, "smoke").await;
    assert_eq!(extended.campaign, submitted.campaign);
    assert_eq!((extended.trials_added, extended.stages_done), (4, submitted.stages));
    // Of each size: a stretch of trunk and a decay for either point.
    assert_eq!(extended.stages, submitted.stages + 2 * 4);
    let updates = bench.watch("smoke").await;
    worker.work(8).await;
    worker.settle().await;
    let ended = last(updates).await;
    assert_eq!(phase(&ended), CampaignPhase::Ended);
    assert_eq!(ended.summary.and_then(|summary| summary.stages).map(|it| it.completed), Some(extended.stages));
    assert!(attempts(&mut bench, "smoke").await.iter().all(|attempt| *attempt == Some(1)));
    bench.assert_curves_are_whole("smoke").await;

    let detail = bench.detail("smoke").await;
    assert_eq!(detail.recipe_text, larger().text(), "the larger recipe is the campaign's");
    assert_eq!(bench.results("smoke").await.len(), 10);
    let again = extend(&mut bench, "smoke").await;
    assert_eq!((again.trials_added, again.stages_done), (0, extended.stages));
    let first = bench.submit().await;
    assert_eq!(
        (first.campaign, first.stages),
        (submitted.campaign, extended.stages),
        "its first recipe changes nothing"
    );
    assert_eq!(bench.detail("smoke").await.recipe_text, larger().text());
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_campaign_that_runs_grows_and_whoever_watches_it_sees_the_new_end() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut updates = bench.watch("smoke").await;
    let before = updates.message().await.expect("the stream is whole").expect("there is an update");
    let mut worker = Worker::join(&bench.handle, "first").await;
    let job = worker.next_job().await;
    let extended = extend(&mut bench, &submitted.campaign).await;
    assert_eq!(extended.stages_done, 0);

    worker.finish(&job, 0).await;
    worker.work(extended.stages as usize - 1).await;
    worker.settle().await;
    let ended = last(updates).await.summary.expect("it has a summary");
    assert!(ended.tokens > before.summary.expect("it has a summary").tokens);
    assert_eq!(ended.tokens_done, ended.tokens);
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_campaign_that_has_grown_is_what_it_is_after_a_restart_and_a_cancellation() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let extended = extend(&mut bench, "smoke").await;
    let plan = bench.detail("smoke").await.plan_json;
    let mut bench = bench.restart().await;
    assert_eq!(bench.detail("smoke").await.plan_json, plan);

    let request = v1::CancelCampaignRequest { campaign: submitted.campaign.clone() };
    bench.client.cancel_campaign(request).await.expect("it is known");
    let refused = bench.client.extend_campaign(extension("smoke", &larger())).await.expect_err("nobody wants it");
    assert!(refused.message().contains("was cancelled: submit it again"), "{}", refused.message());
    let first = bench.submit().await;
    assert_eq!(first.stages, extended.stages);
    let mut bench = bench.restart().await;
    let detail = bench.detail("smoke").await;
    assert_eq!((detail.plan_json, detail.recipe_text.as_str()), (plan, larger().text()));
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn what_cannot_grow_is_refused_and_says_why() {
    let mut bench = Bench::new().await;
    bench.submit().await;
    let refuse = async |bench: &mut Bench, request: v1::ExtendCampaignRequest| {
        let answer = tokio::time::timeout(PATIENCE, bench.client.extend_campaign(request)).await;
        answer.expect("it answers").expect_err("it is refused")
    };
    let unknown = refuse(&mut bench, extension("nobody", &larger())).await;
    assert_eq!(unknown.code(), Code::NotFound);
    let renamed = larger().text().replacen("\"smoke\"", "\"other\"", 1);
    let renamed = Recipe::parse("other.toml", &renamed).expect("it is sound");
    let other = refuse(&mut bench, extension("smoke", &renamed)).await;
    assert_eq!(other.code(), Code::InvalidArgument);
    assert!(other.message().contains("`other`"), "{}", other.message());
    let broken = v1::ExtendCampaignRequest { recipe_text: "name =".to_owned(), ..extension("smoke", &larger()) };
    let broken = refuse(&mut bench, broken).await;
    assert_eq!(broken.code(), Code::InvalidArgument);
    assert!(broken.message().contains("smoke.toml:1"), "{}", broken.message());
    bench.handle.shutdown().await;
}

fn branch(stage: &str) -> v1::BranchCampaignRequest {
    v1::BranchCampaignRequest {
        stage: stage.to_owned(),
        name: "branch".to_owned(),
        tokens: 2_048,
        decay: "linear".to_owned(),
        floor: 0.1,
        ..v1::BranchCampaignRequest::default()
    }
}

#[tokio::test]
async fn a_branch_trains_one_stage_from_the_end_of_another_and_survives_a_restart() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "first").await;
    let plan = bench.detail("smoke").await.plan_json;
    let stages = plan_of(&plan).stages;
    let root = stages.iter().find(|stage| stage.parent.is_none()).expect("it has a root").key.to_string();
    let early = bench.client.branch_campaign(branch(&root)).await.expect_err("it is not trained");
    assert_eq!(early.code(), Code::FailedPrecondition, "{}", early.message());
    worker.work(submitted.stages as usize).await;
    worker.settle().await;

    let dry = v1::BranchCampaignRequest { dry_run: true, ..branch(&root) };
    let planned = bench.client.branch_campaign(dry).await.expect("it can be").into_inner();
    assert_eq!((planned.stages_done, bench.detail("smoke").await.plan_json), (1, plan));
    let list = bench.client.list_campaigns(v1::ListCampaignsRequest {}).await.expect("they are listed").into_inner();
    assert_eq!(list.campaigns.len(), 1, "nothing was started");
    let branched = bench.client.branch_campaign(branch(&root)).await.expect("it can be").into_inner();
    assert_eq!(branched, planned);
    worker.work(1).await;
    worker.settle().await;
    assert_eq!(phase(&last(bench.watch("branch").await).await), CampaignPhase::Ended);
    assert_eq!(attempts(&mut bench, "branch").await, [Some(1); 2]);

    let mut bench = bench.restart().await;
    assert_eq!(bench.detail("branch").await.plan_json, planned.plan_json);
    let elsewhere = v1::BranchCampaignRequest {
        dataset: Some((&Dataset { id: DatasetId::from_content(b"not there"), ..smoke_dataset() }).into()),
        ..branch(&root)
    };
    let missing = bench.client.branch_campaign(elsewhere).await.expect_err("its data is not there");
    assert_eq!(missing.code(), Code::FailedPrecondition);
    let unknown = v1::BranchCampaignRequest { decay: "quadratic".to_owned(), ..branch(&root) };
    let unknown = bench.client.branch_campaign(unknown).await.expect_err("there is no such decay");
    assert_eq!(unknown.code(), Code::InvalidArgument);
    for (surgery, said) in [
        (vec!["graft"], "accepted: untie"),
        (vec!["untie", "untie"], "the model's head is already a matrix of its own, so it cannot be untied"),
    ] {
        let surgery = surgery.into_iter().map(str::to_owned).collect();
        let refused = v1::BranchCampaignRequest { surgery, dry_run: true, ..branch(&root) };
        let refused = bench.client.branch_campaign(refused).await.expect_err("it cannot be done");
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(said), "{}", refused.message());
    }
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_campaign_recorded_with_one_order_a_seed_is_resumed_and_extended_with_it() {
    let recipe = Recipe::parse("smoke.toml", RECIPE).expect("it is sound");
    let recorded = recipes::expand_as_before(&recipe, &smoke_dataset()).expect("it can be expanded");
    let mut bench = Bench::that_recorded(recorded.clone()).await;
    let resumed = bench.submit().await;
    assert_eq!(resumed.campaign, recorded.campaign.to_string());
    assert_eq!(resumed.stages as usize, recorded.stages.len());
    let extended = extend(&mut bench, "smoke").await;
    assert_eq!((extended.campaign, extended.trials_added), (resumed.campaign, 4));
    let plan = plan_of(&bench.detail("smoke").await.plan_json);
    assert!(plan.stages.len() > recorded.stages.len());
    assert!(plan.stages.iter().all(|stage| stage.spec.data.order_seed == stage.seed));
    bench.handle.shutdown().await;
}
