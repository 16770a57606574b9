//! Evaluations: over the wire, by workers that can and workers that cannot, and across a restart.

use proto::v1::{self, CampaignPhase, CheckpointHold, StagePhase};
use tonic::Code;
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{Dataset, DatasetId, Measurements};

use crate::bench::{Bench, last, phase};
use crate::worker::Worker;

/// Text that no campaign trains on, at hand in the storage.
fn news(bench: &Bench) -> Dataset {
    let news = Dataset { id: DatasetId::from_content(b"news"), ..vocabulary::sample::smoke_dataset() };
    let folder = bench.dir.path().join(proto::layout::dataset_path(&news.id));
    std::fs::create_dir_all(&folder).expect("it is made");
    std::fs::write(folder.join("manifest.json"), "{}").expect("it is written");
    news
}

fn evaluation(dataset: &Dataset) -> v1::EvaluateCampaignRequest {
    v1::EvaluateCampaignRequest {
        campaign: "smoke".to_owned(),
        name: "news".to_owned(),
        dataset: Some(dataset.into()),
        ..Default::default()
    }
}

async fn evaluate(bench: &mut Bench, request: v1::EvaluateCampaignRequest) -> v1::EvaluateCampaignResponse {
    bench.client.evaluate_campaign(request).await.expect("it can be evaluated").into_inner()
}

/// A campaign that has ended, by a worker that is gone.
async fn ended() -> Bench {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "trainer").await;
    worker.work(submitted.stages as usize).await;
    worker.settle().await;
    worker.say(0, v1::worker_message::Body::Goodbye(v1::Goodbye::default())).await;
    bench
}

#[tokio::test]
async fn a_campaign_that_has_ended_is_evaluated_and_its_stages_stay_as_they_are() {
    let mut bench = ended().await;
    let dataset = news(&bench);
    let before = bench.detail("smoke").await;
    let looked = evaluate(&mut bench, v1::EvaluateCampaignRequest { dry_run: true, ..evaluation(&dataset) }).await;
    assert_eq!((looked.added.len(), looked.known), (6, 0));
    assert_eq!(bench.detail("smoke").await, before, "nothing is added by a look");

    let added = evaluate(&mut bench, evaluation(&dataset)).await;
    assert_eq!(added, looked);
    let updates = bench.watch("smoke").await;
    let mut worker = Worker::join_to_evaluate(&bench.handle, "evaluator").await;
    for number in 0..6 {
        let job = worker.next_evaluation().await;
        assert_eq!(job.start.stage, job.evaluation.parent.to_string());
        worker.report_result(job.attempt, f64::from(number)).await;
    }
    worker.settle().await;
    let ended = last(updates).await;
    assert_eq!(phase(&ended), CampaignPhase::Ended);
    assert_eq!(ended.summary.and_then(|summary| summary.evaluations).map(|counts| counts.completed), Some(6));

    let detail = bench.detail("smoke").await;
    assert_eq!(detail.stages, before.stages);
    let losses: Vec<f64> = detail
        .evaluations
        .iter()
        .map(|status| {
            let result = Measurements::try_from(status.result.clone().expect("it was measured")).expect("it is sound");
            result.get(VALIDATION_LOSS).expect("it is a loss")
        })
        .collect();
    assert_eq!(losses.iter().sum::<f64>(), 15.0);
    assert_eq!(bench.results("smoke").await.len(), 6, "a trial's loss is still that of its last stage");

    let again = evaluate(&mut bench, evaluation(&dataset)).await;
    assert_eq!((again.added.len(), again.known, again.known_done), (0, 6, 6));
    let first = bench.submit().await;
    assert_eq!(first.stages_done, first.stages);
    let mut bench = bench.restart().await;
    assert_eq!(bench.detail("smoke").await.evaluations, detail.evaluations);
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_worker_from_before_there_were_evaluations_is_given_none() {
    let mut bench = ended().await;
    let dataset = news(&bench);
    evaluate(&mut bench, evaluation(&dataset)).await;
    let _old = Worker::join(&bench.handle, "of an earlier version").await;
    let reason = async |bench: &mut Bench| bench.detail("smoke").await.evaluations[0].reason.clone();
    assert_eq!(
        reason(&mut bench).await,
        "needs a worker that can evaluate in fp32 with numerics version 2 and measure `held_out_loss`"
    );
    let mut new = Worker::join_to_evaluate(&bench.handle, "new").await;
    let job = new.next_evaluation().await;
    assert_eq!(job.attempt.attempt, 1);
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn what_is_to_be_evaluated_is_held_and_what_cannot_be_is_named() {
    let mut bench = ended().await;
    let dataset = news(&bench);
    let list = v1::ListCheckpointsRequest::default();
    evaluate(&mut bench, evaluation(&dataset)).await;
    let held = bench.client.list_checkpoints(list).await.expect("it answers").into_inner().checkpoints;
    assert!(held.iter().all(|checkpoint| checkpoint.hold() != CheckpointHold::Unspecified));

    // A stage that is not of the campaign, text in other words, and a text that is not there.
    let refuse = async |bench: &mut Bench, request: v1::EvaluateCampaignRequest| {
        bench.client.evaluate_campaign(request).await.expect_err("it is refused")
    };
    let stages = vec!["stage_zz".to_owned()];
    let refused = refuse(&mut bench, v1::EvaluateCampaignRequest { stages, ..evaluation(&dataset) }).await;
    assert!(refused.message().contains("no stage of the campaign"), "{}", refused.message());
    let other_words = Dataset { vocab: 301, ..dataset.clone() };
    let refused = refuse(&mut bench, evaluation(&other_words)).await;
    assert!(refused.message().contains("prepare it with the campaign's tokenizer"), "{}", refused.message());
    assert_eq!(refused.code(), Code::InvalidArgument);
    let kind_json = "\"horoscope\"".to_owned();
    let refused = refuse(&mut bench, v1::EvaluateCampaignRequest { kind_json, ..evaluation(&dataset) }).await;
    assert!(refused.message().contains("horoscope"), "{}", refused.message());
    assert_eq!(refused.code(), Code::InvalidArgument);
    let nowhere = Dataset { id: DatasetId::from_content(b"nowhere"), ..dataset.clone() };
    let refused = refuse(&mut bench, evaluation(&nowhere)).await;
    assert!(refused.message().contains("is not in"), "{}", refused.message());
    let shorter = v1::EvaluateCampaignRequest { tokens: 100, ..evaluation(&dataset) };
    let refused = refuse(&mut bench, shorter).await;
    assert!(refused.message().contains("under the name `news`"), "{}", refused.message());
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_stage_that_diverged_is_not_evaluated_and_the_answer_says_so() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "trainer").await;
    let job = worker.next_job().await;
    let diverged = v1::StageDiverged { attempt: Some(job.attempt.clone()), step: 1, loss: f64::NAN };
    worker.report(v1::worker_message::Body::StageDiverged(diverged)).await;
    // It is known to be recorded when the next order comes.
    worker.next_job().await;
    let dataset = news(&bench);
    let answer = evaluate(&mut bench, evaluation(&dataset)).await;
    assert_eq!(answer.added.len() + answer.unevaluable.len(), 6);
    assert!(!answer.unevaluable.is_empty() && answer.unevaluable.iter().all(|it| it.reason == "not run"));
    let detail = bench.detail(&submitted.campaign).await;
    assert_eq!(detail.evaluations.len(), answer.added.len());
    assert!(detail.evaluations.iter().all(|status| status.phase() == StagePhase::Waiting));

    // Not even looked at, where nothing can be added.
    let request = v1::CancelCampaignRequest { campaign: submitted.campaign };
    bench.client.cancel_campaign(request).await.expect("it is known");
    let look = v1::EvaluateCampaignRequest { dry_run: true, ..evaluation(&dataset) };
    let refused = bench.client.evaluate_campaign(look).await.expect_err("nobody wants it");
    assert!(refused.message().contains("was cancelled: submit it again"), "{}", refused.message());
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_campaign_that_is_trained_stays_so_when_its_evaluations_are_cancelled() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "trainer").await;
    worker.work(submitted.stages as usize).await;
    worker.settle().await;
    let dataset = news(&bench);
    let asked = evaluate(&mut bench, evaluation(&dataset)).await.added.len();
    let cancel = v1::CancelCampaignRequest { campaign: submitted.campaign.clone() };
    let answer = bench.client.cancel_campaign(cancel.clone()).await.expect("it is known").into_inner();
    assert_eq!((answer.was(), answer.evaluations as usize), (v1::CampaignPhase::Open, asked));
    let detail = bench.detail(&submitted.campaign).await;
    assert_eq!(detail.summary.as_ref().expect("it has a summary").phase(), v1::CampaignPhase::Ended);
    let not_run = |it: &v1::StageStatus| it.phase() == StagePhase::NotRun && it.reason == "it was cancelled";
    assert!(detail.evaluations.iter().all(not_run), "{:?}", detail.evaluations);
    let again = bench.client.cancel_campaign(cancel).await.expect("it is known").into_inner();
    assert_eq!((again.was(), again.evaluations), (v1::CampaignPhase::Ended, 0));
    assert_eq!(evaluate(&mut bench, evaluation(&dataset)).await.added.len(), asked, "they can be asked for again");
    bench.handle.shutdown().await;
}
