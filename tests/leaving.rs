//! Leaving: whatever asks a process to go, and however often, nothing that was trained is lost.

mod support;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::process::{Running, process_with, wait_for};
use support::{Place, one_at_a_time, smoke_recipe};

/// No checkpoint is taken before one has to be.
const RARELY: [&str; 2] = ["--checkpoint-interval", "1000000"];

/// A place whose first stage takes minutes.
fn place() -> Place {
    let place = Place::new();
    let recipe = smoke_recipe().replace("tokens = [5_120, 10_240, 20_480]", "tokens = [5_120_000]");
    place.write("smoke.toml", &recipe);
    place
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Steps on the campaign's curves.
fn steps(place: &Place) -> u64 {
    let ran = place.run(&["curves", "smoke"]);
    ran.stdout.lines().count().saturating_sub(1) as u64
}

fn wait_for_steps(place: &Place) {
    wait_for("a step", || {
        place.path("data/coordinator.json").is_file().then_some(())?;
        (steps(place) > 0).then_some(())
    });
}

fn stages(place: &Place) -> Vec<Value> {
    let shown = json(&place.run(&["show", "smoke", "--json"]).expect(0).stdout);
    shown["stages"].as_array().expect("has stages").clone()
}

/// Asserts that everything that was trained is in a checkpoint.
fn assert_kept(place: &Place, stages: &[Value]) {
    let committed: u64 = stages.iter().filter_map(|stage| stage["committed_step"].as_u64()).sum();
    assert!(committed > 0, "{stages:#?}");
    assert_eq!(committed, steps(place), "{stages:#?}");
}

/// Asserts that everything that was trained is in a checkpoint that was handed back.
fn assert_handed_back(place: &Place) {
    let stages = stages(place);
    assert_kept(place, &stages);
    let reasons: Vec<_> = stages.iter().filter_map(|stage| stage["reason"].as_str()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("handed back by its worker")), "{reasons:?}");
}

/// Slurm sends SIGTERM twice within 20 ms, at a time limit and at a preemption. A session that ends sends SIGHUP.
#[test]
fn a_worker_that_is_told_twice_hands_its_stage_back_as_if_it_was_told_once() {
    let _turn = one_at_a_time();
    // Below `nohup`, processes ignore the hangup, and have to.
    let pairs = [["TERM", "TERM"], ["USR1", "TERM"], ["HUP", "HUP"]];
    for signals in pairs.into_iter().filter(|signals| signals[0] != "HUP" || !worker::ignores_hangups()) {
        let place = place();
        let (_serve, mut output) = Running::piped(&mut place.command(&["serve", "--listen", "127.0.0.1:0", "--json"]));
        let url =
            json(&output.next().expect("says where it listens"))["socket"].as_str().expect("an address").to_owned();
        let elsewhere = place.path("worker").display().to_string();
        let args = ["worker", "--coordinator", &url, "--data-dir", &elsewhere];
        let mut worker = Running::silent(&mut place.command(&[args.as_slice(), &RARELY].concat()));
        place.run(&["submit", "smoke.toml"]).expect(0);
        wait_for_steps(&place);
        worker.signal(signals[0]);
        worker.signal(signals[1]);
        assert_eq!(worker.wait().code(), Some(75), "{signals:?}");
        assert_handed_back(&place);
    }
}

#[test]
fn a_cancelled_campaign_keeps_every_step() {
    let _turn = one_at_a_time();
    let place = place();
    let args = [["serve", "--listen", "127.0.0.1:0", "--workers", "1"].as_slice(), &RARELY].concat();
    let _serve = Running::silent(&mut place.command(&args));
    wait_for("the coordinator", || place.path("data/coordinator.json").is_file().then_some(()));
    place.run(&["submit", "smoke.toml"]).expect(0);
    wait_for_steps(&place);
    place.run(&["cancel", "smoke"]).expect(0);
    let stages = wait_for("its worker to stop", || {
        let stages = stages(&place);
        stages.iter().all(|stage| stage["phase"] != "running").then_some(stages)
    });
    assert_kept(&place, &stages);
}

#[test]
fn a_run_that_is_told_twice_waits_for_its_workers_as_long_as_it_was_told_to() {
    let _turn = one_at_a_time();
    for (signals, code) in [(["TERM", "TERM"], 130), (["HUP", "TERM"], 130), (["INT", "TERM"], 130)] {
        let place = place();
        let args = [["run", "smoke.toml", "--workers", "1", "--grace", "123"].as_slice(), &RARELY].concat();
        let mut run = Running::start_with_stderr(&mut place.command(&args));
        wait_for_steps(&place);
        process_with(&["worker", "--grace", "123"]).expect("its worker knows how long it may take");
        run.signal(signals[0]);
        run.signal(signals[1]);
        let status = run.wait();
        let said = run.stderr();
        assert_eq!(status.code(), Some(code), "{said}");
        assert!(said.ends_with("stopped; run the same command again to continue\n"), "{said}");
        assert_handed_back(&place);
    }
}

#[test]
fn a_worker_that_cannot_work_as_it_is_configured_says_so_by_its_exit_code() {
    let place = Place::new();
    let token = place.write("token", "wt_0123456789\n");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let at = ["worker", "--coordinator", "http://127.0.0.1:9"];
    let worker = |args: &[&str]| place.run(&[&at, args].concat()).expect(78).stderr;
    let said = worker(&["--token-file", "token"]);
    assert!(said.contains("run chmod 600"), "{said}");
    let said = worker(&["--tls-ca", "no-such-file"]);
    assert!(said.contains("no-such-file"), "{said}");
    let said = worker(&["--device", "abacus"]);
    assert!(said.contains("abacus"), "{said}");
    let said = worker(&["--name", "a/b"]);
    assert!(said.contains("cannot be a worker's name"), "{said}");
    place.run(&["worker", "--coordinator", "nowhere at all"]).expect(78);
    // A coordinator that is not there yet is not a matter of configuration.
    place.run(&["worker"]).expect(1);
}

/// The value that follows a word in a text where it comes last.
fn number_after(text: &str, word: &str) -> u64 {
    let rest = text.rsplit_once(word).unwrap_or_else(|| panic!("{word} is not in {text}")).1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number follows {word}"))
}

#[test]
fn supervisors_give_a_worker_a_little_more_time_than_it_takes() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let read = |name: &str| fs::read_to_string(deploy.join(name)).expect("it is there");
    let unit = read("systemd/windtunnel-worker@.service");
    let (grace, time) = (number_after(&unit, "%i --grace "), number_after(&unit, "TimeoutStopSec="));
    assert!(grace < time && time - grace <= 10, "{grace} of {time}");
    // Slurm's KillWait is 30 s, and the script leaves the grace at its default.
    let help = Place::new().run(&["worker", "--help"]).expect(0).stdout;
    let grace = help.split_once("--grace <SECONDS>").expect("is an option").1;
    let grace: u64 = grace
        .split_once("[default: ")
        .expect("has one")
        .1
        .split(']')
        .next()
        .unwrap_or_default()
        .parse()
        .expect("a number");
    let script = read("slurm/workers.sbatch");
    assert!(grace < 30 && number_after(&script, "--signal=USR1@") > 2 * grace, "{grace}");
    assert!(!script.contains(" --grace \""), "the default counts");
    assert!(read("systemd/windtunnel-coordinator.service").contains("\nStartLimitIntervalSec=0\n"));
}

/// Runs the pilot script with stand-ins for `srun`, which runs a task for each code, and for the program.
fn pilot(codes: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let place = Place::new();
    let bin = place.path("bin");
    fs::create_dir(&bin).expect("made");
    let stand_in = |name: &str, script: &str| {
        let path = bin.join(name);
        fs::write(&path, format!("#!/usr/bin/env bash\n{script}")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    };
    let tasks = "while [ \"${1#--}\" != \"$1\" ]; do shift; done\nworst=0\nfor code in $CODES; do\n\
                 status=0; CODE=$code \"$@\" || status=$?\n[ $status -gt $worst ] && worst=$status\ndone\nexit $worst\n";
    stand_in("srun", tasks);
    stand_in("squeue", "[ \"$*\" = \"$EXPECTED\" ] && echo \"$LEFT\"\n");
    stand_in("date", "echo 1000000000\n");
    stand_in("windtunnel", "echo \"$WINDTUNNEL_DATA_DIR $*\"\nexit \"$CODE\"\n");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/slurm/workers.sbatch");
    let mut command = Command::new("bash");
    command.arg(script).env("PATH", path).env("CODES", codes).env("USER", "ada").env_remove("SLURM_TMPDIR");
    command.env("TMPDIR", place.path("")).env("WINDTUNNEL_COORDINATOR", "https://login-1:7450");
    for name in ["WINDTUNNEL_DATA_DIR", "SLURM_JOB_ID", "SLURM_JOB_END_TIME", "SLURM_ARRAY_TASK_ID"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    let output = command.output().expect("there is a shell");
    assert_eq!(fs::metadata(place.path("windtunnel-ada")).expect("it is made").permissions().mode() & 0o777, 0o700);
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_pilot_ends_as_the_worst_of_its_workers_does() {
    let status = |codes| pilot(codes, &[]).0;
    assert_eq!(status("75 75"), Some(0), "all were told to stop");
    assert_eq!(status("75 1"), Some(1));
    assert_eq!(status("69 75 75"), Some(69));
    assert_eq!(status("0 78 1"), Some(78));
}

#[test]
fn a_pilot_is_told_by_variables_what_to_start() {
    let said = |variables: &[(&str, &str)]| {
        let (code, said) = pilot("75", variables);
        assert_eq!(code, Some(0), "{said}");
        let said = said.trim().to_owned();
        said.split_once("/windtunnel-ada ").expect("it has a folder of its own").1.to_owned()
    };
    assert_eq!(said(&[]), "--log info worker --device cuda:0 --threads 1 --idle-timeout 600");
    let variables = [
        ("WINDTUNNEL_DEVICE", "flex"),
        ("WINDTUNNEL_DEVICE_MEMORY", "80"),
        ("WINDTUNNEL_IDLE_TIMEOUT", "never"),
        ("WINDTUNNEL_WORKER_ARGS", "--grace 5  --name x"),
        ("SLURM_CPUS_PER_TASK", "8"),
    ];
    assert_eq!(
        said(&variables),
        "--log info worker --device flex --threads 8 --idle-timeout never --device-memory 80 --grace 5 --name x"
    );
}

#[test]
fn a_pilot_knows_when_its_job_ends_in_every_form_that_slurm_writes() {
    let until = |variables: &[(&str, &str)]| {
        let job = [("SLURM_JOB_ID", "17"), ("EXPECTED", "--noheader --jobs=17 --format=%L")];
        let (_, said) = pilot("75", &[job.as_slice(), variables].concat());
        said.trim().split_once("--until ").map(|(_, until)| until.parse::<u64>().expect("a number"))
    };
    let minute = 60;
    for (left, seconds) in [
        ("0:01", 1),
        ("59:08", 59 * minute + 8),
        ("08:09:00", (8 * 60 + 9) * minute),
        ("1-02:03:04", (26 * 60 + 3) * minute + 4),
        ("100-00:00:00", 2400 * 60 * minute),
    ] {
        assert_eq!(until(&[("LEFT", left)]), Some(1_000_000_000 + seconds), "{left}");
    }
    for unknown in ["UNLIMITED", "NOT_SET", "INVALID", "", "-1:00", "1:00\n2:00"] {
        assert_eq!(until(&[("LEFT", unknown)]), None, "{unknown}");
    }
    let array = [
        ("SLURM_ARRAY_JOB_ID", "14"),
        ("SLURM_ARRAY_TASK_ID", "3"),
        ("EXPECTED", "--noheader --jobs=14_3 --format=%L"),
        ("LEFT", "1:00"),
    ];
    assert_eq!(until(&array), Some(1_000_000_060));
    assert_eq!(until(&[("SLURM_JOB_END_TIME", "1700000000"), ("LEFT", "1:00")]), Some(1_700_000_000));
    assert_eq!(until(&[("SLURM_JOB_ID", "18"), ("LEFT", "1:00")]), None, "Slurm does not know the job any more");
}

/// A worker whose training hangs ends, so that its device is free, and its stage is trained on.
#[test]
fn a_training_that_hangs_ends_its_worker_and_another_goes_on() {
    let _turn = one_at_a_time();
    let expected = support::undisturbed();
    let place = Place::with_much_to_train();
    let (_serve, mut output) = Running::piped(&mut place.command(&["serve", "--listen", "127.0.0.1:0", "--json"]));
    let url = json(&output.next().expect("says where it listens"))["socket"].as_str().expect("an address").to_owned();
    let hang = place.path("hang").display().to_string();
    let elsewhere = place.path("worker").display().to_string();
    let args = ["worker", "--coordinator", &url, "--data-dir", &elsewhere, "--stall-after", "2", "--hang-while", &hang];
    let log = place.path("worker.log");
    let mut worker = Running::start_to(&mut place.command(&args), File::create(&log).expect("made"));
    place.run(&["submit", "smoke.toml"]).expect(0);
    wait_for_steps(&place);
    fs::write(&hang, "").expect("written");
    assert_eq!(worker.wait().code(), Some(1));
    let said = fs::read_to_string(&log).expect("it is written");
    assert!(said.contains("error: training hangs: no "), "{said}");

    fs::remove_file(&hang).expect("it is there");
    let _worker = Running::silent(&mut place.command(&args));
    place.run(&["watch", "smoke"]).expect(0);
    place.run(&["report", "smoke"]).expect(0);
    assert_eq!(place.points("out/smoke"), expected);
}
