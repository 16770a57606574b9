//! The commands of docs/guide/slurm.md, as they stand there, with the names, folders and times of this machine.

use std::fs::{self, File};
use std::net::TcpListener;

use crate::engine::Engine;
use crate::site::PROGRAM;
use crate::support::guide::Guide;
use crate::support::process::{Running, wait_for};
use crate::support::remote::certificates;
use crate::support::{Place, smoke_recipe};

pub(crate) fn the_commands_of_the_guide_make_the_points_of_a_local_run() {
    let Some(engine) = Engine::start() else { return };
    let place = Place::new();
    let renamed = smoke_recipe().replace("name = \"smoke\"", "name = \"my\"");
    place.write("my.toml", &renamed);
    certificates(&place);
    fs::create_dir_all(place.path("tmp")).expect("made");
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("has an address").port()
    };
    let at = |name: &str| place.path(name).display().to_string();
    let small = format!("--time 10m --gpus-per-worker 0 --device flex --program {PROGRAM}");
    let small_toml = format!("\"10m\"\ngpus-per-worker = 0\ndevice = \"flex\"\nprogram = \"{PROGRAM}\"");
    let guide = Guide::read(
        &place,
        "slurm.md",
        &[
            ("/shared/me/my", &at("one")),
            ("/shared/me/windtunnel", &at("shared")),
            ("/var/lib/windtunnel", &at("state")),
            ("--slurm ", "--slurm --serve=--listen=127.0.0.1:0 --serve=--slurm-poll=1 --coordinator-sbatch=--mem=500 "),
            ("--time 8h", &small),
            ("\"8h\"", &small_toml),
            ("slurm gpu", "slurm gpu --idle 4s"),
            (
                "--partition=gpu --account=me --cpus-per-task=8 --mem=32G",
                "--partition=main --cpus-per-task=1 --mem=500",
            ),
            (
                "\"--partition=gpu\", \"--account=me\", \"--cpus-per-task=8\", \"--mem=32G\"",
                "\"--partition=main\", \"--cpus-per-task=1\"",
            ),
            ("0.0.0.0:7450", &format!("127.0.0.1:{port} --slurm-poll 1")),
            ("login-1:7450", &format!("localhost:{port}")),
            ("login-1.pem", "server.pem"),
            ("login-1.key", "server.key"),
        ],
    );
    let mut guide = guide.with("SLURM_CONF", engine.conf()).with("TMPDIR", place.path("tmp"));

    let submitted = guide.run("windtunnel submit my.toml --slurm").stdout;
    assert!(submitted.contains("will run the coordinator") && submitted.contains("windtunnel watch my"), "{submitted}");
    guide.run("windtunnel watch my --rendezvous");
    let in_one = place.points("out/my");
    fs::remove_dir_all(place.path("out")).expect("it is ours");
    wait_for("the queue to be empty", || engine.said("squeue", &["-h"]).is_empty().then_some(()));

    let serve = guide.take("windtunnel serve");
    let said = place.path("serve.log");
    let log = File::create(&said).expect("made");
    let serving = Running::start_between(&mut guide.command(&serve), log.try_clone().expect("can be shared"), log);
    wait_for("the coordinator", || fs::read_to_string(&said).ok()?.contains("serving https://").then_some(()));
    let added = guide.run("windtunnel pool add slurm gpu").stdout;
    assert!(added.contains("pool gpu is added"), "{added}");
    let shown = guide.run("windtunnel submit my.toml --data-dir").stdout;
    assert!(shown.contains("pool gpu is active"), "{shown}");
    let removed = guide.run("windtunnel watch my --data-dir").stdout;
    assert!(removed.contains("pool gpu is being removed"), "{removed}");
    assert_eq!(place.points("out/my"), in_one);
    let state = at("state");
    wait_for("the pool to be gone", || {
        let listed = place.run(&["pool", "list", "--data-dir", &state]);
        listed.stdout.contains("no pools").then_some(())
    });
    place.write("gpu.toml", guide.text_in("toml"));
    let added = guide.run("windtunnel pool add gpu.toml").stdout;
    assert!(added.contains("pool gpu is added"), "{added}");
    guide.end();
    drop(serving);

    let local = Place::new();
    local.write("my.toml", &renamed);
    local.run(&["run", "my.toml"]).expect(0);
    assert_eq!(local.points("out/my"), in_one);
}
