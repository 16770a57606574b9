//! A coordinator with a pool of its own.

use std::time::Duration;

use coordinator::{Coordinator, CoordinatorOptions, StartError};
use futures::FutureExt;

use crate::script::{PATIENCE, WORK, options};

#[tokio::test]
async fn it_says_when_none_of_its_workers_can_work() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let handle = Coordinator::start(CoordinatorOptions::new(dir.path().join("data"))).await.expect("it starts");
    assert!(handle.workers_gone().now_or_never().is_none(), "there are none that could be gone");

    let broken = options(dir.path(), 2, r#"echo "error: no device"; exit 78"#);
    handle.start_workers(broken).await.expect("a shell starts");
    let gone = tokio::time::timeout(PATIENCE, handle.workers_gone()).await.expect("none is left");
    assert_eq!(gone.last_log_line, "error: no device");

    handle.start_workers(options(dir.path(), 1, WORK)).await.expect("a shell starts");
    let gone = tokio::time::timeout(Duration::from_millis(50), handle.workers_gone()).await;
    assert!(gone.is_err(), "another one works");
    tokio::time::timeout(PATIENCE, handle.shutdown()).await.expect("it stops");
}

#[tokio::test]
async fn it_does_not_start_without_the_workers_it_is_to_start() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut missing = options(dir.path(), 1, WORK);
    missing.program = dir.path().join("nothing");
    let data_dir = dir.path().join("data");
    let with_workers = CoordinatorOptions { local_workers: Some(missing), ..CoordinatorOptions::new(&data_dir) };
    let refused = Coordinator::start(with_workers).await.expect_err("there is no such program");
    assert!(matches!(refused, StartError::Workers(_)), "{refused:?}");
    assert_eq!(coordinator::locate(&data_dir), None);
    Coordinator::start(CoordinatorOptions::new(&data_dir)).await.expect("the directory is free").shutdown().await;
}
