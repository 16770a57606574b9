//! The commands of docs/guide/bucket.md, as they stand there, but for addresses and the recipe.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::campaign::on;
use crate::server::{BUCKET, Server};
use crate::suite::Bucket;
use crate::support::process::{Running, wait_for};
use crate::support::{Place, one_at_a_time, undisturbed};

/// The lines of the page's shell blocks that run the program.
fn commands() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/bucket.md");
    let text = fs::read_to_string(page).expect("the page is there");
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).filter(|line| line.starts_with("windtunnel "));
    lines.map(str::to_owned).collect()
}

#[test]
fn the_commands_of_the_guide_make_the_points_of_one_machine() {
    undisturbed();
    let _turn = one_at_a_time();
    let server = Server::start();
    let bucket = Bucket { name: BUCKET.to_owned(), variables: server.variables() };
    let place = Place::with_much_to_train();
    let (mut serving, mut workers, mut url) = (None, Vec::new(), String::new());
    let mut done = Vec::new();
    for line in commands() {
        let line = line.replace("http://127.0.0.1:7450", &url).replace("recipes/quickstart", "smoke");
        let line = line
            .replace("quickstart", "smoke")
            .replace("worker.token", &place.path("worker.token").display().to_string());
        let (line, output) = line.split_once(" > ").map_or((line.as_str(), None), |(line, file)| (line, Some(file)));
        let args: Vec<&str> = line.split_whitespace().skip(1).collect();
        done.push(args[0].to_owned());
        match args[0] {
            "serve" => {
                let args = [&args[..], &["--listen", "127.0.0.1:0"]].concat();
                let log = File::create(place.path("serve.log")).expect("made");
                serving = Some(Running::start_to(&mut on("first", &place, &bucket, &args), log));
                url = wait_for("a coordinator", || {
                    let live = fs::read_to_string(place.path("first/coordinator.json")).ok()?;
                    let live: serde_json::Value = serde_json::from_str(&live).ok()?;
                    Some(live["url"].as_str()?.to_owned())
                });
            }
            "worker" => workers.push(Running::silent(&mut on("second", &place, &bucket, &args))),
            command => {
                if command == "doctor" {
                    workers.clear();
                    let mut serving = serving.take().expect("it serves");
                    serving.signal("TERM");
                    serving.wait();
                }
                let ran = on("first", &place, &bucket, &args).output().expect("the program starts");
                assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
                if let Some(file) = output {
                    fs::write(file, &ran.stdout).expect("written");
                    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("ours");
                }
            }
        }
    }
    assert_eq!(done, ["serve", "token", "worker", "submit", "watch", "report", "doctor"]);
    assert_eq!(place.points("out/smoke"), undisturbed());
}
