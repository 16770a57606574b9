//! Commands on a campaign whose storage is a bucket.

use std::fs;

use futures::TryStreamExt;
use http::Method;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::block_on;
use crate::campaign::{on, serve, submit, worker};
use crate::server::{BUCKET, Server};
use crate::suite::{Bucket, transfer};
use crate::support::process::wait_for;
use crate::support::{Place, Ran, one_at_a_time};

const PREFIX: &str = "one/two";

fn run(place: &Place, bucket: &Bucket, args: &[&str]) -> Ran {
    Ran::of(on("data", place, bucket, args).output().expect("the program starts"))
}

/// Flips a bit in an object, in the middle, by way of the service.
fn flip(bucket: &Bucket, wanted: impl Fn(&str) -> bool) -> String {
    let storage = bucket.open(PREFIX, transfer());
    let mut flipped = None;
    block_on(async {
        let objects: Vec<_> = storage.store().list(None).try_collect().await.expect("listed");
        let path =
            objects.into_iter().map(|object| object.location).find(|path| wanted(path.as_ref())).expect("is there");
        let found = object_store::ObjectStoreExt::get(storage.store(), &path).await.expect("there");
        let mut content = Vec::from(found.bytes().await.expect("read"));
        let middle = content.len() / 2;
        content[middle] ^= 1;
        crate::suite::put(&storage, path.as_ref(), content).await.expect("put");
        flipped = Some(path);
    });
    Path::to_string(&flipped.expect("done"))
}

#[test]
fn a_campaign_in_a_bucket_is_examined_exported_collected_and_forgotten() {
    let _turn = one_at_a_time();
    let server = Server::start();
    let bucket = Bucket { name: BUCKET.to_owned(), variables: server.variables() };
    let place = Place::new();
    let storage = format!("s3://{BUCKET}/{PREFIX}/");
    run(&place, &bucket, &["run", "smoke.toml", "--storage", &storage]).expect(0);
    place.run(&["run", "smoke.toml", "--out", "local"]).expect(2);
    let local = Place::new();
    local.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(place.points("out/smoke"), local.points("out/smoke"));
    assert!(!place.path("data/checkpoints").exists(), "all of them are in the bucket");
    assert!(server.bucket().join(PREFIX).join("checkpoints").is_dir());

    // Every command that reads the storage.
    let sound = run(&place, &bucket, &["doctor"]).expect(0).stdout;
    assert!(sound.ends_with("\nsound\n") && sound.contains("datasets"), "{sound}");
    let verified = run(&place, &bucket, &["verify", "smoke", "--samples", "2", "--json"]).expect(0).stdout;
    assert!(verified.contains("\"sound\":true") || verified.contains("\"sound\": true"), "{verified}");
    let listed = run(&place, &bucket, &["checkpoints", "list", "--json"]).expect(0).stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let results = listed["checkpoints"].as_array().expect("a list").iter();
    let result = results.clone().find(|checkpoint| checkpoint["kept_as"] == "result").expect("there is a result");
    let stage = result["stage"].as_str().expect("a key").to_owned();
    run(&place, &bucket, &["export", &stage, "--format", "llama", "--out", "exported"]).expect(0);
    assert!(place.path("exported/tokenizer.json").is_file() && place.path("exported/config.json").is_file());
    run(&place, &bucket, &["checkpoints", "gc"]).expect(0);
    run(&place, &bucket, &["run", "smoke.toml"]).expect(0);

    // A bit flips in a checkpoint and in the data.
    let weights = flip(&bucket, |path| path.contains(&stage) && path.ends_with("weights.safetensors"));
    let shard = flip(&bucket, |path| path.ends_with("train-00000.npy"));
    let found = run(&place, &bucket, &["doctor"]).expect(4).stdout;
    assert!(found.contains(&format!("{weights} is corrupt")), "{found}");
    assert!(found.contains("train-00000.npy is damaged"), "{found}; {shard}");
    let refused = run(&place, &bucket, &["export", &stage, "--format", "llama", "--out", "again"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("is damaged"), "{refused:?}");
    flip(&bucket, |path| path.ends_with("train-00000.npy"));
    let repaired = run(&place, &bucket, &["doctor", "--repair", "--min-age", "0"]).expect(0).stdout;
    assert!(repaired.contains("is lost") && repaired.ends_with("\nsound\n"), "{repaired}");

    // And all of it goes.
    run(&place, &bucket, &["forget", "smoke", "--datasets", "--yes"]).expect(0);
    wait_for("an empty bucket", || {
        let files = fs::read_dir(server.bucket().join(PREFIX).join("checkpoints")).into_iter().flatten().flatten();
        let is_empty = |dir: std::path::PathBuf| fs::read_dir(dir).is_ok_and(|mut files| files.next().is_none());
        files
            .map(|stage| stage.path())
            .all(|stage| fs::read_dir(stage).into_iter().flatten().flatten().all(|attempt| is_empty(attempt.path())))
            .then_some(())
    });
}

#[test]
fn a_wrong_key_is_said_in_one_line() {
    let _turn = one_at_a_time();
    let server = Server::start();
    let bucket = Bucket { name: BUCKET.to_owned(), variables: server.variables() };
    let place = Place::new();
    let wrong = bucket.with("AWS_SECRET_ACCESS_KEY", "hush");
    let storage = format!("s3://{BUCKET}/{PREFIX}");
    let refused = run(&place, &wrong, &["serve", "--listen", "127.0.0.1:0", "--storage", &storage]).expect(2);
    let text = refused.stderr.trim_end();
    assert!(text.contains("the secret key is wrong") && text.contains("AWS_SECRET_ACCESS_KEY"), "{text}");
    assert!(!text.contains('\n') && !text.contains("hush"), "{text}");
    for (address, variable) in
        [("s3://KEY:hush@runs/x", "AWS_*"), ("az://runs/x?sig=hush", "AZURE_*"), ("ftp://runs/x", "s3://")]
    {
        let refused = run(&place, &bucket, &["serve", "--listen", "127.0.0.1:0", "--storage", address]).expect(2);
        assert!(refused.stderr.contains(variable) && !refused.stderr.contains("hush"), "{}", refused.stderr);
    }
    let plain = bucket.with("AWS_ENDPOINT_URL", "http://192.0.2.1:9000");
    let refused = run(&place, &plain, &["serve", "--listen", "127.0.0.1:0", "--storage", &storage]).expect(2);
    assert!(refused.stderr.contains("AWS_ALLOW_HTTP=true"), "{}", refused.stderr);

    // A worker says so, to people and to its coordinator, and is given nothing.
    let serving = serve(&place, &bucket, &[]);
    let _worker = worker("w1", "a", &place, &wrong, &serving.url, &[]);
    let said = wait_for("a sentence in the worker's log", || {
        let log = fs::read_to_string(place.path("a.log")).ok()?;
        log.lines().find(|line| line.contains("the secret key is wrong")).map(str::to_owned)
    });
    assert!(said.contains("AWS_SECRET_ACCESS_KEY") && !said.contains("hush"), "{said}");
    assert_eq!(server.requests(Method::PUT, "probes"), 0, "it could not even read the marker");
}

#[test]
fn a_cache_that_is_too_small_says_how_much_the_data_takes() {
    let _turn = one_at_a_time();
    let server = Server::start();
    let bucket = Bucket { name: BUCKET.to_owned(), variables: server.variables() };
    let place = Place::new();
    let serving = serve(&place, &bucket, &[]);
    submit(&place, &bucket, &serving.url);
    let _worker = worker("w1", "a", &place, &bucket, &serving.url, &["--cache-bytes", "1K"]);
    let said = wait_for("a sentence in the worker's log", || {
        let log = fs::read_to_string(place.path("a.log")).ok()?;
        log.lines().find(|line| line.contains("--cache-bytes")).map(str::to_owned)
    });
    assert!(said.contains("may hold 1.0 KiB") && said.contains("KiB"), "{said}");
    assert_eq!(server.requests(Method::GET, ".npy"), 0, "nothing was begun");
}

#[test]
fn the_coordinator_reads_checkpoints_back_from_a_bucket_only_where_it_is_asked_to() {
    let _turn = one_at_a_time();
    for (more, reads_back) in [(&[][..], false), (&["--verify", "full"][..], true)] {
        let server = Server::start();
        let bucket = Bucket { name: BUCKET.to_owned(), variables: server.variables() };
        let place = Place::new();
        let serving = serve(&place, &bucket, more);
        let _worker = worker("w1", "a", &place, &bucket, &serving.url, &[]);
        submit(&place, &bucket, &serving.url);
        let watched = on("s", &place, &bucket, &["watch", "smoke", "--coordinator", &serving.url]).output();
        assert!(watched.expect("it starts").status.success());
        // Every stage ends with a checkpoint, and those without a parent start from none.
        let stored = server.requests(Method::PUT, "optimizer.safetensors");
        let read = server.requests(Method::GET, "optimizer.safetensors");
        assert!(stored >= 12 && (read >= stored) == reads_back, "{stored} stored, {read} read");
    }
}
