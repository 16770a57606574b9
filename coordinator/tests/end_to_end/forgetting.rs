//! Campaigns that are forgotten.

use std::path::Path;

use coordinator::DoctorOptions;
use coordinator::store::open_in;
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
    let options = DoctorOptions { data_dir: dir.path().to_owned(), place: None, repair: false, min_age: PATIENCE };
    let found = coordinator::examine(&options).await.expect("it can be examined");
    assert!(found.is_sound(), "{found:?}");
}

/// What is still to be deleted, as the store has it.
async fn left(data_dir: &Path) -> usize {
    let store = open_in(data_dir).await.expect("it opens");
    let left = store.deletions().await.expect("they can be read").len();
    store.close().await;
    left
}

/// The storage is away from when the campaign is forgotten until the coordinator has ended: for the next one, that is the same
/// as a coordinator that was killed before it deleted anything.
#[tokio::test]
async fn what_a_coordinator_did_not_delete_the_next_one_does() {
    let mut bench = Bench::on_disk().await;
    let whole = bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "a worker").await;
    worker.work(whole.stages as usize).await;
    worker.settle().await;
    let data_dir = bench.dir.path().to_owned();
    let [checkpoints, datasets] = ["checkpoints", "datasets"].map(|folder| data_dir.join(folder));
    let dataset = datasets.join(vocabulary::sample::smoke_dataset().id.to_string());
    let trained_alone = checkpoints.join(job_folder(&mut bench, &whole.campaign).await).join("0-7");
    std::fs::create_dir_all(&dataset).expect("it is made");
    std::fs::create_dir_all(&trained_alone).expect("it is made");
    for file in [dataset.join("manifest.json"), trained_alone.join("manifest.json")] {
        std::fs::write(file, "{}").expect("it is written");
    }
    let away = [&checkpoints, &datasets].map(|folder| {
        let away = folder.with_extension("away");
        std::fs::rename(folder, &away).expect("it is moved");
        // A circle of links stands for a file system that answers with an error.
        std::os::unix::fs::symlink(folder, folder).expect("it is linked");
        (folder, away)
    });
    let request = v1::ForgetCampaignRequest { campaign: "smoke".to_owned(), datasets: true, ..Default::default() };
    let forgotten = bench.client.forget_campaign(request).await.expect("it is over").into_inner();
    assert_eq!((forgotten.stages, forgotten.datasets.len()), (whole.stages, 1));
    let Bench { dir, handle, client, .. } = bench;
    drop(client);
    handle.shutdown().await;
    for (folder, away) in away {
        std::fs::remove_file(folder).expect("it is a link");
        std::fs::rename(away, folder).expect("it is moved back");
    }
    assert_eq!(left(&data_dir).await, whole.stages as usize + 1, "it is known what is left");

    let options = coordinator::CoordinatorOptions::new(dir.path());
    let handle = coordinator::Coordinator::start(options).await.expect("it starts");
    let entries = |folder: &Path| std::fs::read_dir(folder).map_or(0, Iterator::count);
    let deleted = async {
        while dataset.exists() || entries(&checkpoints) > 1 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, deleted).await.expect("all of it goes");
    assert!(trained_alone.is_dir(), "what was trained without a coordinator is not its to delete");
    handle.shutdown().await;
    let handle = coordinator::Coordinator::start(coordinator::CoordinatorOptions::new(dir.path())).await;
    handle.expect("it starts").shutdown().await;
    assert_eq!(left(&data_dir).await, 0);
}

/// The folder of a stage of a campaign.
async fn job_folder(bench: &mut Bench, campaign: &str) -> String {
    plan_of(&bench.detail(campaign).await.plan_json).stages[0].key.to_string()
}
