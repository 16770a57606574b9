//! Campaigns that are forgotten.

use coordinator::DoctorOptions;
use proto::v1;
use tonic::Code;

use crate::bench::{Bench, PATIENCE, RECIPE, plan_of, submission};
use crate::worker::Worker;

/// The campaign of these tests with its two shorter trials of each size, under another name.
fn part() -> v1::SubmitRequest {
    let recipe = RECIPE
        .replace("name = \"smoke\"", "name = \"part\"")
        .replace("tokens = [5_120, 10_240, 20_480]", "tokens = [5_120, 10_240]");
    v1::SubmitRequest { recipe_text: recipe, ..submission() }
}

#[tokio::test]
async fn what_only_a_forgotten_campaign_had_is_gone_for_good_and_the_log_is_sound() {
    let mut bench = Bench::on_disk().await;
    let whole = bench.submit().await;
    let request = |dry_run| v1::ForgetCampaignRequest { campaign: "smoke".to_owned(), dry_run, ..Default::default() };
    let refused = bench.client.forget_campaign(request(false)).await.expect_err("it is open");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("cancel it first"), "{refused}");

    let mut worker = Worker::join(&bench.handle, "a worker").await;
    worker.work(whole.stages as usize).await;
    worker.settle().await;
    let part = bench.client.submit(part()).await.expect("it is accepted").into_inner();
    assert_eq!(part.stages_done, part.stages, "it shares them");
    let stages = plan_of(&bench.detail(&whole.campaign).await.plan_json).stages;
    let kept = plan_of(&bench.detail(&part.campaign).await.plan_json).stages;
    let gone: Vec<_> = stages.iter().filter(|stage| kept.iter().all(|kept| kept.key != stage.key)).collect();

    let planned = bench.client.forget_campaign(request(true)).await.expect("it is over").into_inner();
    assert_eq!((planned.name.as_str(), planned.campaign.as_str()), ("smoke", whole.campaign.as_str()));
    assert_eq!((planned.stages as usize, planned.shared), (gone.len(), part.stages));
    assert_eq!((planned.checkpoints, planned.datasets.len()), (planned.stages, 0), "the other uses the dataset");
    assert_eq!(bench.detail(&whole.campaign).await.stages.len(), stages.len(), "nothing is gone");
    let forgotten = bench.client.forget_campaign(request(false)).await.expect("it is over").into_inner();
    assert_eq!(forgotten, planned);

    let mut bench = bench.restart().await;
    let unknown = bench.client.get_campaign(v1::GetCampaignRequest { campaign: whole.campaign.clone() }).await;
    assert_eq!(unknown.expect_err("it is forgotten").code(), Code::NotFound);
    bench.assert_curves_are_whole(&part.campaign).await;
    let listed = bench.client.list_checkpoints(v1::ListCheckpointsRequest::default()).await;
    assert_eq!(listed.expect("it is answered").into_inner().checkpoints.len(), kept.len());
    let folder = |stage: &vocabulary::Stage| bench.dir.path().join("checkpoints").join(stage.key.to_string());
    let deleted = async {
        while gone.iter().any(|stage| folder(stage).exists()) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, deleted).await.expect("their files and folders go");
    assert!(kept.iter().all(|stage| folder(stage).is_dir()));

    let again = bench.client.forget_campaign(request(false)).await.expect_err("it is forgotten");
    assert_eq!(again.code(), Code::NotFound);
    // Submitted again, it is trained again as far as it is gone.
    let submitted = bench.submit().await;
    assert_eq!((submitted.stages, submitted.stages_done), (whole.stages, part.stages));
    let mut worker = Worker::join(&bench.handle, "another worker").await;
    worker.work((submitted.stages - submitted.stages_done) as usize).await;
    worker.settle().await;
    bench.assert_curves_are_whole(&whole.campaign).await;
    let Bench { dir, handle, client, .. } = bench;
    drop(client);
    handle.shutdown().await;
    let options = DoctorOptions { data_dir: dir.path().to_owned(), repair: false, min_age: PATIENCE };
    let found = coordinator::examine(&options).await.expect("it can be examined");
    assert!(found.is_sound(), "{found:?}");
}
