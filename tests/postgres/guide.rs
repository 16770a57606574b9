//! The commands of docs/guide/high-availability.md, as they stand there, but for names, ports and folders.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::guide::Guide;
use crate::support::machine::Machine;
use crate::support::process::wait_for;
use crate::support::{Place, remote, undisturbed};
use crate::{Onlooker, database, free_port};

/// The address in the guide.
const ADDRESS: &str = "postgres://windtunnel@db-1/windtunnel?sslmode=verify-full&sslrootcert=/etc/ssl/db-ca.pem";

#[test]
fn the_commands_of_the_guide_move_a_store_and_outlive_its_first_coordinator() {
    let Some(server) = database::server() else { return };
    undisturbed();
    let (place, onlooker) = (Place::with_much_to_train(), Onlooker::new(server));
    let (address, ports) = (onlooker.guarded(server), [free_port(), free_port()]);
    let urls = ports.map(|port| format!("localhost:{port}"));
    let shared = place.path("shared").display().to_string();
    remote::certificates(&place);
    let replacements = [
        (ADDRESS, address.as_str()),
        ("/var/lib/windtunnel", "$DATA"),
        ("/shared/windtunnel", &shared),
        ("0.0.0.0:7450", "127.0.0.1:$PORT"),
        ("login-1:7450", &urls[0]),
        ("login-2:7450", &urls[1]),
    ];
    let mut guide = Guide::read(&place, "high-availability.md", &replacements);
    let machines = ["one", "other"].map(|name| Machine::new(&place, name));
    for (machine, (name, port)) in machines.iter().zip(["one", "other"].into_iter().zip(ports)) {
        let home = place.path(name);
        for (ours, theirs) in [("server.pem", "login-1.pem"), ("server.key", "login-1.key")] {
            fs::copy(place.path(ours), home.join(theirs)).expect("copied");
        }
        let password = home.join(".windtunnel-database");
        fs::write(&password, "hunter2\n").expect("written");
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).expect("ours");
        let data = home.join("data").display().to_string();
        machine.export(&[("DATA".to_owned(), data), ("PORT".to_owned(), port.to_string())]);
    }
    let [one, other] = &machines;
    // A store in a file, with a token.
    one.run("umask 077\nwindtunnel token create --data-dir $DATA --scope submit --name ada > ada.token");
    let people = Machine::new(&place, "people").within(place.path(""));

    let block = guide.take("export WINDTUNNEL_STORE=");
    machines.iter().for_each(|machine| drop(machine.run(&block.text)));
    one.run(&guide.take("windtunnel store copy").text);
    one.run(&guide.take("windtunnel token create").text);
    let serve = guide.take("windtunnel serve");
    let first = one.start(&serve.text, "serve.log");
    wait_for("a coordinator", || one.said("serve.log").contains("the coordinator listens").then_some(()));
    let second = other.start(&serve.text, "serve.log");
    wait_for("the other one", || other.said("serve.log").contains("standing by for https://").then_some(()));
    people.run(&guide.take("export WINDTUNNEL_COORDINATOR=").text);
    let doctor = guide.take("windtunnel doctor");
    guide.end();

    // What the page promises of them.
    let [ca, nodes, ada] = ["ca.pem", "one/token", "one/ada.token"].map(|name| place.path(name).display().to_string());
    people.run(&format!("export WINDTUNNEL_TLS_CA={ca} WINDTUNNEL_TOKEN_FILE={ada}"));
    let _worker = people.start(&format!("windtunnel worker --token-file {nodes}"), "worker.log");
    people.run("windtunnel submit smoke.toml");
    let steps = || people.run("windtunnel curves smoke").stdout.lines().count();
    wait_for("a step", || (steps() > 1).then_some(()));
    first.kill_group();
    wait_for("the other one to lead", || other.said("serve.log").contains("it leads now").then_some(()));
    people.run("windtunnel watch smoke");
    people.run("windtunnel report smoke");
    assert_eq!(place.points("out/smoke"), undisturbed(), "{}", people.said("worker.log"));
    // Nobody leads any more.
    drop(second);
    one.run(&doctor.text);
}
