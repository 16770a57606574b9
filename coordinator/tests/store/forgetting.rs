//! Campaigns that are forgotten.

use coordinator::store::{Commit, Differences};
use scheduler::Fact;
use vocabulary::metrics::{LARGEST_GRADIENT, VALIDATION_LOSS};
use vocabulary::{AttemptKey, CampaignId, DocumentLoss, Measurements, Plan, Rows, Stage, StageKey};

use crate::scratch::{AT_MS, Scratch, checkpoint, completed, conforming, plan, point, points, reached, started};

conforming! {
    what_only_a_forgotten_campaign_has_goes_and_may_come_back,
    what_is_to_be_deleted_is_known_until_it_is,
}

/// A stage that is trained, with a curve that was recorded.
fn trained(stage: StageKey) -> Commit {
    let facts = vec![started(stage, 1), reached(stage, 1, 4), completed(stage, 1)];
    let measurements = Measurements::new().with(LARGEST_GRADIENT, 0.5);
    let recorded = coordinator::store::CurvePoint { measurements, ..point(3, 2.0) };
    let mut commit = points(stage, 1, 0..3, 2.0);
    let key: AttemptKey = commit.curve[0].0;
    commit.curve.push((key, vec![recorded]));
    let mut rows = Rows::new();
    rows.set(VALIDATION_LOSS, vec![DocumentLoss { nats: 6.5, tokens: 2, bytes: 7 }]);
    Commit { facts, rows: vec![(key, rows)], checkpoints: vec![checkpoint(stage, 1, 4)], ..commit }
}

async fn what_is_to_be_deleted_is_known_until_it_is(scratch: Scratch) {
    let folders = |folders: &[&str]| folders.iter().map(ToString::to_string).collect::<Vec<_>>();
    scratch.commit(Commit { to_delete: folders(&["b", "a"]), ..Commit::default() }).await;
    scratch.commit(Commit { to_delete: folders(&["b", "c"]), deleted: folders(&["c"]), ..Commit::default() }).await;
    let scratch = scratch.reopen().await;
    assert_eq!(scratch.store.deletions().await.expect("they can be read"), ["a", "b"]);
    scratch.commit(Commit { deleted: folders(&["a", "a stranger"]), ..Commit::default() }).await;
    assert_eq!(scratch.store.deletions().await.expect("they can be read"), ["b"]);
}

async fn what_only_a_forgotten_campaign_has_goes_and_may_come_back(scratch: Scratch) {
    let plan = plan();
    let roots: Vec<Stage> = plan.stages.iter().filter(|stage| stage.parent.is_none()).cloned().collect();
    let [shared, own] = [roots[0].key, roots[1].key];
    let other = CampaignId::from_content(b"another");
    let also = Plan { campaign: other, stages: vec![roots[0].clone()], trials: Vec::new(), ..plan.clone() };
    let accepted = Fact::CampaignAccepted { plan: plan.clone() };
    let recipe = (plan.campaign, "smoke.toml".to_owned(), "text".to_owned());
    let facts = vec![accepted.clone(), Fact::CampaignAccepted { plan: also }];
    scratch.commit(Commit { at_ms: AT_MS, facts, recipes: vec![recipe], ..Commit::default() }).await;
    scratch.commit(trained(shared)).await;
    scratch.commit(trained(own)).await;
    assert_eq!((scratch.steps(shared).await.len(), scratch.steps(own).await.len()), (4, 4));

    scratch.record([Fact::CampaignForgotten { campaign: plan.campaign }]).await;
    let scratch = scratch.reopen().await;
    let campaigns = scratch.store.campaign_rows().await.expect("they can be read");
    assert_eq!(campaigns.iter().map(|row| row.campaign).collect::<Vec<_>>(), [other]);
    assert_eq!(scratch.store.recipe(plan.campaign).await.expect("it can be read"), None);
    assert_eq!((scratch.steps(shared).await.len(), scratch.steps(own).await.len()), (4, 0));
    let has_rows = async |stage| !scratch.store.rows(stage).await.expect("they can be read").is_empty();
    assert_eq!((has_rows(shared).await, has_rows(own).await), (true, false));
    let checkpoints = scratch.store.checkpoints().await.expect("they can be read");
    assert_eq!(checkpoints.iter().map(|(row, _)| row.stage).collect::<Vec<_>>(), [shared]);
    if let Some(file) = scratch.file() {
        assert_eq!((file.count("stages").await, file.count("attempts").await), (1, 1));
        assert_eq!((file.count("results").await, file.count("result_measurements").await), (1, 1));
        assert_eq!((file.count("curve_series").await, file.count("curve_measurements").await), (1, 1));
        file.execute("DELETE FROM facts").await.expect_err("the log keeps what happened");
    }

    scratch.record([accepted]).await;
    scratch.commit(trained(own)).await;
    let check = scratch.store.check_derived(Differences::Rewrite(scratch.term)).await.expect("they can be read");
    assert_eq!(check.wrong, Vec::<&str>::new(), "the log says the same");
    assert_eq!(scratch.steps(own).await.len(), 4, "what came back is not forgotten again");
    assert!(scratch.store.check_log().await.is_ok(), "the chain holds");
}
