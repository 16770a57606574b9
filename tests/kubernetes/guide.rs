//! The commands of `docs/guide/kubernetes.md`, against the server of these tests.

use crate::api::Api;
use crate::schema::assert_all_valid;
use crate::site::Site;
use crate::support::guide::Guide;
use crate::support::{Place, one_at_a_time};

#[test]
fn the_commands_of_the_guide_do_what_it_says() {
    let _turn = one_at_a_time();
    let place = Place::new();
    let api = Api::start(&place);
    let site = Site::new(&api, &place);
    let ca = std::fs::read_to_string(place.path("api-ca.pem")).expect("it is there");
    place.write("ca.pem", &ca);
    // The coordinator of this test listens without TLS on this machine, which has no GPU.
    let replacements = [
        ("--dial https://windtunnel.windtunnel.svc:7450 --dial-ca ca.pem", "--device flex --idle 4s --rate 60/min"),
        ("--gpus-per-worker 1", "--gpus-per-worker 0"),
        ("my.toml", "smoke.toml"),
        ("watch my", "watch smoke"),
        ("report my", "report smoke"),
    ];
    let mut guide = Guide::read(&place, "kubernetes.md", &replacements);
    std::fs::write(place.path("pod.yaml"), example("pod.yaml")).expect("written");
    std::fs::write(place.path("gpu.toml"), example("gpu.toml")).expect("written");
    let added = guide.run("pool add kubernetes gpu");
    assert!(
        added.stdout.contains("\"kind\": \"Job\"") && added.stdout.contains("pool gpu is added"),
        "{}",
        added.stdout
    );
    let shown = guide.run("windtunnel submit");
    assert!(shown.stdout.contains("pool gpu is active"), "{}", shown.stdout);
    let reported = guide.run("windtunnel watch");
    assert!(
        reported.stdout.contains("points.csv") || place.path("out/smoke/points.csv").exists(),
        "{}",
        reported.stdout
    );
    guide.run("pool remove gpu");
    site.wait_for_no_jobs();
    crate::support::process::wait_for("the pool to be gone", || {
        place.run(&["pool", "list"]).expect(0).stdout.contains("no pools").then_some(())
    });
    let of_file = place.run(&["pool", "add", "gpu.toml"]).expect(0).stdout;
    assert!(of_file.contains("kueue.x-k8s.io/queue-name"), "{of_file}");
    guide.end();
    assert_all_valid(&place, &api.received());
}

/// The block of the page that is said to be this file.
fn example(name: &str) -> String {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide/kubernetes.md");
    let page = std::fs::read_to_string(page).expect("it is there");
    let (_, rest) = page.split_once(&format!("`{name}`:\n\n```")).expect("the page has this file");
    let (_, rest) = rest.split_once('\n').expect("a language");
    rest.split_once("```").expect("the block is closed").0.to_owned()
}
