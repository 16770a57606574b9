//! A coordinator with authentication, as a user sets it up: certificates, tokens, a worker, and third-party tools.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::process::{Running, wait_for};
use support::{Place, Ran};

/// Writes a certificate for `localhost`, its key, and that of the authority which vouches for it.
fn certificates(place: &Place) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names are fine");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("there is randomness"));
    let authority = authority.expect("it can sign");
    let key = KeyPair::generate().expect("there is randomness");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("it is a name");
    let certificate = params.signed_by(&key, &authority).expect("it can sign");
    place.write("ca.pem", &authority.pem());
    place.write("server.pem", &certificate.pem());
    place.write("server.key", &key.serialize_pem());
}

/// Makes a token, as a person does.
fn token(place: &Place, arguments: &[&str]) -> String {
    let made = place.run(&[&["token", "create", "--name", "a test"], arguments].concat()).expect(0);
    made.stdout.trim().to_owned()
}

/// The program on another machine: a data directory of its own, and what it is given to show.
fn elsewhere(place: &Place, url: &str, token: Option<&str>, arguments: &[&str]) -> Command {
    let mut command = place.command(arguments);
    command.env("WINDTUNNEL_DATA_DIR", place.path("elsewhere")).env("WINDTUNNEL_COORDINATOR", url);
    command.env("WINDTUNNEL_TLS_CA", place.path("ca.pem")).env_remove("WINDTUNNEL_TOKEN");
    if let Some(token) = token {
        command.env("WINDTUNNEL_TOKEN", token);
    }
    command
}

fn ran(mut command: Command) -> Ran {
    Ran::of(command.output().expect("the program starts"))
}

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
    let files = ["--tls-cert", "server.pem", "--tls-key", "server.key", "--require-token"];
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
    let mut command = elsewhere(&place, &url, Some(&worker), &["--log", "debug", "worker"]);
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

    // Revoked, it is over at once for calls, and soon for the worker.
    let id = worker.split('_').nth(1).expect("has an identifier");
    place.run(&["token", "revoke", id]).expect(0);
    place.run(&["token", "revoke", id]).expect(2);
    let mut working = working;
    assert_eq!(working.wait().code(), Some(78));
    ran(elsewhere(&place, &url, Some(&read), &["list"])).expect(0);
    serving.signal("TERM");
}

#[test]
fn the_workers_and_tools_of_a_coordinator_that_asks_for_tokens_have_one() {
    let place = Place::new();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--require-token", "--workers", "1"];
    let (serving, mut lines) = Running::piped(&mut place.command(&serve));
    let url = lines.next().expect("it says where it serves").split_whitespace().nth(1).expect("an address").to_owned();
    ran(elsewhere(&place, &url, None, &["list"])).expect(2);
    place.run(&["submit", "smoke.toml"]).expect(0);
    place.run(&["watch", "smoke"]).expect(0);
    let file = place.path("data/coordinator.token");
    let token = fs::read_to_string(&file).expect("it is left for tools");
    assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    assert_eq!(told(&token[..token.len() - 1]), 0);
    assert_eq!(told("wt_local"), 0, "the worker has its token from somewhere else than its arguments");
    assert_eq!(holding(&place.path("data/logs"), "wt_"), Vec::<PathBuf>::new());
    let mut serving = serving;
    serving.signal("TERM");
    assert_eq!(serving.wait().code(), Some(0));
    wait_for("the end of the token", || (!file.exists()).then_some(()));
}
