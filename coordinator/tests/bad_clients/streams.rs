//! Calls that are begun and not ended, and answers that nobody reads.

use h2::Reason;
use proto::v1;
use tokio::net::TcpStream;
use tonic::codegen::http::{Method, Request};

use crate::honest::Honest;

#[tokio::test]
async fn a_client_that_resets_thousands_of_streams_keeps_nobody_from_work() {
    let mut honest = Honest::at(|_| {}).await;
    let mut begun = 0_u32;
    // One connection after another: the server may end each of them.
    while begun < 10_000 {
        let stream = TcpStream::connect(honest.address()).await.expect("it listens");
        let (sender, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
        let connection = tokio::spawn(connection);
        let before = begun;
        let mut sender = sender;
        while begun - before < 3000 {
            let Ok(mut ready) = sender.ready().await else { break };
            let path = format!("http://{}/windtunnel.v1.CampaignService/ListCampaigns", honest.address());
            let call = Request::builder().method(Method::POST).uri(path).header("content-type", "application/grpc");
            let Ok((_, mut body)) = ready.send_request(call.body(()).expect("a request"), false) else { break };
            body.send_reset(Reason::CANCEL);
            begun += 1;
            sender = ready;
        }
        assert!(begun > before, "not one stream could be begun");
        honest.go_on().await;
        connection.abort();
    }
    honest.newcomer().await;
    honest.leave().await;
}

#[tokio::test]
async fn readers_that_do_not_read_keep_nobody_from_work() {
    let mut honest = Honest::at(|_| {}).await;
    honest.go_on().await;
    let url = honest.bench.handle.public_url().to_owned();
    let mut unread = Vec::new();
    for _ in 0..20 {
        let mut client =
            v1::campaign_service_client::CampaignServiceClient::connect(url.clone()).await.expect("it listens");
        for _ in 0..10 {
            let campaign = "smoke".to_owned();
            let watching = client.watch_campaign(v1::WatchCampaignRequest { campaign: campaign.clone() }).await;
            let curves = client.get_curves(v1::GetCurvesRequest { campaign, ..Default::default() }).await;
            unread.push((watching.expect("it is known"), curves.expect("it is known")));
        }
    }
    for _ in 0..10 {
        honest.go_on().await;
    }
    honest.newcomer().await;
    let connections = honest.bench.handle.connections().open;
    assert!(connections >= 22, "the readers are still there: {connections}");
    drop(unread);
    honest.leave().await;
}
