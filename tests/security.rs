//! A coordinator with authentication, as a user sets it up: certificates, tokens, a worker, and third-party tools.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use support::Place;
use support::process::Running;
use support::remote::{certificates, elsewhere, ran, token};

/// Files below a directory that hold a text.
fn holding(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes())) {
            found.push(path);
        }
    }
    found
}

/// Processes with a text among their arguments.
fn told(text: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("this is Linux").flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| line.windows(text.len()).any(|window| window == text.as_bytes())).count()
}

#[test]
fn a_campaign_over_tls_with_tokens_and_nobody_else_gets_in() {
    let place = Place::new();
    certificates(&place);
    let [worker, submit, read] = ["worker", "submit", "read"].map(|scope| token(&place, &["--scope", scope]));
    let files = ["--tls-cert", "server.pem", "--tls-key", "server.key"];
    let serve = [&["serve", "--listen", "127.0.0.1:0"], files.as_slice()].concat();
    let (serving, mut lines) = Running::piped(&mut place.command(&serve));
    let line = lines.next().expect("it says where it serves");
    let address = line.split_whitespace().nth(1).expect("has an address");
    assert!(address.starts_with("https://127.0.0.1:"), "{line}");
    let url = address.replace("127.0.0.1", "localhost");

    // Nobody, or somebody who may not.
    let refused = ran(elsewhere(&place, &url, None, &["list"])).expect(2);
    assert!(refused.stderr.contains("WINDTUNNEL_TOKEN") && refused.stderr.lines().count() == 1, "{}", refused.stderr);
    let refused = ran(elsewhere(&place, &url, Some(&worker), &["list"])).expect(2);
    assert!(refused.stderr.contains("`read`"), "{}", refused.stderr);
    ran(elsewhere(&place, &url, Some(&read), &["submit", "smoke.toml"])).expect(2);
    ran(elsewhere(&place, &url, None, &["worker"])).expect(78);
    ran(elsewhere(&place, &url, Some(&read), &["worker"])).expect(78);
    let other_ca = place.write("other.pem", &fs::read_to_string(place.path("server.pem")).expect("it is there"));
    let mut suspicious = elsewhere(&place, &url, Some(&read), &["list"]);
    ran({
        suspicious.env("WINDTUNNEL_TLS_CA", other_ca);
        suspicious
    })
    .expect(1);
    let plain = url.replace("https", "http");
    assert_ne!(ran(elsewhere(&place, &plain, Some(&read), &["list"])).code, Some(0));
    let secret_in_url = url.replace("https://", "https://me:hunter2@");
    let refused = ran(elsewhere(&place, &secret_in_url, None, &["list"])).expect(2);
    assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    let refused = ran(elsewhere(&place, "http://login-1.invalid:7450", Some(&read), &["list"])).expect(2);
    assert!(refused.stderr.contains("unencrypted"), "{}", refused.stderr);

    // A file that others may read is refused for a token.
    let file = place.write("token", &read);
    let with_file = || elsewhere(&place, &url, None, &["list", "--token-file", "token"]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    assert!(ran(with_file()).expect(2).stderr.contains("chmod 600"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    ran(with_file()).expect(0);

    // The campaign, from submission to its end.
    ran(elsewhere(&place, &url, Some(&submit), &["submit", "smoke.toml"])).expect(0);
    let mut command = elsewhere(&place, &url, Some(&worker), &["--log", "debug", "worker", "--give-up-after", "2"]);
    let log = fs::File::create(place.path("worker.log")).expect("it is made");
    let working = Running::start_to(&mut command, log);
    ran(elsewhere(&place, &url, Some(&read), &["watch", "smoke"])).expect(0);
    // Whoever may read the data directory needs no token.
    let points = place.run(&["report", "smoke", "--out", "out"]).expect(0);
    assert!(!points.stdout.is_empty() && place.points("out").lines().count() == 7);

    // No secret anywhere but with its holder.
    let listed = place.run(&["token", "list"]).expect(0).stdout;
    assert_eq!(listed.lines().count(), 4, "{listed}");
    for token in [&worker, &submit, &read] {
        assert_eq!(told(token), 0, "a token among the arguments of a process");
        assert!(!listed.contains(token.as_str()), "{listed}");
        assert_eq!(holding(&place.path("data"), token), Vec::<PathBuf>::new());
        assert_eq!(holding(&place.path("elsewhere"), token), Vec::<PathBuf>::new());
    }
    assert!(!fs::read_to_string(place.path("worker.log")).expect("it is there").contains(&worker));

    // Revoked, it is over at once for calls, and soon for the worker, which keeps asking as long as it was told to.
    let id = worker.split('_').nth(1).expect("has an identifier");
    place.run(&["token", "revoke", id]).expect(0);
    place.run(&["token", "revoke", id]).expect(2);
    let mut working = working;
    assert_eq!(working.wait().code(), Some(69));
    ran(elsewhere(&place, &url, Some(&read), &["list"])).expect(0);
    serving.signal("TERM");
}

#[test]
fn this_user_needs_no_token_and_everybody_else_does() {
    let place = Place::new();
    certificates(&place);
    // A token of another scope in the environment is meant for other commands.
    let read = token(&place, &["--scope", "read"]);
    let file = place.write("token", &read);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let mut serve = place.command(&["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--json"]);
    let (mut serving, mut lines) = Running::piped(serve.env("WINDTUNNEL_TOKEN_FILE", &file));
    let line: serde_json::Value = serde_json::from_str(&lines.next().expect("it says where it serves")).expect("JSON");
    let url = line["url"].as_str().expect("an address");
    ran(elsewhere(&place, url, None, &["list"])).expect(2);
    ran(elsewhere(&place, url, Some(&read), &["list"])).expect(0);
    ran(elsewhere(&place, url, Some(&read), &["submit", "smoke.toml"])).expect(2);
    // Its own workers and commands use the socket.
    let mut submit = place.command(&["submit", "smoke.toml"]);
    submit.env("WINDTUNNEL_TOKEN_FILE", &file);
    ran(submit).expect(0);
    place.run(&["watch", "smoke"]).expect(0);
    let socket = place.path("data/coordinator.sock");
    assert_eq!(fs::metadata(&socket).expect("it is there").permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(place.path("data")).expect("it is there").permissions().mode() & 0o777, 0o700);
    assert_eq!(holding(&place.path("data"), &read), Vec::<PathBuf>::new());
    serving.signal("TERM");
    assert_eq!(serving.wait().code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn open_loopback_has_to_be_asked_for() {
    let place = Place::new();
    certificates(&place);
    let serve = ["serve", "--listen", "127.0.0.1:0", "--open-loopback", "--json"];
    let (serving, mut lines) = Running::piped(&mut place.command(&serve));
    let line: serde_json::Value = serde_json::from_str(&lines.next().expect("it says where it serves")).expect("JSON");
    ran(elsewhere(&place, line["url"].as_str().expect("an address"), None, &["list"])).expect(0);
    serving.signal("TERM");
}

/// Another user of the same machine, as far as this test may be one: root can.
fn nobody(command: &str) -> Option<bool> {
    use std::os::unix::process::CommandExt;
    let is_root = fs::metadata("/proc/self").expect("this is Linux").uid() == 0;
    let status = is_root.then(|| Command::new("sh").args(["-c", command]).uid(65534).gid(65534).status());
    status.map(|status| status.expect("a shell starts").success())
}

#[test]
fn other_users_of_the_machine_can_neither_read_nor_lock_nor_call() {
    let place = Place::new();
    fs::set_permissions(place.path("."), fs::Permissions::from_mode(0o755)).expect("it is ours");
    place.run(&["run", "smoke.toml"]).expect(0);
    let data = place.path("data").display().to_string();
    let (serving, mut lines) = Running::piped(&mut place.command(&["serve", "--listen", "127.0.0.1:0"]));
    lines.next().expect("it says where it serves");
    let Some(true) = nobody("true") else { return eprintln!("not run: only root can act as another user") };
    assert_eq!(nobody(&format!("ls {data}")), Some(false));
    // Nor in a directory that an earlier version made for everybody to read.
    fs::set_permissions(place.path("data"), fs::Permissions::from_mode(0o755)).expect("it is ours");
    assert_eq!(nobody(&format!("ls {data}")), Some(true));
    for file in ["store.sqlite", "store.sqlite-wal", "coordinator.lock", "coordinator.sock"] {
        assert!(place.path("data").join(file).exists(), "{file}");
        assert_eq!(nobody(&format!("test -r {data}/{file} || test -w {data}/{file}")), Some(false), "{file}");
    }
    assert_eq!(nobody(&format!("flock -n -s {data}/coordinator.lock true")), Some(false));
    place.run(&["list"]).expect(0);
    serving.signal("TERM");
}
