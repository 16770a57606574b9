//! Stores that fail: what passes is waited for, and a bug is said.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use coordinator::RunError;
use coordinator::store::SqliteStore;
use futures::FutureExt as _;
use proto::v1::{self, CampaignPhase};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};
use tonic::{Code, Status};

use crate::bench::{Bench, PATIENCE, last, phase, submission};
use crate::worker::Worker;

/// Another process at the file, such as a database tool.
struct Other(SqliteConnection);

impl Other {
    async fn at(path: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(PATIENCE);
        Self(SqliteConnection::connect_with(&options).await.expect("it opens"))
    }

    async fn say(&mut self, sql: &'static str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.0).await.expect("it is done");
    }
}

/// Lists campaigns until that is refused.
async fn refusal(bench: &Bench) -> Status {
    let refused = async {
        loop {
            if let Err(status) = bench.client.clone().list_campaigns(v1::ListCampaignsRequest {}).await {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("it is refused in time")
}

#[tokio::test]
async fn a_store_that_another_process_holds_is_waited_for() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store.sqlite");
    let store = SqliteStore::open_waiting(&path, Duration::from_millis(1)).await.expect("it opens");
    let mut bench = Bench::over_store(Arc::new(store)).await;
    let submitted = bench.submit().await;
    let updates = bench.watch(&submitted.campaign).await;
    let mut worker = Worker::join(&bench.handle, "a worker").await;
    let job = worker.next_job().await;

    let mut other = Other::at(&path).await;
    other.say("BEGIN IMMEDIATE").await;
    worker.report_points(&job, job.first_step()..job.end_step()).await;
    let refused = refusal(&bench).await;
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(refused.message().contains("waiting for its store"), "{refused}");
    assert!(refused.message().contains("database is locked"), "{refused}");
    let cancelled = bench.client.cancel_campaign(v1::CancelCampaignRequest { campaign: submitted.campaign.clone() });
    assert_eq!(cancelled.await.expect_err("nobody knows when").code(), Code::Unavailable);
    let submitted_again = bench.client.submit(submission()).await;
    assert_eq!(submitted_again.expect_err("nobody knows when").code(), Code::Unavailable);
    assert!(bench.handle.wait().now_or_never().is_none(), "it has not stopped");

    other.say("ROLLBACK").await;
    worker.settle().await;
    worker.report_checkpoint(&job, job.end_step()).await;
    worker.report_completed(&job).await;
    worker.work(submitted.stages as usize - 1).await;
    worker.settle().await;
    assert_eq!(phase(&last(updates).await), CampaignPhase::Ended, "whoever watches sees the end");
    bench.assert_curves_are_whole(&submitted.campaign).await;
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_panic_of_the_driver_is_not_an_orderly_end() {
    let mut bench = Bench::new().await;
    bench.submit().await;
    bench.memory().break_commits();
    bench
        .client
        .cancel_campaign(v1::CancelCampaignRequest { campaign: "smoke".to_owned() })
        .await
        .expect_err("it panics");
    let error = tokio::time::timeout(PATIENCE, bench.handle.wait()).await.expect("it ends").expect_err("by an error");
    let RunError::Panicked(panicked) = &*error else { panic!("{error:?}") };
    assert!(panicked.message.contains("broken for a test"), "{panicked}");
    bench.handle.shutdown().await;
}
