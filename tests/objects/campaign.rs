//! A campaign whose machines share nothing but a bucket. Its points are those of a run on one machine, byte for byte.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use http::Method;

use crate::server::{BUCKET, Fault, Server};
use crate::suite::Bucket;
use crate::support::process::{Running, wait_for};
use crate::support::{Place, one_at_a_time, undisturbed};

/// A command in a data directory of its own, as on another machine, with what it needs to know of the bucket.
pub(crate) fn on(machine: &str, place: &Place, bucket: &Bucket, args: &[&str]) -> Command {
    let mut command = place.command(args);
    command.env("WINDTUNNEL_DATA_DIR", place.path(machine)).envs(bucket.variables.iter().cloned());
    // Those of somebody else.
    command.env("TOKEN", "abc").env("TIMEOUT", "1ms");
    command
}

/// Where a coordinator listens, and a file with a token for workers and clients on other machines.
pub(crate) struct Serving {
    _coordinator: Running,
    pub(crate) url: String,
}

pub(crate) fn serve(place: &Place, bucket: &Bucket, more: &[&str]) -> Serving {
    let storage = format!("s3://{}/campaigns/{}", bucket.name, std::process::id());
    let args =
        ["serve", "--listen", "127.0.0.1:0", "--open-loopback", "--storage", &storage, "--json", "--log", "info"];
    let args = [&args[..], more].concat();
    let log = File::create(place.path("serve.log")).expect("made");
    let coordinator = Running::start_to(&mut on("c", place, bucket, &args), log);
    let live = wait_for("a coordinator", || {
        let live = fs::read_to_string(place.path("c/coordinator.json")).ok()?;
        let live: serde_json::Value = serde_json::from_str(&live).ok()?;
        Some(live["url"].as_str()?.to_owned())
    });
    Serving { _coordinator: coordinator, url: live }
}

pub(crate) fn worker(machine: &str, name: &str, place: &Place, bucket: &Bucket, url: &str, more: &[&str]) -> Running {
    let mut args = vec!["worker", "--coordinator", url, "--name", name, "--device", "flex", "--log", "info"];
    args.extend(["--checkpoint-interval", "0.3"]);
    args.extend(more);
    let log = File::create(place.path(&format!("{name}.log"))).expect("made");
    Running::start_to(&mut on(machine, place, bucket, &args), log)
}

pub(crate) fn submit(place: &Place, bucket: &Bucket, url: &str) {
    let submitted =
        on("s", place, bucket, &["submit", "smoke.toml", "--coordinator", url]).output().expect("it starts");
    assert!(submitted.status.success(), "{}", String::from_utf8_lossy(&submitted.stderr));
}

/// Waits for the end of the campaign, and checks its points.
pub(crate) fn see_through(place: &Place, bucket: &Bucket, url: &str) {
    let watched = on("s", place, bucket, &["watch", "smoke", "--coordinator", url]).output().expect("it starts");
    assert!(watched.status.success(), "{}", String::from_utf8_lossy(&watched.stderr));
    let args = ["report", "smoke", "--coordinator", url, "--out", "out"];
    let reported = on("s", place, bucket, &args).output().expect("it starts");
    assert!(reported.status.success(), "{}", String::from_utf8_lossy(&reported.stderr));
    assert_eq!(place.points("out"), undisturbed());
}

/// Three workers on two machines and a bucket. Something happens to the server, once something is trained.
pub(crate) fn interrupted(bucket: &Bucket, happens: impl FnOnce(&Place)) {
    undisturbed();
    let _turn = one_at_a_time();
    let place = Place::with_much_to_train();
    let serving = serve(&place, bucket, &[]);
    let workers = [("w1", "a"), ("w1", "b"), ("w2", "c")];
    let workers =
        workers.map(|(machine, name)| worker(machine, name, &place, bucket, &serving.url, &["--cache-bytes", "3M"]));
    submit(&place, bucket, &serving.url);
    happens(&place);
    see_through(&place, bucket, &serving.url);
    drop((workers, serving));

    for (machine, names) in [("w1", &["a", "b"][..]), ("w2", &["c"])] {
        let cache = place.path(machine).join("cache");
        let datasets = fs::read_dir(&cache).expect("there").flatten();
        let datasets = datasets.filter(|entry| entry.path().join("content/manifest.json").is_file()).count();
        // A slow machine may have come too late for a stage.
        let has_trained = names.iter().any(|name| {
            let log = fs::read_to_string(place.path(&format!("{name}.log"))).expect("there");
            log.contains("training step=")
        });
        let once = usize::from(has_trained);
        assert_eq!(datasets, once, "the dataset is there once for all workers of {machine} that trained");
        let used = bytes_below(&cache);
        assert!(used <= (3 << 20) + 4096, "{machine} keeps {used} bytes");
    }
    for log in ["serve.log", "a.log", "b.log", "c.log"] {
        let text = fs::read_to_string(place.path(log)).expect("there");
        assert!(!text.contains(crate::server::SECRET), "{log} holds the secret");
    }
}

/// Whether the coordinator has committed a checkpoint.
pub(crate) fn committed(place: &Place) -> bool {
    fs::read_to_string(place.path("serve.log")).is_ok_and(|log| log.contains("a checkpoint is committed"))
}

/// The bytes below a folder.
fn bytes_below(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_below(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

#[test]
fn workers_that_share_nothing_but_a_bucket_make_the_points_of_one_machine_although_it_goes_away() {
    let mut server = Server::start();
    let bucket = Bucket { name: BUCKET.to_owned(), variables: server.variables() };
    let mut manifests = 0;
    interrupted(&bucket, |place| {
        wait_for("a first checkpoint", || committed(place).then_some(()));
        // Nothing listens for a while, as after the crash of a server that then answers with errors until it is up.
        server.stop();
        manifests = server.requests(Method::PUT, "manifest.json");
        std::thread::sleep(Duration::from_secs(4));
        for method in [Method::GET, Method::PUT, Method::HEAD] {
            server.fail(method, "", Fault::Status(500), 12);
        }
        server.go_on();
    });
    assert!(server.requests(Method::PUT, "manifest.json") > manifests, "it was away in the middle");
    // The workers of a machine download a file of the dataset once; those that the outage interrupted, again.
    let downloads = server.requests(Method::GET, "train-00000.npy");
    assert!((2..=8).contains(&downloads), "{downloads} downloads by two machines");
}
