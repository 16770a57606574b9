//! Where datasets and checkpoints lie, and workers that show that they can use them.

use std::fs;

use coordinator::{Coordinator, CoordinatorOptions, StartError};
use proto::v1::worker_message::Body as Up;
use proto::v1::{self, StagePhase};

use crate::bench::{Bench, options};
use crate::worker::Worker;

#[tokio::test]
async fn a_worker_is_given_nothing_until_it_has_shown_that_it_can_use_the_storage() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut worker = Worker::join_to_prove(&bench.handle, "first").await;
    let marker = fs::read_to_string(bench.dir.path().join("windtunnel-storage")).expect("it was written");
    assert_eq!(marker.trim(), worker.storage_id);
    let reason = async |bench: &mut Bench| {
        let detail = bench.detail(&submitted.campaign).await;
        detail.stages.iter().find(|stage| stage.phase() == StagePhase::Waiting).expect("one waits").reason.clone()
    };
    let proof = |trouble: &str| Up::StorageProof(v1::StorageProof { trouble: trouble.to_owned() });
    assert!(reason(&mut bench).await.contains("it has not shown yet that it can use the storage"));
    worker.say(0, proof("cannot use the storage at file:///shared: it has no marker")).await;
    while !reason(&mut bench).await.contains("cannot use the storage at file:///shared: it has no marker") {
        tokio::task::yield_now().await;
    }
    worker.say(0, proof("")).await;
    let job = worker.next_job().await;
    bench.see_through(&submitted.campaign, &mut worker, (&job, 0), submitted.stages as usize - 1).await;
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn the_storage_that_was_chosen_is_remembered_and_no_other_is_taken_for_it() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let root = dir.path().canonicalize().expect("it is there");
    let [data, shared, other] = ["data", "shared", "other"].map(|name| root.join(name));
    let start = async |storage: Option<&std::path::Path>| {
        let storage = storage.map(|storage| storage.display().to_string());
        Coordinator::start(CoordinatorOptions { storage, ..options(&data) }).await
    };
    let handle = start(Some(&shared)).await.expect("it starts");
    assert_eq!(handle.storage(), format!("file://{}", shared.display()));
    assert!(shared.join("windtunnel-storage").is_file() && !data.join("windtunnel-storage").exists());
    handle.shutdown().await;
    let handle = start(None).await.expect("it starts");
    assert_eq!(handle.storage(), format!("file://{}", shared.display()));
    handle.shutdown().await;

    fs::rename(&shared, &other).expect("it is moved");
    fs::create_dir(&shared).expect("it is made");
    let error = start(None).await.expect_err("nothing is mounted there");
    assert!(matches!(error, StartError::Storage(_)), "{error}");
    assert!(error.to_string().contains("mount its file system"), "{error}");
    let handle = start(Some(&other)).await.expect("all of it was moved there");
    assert_eq!(handle.storage(), format!("file://{}", other.display()));
    handle.shutdown().await;
}
