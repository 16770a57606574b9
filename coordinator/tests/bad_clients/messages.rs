//! Messages that are too long, or that do not come.

use std::time::Duration;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use proto::limits::MAX_REQUEST_BYTES;
use proto::v1;
use proto::v1::worker_service_client::WorkerServiceClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use crate::bench::PATIENCE;
use crate::honest::Honest;
use crate::worker::Worker;

async fn dial(honest: &Honest) -> Channel {
    let url = honest.bench.handle.public_url().to_owned();
    Endpoint::from_shared(url).expect("a URL").connect().await.expect("it listens")
}

/// The path of every method there is.
fn methods() -> Vec<String> {
    let files = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).expect("it is one").file;
    let services = files.iter().flat_map(|file| file.service.iter().map(|service| (file.package(), service)));
    services
        .flat_map(|(package, service)| {
            let path = move |method: &str| format!("/{package}.{}/{method}", service.name());
            service.method.iter().map(move |method| path(method.name()))
        })
        .collect()
}

#[tokio::test]
async fn a_message_that_is_too_long_is_refused_by_every_method() {
    let mut honest = Honest::at(|_| {}).await;
    let channel = dial(&honest).await;
    let methods = methods();
    assert!(methods.len() >= 12, "{methods:?}");
    for method in methods {
        let mut client = Grpc::new(channel.clone());
        client.ready().await.expect("it is connected");
        let path: PathAndQuery = method.parse().expect("a path");
        let codec = ProstCodec::<v1::CancelCampaignRequest, ()>::default();
        let long = v1::CancelCampaignRequest { campaign: "x".repeat(MAX_REQUEST_BYTES) };
        // To the server, one message is as good as a stream of one.
        let answer = tokio::time::timeout(PATIENCE, client.unary(Request::new(long), path, codec)).await;
        let status = answer.expect("it answers").expect_err("it is refused");
        assert_eq!(status.code(), Code::OutOfRange, "{method}: {}", status.message());
        honest.go_on().await;
    }
    honest.leave().await;
}

#[tokio::test]
async fn a_text_within_a_message_is_bounded_as_well() {
    let mut honest = Honest::at(|_| {}).await;
    let campaign = "x".repeat(MAX_REQUEST_BYTES / 2);
    let status = honest.bench.client.cancel_campaign(v1::CancelCampaignRequest { campaign }).await;
    assert_eq!(status.expect_err("it is refused").code(), Code::InvalidArgument);
    let stages = vec!["stage_".to_owned(); 100_000];
    let status = honest
        .bench
        .client
        .get_curves(v1::GetCurvesRequest { campaign: "smoke".to_owned(), stages, ..Default::default() })
        .await;
    assert_eq!(status.expect_err("it is refused").code(), Code::InvalidArgument);
    honest.go_on().await;
    honest.leave().await;
}

#[tokio::test]
async fn a_session_without_a_hello_is_ended() {
    let mut honest = Honest::at(|options| options.limits.hello = Duration::from_millis(50)).await;
    let mut client = WorkerServiceClient::new(dial(&honest).await);
    let (silent, says) = mpsc::channel(1);
    let answer = tokio::time::timeout(PATIENCE, client.session(ReceiverStream::new(says))).await;
    let status = answer.expect("it is ended").expect_err("nobody said hello");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{}", status.message());
    drop(silent);
    honest.go_on().await;
    honest.leave().await;
}

#[tokio::test]
async fn there_are_so_many_sessions_and_no_more() {
    let mut honest = Honest::at(|options| options.limits.sessions = 2).await;
    let second = Worker::join(&honest.bench.handle, "second").await;
    let mut client = WorkerServiceClient::new(dial(&honest).await);
    let mut third = async || {
        let (_silent, says) = mpsc::channel(1);
        let session = client.session(ReceiverStream::new(says));
        // One that has a place waits for its hello.
        tokio::time::timeout(Duration::from_millis(100), session).await
    };
    let status = third().await.expect("it is refused at once").expect_err("there are two already");
    assert_eq!(status.code(), Code::ResourceExhausted, "{}", status.message());
    honest.go_on().await;
    drop(second);
    let has_a_place = async { while third().await.is_ok() {} };
    tokio::time::timeout(PATIENCE, has_a_place).await.expect("a place becomes free");
    honest.go_on().await;
    honest.leave().await;
}
