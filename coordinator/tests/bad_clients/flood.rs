//! Ten thousand connections.

use std::collections::VecDeque;

use tokio::net::TcpStream;

use crate::honest::Honest;

/// As many as a machine with any sense allows; where this process may have fewer files, as many as it may.
const FLOOD: u64 = 10_000;

/// As many as the coordinator takes at a time, and what it may hold beyond while they go.
const PLACES: usize = 300;
const GOING: usize = 64;

/// Files that are not the flood's.
const OTHER_FILES: u64 = 300 + PLACES as u64 + GOING as u64;

#[tokio::test]
async fn ten_thousand_connections_keep_nobody_from_work() {
    let files = rlimit::increase_nofile_limit(FLOOD + OTHER_FILES).expect("this process may open files");
    let flood = FLOOD.min(files.saturating_sub(OTHER_FILES));
    if flood < FLOOD {
        eprintln!("only {flood} connections are held at a time: this process may have {files} files");
    }
    let mut honest = Honest::at(|options| options.limits.connections = PLACES).await;
    let mut held = VecDeque::new();
    for opened in 0..FLOOD {
        if held.len() as u64 >= flood {
            held.pop_front();
        }
        held.push_back(TcpStream::connect(honest.address()).await.expect("it listens"));
        if opened % 500 == 0 {
            honest.go_on().await;
            honest.newcomer().await;
        }
    }
    honest.go_on().await;
    honest.newcomer().await;
    let counts = honest.bench.handle.connections();
    assert!(counts.open <= PLACES && counts.most_held <= PLACES + GOING, "{counts:?}");
    assert!(counts.displaced + PLACES as u64 + GOING as u64 >= FLOOD, "{counts:?}");
    drop(held);
    honest.leave().await;
}
