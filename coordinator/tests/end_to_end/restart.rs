//! Coordinators that end, and those that come after them.

use std::time::Duration;

use coordinator::store::StoreError;
use coordinator::{Coordinator, CoordinatorOptions, RunError, Scope, StartError, Tokens, TokensError};
use proto::v1::campaign_service_client::CampaignServiceClient;
use proto::v1::worker_message::Body as Up;
use proto::v1::{self, CampaignDetail, StagePhase};
use sqlx::Connection as _;
use vocabulary::WorkerId;
use vocabulary::metrics::VALIDATION_LOSS;

use crate::bench::{Bench, options};
use crate::worker::{Worker, loss_at, points};

#[tokio::test]
async fn a_worker_goes_on_with_the_next_coordinator_where_it_was() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "first").await;
    worker.work(1).await;
    let job = worker.next_job().await;
    let (first, middle) = (job.first_step(), job.first_step().midpoint(job.end_step()));
    worker.report_points(&job, first..middle).await;
    worker.report_checkpoint(&job, middle).await;
    worker.report_points(&job, middle..middle + 1).await;
    worker.settle().await;

    // What it says next, nobody hears: the coordinator is gone by then.
    let mut bench = bench.restart().await;
    let unheard = points(&job, middle + 1..middle + 2);
    worker.sequence += 1;
    let mut worker = worker.rejoin(&bench.handle, vec![job.attempt.clone()]).await;
    // The first of these was acknowledged before, and is dropped; the second is news.
    worker.say(worker.sequence - 1, points(&job, middle..middle + 1)).await;
    worker.say(worker.sequence, unheard).await;
    worker.settle().await;

    let shown = bench.detail(&submitted.campaign).await;
    let stage = shown.stages.iter().find(|stage| stage.key == job.attempt.stage).expect("it is in the plan");
    assert_eq!((stage.phase(), stage.attempt), (StagePhase::Running, Some(1)));
    assert_eq!(stage.committed_step, Some(middle));

    bench.see_through(&submitted.campaign, &mut worker, (&job, middle + 2), submitted.stages as usize - 2).await;
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn what_is_said_for_a_worker_that_has_ended_counts_and_it_gets_no_work() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "first").await;
    let job = worker.next_job().await;
    worker.report_points(&job, job.first_step()..job.first_step() + 1).await;
    worker.settle().await;

    let mut bench = bench.restart().await;
    let mut ended = worker.spoken_for(&bench.handle, vec![job.attempt.clone()]).await;
    ended.report_points(&job, job.first_step() + 1..job.end_step()).await;
    ended.report_checkpoint(&job, job.end_step()).await;
    ended.report_completed(&job).await;
    // Which means, too, that none of the stages that are ready now is assigned.
    ended.settle().await;
    let shown = bench.detail(&submitted.campaign).await;
    let stage = shown.stages.iter().find(|stage| stage.key == job.attempt.stage).expect("it is in the plan");
    assert_eq!((stage.phase(), stage.attempt), (StagePhase::Completed, Some(1)));
    assert!(shown.stages.iter().all(|stage| stage.phase() != StagePhase::Running));
    ended.say(0, Up::Goodbye(Default::default())).await;
    ended.end().await;

    let mut successor = Worker::join(&bench.handle, "second").await;
    assert_ne!(successor.next_job().await.attempt.stage, job.attempt.stage);
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn an_attempt_that_is_lost_is_repeated_from_its_checkpoint() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut lost = Worker::join(&bench.handle, "first").await;
    let job = lost.next_job().await;
    let middle = job.first_step().midpoint(job.end_step());
    lost.report_points(&job, job.first_step()..middle).await;
    lost.report_checkpoint(&job, middle).await;
    lost.report_points(&job, middle..job.end_step()).await;
    lost.settle().await;
    lost.say(0, Up::Goodbye(Default::default())).await;
    lost.end().await;

    let mut worker = Worker::join(&bench.handle, "second").await;
    let mut repeated = None;
    for _ in 0..submitted.stages {
        let next = worker.next_job().await;
        if next.attempt.stage == job.attempt.stage {
            let start = next.start.clone().expect("it has a checkpoint");
            repeated = Some((next.attempt.attempt, start.stage, start.step));
            assert_eq!(
                bench.curve(&submitted.campaign, &job.attempt.stage).await.len() as u64,
                middle - job.stage.spec.steps.start,
                "what will be trained again is not on the curve"
            );
        }
        worker.finish(&next, next.first_step()).await;
    }
    worker.settle().await;
    assert_eq!(repeated, Some((2, job.attempt.stage.clone(), middle)));
    bench.assert_curves_are_whole(&submitted.campaign).await;
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_finished_campaign_is_finished_after_a_restart() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "first").await;
    worker.work(submitted.stages as usize).await;
    worker.settle().await;
    let before = bench.detail(&submitted.campaign).await;
    let results = bench.results(&submitted.campaign).await;

    let mut bench = bench.restart().await;
    let again = bench.submit().await;
    assert_eq!((again.stages, again.stages_done), (submitted.stages, submitted.stages));
    assert_eq!(bench.detail(&submitted.campaign).await, before);
    assert_eq!(bench.results(&submitted.campaign).await, results);
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_second_coordinator_is_refused_and_told_of_the_first() {
    let bench = Bench::new().await;
    let live = coordinator::locate(bench.dir.path()).expect("it is found");
    assert_eq!((live.url.as_str(), live.process_id), (bench.handle.public_url(), std::process::id()));

    let refused = Coordinator::start(options(bench.dir.path())).await.expect_err("there is one");
    assert!(matches!(refused, StartError::Lock(_)));
    assert!(refused.to_string().contains(bench.handle.public_url()), "{refused}");

    bench.handle.shutdown().await;
    assert_eq!(coordinator::locate(bench.dir.path()), None);
    let next = Coordinator::start(options(bench.dir.path())).await.expect("the directory is free again");
    next.shutdown().await;
}

#[tokio::test]
async fn who_only_reads_leaves_the_directory_and_its_leases_to_others() {
    let mut first = Bench::on_disk().await;
    let campaign = first.submit().await.campaign;
    let mut worker = Worker::join(&first.handle, "a worker").await;
    let job = worker.next_job().await;
    let Bench { dir, handle, client, .. } = first;
    drop(client);
    handle.shutdown().await;

    let mut options = CoordinatorOptions { reads_only: true, ..options(dir.path()) };
    // All leases are over at once.
    options.settings.restart_grace = Duration::ZERO;
    let reader = Coordinator::start(options).await.expect("nobody is there");
    assert_eq!(coordinator::locate(dir.path()), None, "it announces nothing");
    let mut client = CampaignServiceClient::connect(reader.url().to_owned()).await.expect("it listens");
    let mut next = Bench::over(dir).await;
    let request = v1::GetCampaignRequest { campaign: campaign.clone() };
    let shown = client.get_campaign(request).await.expect("it is known").into_inner();
    assert_eq!(shown.stages, next.detail(&campaign).await.stages);
    let stage = shown.stages.iter().find(|stage| stage.key == job.attempt.stage).expect("it is in the plan");
    assert_eq!(stage.phase(), StagePhase::Running, "its lease is the affair of who writes");

    client.cancel_campaign(v1::CancelCampaignRequest { campaign: campaign.clone() }).await.expect_err("it only reads");
    let error = reader.wait().await.expect_err("it cannot do that");
    assert!(matches!(*error, RunError::ReadsOnly), "{error:?}");
    let summary = next.detail(&campaign).await.summary.expect("it has one");
    assert_eq!(summary.phase(), v1::CampaignPhase::Open);
    reader.shutdown().await;
    next.handle.shutdown().await;
}

#[tokio::test]
async fn a_coordinator_whose_store_was_taken_over_writes_nothing_more_and_stops() {
    let mut first = Bench::new().await;
    let campaign = first.submit().await.campaign;
    let mut second = first.beside().await;

    let request = v1::CancelCampaignRequest { campaign: campaign.clone() };
    first.client.cancel_campaign(request).await.expect_err("it may promise nothing any more");
    let error = first.handle.wait().await.expect_err("it cannot continue");
    assert!(matches!(*error, RunError::Commit(StoreError::Deposed { .. })), "{error:?}");

    let mut worker = Worker::join(&second.handle, "a worker").await;
    worker.work(1).await;
    worker.settle().await;
    let summary = second.detail(&campaign).await.summary.expect("it has one");
    assert_eq!(summary.phase(), v1::CampaignPhase::Open, "it was not cancelled");
    first.handle.shutdown().await;
    second.handle.shutdown().await;
}

/// A directory as a coordinator of commit f53a51d left it when it was killed, but for the files of checkpoints.
async fn earlier() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.path().join("store.sqlite"));
    // Its tables come in no order that their references would allow.
    let options = options.create_if_missing(true).foreign_keys(false);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("it opens");
    sqlx::raw_sql(include_str!("../fixtures/f53a51d.sql")).execute(&mut connection).await.expect("it is written");
    connection.close().await.expect("it closes");
    dir
}

#[tokio::test]
async fn a_data_directory_of_an_earlier_version_is_continued() {
    let mut bench = Bench::over(earlier().await).await;
    let listed = bench.client.list_campaigns(v1::ListCampaignsRequest {}).await.expect("they are listed").into_inner();
    let named = |name: &str| listed.campaigns.iter().find(|summary| summary.name == name).expect("it is there").clone();
    let (ended, open) = (named("domains"), named("smoke"));
    assert_eq!((ended.phase(), open.phase()), (v1::CampaignPhase::Ended, v1::CampaignPhase::Open));
    let results = bench.results(&ended.campaign).await;
    let losses: Vec<_> = results.iter().filter_map(|trial| trial.result.as_ref()?.get(VALIDATION_LOSS)).collect();
    assert_eq!((results.len(), losses), (2, vec![loss_at(40)]), "the other one diverged");

    // The worker of the coordinator that was killed is gone; the next one starts from its checkpoint.
    let killed = WorkerId::from_content(b"second");
    let mut worker = Worker::join_in_place_of(&bench.handle, "third", killed).await;
    let job = worker.next_job().await;
    assert_eq!((job.attempt.attempt, job.first_step()), (2, 5));
    let more = bench.detail(&open.campaign).await.stages.len() - 1;
    bench.see_through(&open.campaign, &mut worker, (&job, 5), more).await;
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_token_changes_no_schema_below_a_coordinator_of_an_earlier_version() {
    let dir = earlier().await;
    let lock = std::fs::File::create(dir.path().join("coordinator.lock")).expect("it is made");
    lock.lock().expect("nobody else has it");
    let error = Tokens::open(dir.path()).await.expect_err("it is in use");
    assert!(matches!(error, TokensError::Store(StoreError::Earlier)), "{error:?}");
    let path = dir.path().join("store.sqlite");
    let mut store = sqlx::SqliteConnection::connect(path.to_str().expect("a path in UTF-8")).await.expect("it opens");
    let result = sqlx::query_scalar::<_, f64>("SELECT validation_loss FROM results WHERE validation_loss IS NOT NULL");
    result.fetch_one(&mut store).await.expect("its columns are where they were");
    store.close().await.expect("it closes");

    lock.unlock().expect("it is given back");
    let tokens = Tokens::open(dir.path()).await.expect("it has the directory to itself");
    tokens.create("ada", Scope::Read, None).await.expect("it is written");
    tokens.close().await;

    // Of a newer version it says so, whoever has the directory.
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9000, 'of the future', TRUE, x'00', 0)";
    let mut store = sqlx::SqliteConnection::connect(path.to_str().expect("a path in UTF-8")).await.expect("it opens");
    sqlx::query(newer).execute(&mut store).await.expect("it is written");
    store.close().await.expect("it closes");
    lock.lock().expect("nobody else has it");
    let error = Tokens::open(dir.path()).await.expect_err("it is from the future");
    assert!(matches!(error, TokensError::Store(StoreError::Newer { found: 9000, .. })), "{error:?}");
}

#[tokio::test]
async fn a_worker_in_the_place_of_one_that_was_killed_goes_on_at_once() {
    let mut bench = Bench::new().await;
    bench.submit().await;
    let mut killed = Worker::join(&bench.handle, "first").await;
    let job = killed.next_job().await;
    killed.report_points(&job, job.first_step()..job.first_step() + 1).await;
    killed.settle().await;
    let predecessor = killed.id;
    drop(killed);

    // Nothing is waited for: neither the lease, nor the time that attempts have after a restart.
    let bench = bench.restart().await;
    let mut worker = Worker::join_in_place_of(&bench.handle, "second", predecessor).await;
    let next = worker.next_job().await;
    assert_eq!((next.attempt.stage, next.attempt.attempt), (job.attempt.stage, job.attempt.attempt + 1));
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn that_a_process_is_gone_is_believed_of_those_who_have_its_secret() {
    let mut bench = Bench::on_disk().await;
    bench.submit().await;
    let join = async |bench: &Bench, name: &str, secret: &str, predecessors: Vec<String>| {
        let hello = v1::Hello { secret: secret.to_owned(), predecessors, ..Default::default() };
        Worker::greet(&bench.handle, WorkerId::from_content(name.as_bytes()), 0, hello).await
    };
    let mut killed = join(&bench, "first", "a secret", Vec::new()).await;
    let job = killed.next_job().await;
    killed.settle().await;
    let predecessors = vec![killed.id.to_string()];
    drop(killed);

    let bench = bench.restart().await;
    let mut liar = join(&bench, "liar", "another secret", predecessors.clone()).await;
    assert_ne!(liar.next_job().await.attempt.stage, job.attempt.stage, "its lease still holds");
    let mut next = join(&bench, "next", "a secret", predecessors).await;
    let again = next.next_job().await;
    assert_eq!((again.attempt.stage, again.attempt.attempt), (job.attempt.stage, job.attempt.attempt + 1));
    bench.handle.shutdown().await;
}

/// What a log says of each stage; why one waits depends on who is there.
fn standing(detail: &CampaignDetail) -> Vec<(String, StagePhase, Option<u32>, Option<u64>)> {
    let stages = detail.stages.iter();
    stages.map(|stage| (stage.key.clone(), stage.phase(), stage.attempt, stage.committed_step)).collect()
}

#[tokio::test]
async fn a_coordinator_goes_on_from_its_snapshot_and_without_it_from_the_log() {
    for damage in ["SELECT 1", "UPDATE snapshots SET checksum = x'00'", "DELETE FROM snapshots"] {
        let mut bench = Bench::on_disk().await;
        let submitted = bench.submit().await;
        let mut worker = Worker::join(&bench.handle, "first").await;
        worker.work(1).await;
        let job = worker.next_job().await;
        worker.report_checkpoint(&job, job.first_step() + 1).await;
        worker.settle().await;
        let before = standing(&bench.detail(&submitted.campaign).await);

        bench.handle.shutdown().await;
        let path = bench.dir.path().join("store.sqlite");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("it opens");
        let snapshots = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM snapshots");
        assert_eq!(snapshots.fetch_one(&mut connection).await.expect("they are counted"), 1, "one is taken at the end");
        sqlx::raw_sql(damage).execute(&mut connection).await.expect("it is done");
        connection.close().await.expect("it closes");

        let mut bench = Bench::over(bench.dir).await;
        assert_eq!(standing(&bench.detail(&submitted.campaign).await), before, "{damage}");
        bench.handle.shutdown().await;
    }
}
