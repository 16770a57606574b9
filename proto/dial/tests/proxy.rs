//! Dials through a small proxy on this machine.

use std::error::Error;
use std::time::Duration;

use dial::{DialError, Proxies};
use http::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A name that only a proxy resolves.
const COORDINATOR: &str = "https://coordinator.invalid:7450";

/// A step that takes longer is taken to hang.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);

/// A proxy that answers its first client with these pieces and then echoes. Returns the request it received.
async fn proxy(pieces: Vec<Vec<u8>>) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
    let address = listener.local_addr().expect("it has an address").to_string();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody dials");
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(stream.read_u8().await.expect("the request is whole"));
        }
        for piece in pieces {
            // A client that has read enough hangs up.
            if stream.write_all(&piece).await.is_err() || stream.flush().await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let mut said = [0; 5];
        if stream.read_exact(&mut said).await.is_ok() {
            stream.write_all(&said).await.expect("the caller listens");
        }
        String::from_utf8(asked).expect("a request is text")
    });
    (address, asked)
}

async fn dial(proxies: &Proxies, address: &str) -> Result<TcpStream, DialError> {
    let uri: Uri = address.parse().expect("an address");
    tokio::time::timeout(STEP_TIMEOUT, proxies.connect(&uri)).await.expect("it ends")
}

async fn through(proxy: &str) -> Result<TcpStream, DialError> {
    dial(&Proxies::one(&format!("http://{proxy}"), ""), COORDINATOR).await
}

/// Reads the next five bytes.
async fn read_five(stream: &mut TcpStream) -> [u8; 5] {
    let mut heard = [0; 5];
    let read = tokio::time::timeout(STEP_TIMEOUT, stream.read_exact(&mut heard)).await;
    read.expect("it comes").expect("the connection is whole");
    heard
}

/// An error with its causes, on one line.
fn whole(error: &DialError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn what_comes_in_one_piece_with_the_answer_is_not_lost() {
    // An HTTP/2 server speaks first.
    let answer = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\nfirst".to_vec();
    let (address, asked) = proxy(vec![answer]).await;
    let mut stream = through(&address).await.expect("it connects");
    assert_eq!(&read_five(&mut stream).await, b"first");
    stream.write_all(b"hello").await.expect("it goes through");
    assert_eq!(&read_five(&mut stream).await, b"hello");
    let asked = asked.await.expect("the proxy ends");
    assert_eq!(asked, "CONNECT coordinator.invalid:7450 HTTP/1.1\r\nHost: coordinator.invalid:7450\r\n\r\n");
}

#[tokio::test]
async fn an_answer_may_come_a_byte_at_a_time() {
    let pieces = b"HTTP/1.0 204 \r\nA: b\r\n\r\n".iter().map(|byte| vec![*byte]).collect();
    let (address, _asked) = proxy(pieces).await;
    let mut stream = through(&address).await.expect("every status from 200 to 299 is a yes");
    stream.write_all(b"hello").await.expect("it goes through");
    assert_eq!(&read_five(&mut stream).await, b"hello");
}

#[tokio::test]
async fn credentials_go_to_the_proxy_and_into_no_message() {
    let (address, asked) = proxy(vec![b"HTTP/1.1 407 Who are you\r\n\r\n".to_vec()]).await;
    let proxies = Proxies::one(&format!("http://user:hunter2@{address}"), "");
    let error = dial(&proxies, COORDINATOR).await.expect_err("it is refused");
    assert!(matches!(error, DialError::Credentials { .. }), "{error:?}");
    let asked = asked.await.expect("the proxy ends");
    assert!(asked.contains("\r\nProxy-Authorization: Basic dXNlcjpodW50ZXIy\r\n"), "{asked}");
    for told in [whole(&error), format!("{proxies:?}")] {
        assert!(!told.contains("hunter2") && !told.contains("dXNlcjpodW50ZXIy"), "{told}");
    }
}

#[tokio::test]
async fn a_proxy_that_says_no_is_quoted() {
    let (address, _asked) = proxy(vec![b"HTTP/1.1 403 Forbidden\r\n\r\n".to_vec()]).await;
    let error = through(&address).await.expect_err("it is refused");
    let expected = format!("the proxy http://{address} answered 403 when asked for coordinator.invalid:7450");
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_read_for_ever() {
    let mut endless = b"HTTP/1.1 200 OK\r\n".to_vec();
    endless.resize(1 << 20, b'x');
    let (address, _asked) = proxy(vec![endless]).await;
    let error = through(&address).await.expect_err("it is refused");
    assert!(matches!(error, DialError::Answer { .. }), "{error:?}");
}

#[tokio::test]
async fn a_proxy_that_hangs_up_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
    let address = listener.local_addr().expect("it has an address").to_string();
    let hung_up = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody dials");
        while stream.read_u8().await.expect("the request is whole") != b'\n' {}
        let _ = stream.write_all(b"HTTP/1.1 200").await;
    });
    let error = through(&address).await.expect_err("it is refused");
    hung_up.await.expect("the proxy ends");
    assert!(matches!(error, DialError::Answer { .. } | DialError::Proxy { .. }), "{error:?}");
}

#[tokio::test]
async fn this_machine_and_what_is_exempt_are_dialled_past_the_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
    let port = listener.local_addr().expect("it has an address").port();
    // Accepts no connection: a dial through it would fail.
    let dead = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
    let proxy = format!("http://{}", dead.local_addr().expect("it has an address"));
    drop(dead);
    let proxies = Proxies::one(&proxy, "exempt.invalid");

    dial(&proxies, &format!("http://127.0.0.1:{port}")).await.expect("this machine");
    dial(&proxies, &format!("http://localhost:{port}")).await.expect("this machine by name");
    let exempt = dial(&proxies, "https://exempt.invalid:7450").await.expect_err("there is no such machine");
    assert!(matches!(exempt, DialError::Direct { .. }), "{exempt:?}");
    let other = dial(&proxies, COORDINATOR).await.expect_err("the proxy is dead");
    assert!(matches!(other, DialError::Proxy { .. }), "{other:?}");
}
