//! A campaign about as large as a recipe may ask for.

use client::{Campaigns, Measured};
use prost::Message as _;
use proto::v1;
use tonic::Code;

use crate::bench::{Bench, RECIPE, submission};
use crate::worker::Worker;

/// 38 points on each of 256 ladders: 64 seeds of two sizes at two learning rates.
fn recipe() -> String {
    let list = |numbers: Vec<usize>| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let seeds = list((0..64).collect());
    let tokens = list((1..=38).map(|point| point * 2560).collect());
    RECIPE
        .replace("seeds = [0]", &format!("seeds = [{seeds}]"))
        .replace("tokens = [5_120, 10_240, 20_480]", &format!("tokens = [{tokens}]"))
        .replace("peak_lr = [0.01]", "peak_lr = [0.01, 0.02]")
}

#[tokio::test]
async fn a_campaign_too_large_for_a_message_is_read_in_parts() {
    let mut bench = Bench::new().await;
    let request = v1::SubmitRequest { recipe_text: recipe(), ..submission() };
    let submitted = bench.client.submit(request).await.expect("it is within the limits").into_inner();
    assert_eq!(submitted.stages, 2 * 38 * 256);
    let mut worker = Worker::join(&bench.handle, "a worker").await;
    worker.work(1).await;
    worker.settle().await;

    let mut campaigns =
        Campaigns::connect(bench.handle.url(), &dial::Credentials::default()).await.expect("it listens");
    let detail = campaigns.detail(&submitted.campaign).await.expect("it can be read");
    assert_eq!(detail.plan.trials.len(), 38 * 256);
    assert_eq!(detail.stages.len(), detail.plan.stages.len());
    let is_large = proto::convert::sent_plan(&detail.plan).len() > proto::MAX_MESSAGE_BYTES;
    assert!(is_large, "a smaller one would show nothing");
    for (stage, status) in detail.plan.stages.iter().zip(&detail.stages) {
        assert_eq!(stage.key.to_string(), status.key);
    }
    assert_eq!(campaigns.checkpoints("").await.expect("they can be read").len(), 1);
    let measured = Measured::fetch(&mut campaigns, &submitted.campaign, "a test").await.expect("it can be reported");
    assert_eq!(measured.held_out.len(), 1);

    // A program that asks for one message gets a sentence.
    let request = v1::GetCampaignRequest { campaign: submitted.campaign.clone() };
    let refused = bench.client.get_campaign(request).await.expect_err("it is too large");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("which reads it in parts"), "{refused}");
    let updates = bench.watch(&submitted.campaign).await.message().await.expect("the stream is whole");
    assert!(updates.expect("there is one").encoded_len() < 10_000);
    bench.handle.shutdown().await;
}
