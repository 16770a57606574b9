//! The metrics of a coordinator, read over HTTP as Prometheus reads them, and what is drawn of them.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use support::process::{Running, wait_for};
use support::remote::{certificates, token};
use support::{Place, one_at_a_time};
use tonic::body::Body;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tower::{Service, ServiceExt};

/// A page of metrics.
#[derive(Debug, Default)]
struct Page {
    /// By name.
    kinds: BTreeMap<String, String>,
    /// By name and labels, as they stand on the page.
    samples: BTreeMap<String, f64>,
}

impl Page {
    /// Reads the text format strictly.
    fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let (mut page, mut helped, mut current) = (Self::default(), String::new(), String::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').expect("has a text");
                assert!(is_name(name) && text.ends_with('.'), "{line}");
                helped = name.to_owned();
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("has a type");
                assert!(name == helped && matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert_eq!(page.kinds.insert(name.to_owned(), kind.to_owned()), None, "{line}");
                current = name.to_owned();
            } else {
                let (series, value) = line.rsplit_once(' ').expect("has a value");
                let (name, labels) = series.split_once('{').map_or((series, ""), |(name, rest)| {
                    (name, rest.strip_suffix('}').unwrap_or_else(|| panic!("{line}")))
                });
                let is_histogram = page.kinds[&current] == "histogram";
                let endings: &[&str] = if is_histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(endings.iter().any(|ending| name == format!("{current}{ending}")), "{line} below {current}");
                let labels: Vec<&str> = labels.split_terminator("\",").collect();
                for label in &labels {
                    let (label, value) = label.trim_end_matches('"').split_once("=\"").expect("a label has a value");
                    assert!(is_name(label) && !value.contains(['"', '\\']), "{line}");
                }
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
                assert!(value.is_finite() && value >= 0.0, "{line}");
                assert_eq!(page.samples.insert(series.to_owned(), value), None, "twice: {line}");
            }
        }
        for (name, _) in page.kinds.iter().filter(|(_, kind)| *kind == "histogram") {
            let bucket = |line: &str| line.starts_with(&format!("{name}_bucket{{le=\""));
            let lines: Vec<&str> = text.lines().filter(|line| bucket(line)).collect();
            let counts: Vec<f64> =
                lines.iter().map(|line| page.samples[line.rsplit_once(' ').expect("is one").0]).collect();
            assert!(counts.is_sorted() && counts.last() == Some(&page.samples[&format!("{name}_count")]), "{lines:?}");
            assert!(lines.last().is_some_and(|line| line.contains("+Inf")), "{lines:?}");
        }
        page
    }

    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("{series} is not among {:#?}", self.samples))
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_lowercase())
        && text.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}

/// What HTTP/1.1 answers: the head and the body.
fn get(url: &str) -> (String, String) {
    let (address, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a plain address");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("is text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("has a head");
    (head.to_owned(), body.to_owned())
}

fn page(url: &str) -> Page {
    let (head, body) = get(url);
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("text/plain; version=0.0.4"), "{head}");
    Page::read(&body)
}

/// A coordinator with more arguments, and what it says about itself.
fn serve(place: &Place, more: &[&str]) -> (Running, impl Iterator<Item = String> + use<>, serde_json::Value) {
    let args = [&["serve", "--listen", "127.0.0.1:0", "--json"], more].concat();
    let (serving, mut lines) = Running::piped(&mut place.command(&args));
    let said = serde_json::from_str(&lines.next().expect("it says where it serves")).expect("JSON");
    (serving, lines, said)
}

fn json(place: &Place, arguments: &[&str]) -> serde_json::Value {
    let ran = place.run(&[arguments, &["--json"]].concat()).expect(0);
    serde_json::from_str(&ran.stdout).expect("JSON")
}

/// A file of the repository.
fn deployed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The metrics that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with("windtunnel_")).map(str::to_owned).collect()
}

#[test]
fn the_numbers_are_those_that_people_are_told_and_the_dashboard_draws_only_such() {
    let _turn = one_at_a_time();
    let place = Place::new();
    let (serving, _lines, said) = serve(&place, &["--metrics", "127.0.0.1:0", "--workers", "1"]);
    let url = said["metrics"].as_str().expect("they are served").to_owned();
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/metrics"), "{url}");
    let before = page(&url);
    assert_eq!(before.value("windtunnel_attempts_started_total"), 0.0);
    place.run(&["submit", "smoke.toml"]).expect(0);
    place.run(&["watch", "smoke"]).expect(0);

    let shown = json(&place, &["show", "smoke"]);
    let stages = shown["stages"].as_array().expect("has stages");
    // A page is shown for a second.
    let after = wait_for("a page of the end", || {
        Some(page(&url)).filter(|page| page.value("windtunnel_campaigns{phase=\"ended\"}") == 1.0)
    });
    let labels = format!("campaign=\"{}\",name=\"smoke\"", shown["campaign"]["campaign"].as_str().expect("has one"));
    for state in ["waiting", "running", "completed", "diverged", "failed", "not_run"] {
        let expected = stages.iter().filter(|stage| stage["phase"] == state).count();
        assert_eq!(
            after.value(&format!("windtunnel_stages{{{labels},state=\"{state}\"}}")),
            expected as f64,
            "{state}"
        );
    }
    for (series, field) in
        [("windtunnel_campaign_tokens", "tokens"), ("windtunnel_campaign_tokens_trained", "tokens_done")]
    {
        let expected = shown["campaign"][field].as_f64().expect("is a number");
        assert_eq!(after.value(&format!("{series}{{{labels}}}")), expected);
        assert!(expected > 0.0);
    }
    // Nothing was trained twice.
    assert_eq!(
        after.value("windtunnel_tokens_trained_total"),
        after.value(&format!("windtunnel_campaign_tokens{{{labels}}}"))
    );
    assert_eq!(after.value("windtunnel_attempts_started_total"), stages.len() as f64);
    assert_eq!(after.value("windtunnel_attempts_ended_total{ending=\"completed\"}"), stages.len() as f64);
    let ended = after.samples.iter().filter(|(series, _)| series.starts_with("windtunnel_attempts_ended_total{"));
    assert_eq!(ended.map(|(_, count)| count).sum::<f64>(), stages.len() as f64);
    let checkpoints = json(&place, &["checkpoints", "list"]);
    let checkpoints = checkpoints["checkpoints"].as_array().or(checkpoints.as_array()).expect("a list").clone();
    assert!(!checkpoints.is_empty());
    assert_eq!(after.value("windtunnel_checkpoints"), checkpoints.len() as f64);
    let bytes: f64 = checkpoints.iter().map(|checkpoint| checkpoint["bytes"].as_f64().expect("has a size")).sum();
    assert_eq!(after.value("windtunnel_checkpoint_bytes"), bytes);
    assert!(after.value("windtunnel_checkpoint_committed_bytes_total") >= bytes);
    let workers = after.samples.iter().filter(|(series, _)| series.starts_with("windtunnel_workers{"));
    assert_eq!(workers.map(|(_, count)| count).sum::<f64>(), 1.0);
    let commits = "windtunnel_commit_duration_seconds_count";
    assert!(after.value(commits) >= stages.len() as f64 && after.value(commits) > before.value(commits));
    assert_eq!(after.kinds["windtunnel_commit_duration_seconds"], "histogram");

    // What is drawn, described and alerted on exists.
    let guide =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/metrics.md")).expect("it is there");
    let dashboard: serde_json::Value = serde_json::from_str(&deployed("grafana/windtunnel.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("has panels");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let queries = panel["targets"].as_array().expect("asks for something");
        assert!(queries.iter().any(|query| !named(query["expr"].as_str().expect("a query")).is_empty()), "{panel}");
    }
    let is_known = |name: &String| {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|ending| name.strip_suffix(ending));
        after.kinds.contains_key(name)
            || base.is_some_and(|base| after.kinds.get(base).is_some_and(|kind| kind == "histogram"))
    };
    for (file, text) in [
        ("the dashboard", dashboard.to_string()),
        ("the rules", deployed("prometheus/rules.yml")),
        ("the guide", guide.clone()),
    ] {
        let names = named(&text);
        assert!(names.len() > 2, "{file}");
        assert_eq!(names.iter().filter(|name| !is_known(name)).collect::<Vec<_>>(), Vec::<&String>::new(), "{file}");
    }
    let described = named(&guide);
    assert_eq!(after.kinds.keys().filter(|name| !described.contains(*name)).collect::<Vec<_>>(), Vec::<&String>::new());
    serving.signal("TERM");
}

#[test]
fn other_requests_are_refused_and_nothing_is_served_unasked() {
    let place = Place::new();
    let (serving, _lines, said) = serve(&place, &["--metrics", "127.0.0.1:0"]);
    let url = said["metrics"].as_str().expect("they are served");
    assert!(get(&url.replace("/metrics", "/")).0.starts_with("HTTP/1.1 404"));
    assert!(
        get(&url.replace("/metrics", "/windtunnel.v1.CampaignService/ListCampaigns")).0.starts_with("HTTP/1.1 404")
    );
    serving.signal("TERM");
    let place = Place::new();
    let (serving, _lines, said) = serve(&place, &[]);
    assert!(said.get("metrics").is_none(), "{said}");
    serving.signal("TERM");
    let refused =
        place.run(&["serve", "--listen", "127.0.0.1:0", "--metrics", "0.0.0.0:0", "--data-dir", "other"]).expect(2);
    assert!(refused.stderr.contains("can be reached from other machines"), "{}", refused.stderr);
}

#[test]
fn beyond_loopback_a_certificate_and_a_token_of_scope_read_are_needed() {
    let place = Place::new();
    certificates(&place);
    let [read, worker] = ["read", "worker"].map(|scope| token(&place, &["--scope", scope]));
    let more = ["--metrics", "0.0.0.0:0", "--tls-cert", "server.pem", "--tls-key", "server.key"];
    let (serving, _lines, said) = serve(&place, &more);
    let url = said["metrics"].as_str().expect("they are served");
    let port = url.trim_end_matches("/metrics").rsplit(':').next().expect("a port");
    assert!(url.starts_with("https://"), "{url}");
    let authority = Certificate::from_pem(fs::read(place.path("ca.pem")).expect("it is there"));
    let runtime = tokio::runtime::Runtime::new().expect("starts");
    let answers = runtime.block_on(async {
        // As Prometheus does, over HTTP/2.
        let endpoint = Endpoint::from_shared(format!("https://localhost:{port}")).expect("an address");
        let tls = ClientTlsConfig::new().ca_certificate(authority);
        let mut channel = endpoint.tls_config(tls).expect("it is sound").connect().await.expect("it listens");
        let mut codes = Vec::new();
        for token in [None, Some("wt_nobody_knows"), Some(worker.as_str()), Some(read.as_str())] {
            let mut request = http::Request::get(format!("https://localhost:{port}/metrics"));
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let request = request.body(Body::empty()).expect("it is sound");
            let answer = channel.ready().await.expect("it is open").call(request).await.expect("it answers");
            codes.push(answer.status().as_u16());
        }
        codes
    });
    assert_eq!(answers, [401, 401, 403, 200]);
    serving.signal("TERM");
}
