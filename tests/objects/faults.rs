//! A service that fails, as services and networks do.

use std::time::Duration;

use http::Method;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use storage::Transfer;
use worker::checkpoint::download;

use crate::server::{BUCKET, Fault, Server};
use crate::suite::{Bucket, PART, blobs, content, put, transfer, upload_checkpoint};

fn bucket(server: &Server) -> Bucket {
    Bucket { name: BUCKET.to_owned(), variables: server.variables() }
}

/// Runs a test with a server, which has a runtime of its own.
fn with_server(test: impl AsyncFnOnce(&mut Server)) {
    let mut server = Server::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test(&mut server));
}

/// Requests that stand still end soon.
fn impatient() -> Transfer {
    Transfer { read: Duration::from_millis(1500), stall: Duration::from_millis(1500), ..transfer() }
}

async fn get(storage: &storage::Storage, path: &str) -> object_store::Result<Vec<u8>> {
    Ok(storage.store().get(&Path::from(path)).await?.bytes().await?.into())
}

#[test]
fn what_passes_is_not_noticed() {
    with_server(async |server| {
        let storage = bucket(server).open("x", impatient());
        let whole = content(300_000);
        put(&storage, "a", whole.clone()).await.expect("nothing is wrong yet");
        for fault in [Fault::Status(503), Fault::Status(500), Fault::Silence, Fault::Cut(70_000), Fault::Pause(70_000)]
        {
            server.fail(Method::GET, "/x/a", fault, 2);
            assert!(
                get(&storage, "a").await.unwrap_or_else(|error| panic!("{fault:?}: {error}")) == whole,
                "{fault:?}"
            );
        }
        for fault in [Fault::Status(503), Fault::Status(500), Fault::Silence] {
            server.fail(Method::PUT, "/x/b", fault, 2);
            put(&storage, "b", whole.clone()).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
            assert!(get(&storage, "b").await.expect("there") == whole, "{fault:?}");
        }
        let large = content(PART + 9);
        for fault in [Fault::Status(503), Fault::Silence] {
            server.fail(Method::PUT, "partNumber=2", fault, 3);
            put(&storage, "c", large.clone()).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
            assert!(get(&storage, "c").await.expect("there") == large, "{fault:?}");
        }
    });
}

#[test]
fn what_does_not_pass_is_explained() {
    with_server(async |server| {
        let storage = bucket(server).open("x", impatient());
        put(&storage, "a", content(300_000)).await.expect("nothing is wrong yet");
        for (fault, text) in [
            (Fault::Status(503), "asks to wait (503, SlowDown)"),
            (Fault::Status(500), "failed (500, InternalError)"),
            (Fault::Silence, "does not answer: nothing was sent or received"),
            (Fault::Pause(1000), "does not answer: the response paused"),
            (Fault::Cut(0), "broke"),
        ] {
            server.fail(Method::GET, "/x/a", fault, usize::MAX);
            let error = get(&storage, "a").await.expect_err("it never gets better").to_string();
            assert!(error.contains(text) && !error.contains('\n'), "{fault:?}: {error}");
            server.forgive();
        }
        server.fail(Method::PUT, "partNumber=2", Fault::Status(500), usize::MAX);
        let error = put(&storage, "large", content(PART + 9)).await.expect_err("a part is never taken").to_string();
        assert!(error.contains("failed (500"), "{error}");
        assert_eq!(server.requests(Method::DELETE, "uploadId="), 1, "what was sent is given up");
        server.forgive();
        server.stop();
        let error = get(&storage, "a").await.expect_err("nobody listens").to_string();
        assert!(error.contains("cannot connect to http://127.0.0.1"), "{error}");
    });
}

#[test]
fn a_bit_flipped_on_the_way_is_found_by_the_service() {
    with_server(async |server| {
        let storage = bucket(server).open("x", transfer());
        server.fail(Method::PUT, "/x/a", Fault::Flip, 1);
        put(&storage, "a", content(1000)).await.expect("it arrives the second time");
        assert_eq!(server.requests(Method::PUT, "/x/a"), 2, "the service did not take what arrived first");
        assert!(get(&storage, "a").await.expect("there") == content(1000));
        // A part is sent again.
        server.fail(Method::PUT, "partNumber=1", Fault::Flip, 1);
        put(&storage, "b", content(PART + 1)).await.expect("the part arrives the second time");
        assert_eq!(server.requests(Method::PUT, "partNumber=1"), 2);
        assert!(get(&storage, "b").await.expect("there") == content(PART + 1));
    });
}

#[test]
fn an_object_that_changes_while_it_is_read_is_not_pieced_together() {
    with_server(async |server| {
        let storage = bucket(server).open("x", impatient());
        put(&storage, "a", content(300_000)).await.expect("put");
        server.fail(Method::GET, "/x/a", Fault::Cut(70_000), 1);
        server.fail(Method::GET, "/x/a", Fault::WrongEtag, 1);
        get(&storage, "a").await.expect_err("the rest is said to be of another object");
        assert!(get(&storage, "a").await.expect("whole") == content(300_000));
    });
}

#[test]
fn a_checkpoint_survives_all_of_it() {
    with_server(async |server| {
        let storage = bucket(server).open("x", impatient());
        for (method, path, fault) in [
            (Method::PUT, "weights", Fault::Status(503)),
            (Method::PUT, "partNumber=1", Fault::Silence),
            (Method::PUT, "partNumber=2", Fault::Flip),
            (Method::PUT, "optimizer", Fault::Status(500)),
            (Method::PUT, "manifest", Fault::Silence),
        ] {
            server.fail(method, path, fault, 1);
        }
        let checkpoint = upload_checkpoint(&storage).await.expect("uploads");
        server.fail(Method::GET, "weights", Fault::Cut(1 << 20), 2);
        server.fail(Method::GET, "optimizer", Fault::Pause(100), 1);
        assert_eq!(download(storage.store().as_ref(), &checkpoint).await.expect("downloads"), blobs());
    });
}
