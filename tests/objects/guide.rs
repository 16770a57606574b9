//! The commands of docs/guide/bucket.md and of docs/guide/two-workstations.md, as they stand there, but for addresses, keys and
//! the recipe.

use crate::server::Server;
use crate::support::guide::Guide;
use crate::support::machine::Machine;
use crate::support::process::wait_for;
use crate::support::{Place, one_at_a_time, undisturbed};

#[test]
fn the_commands_of_the_guide_make_the_points_of_one_machine() {
    undisturbed();
    let _turn = one_at_a_time();
    let (server, place, listen) = (Server::start(), Place::with_much_to_train(), free_address());
    let url = format!("http://{listen}");
    // On one machine there is no need of a tunnel.
    let replacements = [
        ("ssh -N -L 7450:127.0.0.1:7450 first &\n", ""),
        ("http://127.0.0.1:7450", url.as_str()),
        ("serve ", &format!("serve --listen {listen} ")),
        ("recipes/quickstart.toml", "smoke.toml"),
        ("quickstart", "smoke"),
    ];
    let mut guide = Guide::read(&place, "bucket.md", &replacements);
    let [first, second] = ["first", "second"].map(|name| Machine::new(&place, name).within(place.path("")));
    let keys = guide.take("export AWS_");
    for machine in [&first, &second] {
        machine.run(&keys.text);
        // Those of the page are nobody's, and others are of somebody else.
        machine.export(&server.variables());
        machine.run("export TOKEN=abc TIMEOUT=1ms");
    }
    let mut serving = first.start(&guide.take("windtunnel serve").text, "serve.log");
    wait_for("a coordinator", || first.data_dir().join("coordinator.json").is_file().then_some(()));
    first.run(&guide.take("windtunnel token create").text);
    let working = second.start(&guide.take("windtunnel worker").text, "worker.log");
    first.run(&guide.take("windtunnel submit").text);
    drop(working);
    serving.signal("TERM");
    serving.wait();
    first.run(&guide.take("windtunnel doctor").text);
    guide.end();
    assert_eq!(place.points("out/smoke"), undisturbed(), "{}", second.said("worker.log"));
}

#[test]
fn the_commands_of_two_workstations_and_a_laptop_make_the_points_of_one_machine() {
    undisturbed();
    let _turn = one_at_a_time();
    let (server, place) = (Server::start(), Place::with_much_to_train());
    let [first, second] = ["first", "second"].map(|name| Machine::new(&place, name));
    // The recipe and its text lie here.
    let laptop = Machine::new(&place, "laptop").within(place.path(""));
    let listen = free_address();
    let url = listen.replace("127.0.0.1", "localhost");
    let replacements = [
        ("0.0.0.0:7450", listen.as_str()),
        ("first:7450", &url),
        ("DNS:first", "DNS:localhost"),
        ("recipes/quickstart.toml", "smoke.toml"),
        ("quickstart", "smoke"),
        ("scp ", "cp -p "),
        (" second:", " ../second/"),
        (" laptop:", " ../laptop/"),
    ];
    let mut guide = Guide::read(&place, "two-workstations.md", &replacements);
    let keys = guide.take("export AWS_");
    for machine in [&first, &second] {
        machine.run(&keys.text);
        // Those of the page are nobody's.
        machine.export(&server.variables());
    }
    first.run(&guide.take("openssl req").text);
    first.run(&guide.take("windtunnel token create").text);
    let _serving = first.start(&guide.take("windtunnel serve").text, "serve.log");
    wait_for("a coordinator", || first.data_dir().join("coordinator.json").is_file().then_some(()));
    second.run(&guide.take("WINDTUNNEL_TOKEN_FILE=$HOME/worker.token").text);
    let _working = second.start(&guide.take("windtunnel worker").text, "worker.log");
    laptop.run(&guide.take("WINDTUNNEL_TOKEN_FILE=$HOME/submit.token").text);
    let submitted = laptop.run(&guide.take("windtunnel submit").text);
    assert!(submitted.stderr.contains("the data goes through the coordinator"), "{}", submitted.stderr);
    wait_for("both workers", || laptop.run("windtunnel workers").stdout.contains("2 workers").then_some(()));
    laptop.run(&guide.take("windtunnel watch").text);
    guide.end();
    assert_eq!(place.points("out/smoke"), undisturbed(), "{}", second.said("worker.log"));
}

/// An address of this machine on which nobody listens.
fn free_address() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    free.expect("a free port").to_string()
}
