//! Connections over which nothing sensible comes.

use std::time::Duration;

use proto::v1;
use proto::v1::campaign_service_client::CampaignServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::bench::PATIENCE;
use crate::honest::Honest;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const EMPTY_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Says something, and waits for the other side to end the connection.
async fn is_ended(honest: &Honest, says: &[u8]) {
    let mut stream = TcpStream::connect(honest.address()).await.expect("it listens");
    // It may be ended before all is said.
    let _ = stream.write_all(says).await;
    let mut answer = Vec::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    // At its end or broken off, as long as it is not open any more.
    let _ = end.unwrap_or_else(|_| panic!("the connection stays open after {:?}", says.escape_ascii().to_string()));
}

#[tokio::test]
async fn garbage_ends_its_connection_and_nothing_else() {
    let mut honest = Honest::at(|_| {}).await;
    let noise: Vec<u8> = (0..100_000_u32).map(|number| blake3::hash(&number.to_le_bytes()).as_bytes()[0]).collect();
    let frame = |length: [u8; 3], kind: u8| [PREFACE, EMPTY_SETTINGS, &length, &[kind, 0xff, 0, 0, 0, 1]].concat();
    let zeros = vec![0; 100_000];
    let hello_of_tls = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &noise[..512]].concat();
    let long_frame = [frame([0xff; 3], 0), zeros.clone()].concat();
    let noise_for_headers = [frame([0, 0x20, 0], 1), noise.clone()].concat();
    let settings_that_do_not_fit = frame([0, 0, 1], 4);
    let says: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &noise,
        &zeros,
        &hello_of_tls,
        &[PREFACE, &noise].concat(),
        &long_frame,
        &noise_for_headers,
        &settings_that_do_not_fit,
    ];
    for says in says {
        is_ended(&honest, says).await;
        honest.go_on().await;
    }
    honest.leave().await;
}

#[tokio::test]
async fn a_connection_that_makes_no_call_is_ended() {
    let mut honest = Honest::at(|options| options.limits.first_call = Duration::from_millis(100)).await;
    for says in [&b""[..], b"P", &PREFACE[..12], PREFACE, &[PREFACE, EMPTY_SETTINGS].concat()] {
        is_ended(&honest, says).await;
    }
    // One that has made a call stays, whether it makes more of them or not.
    tokio::time::sleep(Duration::from_millis(300)).await;
    honest.go_on().await;
    assert_eq!(honest.bench.handle.connections().open, 2);
    honest.leave().await;
}

#[tokio::test]
async fn whoever_has_a_call_under_way_keeps_its_place() {
    // Half of them are for the socket in the data directory.
    let mut honest = Honest::at(|options| options.limits.connections = 12).await;
    // Besides the worker, there is room for five.
    let mut watching = Vec::new();
    for _ in 0..5 {
        let url = honest.bench.handle.public_url().to_owned();
        let mut client = CampaignServiceClient::connect(url).await.expect("there is room");
        let request = v1::WatchCampaignRequest { campaign: "smoke".to_owned() };
        watching.push(client.watch_campaign(request).await.expect("it is known").into_inner());
    }
    // The client was between calls, and gave way.
    let counts = honest.bench.handle.connections();
    assert_eq!((counts.open, counts.displaced), (6, 1), "{counts:?}");
    let mut refused = TcpStream::connect(honest.address()).await.expect("it listens");
    let end = tokio::time::timeout(PATIENCE, refused.read_to_end(&mut Vec::new())).await;
    let _ = end.expect("it is turned away");
    assert_eq!(honest.bench.handle.connections().refused, 1);
    for updates in &mut watching {
        updates.message().await.expect("it is still there").expect("there is an update");
    }
    watching.pop();
    while honest.bench.handle.connections().open == 6 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    honest.go_on().await;
    honest.leave().await;
}
