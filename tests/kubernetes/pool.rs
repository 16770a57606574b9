//! A campaign on a pool of Kubernetes jobs, whatever the cluster, the server and the coordinator do: its points are those of a
//! local run, no answer that is lost doubles a job, and nothing is left.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};

use crate::api::{Api, Fault};
use crate::cluster::{NODES, avoided};
use crate::kubelet::decoded;
use crate::schema::assert_all_valid;
use crate::site::Site;
use crate::support::process::wait_for;
use crate::support::{Place, one_at_a_time, smoke_recipe};

/// A trunk with six branches, which trains for long enough to be disturbed.
fn recipe() -> String {
    let tokens = "tokens = [2_560_000, 2_816_000, 3_072_000, 3_328_000, 3_584_000, 3_840_000]";
    let smoke = smoke_recipe();
    let recipe = smoke.replace("tokens = [5_120, 10_240, 20_480]", tokens);
    let recipe = recipe.replace("sizes = [\"smoke-16\", \"smoke-32\"]", "sizes = [\"smoke-16\"]");
    assert_ne!(recipe, smoke, "the smoke recipe has the points and sizes that this test expects");
    recipe
}

/// Asserts that nobody else could read the token: it is in the Secret alone.
fn assert_token_is_hidden(api: &Api, place: &Place, others: &[String]) {
    let token = fs::read_to_string(place.path("data/pools/main/token")).expect("it is there");
    let (_, secret) = token.trim().rsplit_once('_').expect("a public part and a secret");
    let is_secret = |object: &&Value| object["kind"] == "Secret";
    let token_of = |object: &Value| decoded(object["data"]["token"].as_str().expect("a text"));
    assert!(api.received().iter().filter(is_secret).any(|object| token_of(object) == token.trim().as_bytes()));
    let mut texts: Vec<String> = others.to_vec();
    texts.extend(api.received().iter().filter(|object| object["kind"] != "Secret").map(Value::to_string));
    for entry in fs::read_dir("/proc").expect("this is Linux").flatten() {
        for name in ["cmdline", "environ"] {
            texts.push(String::from_utf8_lossy(&fs::read(entry.path().join(name)).unwrap_or_default()).into_owned());
        }
    }
    assert!(texts.iter().all(|text| !text.contains(secret)), "the token is where others read it");
}

#[test]
fn a_campaign_has_the_points_of_a_local_run_whatever_happens() {
    let _turn = one_at_a_time();
    let begun = Instant::now();
    let step = |what: &str| eprintln!("{:>6.1} s: {what}", begun.elapsed().as_secs_f64());
    let place = Place::new();
    place.write("smoke.toml", &recipe());
    let api = Api::start(&place);
    // Lists come in pages of one object.
    api.cluster().page = 1;
    let site = Site::new(&api, &place);
    let added = site.try_add("main", &["--max", "2", "--backlog", "2", "--time", "20m"]).expect(0).stdout;
    assert!(added.contains("\"kind\": \"Job\"") && added.contains("pool main is added"), "{added}");

    // Nothing is doubled where the coordinator dies between the intent and the job.
    api.fault("POST jobs", Fault::Hang(1));
    place.run(&["submit", "smoke.toml"]).expect(0);
    wait_for("a submission that hangs", || (api.count(&Method::POST, "jobs") == 1).then_some(()));
    assert_eq!(site.pool("main")["allocations"][0]["state"], "submitting", "{}", site.pool("main"));
    site.kill();
    step("killed between the intent and the job");
    // The next answer is lost, and the same job is asked for once more: the server says that it is there.
    api.fault("POST jobs", Fault::Lose(1));
    site.start();
    let trunk_is_trained = AtomicBool::new(false);
    thread::scope(|scope| {
        let watched = scope.spawn(|| {
            let mut most = 0;
            while !trunk_is_trained.load(Ordering::Relaxed) {
                // Before and after, so that the end of the trunk in between counts for nothing.
                let jobs = api.cluster().open_jobs();
                match site.stages_done() {
                    None | Some(0) => most = most.max(jobs),
                    Some(_) => trunk_is_trained.store(true, Ordering::Relaxed),
                }
                thread::sleep(Duration::from_millis(100));
            }
            most
        });
        let first = site.wait_for_busy("main", &[]);
        assert_eq!(api.count(&Method::POST, "jobs"), 3, "one that hung, one whose answer was lost, and its repetition");
        assert_eq!(api.cluster().created.len(), 1, "one job for one trunk");
        assert_token_is_hidden(&api, &place, &[added, site.log()]);
        step("the trunk trains");

        api.cluster().evict(&first);
        let second = site.wait_for_busy("main", &[&first]);
        assert_eq!(api.cluster().created.len(), 1, "the same job has another pod");
        step("evicted");

        api.cluster().delete_job_of(&second);
        site.wait_for_busy("main", &[&first, &second]);
        step("deleted");

        // The server is away for a while: nothing is concluded.
        let before = api.count(&Method::POST, "jobs");
        api.fault("*", Fault::Cut(usize::MAX));
        wait_for("a look in vain", || {
            site.log().contains("Kubernetes does not say what is in its queue").then_some(())
        });
        thread::sleep(Duration::from_secs(4));
        assert_eq!(api.count(&Method::POST, "jobs"), before, "nothing is submitted while the server is away");
        api.heal();
        step("the server is back");
        wait_for("another look", || site.log().contains("Kubernetes answers again").then_some(()));
        place.run(&["watch", "smoke"]).expect(0);
        step("trained");
        trunk_is_trained.store(true, Ordering::Relaxed);
        assert_eq!(watched.join().expect("it watches to the end"), 1, "jobs while the trunk trained");
    });
    site.wait_for_no_jobs();
    step("no job is left");
    let pool = site.pool("main");
    assert_eq!((&pool["mode"], &pool["avoided_nodes"]), (&json!("active"), &json!([])), "{pool}");
    place.run(&["report", "smoke"]).expect(0);
    let created = api.cluster().created.clone();
    let distinct: BTreeSet<&String> = created.iter().collect();
    assert_eq!(distinct.len(), created.len(), "an intent was submitted twice: {created:?}");
    step(&format!("{} jobs", created.len()));

    let local = Place::new();
    local.write("smoke.toml", &recipe());
    local.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(place.points("out/smoke"), local.points("out/smoke"));
    step("the same as a local run");

    place.run(&["pool", "remove", "main"]).expect(0);
    wait_for("the pool to be gone", || {
        place.run(&["pool", "list"]).expect(0).stdout.contains("no pools").then_some(())
    });
    let left = ["configmaps", "secrets", "jobs"].map(|plural| api.cluster().all(plural).len());
    assert_eq!(left, [0, 0, 0], "what the ConfigMap owned is gone with it");
    assert!(!place.path("data/pools/main/token").exists());
    assert_all_valid(&place, &api.received());
}

#[test]
fn a_node_whose_workers_end_at_once_is_avoided_and_five_in_a_row_pause_the_pool() {
    let _turn = one_at_a_time();
    let place = Place::new();
    let api = Api::start(&place);
    let [bad, good] = NODES;
    api.cluster().broken.insert(bad.to_owned());
    let site = Site::new(&api, &place);
    site.try_add("main", &["--max", "1", "--time", "5m"]).expect(0);
    place.run(&["submit", "smoke.toml"]).expect(0);
    place.run(&["watch", "smoke"]).expect(0);
    let pool = site.pool("main");
    assert_eq!(pool["avoided_nodes"][0]["node"], bad, "{pool}");
    let jobs: Vec<Value> = api.received().into_iter().filter(|object| object["kind"] == "Job").collect();
    let away = |job: &&Value| avoided(&job["spec"]["template"]).contains(bad);
    let example = 1;
    assert_eq!(jobs.len() - jobs.iter().filter(away).count(), 2 + example, "two tries on the broken node");
    site.wait_for_no_jobs();

    api.cluster().broken.insert(good.to_owned());
    place.run(&["pool", "remove", "main"]).expect(0);
    site.try_add("worse", &["--max", "4", "--backlog", "4", "--time", "5m"]).expect(0);
    let more = smoke_recipe().replace("seeds = [0]", "seeds = [1]").replace("name = \"smoke\"", "name = \"more\"");
    place.write("more.toml", &more);
    place.run(&["submit", "more.toml"]).expect(0);
    let pool = site.wait_for_pool("worse", "the pool to be paused", |pool| pool["mode"] == "paused");
    let reason = pool["reason"].as_str().expect("a text");
    assert!(reason.contains("5 allocations in a row"), "{reason}");
    // Both nodes are avoided after two tries each, so the last jobs find none.
    assert!(reason.contains("no such device: cuda:0") || reason.contains("node affinity"), "{reason}");
    site.wait_for_no_jobs();
    assert_all_valid(&place, &api.received());
}
