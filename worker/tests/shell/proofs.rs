//! A worker shows that it can use the storage before it works.

use std::fs;

use proto::v1::worker_message::Body as Up;
use storage::{MARKER, Storage, StorageId};
use worker::{ExitCode, WorkerError};

use crate::bench::Bench;
use crate::coordinator::Session;

/// Marks the storage, as its coordinator does.
async fn mark(bench: &Bench) -> StorageId {
    let id = StorageId::fresh();
    let storage = Storage::local(&bench.storage()).expect("it is there");
    id.mark(storage.store().as_ref()).await.expect("it is written");
    id
}

/// What the worker says next of the storage.
async fn proof(session: &mut Session) -> String {
    match session.next().await.and_then(|message| message.body) {
        Some(Up::StorageProof(proof)) => proof.trouble,
        other => panic!("expected a proof, and got {other:?}"),
    }
}

#[tokio::test]
async fn each_welcome_is_answered_with_a_proof() {
    let mut bench = Bench::new();
    bench.coordinator.storage_id = mark(&bench).await.to_string();
    let (_worker, _) = bench.worker();
    let (mut session, hello) = bench.coordinator.accept().await;
    assert!(hello.proves_storage);
    assert_eq!(proof(&mut session).await, "");
    assert_eq!(fs::read_dir(bench.storage().join("probes")).expect("it was made").count(), 0, "nothing is left");
    drop(session);
    let (mut session, _) = bench.coordinator.accept().await;
    assert_eq!(proof(&mut session).await, "");

    // A file system that goes away later ends no worker that could work before.
    fs::remove_file(bench.storage().join(MARKER)).expect("it is there");
    drop(session);
    let (mut session, _) = bench.coordinator.accept().await;
    for _ in 0..4 {
        let trouble = proof(&mut session).await;
        assert!(trouble.contains("it has no marker of a coordinator"), "{trouble}");
    }
    bench.coordinator.storage_id.parse::<StorageId>().expect("it is one");
    fs::write(bench.storage().join(MARKER), &bench.coordinator.storage_id).expect("it is written");
    while !proof(&mut session).await.is_empty() {}
}

#[tokio::test]
async fn a_worker_that_was_started_where_another_storage_is_says_so_and_ends() {
    let mut bench = Bench::new();
    mark(&bench).await;
    bench.coordinator.storage_id = StorageId::fresh().to_string();
    let (worker, _) = bench.worker();
    let (mut session, _) = bench.coordinator.accept().await;
    let trouble = proof(&mut session).await;
    assert!(trouble.contains("it is another storage than the coordinator's"), "{trouble}");
    let error = worker.end().await.expect_err("it cannot work here");
    assert!(matches!(&error, WorkerError::OtherStorage { .. }), "{error:?}");
    assert!(error.to_string().contains(bench.storage().to_str().expect("a path in UTF-8")), "{error}");
    assert_eq!(error.exit_code(), ExitCode::BadConfiguration);
}
