//! Datasets that go through the coordinator, because whoever submits cannot use the storage.
//!
//! `file:///proc/self/cwd/store` is another folder for each process, as a path is on another machine. Linux only.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use support::process::{Running, wait_for};
use support::remote::{certificates, elsewhere, ran, token};
use support::{Place, by, one_at_a_time, smoke_recipe};

/// A storage that each process has in its own working directory.
const STORE: &str = "file:///proc/self/cwd/store";

/// A place whose dataset takes several pieces, with certificates.
fn place() -> Place {
    let place = Place::new();
    certificates(&place);
    let recipe = smoke_recipe().replace("max_bytes = 400_000", "max_bytes = 8_000_000");
    place.write("smoke.toml", &recipe);
    let mut state = 1_u64;
    let lines = (0..60_000).map(|line| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("Line {line} says {:x} of {:x}.\n", state >> 16, state >> 40)
    });
    place.write("texts/long.txt", &lines.collect::<String>());
    fs::create_dir(place.path("server")).expect("made");
    place
}

/// A coordinator in the folder `server`, and its address.
fn serve(place: &Place, more: &[&str]) -> (Running, impl Iterator<Item = String> + use<>, String) {
    let files = ["--tls-cert", "../server.pem", "--tls-key", "../server.key"];
    let args = [&["serve", "--listen", "127.0.0.1:0", "--storage", STORE], files.as_slice(), more].concat();
    let (serving, mut lines) = Running::piped(place.command(&args).current_dir(place.path("server")));
    let line = lines.next().expect("it says where it serves");
    let address = line.split_whitespace().nth(1).expect("has an address");
    let url = address.replace("127.0.0.1", "localhost");
    (serving, lines, url)
}

/// The only dataset in a folder of datasets.
fn dataset(datasets: &Path) -> PathBuf {
    let found: Vec<PathBuf> =
        fs::read_dir(datasets).expect("it is there").flatten().map(|entry| entry.path()).collect();
    let found: Vec<_> = found.into_iter().filter(|path| path.is_dir() && path.join("manifest.json").exists()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().expect("there is one")
}

fn bytes_of(dir: &Path) -> u64 {
    fs::read_dir(dir).expect("it is there").flatten().map(|entry| entry.metadata().expect("is there").len()).sum()
}

/// The points of the recipe, as `windtunnel run` makes them of the same text.
fn local_points(place: &Place) -> String {
    let mut run = place.command(&["run", "smoke.toml", "--out", "local"]);
    ran({
        run.env("WINDTUNNEL_DATA_DIR", place.path("local-data"));
        run
    })
    .expect(0);
    place.points("local")
}

/// A way to a coordinator that breaks the first connections after so many bytes each.
struct Way {
    port: u16,
    /// Bytes that went to the coordinator.
    sent: Arc<AtomicU64>,
    broken: Arc<AtomicU64>,
}

impl Way {
    fn to(target: SocketAddr, cuts: Vec<u64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let port = listener.local_addr().expect("has one").port();
        let (sent, broken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counts = (Arc::clone(&sent), Arc::clone(&broken));
        let cuts = Arc::new(Mutex::new(cuts));
        thread::spawn(move || {
            for from in listener.incoming().flatten() {
                let Ok(to) = TcpStream::connect(target) else { continue };
                let cut = cuts.lock().expect("nothing panics").pop();
                let (mut back_from, mut back_to) =
                    (to.try_clone().expect("is open"), from.try_clone().expect("is open"));
                thread::spawn(move || {
                    let _ = std::io::copy(&mut back_from, &mut back_to);
                    let _ = back_to.shutdown(Shutdown::Both);
                });
                let (sent, broken) = (Arc::clone(&counts.0), Arc::clone(&counts.1));
                thread::spawn(move || forward(from, to, cut, &sent, &broken));
            }
        });
        Self { port, sent, broken }
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, cut: Option<u64>, sent: &AtomicU64, broken: &AtomicU64) {
    let (mut buffer, mut passed) = (vec![0; 1 << 14], 0);
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
        passed += read as u64;
        sent.fetch_add(read as u64, Ordering::Relaxed);
        if cut.is_some_and(|cut| passed >= cut) {
            broken.fetch_add(1, Ordering::Relaxed);
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn a_token_of_scope_submit_is_all_that_a_submission_needs() {
    let _turn = one_at_a_time();
    let place = place();
    let [worker, submit, read] = ["worker", "submit", "read"].map(|scope| token(&place, &["--scope", scope]));
    let (serving, _lines, url) = serve(&place, &[]);
    let server_storage = place.path("server/store");
    assert!(server_storage.join("windtunnel-storage").is_file(), "the coordinator's storage is in its own folder");

    // Whoever may only read sends nothing.
    let refused = ran(elsewhere(&place, &url, Some(&read), &["submit", "smoke.toml"])).expect(2);
    assert!(refused.stderr.contains("needs a token with scope `submit`"), "{}", refused.stderr);
    assert!(!server_storage.join("datasets").exists() && !place.path("data/uploads").exists());

    // Over a way that breaks twice, in the middle of a file.
    let port = url.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok()).expect("a port");
    let way = Way::to(SocketAddr::from(([127, 0, 0, 1], port)), vec![1_700_000, 1_500_000]);
    let broken_url = format!("https://localhost:{}", way.port);
    let sent = ran(elsewhere(&place, &broken_url, Some(&submit), &["submit", "smoke.toml"])).expect(0);
    assert!(sent.stderr.contains("the data goes through the coordinator"), "{}", sent.stderr);
    assert!(sent.stderr.contains("data: sending 0 B of "), "{}", sent.stderr);
    assert!(sent.stderr.contains("does not answer"), "{}", sent.stderr);
    assert_eq!(way.broken.load(Ordering::Relaxed), 2);
    let prepared = dataset(&place.path("elsewhere/datasets"));
    let stored = server_storage.join("datasets").join(prepared.file_name().expect("has a name"));
    let mut files = 0;
    for entry in fs::read_dir(&prepared).expect("it is there").flatten() {
        let copy = fs::read(stored.join(entry.file_name())).expect("it was sent");
        assert_eq!(copy, fs::read(entry.path()).expect("it is there"), "{:?}", entry.file_name());
        files += 1;
    }
    assert_eq!(fs::read_dir(&stored).expect("it is there").count(), files);
    assert_eq!(fs::read_dir(place.path("data/uploads")).expect("it is there").count(), 0);
    // Each break costs a piece at most.
    let (bytes, passed) = (bytes_of(&prepared), way.sent.load(Ordering::Relaxed));
    assert!(bytes > 3_000_000 && passed < bytes + (2 << 20) + 400_000, "{passed} bytes for a dataset of {bytes}");

    // A second time, nothing is sent. A storage of that name on this machine is another one.
    fs::create_dir(place.path("store")).expect("made");
    place.write("store/windtunnel-storage", &format!("{}\n", "0".repeat(32)));
    let again = ran(elsewhere(&place, &url, Some(&submit), &["submit", "smoke.toml"])).expect(0);
    assert!(again.stderr.contains("another storage") && !again.stderr.contains("sending"), "{}", again.stderr);
    assert_eq!(fs::read_dir(place.path("store")).expect("it is there").count(), 1);

    // A worker beside the storage trains it to the same points.
    let mut command = elsewhere(&place, &url, Some(&worker), &["worker"]);
    command.current_dir(place.path("server")).env("WINDTUNNEL_DATA_DIR", place.path("worker"));
    let working = Running::silent(&mut command);
    ran(elsewhere(&place, &url, Some(&read), &["watch", "smoke"])).expect(0);
    ran(elsewhere(&place, &url, Some(&read), &["report", "smoke", "--out", "remote"])).expect(0);
    assert_eq!(place.points("remote"), local_points(&place));

    // Text to evaluate on and to branch to is prepared with the dataset's tokenizer, which comes through the port as well.
    fs::create_dir(place.path("others")).expect("made");
    for file in 0..40 {
        let lines = (0..40).map(|line| format!("River {file} runs slow under stone {} of {line}.\n", file * line));
        place.write(&format!("others/{file}.txt"), &lines.collect::<String>());
    }
    let evaluate = ["evaluate", "smoke", "--text", "others", "--name", "others", "--tokens", "512"];
    let refused = ran(elsewhere(&place, &url, Some(&read), &evaluate));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    let evaluated = ran(elsewhere(&place, &url, Some(&submit), &evaluate)).expect(0);
    assert!(evaluated.stderr.contains("the data goes through the coordinator"), "{}", evaluated.stderr);
    let detail = ran(elsewhere(&place, &url, Some(&read), &["show", "smoke", "--json"])).expect(0);
    let detail: serde_json::Value = serde_json::from_str(&detail.stdout).expect("JSON");
    let stages = detail["stages"].as_array().expect("has stages");
    let trunk = stages.iter().find(|stage| stage["role"] == "trunk").unwrap_or(&stages[0]);
    let key = trunk["key"].as_str().expect("has a key");
    let branch =
        ["branch", key, "--data", "others", "--tokens", "5120", "--validation-fraction", "0.3", "--name", "branched"];
    let branched = ran(elsewhere(&place, &url, Some(&submit), &branch)).expect(0);
    assert!(branched.stderr.contains("the data goes through the coordinator"), "{}", branched.stderr);
    ran(elsewhere(&place, &url, Some(&read), &["watch", "branched"])).expect(0);
    drop(working);
    serving.signal("TERM");
}

#[test]
fn data_that_is_damaged_on_its_way_never_counts_and_two_that_send_the_same_do_no_harm() {
    let _turn = one_at_a_time();
    let place = place();
    let submit = token(&place, &["--scope", "submit"]);
    let (mut serving, _lines, url) = serve(&place, &[]);
    // A first try, cut for good after its first piece, by a coordinator that is killed.
    let port = url.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok()).expect("a port");
    let way = Way::to(SocketAddr::from(([127, 0, 0, 1], port)), vec![u64::MAX, 1_700_000]);
    let broken_url = format!("https://localhost:{}", way.port);
    let mut sending = Running::silent(&mut elsewhere(&place, &broken_url, Some(&submit), &["submit", "smoke.toml"]));
    wait_for("the break", || (way.broken.load(Ordering::Relaxed) == 1).then_some(()));
    serving.signal("KILL");
    serving.wait();
    sending.signal("KILL");
    sending.wait();

    // Data that is not what its manifest says, from a folder where nobody looked.
    let prepared = dataset(&place.path("elsewhere/datasets"));
    let (name, damaged) = (prepared.file_name().expect("has a name").to_owned(), place.path("damaged"));
    fs::create_dir(&damaged).expect("made");
    for entry in fs::read_dir(&prepared).expect("it is there").flatten() {
        fs::copy(entry.path(), damaged.join(entry.file_name())).expect("copied");
    }
    let mut sound = fs::read(damaged.join("train-00000.npy")).expect("it is there");
    let last = sound.len() - 1;
    sound[last] ^= 1;
    fs::write(damaged.join("train-00000.npy"), &sound).expect("it is ours");
    sound[last] ^= 1;
    let (serving, _lines, url) = serve(&place, &[]);
    let local = coordinator::locate(&place.path("data")).expect("it serves").local_url();
    let runtime = tokio::runtime::Runtime::new().expect("starts");
    let error = runtime.block_on(async {
        let mut campaigns =
            client::Campaigns::connect(&local, &dial::Credentials::default()).await.expect("it answers");
        let id = name.to_str().and_then(|name| name.parse().ok()).expect("is an identifier");
        client::send_dataset(&mut campaigns, &id, &damaged, &mut |_| {}).await.expect_err("it is damaged")
    });
    let said = error.to_string();
    assert!(said.starts_with("train-00000.npy did not arrive as its manifest says, 3 times"), "{said}");
    let stored = place.path("server/store/datasets").join(&name);
    assert!(!stored.join("manifest.json").exists() && !stored.join("train-00000.npy").exists());

    // Sound, by two at once.
    let both: Vec<_> = (0..2)
        .map(|_| {
            let mut command = elsewhere(&place, &url, Some(&submit), &["submit", "smoke.toml"]);
            thread::spawn(move || ran_quietly(&mut command))
        })
        .collect();
    for one in both {
        let (code, said) = one.join().expect("nothing panics");
        assert_eq!(code, Some(0), "{said}");
    }
    assert_eq!(fs::read(stored.join("train-00000.npy")).expect("it was sent"), sound);
    assert!(stored.join("manifest.json").is_file());
    assert_eq!(fs::read_dir(place.path("data/uploads")).expect("it is there").count(), 0);
    serving.signal("TERM");
}

fn ran_quietly(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().expect("the program starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_coordinator_that_takes_no_uploads_says_so() {
    let _turn = one_at_a_time();
    let place = place();
    let submit = token(&place, &["--scope", "submit"]);
    let (serving, _lines, url) = serve(&place, &["--upload-limit", "0"]);
    let refused = ran(elsewhere(&place, &url, Some(&submit), &["submit", "smoke.toml"])).expect(2);
    assert!(refused.stderr.contains("takes at most 0 B in unfinished uploads"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--upload-limit"), "{}", refused.stderr);
    serving.signal("TERM");
}

#[test]
fn another_user_submits_to_a_coordinator_whose_folders_are_closed() {
    if fs::metadata("/proc/self").expect("this is Linux").uid() != 0 {
        return eprintln!("not run: only root can act as another user");
    }
    let _turn = one_at_a_time();
    let place = place();
    let shared = place.path("shared").display().to_string();
    let submit = token(&place, &["--scope", "submit"]);
    let files = ["--tls-cert", "server.pem", "--tls-key", "server.key"];
    let serve =
        [&["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--storage", &shared], files.as_slice()].concat();
    let (serving, mut lines) = Running::piped(&mut place.command(&serve));
    let line = lines.next().expect("it says where it serves");
    let url = line.split_whitespace().nth(1).expect("has an address").replace("127.0.0.1", "localhost");
    for closed in ["data", "shared"] {
        fs::set_permissions(place.path(closed), fs::Permissions::from_mode(0o700)).expect("it is ours");
    }
    let home = place.path("elsewhere");
    fs::create_dir(&home).expect("made");
    std::os::unix::fs::chown(&home, Some(65534), Some(65534)).expect("root may");
    let command = elsewhere(&place, &url, Some(&submit), &["submit", "smoke.toml"]);
    let mut command = by(place.program_for_everybody(), &command);
    command.uid(65534).gid(65534).env("HOME", &home);
    let sent = ran(command).expect(0);
    assert!(sent.stderr.contains("the data goes through the coordinator"), "{}", sent.stderr);
    place.run(&["watch", "smoke"]).expect(0);
    place.run(&["report", "smoke", "--out", "remote"]).expect(0);
    assert_eq!(place.points("remote"), local_points(&place));
    serving.signal("TERM");
}
