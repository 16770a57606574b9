//! A pool of Slurm jobs, whatever Slurm and the coordinator do to it: the points of a campaign are those of a local run, no
//! answer that is lost doubles a job, and nothing is left in the queue.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{Engine, LOW, MAIN, NODES};
use crate::pool_site::PoolSite;
use crate::support::process::wait_for;
use crate::support::{Place, smoke_recipe};

/// A trunk with six branches, which trains for long enough to be disturbed.
fn recipe() -> String {
    let tokens = "tokens = [5_120_000, 5_632_000, 6_144_000, 6_656_000, 7_168_000, 7_680_000]";
    let smoke = smoke_recipe();
    let recipe = smoke.replace("tokens = [5_120, 10_240, 20_480]", tokens);
    let recipe = recipe.replace("sizes = [\"smoke-16\", \"smoke-32\"]", "sizes = [\"smoke-16\"]");
    assert_ne!(recipe, smoke, "the smoke recipe has the points and sizes that this test expects");
    recipe
}

fn file(place: &Place, name: &str) -> PathBuf {
    place.path(name)
}

#[test]
fn a_campaign_on_a_pool_has_the_points_of_a_local_run_whatever_happens() {
    let Some(engine) = Engine::start() else { return };
    let begun = Instant::now();
    let step = |what: &str| eprintln!("{:>6.1} s: {what}", begun.elapsed().as_secs_f64());
    let place = Place::new();
    place.write("smoke.toml", &recipe());
    let site = PoolSite::new(&engine, &place);
    // What the jobs run does not end with its worker while a file asks for that.
    let program = env!("CARGO_BIN_EXE_windtunnel");
    let text = format!(
        "#!/bin/sh\ntrap : TERM USR1 CONT\n'{program}' \"$@\"\ncode=$?\n[ -e stubborn ] && sleep 1000\nexit $code\n"
    );
    let wrapper = place.write("wrapper", &text);
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("ours");
    let wrapper = wrapper.display().to_string();
    let options = ["--time", "20m", "--max", "2", "--backlog", "2", "--program", &wrapper];
    let added = site.add("main", &options, &["-p", LOW]);
    assert!(added.contains("WINDTUNNEL_ALLOCATION=") && added.contains("pool main is added"), "{added}");
    assert_eq!(site.submissions(), 0, "there is no work");

    // Killed between the intent and sbatch. The next coordinator finds no job of that intent and gives it up.
    place.write("hang", "");
    place.run(&["submit", "smoke.toml"]).expect(0);
    wait_for("a submission that hangs", || file(&place, "hung").exists().then_some(()));
    assert_eq!(site.pool("main")["allocations"][0]["state"], "submitting", "{}", site.pool("main"));
    site.kill();
    step("killed between the intent and sbatch");
    // The next answer is lost, and the job is found by its comment: no other is submitted.
    place.write("lose", "");
    site.start();
    let trunk_is_trained = AtomicBool::new(false);
    // A job whose time is up soon is replaced ahead of it.
    let is_replaced = AtomicBool::new(false);
    thread::scope(|scope| {
        let watched = scope.spawn(|| {
            let mut most = 0;
            while !trunk_is_trained.load(Ordering::Relaxed) {
                // Before and after, so that the end of the trunk in between counts for nothing.
                let was_replaced = is_replaced.load(Ordering::Relaxed);
                let jobs = site.jobs();
                match site.stages_done() {
                    _ if was_replaced || is_replaced.load(Ordering::Relaxed) => {}
                    None | Some(0) => most = most.max(jobs),
                    Some(_) => trunk_is_trained.store(true, Ordering::Relaxed),
                }
                thread::sleep(Duration::from_millis(100));
            }
            most
        });
        let (_, node) = site.wait_for_busy("main");
        assert!(file(&place, "lost").exists(), "the answer was lost");
        assert_eq!(site.submissions(), 2, "one that hung, and one job for one trunk");
        step("the trunk trains");

        // Preempted without any grace, and requeued.
        let other = ["--parsable", "-p", MAIN, "-w", &node, "--exclusive", "--output=/dev/null", "--wrap", "sleep 2"];
        let other = engine.run("sbatch", &other);
        engine.wait_for_state(other.trim(), &["COMPLETED"]);
        step("preempted");

        let (job, _) = site.wait_for_busy("main");
        engine.run("scancel", &[&job]);
        engine.wait_for_state(&job, &["CANCELLED"]);
        step("cancelled");
        let job = site.wait_for_busy_besides("main", &job);
        engine.run("scontrol", &["requeue", &job]);
        engine.wait_for_state(&job, &["PENDING"]);
        step("requeued");

        // Out of time: a job does not end with its worker, which leaves when it is warned, so Slurm ends it.
        place.write("data/pools/main/stubborn", "");
        let (job, _) = site.wait_for_busy("main");
        is_replaced.store(true, Ordering::Relaxed);
        engine.run("scontrol", &["update", &format!("JobId={job}"), "TimeLimit=1"]);
        engine.wait_for_state(&job, &["TIMEOUT"]);
        is_replaced.store(false, Ordering::Relaxed);
        fs::remove_file(file(&place, "data/pools/main/stubborn")).expect("it is there");
        step("out of time");

        let (_, node) = site.wait_for_busy("main");
        engine.kill_node(&node);
        // Long enough that Slurm gives the node up and requeues its jobs, whose workers train on. The daemon that comes back ends
        // them.
        wait_for("the node to be down", || {
            thread::sleep(Duration::from_millis(200));
            engine.said("sinfo", &["-h", "-N", "-n", &node, "-o", "%T"]).contains("down").then_some(())
        });
        engine.start_node(&node);
        step("a node's daemon was killed");

        // Slurm is away for a minute: nothing is concluded.
        let before = site.submissions();
        let stopped = Instant::now();
        engine.stop_controller();
        wait_for("two looks in vain", || site.log().contains("Slurm does not say what is in its queue").then_some(()));
        thread::sleep(Duration::from_secs(60).saturating_sub(stopped.elapsed()));
        assert_eq!(site.submissions(), before, "nothing is submitted while Slurm is away");
        engine.start_controller();
        step("Slurm is back");

        place.run(&["watch", "smoke"]).expect(0);
        step("trained");
        trunk_is_trained.store(true, Ordering::Relaxed);
        let most = watched.join().expect("it watches to the end");
        assert_eq!(most, 1, "jobs while the trunk trained");
    });
    site.wait_for_no_jobs();
    place.run(&["report", "smoke"]).expect(0);
    let comments: Vec<String> = fs::read_to_string(file(&place, "submissions"))
        .expect("there were some")
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("--comment=").map(str::to_owned))
        .collect();
    let mut distinct = comments.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), comments.len(), "an intent was submitted twice");
    step(&format!("{} submissions", comments.len()));

    let local = Place::new();
    local.write("smoke.toml", &recipe());
    local.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(place.points("out/smoke"), local.points("out/smoke"));
    step("the same as a local run");

    let removed = place.run(&["pool", "remove", "main"]).expect(0).stdout;
    assert!(removed.contains("pool main is being removed"), "{removed}");
    wait_for("the pool to be gone", || {
        (place.run(&["pool", "list"]).expect(0).stdout.contains("no pools")).then_some(())
    });
    assert!(!file(&place, "data/pools/main/token").exists());
}

pub(crate) fn a_node_whose_prolog_fails_and_one_whose_jobs_end_at_once_are_avoided() {
    let Some(engine) = Engine::start() else { return };
    let place = Place::new();
    let site = PoolSite::new(&engine, &place);
    let [bad, good] = NODES;
    // The broken node: jobs begin there and end at once.
    let program = env!("CARGO_BIN_EXE_windtunnel");
    let text = format!(
        "#!/bin/sh\n[ \"$SLURMD_NODENAME\" = {bad} ] && {{ echo 'no device' >&2; exit 1; }}\nexec '{program}' \"$@\"\n"
    );
    let broken = place.write("broken", &text);
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).expect("ours");
    let broken = broken.display().to_string();
    site.add("main", &["--time", "5m", "--max", "1", "--program", &broken], &[]);
    place.run(&["submit", "smoke.toml"]).expect(0);
    place.run(&["watch", "smoke"]).expect(0);
    let pool = site.pool("main");
    assert_eq!(pool["avoided_nodes"][0]["node"], bad, "{pool}");
    let submissions = fs::read_to_string(file(&place, "submissions")).expect("there were some");
    let excluded = submissions.lines().filter(|line| line.contains(&format!("--exclude={bad}"))).count();
    assert_eq!(submissions.lines().count() - excluded, 2, "two tries on the broken node: {submissions}");
    site.wait_for_no_jobs();

    // A prolog that fails: Slurm takes the node out of service and holds the job, which is cancelled. Another takes its place.
    place.run(&["pool", "remove", "main"]).expect(0);
    let prolog = place.write("prolog", &format!("#!/bin/sh\n[ \"$SLURMD_NODENAME\" != {bad} ]\n"));
    fs::set_permissions(&prolog, fs::Permissions::from_mode(0o755)).expect("ours");
    let conf = fs::read_to_string(engine.conf()).expect("it is there");
    fs::write(engine.conf(), format!("{conf}Prolog={}\n", prolog.display())).expect("ours");
    engine.run("scontrol", &["reconfigure"]);
    site.add("other", &["--time", "5m", "--max", "1"], &[]);
    let more = smoke_recipe().replace("seeds = [0]", "seeds = [1]").replace("name = \"smoke\"", "name = \"more\"");
    place.write("more.toml", &more);
    place.run(&["submit", "more.toml"]).expect(0);
    place.run(&["watch", "more"]).expect(0);
    assert!(site.log().contains("a job that nothing needs is cancelled"), "the held job was cancelled");
    assert!(engine.said("sinfo", &["-h", "-N", "-n", bad, "-o", "%T"]).contains("drain"));
    assert!(
        engine.said("squeue", &["-h", "-o", "%T"]).lines().all(|state| state != "PENDING"),
        "nothing waits on {good}"
    );
    site.wait_for_no_jobs();
}

pub(crate) fn five_jobs_that_end_at_once_pause_the_pool_and_it_says_why() {
    let Some(engine) = Engine::start() else { return };
    let place = Place::new();
    let site = PoolSite::new(&engine, &place);
    let broken = place.write("broken", "#!/bin/sh\necho 'no such device: cuda:0' >&2\nexit 78\n");
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).expect("ours");
    let broken = broken.display().to_string();
    site.add("main", &["--time", "5m", "--max", "4", "--backlog", "4", "--program", &broken], &[]);
    place.run(&["submit", "smoke.toml"]).expect(0);
    let pool = wait_for("the pool to be paused", || {
        thread::sleep(Duration::from_millis(200));
        Some(site.pool("main")).filter(|pool| pool["mode"] == "paused")
    });
    let reason = pool["reason"].as_str().expect("a text");
    assert!(reason.contains("5 allocations in a row") && reason.contains("no such device: cuda:0"), "{reason}");
    assert!(site.submissions() <= 8, "{}", site.submissions());
    let refused = place.run(&["pool", "add", "slurm", "worse", "--time", "5m", "--max", "1", "--", "-p", "nowhere"]);
    refused.expect(2);
    let refused = place.run(&["pool", "pause", "nobody"]);
    refused.expect(2);
    site.wait_for_no_jobs();
}

pub(crate) fn what_a_job_is_told_holds_no_token_and_its_time_limit_is_nobodys_fault() {
    let Some(engine) = Engine::start() else { return };
    let place = Place::new();
    let site = PoolSite::new(&engine, &place);
    // A job that does not end with its worker, whatever it is told.
    let program = env!("CARGO_BIN_EXE_windtunnel");
    let text = format!("#!/bin/sh\ntrap '' TERM USR1\n'{program}' \"$@\"\n[ -e stubborn ] && sleep 1000\nexit 75\n");
    let stubborn = place.write("stubborn", &text);
    fs::set_permissions(&stubborn, fs::Permissions::from_mode(0o755)).expect("ours");
    let stubborn = stubborn.display().to_string();
    let added = site.add("main", &["--time", "5m", "--max", "1", "--min", "1", "--program", &stubborn], &[]);
    place.write("data/pools/main/stubborn", "");
    let token = fs::read_to_string(file(&place, "data/pools/main/token")).expect("it is there");
    let (_, secret) = token.trim().rsplit_once('_').expect("a public part and a secret");
    let mode = |name: &str| fs::metadata(file(&place, name)).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode("data/pools/main"), mode("data/pools/main/token")), (0o700, 0o600));
    let job = wait_for("a worker of the minimum", || {
        thread::sleep(Duration::from_millis(200));
        let pool = site.pool("main");
        let known = pool["allocations"].as_array()?.iter().find(|known| known["workers"] != serde_json::json!([]))?;
        known["job"].as_u64()
    });
    let job = job.to_string();
    let script = engine.run("scontrol", &["write", "batch_script", &job, "-"]);
    let described = engine.run("scontrol", &["show", "job", &job]);
    let submissions = fs::read_to_string(file(&place, "submissions")).expect("there was one");
    let mut texts = vec![added, script, described, submissions, site.log()];
    for entry in fs::read_dir("/proc").expect("this is Linux").flatten() {
        for name in ["cmdline", "environ"] {
            let text = fs::read(entry.path().join(name)).unwrap_or_default();
            texts.push(String::from_utf8_lossy(&text).into_owned());
        }
    }
    assert!(texts.iter().all(|text| !text.contains(secret)), "the token is where others read it");
    // Idle for longer than --idle, and it stays: the pool has a minimum. It ends by its time limit, and another takes its place.
    thread::sleep(Duration::from_secs(6));
    assert_eq!(engine.state(&job).as_deref(), Some("RUNNING"));
    engine.run("scontrol", &["update", &format!("JobId={job}"), "TimeLimit=1"]);
    engine.wait_for_state(&job, &["TIMEOUT"]);
    fs::remove_file(file(&place, "data/pools/main/stubborn")).expect("it is there");
    let next = wait_for("another worker of the minimum", || {
        thread::sleep(Duration::from_millis(200));
        let pool = site.pool("main");
        assert_eq!((&pool["mode"], &pool["avoided_nodes"]), (&"active".into(), &serde_json::json!([])), "{pool}");
        let known = pool["allocations"].as_array()?.iter().find(|known| known["workers"] != serde_json::json!([]))?;
        known["job"].as_u64().map(|job| job.to_string())
    });
    assert_ne!(next, job);
    place.run(&["pool", "drain", "main"]).expect(0);
    engine.wait_for_state(&next, &["COMPLETED"]);
}
