//! Tokens that count, and tokens that do not.

use std::time::Duration;

use coordinator::{Scope, Tokens};
use dial::{Address, Credentials, Secret};
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use crate::support::{Place, code, connect, look, proving, showing};

#[tokio::test]
async fn a_token_is_needed_and_has_to_be_one_that_counts() {
    let place = Place::new().await;
    let status = look(&mut place.client(&Credentials::default()).await).await.expect_err("nobody is let in like that");
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(status.message().contains("WINDTUNNEL_TOKEN"), "{}", status.message());

    let (id, good) = place.token(Scope::Read).await;
    let mut honest = place.client(&good).await;
    assert_eq!(code(&mut honest).await, Code::Ok);

    let text = good.token.as_ref().expect("it has one").expose().to_owned();
    let other_secret = format!("{}{}", &text[..text.len() - 4], "0000");
    for bad in ["", "x", "wt_local_0", &text[..text.len() - 1], &other_secret, &format!("{text}0")] {
        let mut client = place.client(&showing(Secret::new(bad))).await;
        let status = look(&mut client).await.expect_err("it does not count");
        assert_eq!(status.code(), Code::Unauthenticated, "{bad}");
        assert!(bad.len() < 8 || !status.message().contains(bad), "the token is not repeated");
    }
    let (_, expired) = place.tokens.create("old", Scope::Admin, Some(Duration::ZERO)).await.expect("it is written");
    assert_eq!(code(&mut place.client(&showing(expired)).await).await, Code::Unauthenticated);

    // On the connection that is open already.
    assert!(place.tokens.revoke(&id).await.expect("it is written"));
    assert_eq!(code(&mut honest).await, Code::Unauthenticated);
    assert!(!place.tokens.revoke(&id).await.expect("it can be asked"), "it was revoked before");
}

#[tokio::test]
async fn who_tries_too_often_is_held_up_and_others_are_not() {
    let place = Place::new().await;
    let (_, good) = place.token(Scope::Read).await;
    let mut honest = place.client(&good).await;
    let mut bad = place.client(&showing(Secret::new("wt_no_token"))).await;
    let mut codes = Vec::new();
    for _ in 0..11 {
        codes.push(code(&mut bad).await);
        // From the same address.
        assert_eq!(code(&mut honest).await, Code::Ok);
    }
    assert_eq!(codes[..10], [Code::Unauthenticated; 10]);
    assert_eq!(codes[10], Code::ResourceExhausted);
}

#[tokio::test]
async fn over_loopback_a_client_logs_in_without_sending_its_token() {
    let place = Place::new().await;
    let (id, secret) = place.tokens.create("a test", Scope::Read, None).await.expect("it is written");
    let text = secret.expose().to_owned();
    let mut client = place.client(&proving(secret)).await;
    assert_eq!(code(&mut client).await, Code::Ok);
    let cancel = proto::v1::CancelCampaignRequest { campaign: "smoke".to_owned() };
    let refused = client.cancel_campaign(cancel).await.expect_err("it may only read");
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");

    // Where nobody logs in, a token may still come with the call, and another connection is nobody's.
    assert_eq!(code(&mut place.client(&showing(Secret::new(&*text))).await).await, Code::Ok);
    assert_eq!(code(&mut place.client(&Credentials::default()).await).await, Code::Unauthenticated);

    // A login lasts no longer than its token.
    assert!(place.tokens.revoke(&id).await.expect("it is written"));
    assert_eq!(code(&mut client).await, Code::Unauthenticated);
    let refused = connect(place.handle.public_url(), &proving(Secret::new(&*text))).await.expect_err("it is revoked");
    let why = chain(&refused);
    assert!(why.contains("does not know the token") && why.contains("revoked"), "{why}");
}

#[tokio::test]
async fn a_login_with_a_wrong_secret_or_an_unknown_token_ends_before_the_first_call() {
    let place = Place::new().await;
    let (id, _) = place.token(Scope::Admin).await;
    for token in [format!("wt_{id}_{}", "07".repeat(32)), format!("wt_0123456789ab_{}", "07".repeat(32))] {
        let refused = connect(place.handle.public_url(), &proving(Secret::new(token))).await.expect_err("not known");
        assert!(chain(&refused).contains("does not know the token"), "{}", chain(&refused));
        assert!(dial::failed_login(&refused).is_some(), "it is told from a coordinator that is away");
    }
}

#[tokio::test]
async fn a_listener_in_the_coordinators_place_learns_no_token() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let (_, secret) = Place::new().await.tokens.create("a test", Scope::Admin, None).await.expect("it is written");
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        // It answers at random, as it does not know the token's hash.
        stream.write_all(&[42; 64]).await.expect("written");
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
        heard
    });
    let text = secret.expose().to_owned();
    let refused = connect(&url, &proving(secret)).await.expect_err("no coordinator");
    assert!(chain(&refused).contains("was not sent"), "{}", chain(&refused));
    let heard = heard.await.expect("it listened");
    let secret = text.rsplit('_').next().expect("has a secret");
    assert!(!heard.windows(8).any(|window| secret.as_bytes().windows(8).any(|part| part == window)));
    assert_eq!(heard.len(), 8 + 1 + 12 + 32, "the greeting, and nothing after the wrong proof");
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn every_method_asks_for_its_scope() {
    let place = Place::new().await;
    let contract = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).expect("it is one");
    let services = contract.file.iter().flat_map(|file| file.service.iter().map(move |service| (file, service)));
    let methods: Vec<String> = services
        .flat_map(|(file, service)| {
            service.method.iter().map(move |method| format!("/{}.{}/{}", file.package(), service.name(), method.name()))
        })
        .collect();
    let mut let_in = Vec::new();
    for scope in Scope::ALL {
        let (_, credentials) = place.token(scope).await;
        let mut count = 0;
        for path in &methods {
            let code = call(&place, &credentials, path).await;
            assert_ne!(code, Code::Unauthenticated, "{path}");
            count += usize::from(code != Code::PermissionDenied);
            let may = match path.rsplit('/').next().expect("has a method") {
                "Session" => matches!(scope, Scope::Worker | Scope::Admin),
                name if ["Get", "Read", "List", "Watch"].iter().any(|verb| name.starts_with(verb)) => {
                    scope != Scope::Worker
                }
                "CollectCheckpoints" | "RemoveCheckpoints" | "ForgetCampaign" => scope == Scope::Admin,
                _ => matches!(scope, Scope::Submit | Scope::Admin),
            };
            assert!(may || code == Code::PermissionDenied, "{path} lets `{scope}` in");
        }
        let_in.push(count);
    }
    assert_eq!(let_in[2], methods.len(), "an administrator may do everything");
    assert!(let_in[0] > 0 && let_in[1] > let_in[0] && let_in[3] == 1, "{let_in:?}");
    assert_eq!(call(&place, &Credentials::default(), "/grpc.health.v1.Health/Check").await, Code::Ok);
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    assert_eq!(call(&place, &Credentials::default(), reflection).await, Code::Unauthenticated);
}

/// The result of a call with an empty message.
async fn call(place: &Place, credentials: &Credentials, path: &str) -> Code {
    let address = Address::parse(place.handle.public_url(), credentials).expect("an address");
    let mut authorize = address.authorize().clone();
    let mut grpc = Grpc::new(address.connect().await.expect("it listens"));
    grpc.ready().await.expect("it is there");
    let request = tonic::service::Interceptor::call(&mut authorize, Request::new(())).expect("it adds a header");
    let path: PathAndQuery = path.parse().expect("it is a path");
    let answer = grpc.unary(request, path, ProstCodec::<(), ()>::default()).await;
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test]
async fn tokens_are_not_opened_below_the_coordinator_of_another_machine() {
    let place = Place::new().await;
    let address = place.dir.path().join("coordinator.json");
    let here = std::fs::read_to_string(&address).expect("it is written");
    let machine = coordinator::locate(place.dir.path()).expect("it runs").machine;
    std::fs::write(&address, here.replace(&machine, "login-2")).expect("it is written");
    let error = Tokens::open(place.dir.path()).await.expect_err("it runs elsewhere");
    assert!(error.to_string().ends_with("runs on login-2: run this command there"), "{error}");
}
