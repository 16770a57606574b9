//! What is not accepted, and how that is said.

use std::net::SocketAddr;

use coordinator::{Coordinator, CoordinatorOptions, StartError};
use proto::MAX_MESSAGE_BYTES;
use proto::limits::MAX_RECIPE_BYTES;
use proto::v1::worker_message::Body as Up;
use proto::v1::worker_service_client::WorkerServiceClient;
use proto::v1::{self, SubmitRequest};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use vocabulary::DatasetId;

use crate::bench::{Bench, RECIPE, submission};
use crate::worker::{Worker, points};

async fn refused(bench: &mut Bench, request: SubmitRequest) -> Status {
    bench.client.submit(request).await.expect_err("it is refused")
}

#[tokio::test]
async fn a_submission_that_is_not_sound_is_refused_in_one_line() {
    let mut bench = Bench::new().await;
    let misspelt = SubmitRequest { recipe_text: RECIPE.replace("peak_lr", "peek_lr"), ..submission() };
    let status = refused(&mut bench, misspelt).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(
        status.message().starts_with("smoke.toml:") && status.message().contains("peek_lr"),
        "{}",
        status.message()
    );
    assert_eq!(status.message().lines().count(), 1, "{}", status.message());

    let long = SubmitRequest { recipe_text: "#".repeat(MAX_RECIPE_BYTES + 1), ..submission() };
    assert_eq!(refused(&mut bench, long).await.code(), Code::InvalidArgument);

    let huge = SubmitRequest { recipe_text: "#".repeat(MAX_MESSAGE_BYTES), ..submission() };
    assert_eq!(refused(&mut bench, huge).await.code(), Code::OutOfRange, "no message is larger than that");

    let no_data = SubmitRequest { dataset: None, ..submission() };
    let status = refused(&mut bench, no_data).await;
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "dataset: is missing"));

    let mut elsewhere = submission();
    let data = elsewhere.dataset.as_mut().expect("it has data");
    data.id = DatasetId::from_content(b"text that nobody prepared").to_string();
    let status = refused(&mut bench, elsewhere).await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains(bench.handle.storage()), "{}", status.message());

    let campaigns = bench.client.list_campaigns(v1::ListCampaignsRequest {}).await.expect("it answers");
    assert_eq!(campaigns.into_inner().campaigns, [], "nothing of it was accepted");
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn campaigns_and_stages_are_found_by_what_is_unambiguous() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let other = SubmitRequest { recipe_text: RECIPE.replace("\"smoke\"", "\"other\""), ..submission() };
    bench.client.submit(other).await.expect("it is accepted");

    let beginning = &submitted.campaign["campaign_".len()..];
    assert!(submitted.campaign.ends_with(beginning));
    for selector in [submitted.campaign.as_str(), "smoke", &submitted.campaign[..submitted.campaign.len() - 1]] {
        let found = bench.detail(selector).await.summary.expect("it has a summary").campaign;
        assert_eq!(found, submitted.campaign, "by {selector}");
    }
    for (selector, code) in [("campaign_", Code::InvalidArgument), ("", Code::NotFound), ("nothing", Code::NotFound)] {
        let request = v1::CancelCampaignRequest { campaign: selector.to_owned() };
        let status = bench.client.cancel_campaign(request).await.expect_err("it is refused");
        assert_eq!(status.code(), code, "{selector:?}: {}", status.message());
    }
    for (stage, code) in [("stage_", Code::InvalidArgument), ("", Code::NotFound), ("stage_x", Code::NotFound)] {
        let request =
            v1::GetCurvesRequest { campaign: "smoke".to_owned(), stages: vec![stage.to_owned()], after_step: None };
        let status = bench.client.get_curves(request).await.expect_err("it is refused");
        assert_eq!(status.code(), code, "{stage:?}: {}", status.message());
    }
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_makes_no_sense_is_sent_away_and_nothing_of_it_is_kept() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "first").await;
    let job = worker.next_job().await;
    let Up::CurvePoints(mut gap) = points(&job, 0..3) else { unreachable!("points are points") };
    gap.points.remove(1);
    worker.report(Up::CurvePoints(gap)).await;
    let status = worker.end().await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("without gaps"), "{}", status.message());
    assert_eq!(bench.curve(&submitted.campaign, &job.attempt.stage).await, []);
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_worker_from_before_there_were_protocols_is_told_what_to_do() {
    let bench = Bench::new().await;
    let hello =
        v1::Hello { worker: "worker_0000000000000000".to_owned(), version: "0.1.0".to_owned(), ..Default::default() };
    let (up, outgoing) = mpsc::channel(1);
    up.send(v1::WorkerMessage { sequence: 0, body: Some(Up::Hello(hello)) }).await.expect("there is room");
    let mut client = WorkerServiceClient::connect(bench.handle.public_url().to_owned()).await.expect("it listens");
    let refused = client.session(ReceiverStream::new(outgoing)).await.expect_err("it is refused");
    // The code with which such a worker ends rather than dial again.
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(
        refused.message(),
        format!(
            "the worker is windtunnel 0.1.0 with protocol 0, and this coordinator is windtunnel {} with protocol {}: run the \
             same version of windtunnel on both",
            env!("CARGO_PKG_VERSION"),
            proto::PROTOCOL
        )
    );
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn an_address_that_others_can_reach_has_to_be_asked_for() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let open = CoordinatorOptions {
        listen: SocketAddr::from(([0, 0, 0, 0], 0)),
        ..CoordinatorOptions::new(dir.path().join("data"))
    };
    let refused = Coordinator::start(open.clone()).await.expect_err("it is refused");
    assert!(matches!(refused, StartError::NotLoopback { .. }));
    assert!(!dir.path().join("data").exists(), "nothing was made");
    let asked_for = Coordinator::start(CoordinatorOptions { insecure: true, ..open }).await.expect("it starts");
    assert!(asked_for.public_url().starts_with("http://127.0.0.1:"), "{}", asked_for.public_url());
    asked_for.shutdown().await;
}

#[tokio::test]
async fn health_and_reflection_answer() {
    let bench = Bench::new().await;
    let url = bench.handle.public_url().to_owned();
    let channel = Endpoint::from_shared(url).expect("a URL").connect().await.expect("it listens");
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "windtunnel.v1.WorkerService", "windtunnel.v1.CampaignService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.expect("it answers").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "of {service:?}");
    }
    let mut reflection = ServerReflectionClient::new(channel);
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = reflection.server_reflection_info(tokio_stream::once(list)).await.expect("it answers");
    let answer = answers.into_inner().message().await.expect("the stream is whole").expect("there is an answer");
    let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else {
        panic!("expected a list of services, and got {answer:?}");
    };
    let names: Vec<_> = services.service.iter().map(|service| service.name.as_str()).collect();
    assert!(
        names.contains(&"windtunnel.v1.CampaignService") && names.contains(&"windtunnel.v1.WorkerService"),
        "{names:?}"
    );
    bench.handle.shutdown().await;
}
