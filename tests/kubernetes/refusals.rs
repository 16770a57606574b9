//! What the server refuses, in its own words, and what waits.

use http::Method;
use serde_json::Value;

use crate::api::{Api, Fault};
use crate::schema::assert_all_valid;
use crate::site::Site;
use crate::support::process::wait_for;
use crate::support::{Place, one_at_a_time};

const DENIED: &str =
    "admission webhook \"policy.example\" denied the request: images of registry.example are not signed";
const QUOTA: &str = "jobs.batch \"x\" is forbidden: exceeded quota: research, used: count/jobs.batch=5";

fn refused(code: u16, message: &str, times: usize) -> Fault {
    Fault::Status(code, message.to_owned(), times)
}

fn reason(pool: &Value) -> String {
    pool["no_allocation_because"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_pool_that_the_server_refuses_is_not_added_and_it_is_said_why() {
    let place = Place::new();
    let api = Api::start(&place);
    let site = Site::new(&api, &place);
    let add = |options: &[&str]| {
        let mut all = vec!["--max", "1"];
        all.extend(options);
        site.try_add("main", &all)
    };
    api.fault("POST jobs", refused(403, DENIED, 1));
    let said = add(&[]).expect(2).stderr;
    assert!(said.contains("refuses (403)") && said.contains("images of registry.example are not signed"), "{said}");
    let forbidden = "configmaps \"a\" is forbidden: User \"me\" cannot patch resource \"configmaps\"";
    api.fault("PATCH configmaps", refused(403, forbidden, 1));
    let said = add(&[]).expect(2).stderr;
    assert!(said.contains("cannot patch resource") && said.contains("rbac.yaml"), "{said}");
    api.heal();
    api.write_kubeconfig(&place, "expired");
    // The coordinator read its kubeconfig before.
    site.kill();
    site.start();
    let said = add(&[]).expect(2).stderr;
    assert!(said.contains("(401)") && said.contains("renew the credentials"), "{said}");
    // Renewed credentials are read without a restart.
    api.write_good_kubeconfig(&place);
    for (name, text, named) in [
        ("own.yaml", "restartPolicy: Always\n", "`restartPolicy` is the pool's"),
        ("both.yaml", "containers: [{resources: {requests: {cpu: 4}}}]\n", "containers.resources.requests.cpu"),
        ("bad.yaml", "tolerations: [\n", "neither YAML nor JSON"),
    ] {
        let file = place.write(name, text).display().to_string();
        let said = add(&["--cpu", "8", "--pod-spec", &file]).expect(2).stderr;
        assert!(said.contains(named), "{said}");
    }
    add(&["--namespace", "Upper"]).expect(2);
    assert!(place.run(&["pool", "list"]).expect(0).stdout.contains("no pools"));
    assert_eq!(api.count(&Method::POST, "jobs"), 0, "all were dry runs");

    let pod_spec = "tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]\n\
                    priorityClassName: low\nnodeSelector: {pool: gpu}\n\
                    volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]\n\
                    containers: [{volumeMounts: [{name: data, mountPath: /data}], resources: {limits: {cpu: 16}}}]\n";
    let file = place.write("pod.yaml", pod_spec).display().to_string();
    let label = "kueue.x-k8s.io/queue-name=research";
    let options = ["--pod-spec", &file, "--label", label, "--cpu", "8", "--memory", "32Gi", "--gpus-per-worker", "2"];
    let added = add(&options).expect(0).stdout;
    for part in ["priorityClassName", "claimName", "kueue.x-k8s.io/queue-name", "\"nvidia.com/gpu\": \"2\""] {
        assert!(added.contains(part), "{part} is not in {added}");
    }
    assert_all_valid(&place, &api.received());
}

#[test]
fn what_a_job_waits_for_is_shown_and_refusals_are_tried_again_later() {
    let _turn = one_at_a_time();
    let place = Place::new();
    let api = Api::start(&place);
    let site = Site::new(&api, &place);
    site.try_add("main", &["--max", "1", "--time", "5m"]).expect(0);
    api.fault("POST jobs", refused(403, QUOTA, usize::MAX));
    place.run(&["submit", "smoke.toml"]).expect(0);
    let pool = site.wait_for_pool("main", "the refusal", |pool| reason(pool).contains("refused, tried again in"));
    assert!(reason(&pool).contains("exceeded quota: research"), "{pool}");
    assert_eq!(api.count(&Method::POST, "jobs"), 1, "the next try is later");

    // Somebody who changes the pool is taken to have seen to it.
    api.heal();
    api.cluster().is_full = true;
    place.run(&["pool", "resume", "main"]).expect(0);
    let allocation_says = |what: &'static str| {
        move |pool: &Value| pool["allocations"][0]["reason"].as_str().is_some_and(|reason| reason.contains(what))
    };
    site.wait_for_pool("main", "an unschedulable pod", allocation_says("Unschedulable: 0/2 nodes are available"));
    let text = place.run(&["pool", "show", "main"]).expect(0).stdout;
    assert!(text.contains("waits: 0/2 nodes are available") && text.contains("kubectl logs"), "{text}");
    api.cluster().is_full = false;
    api.cluster().has_no_image = true;
    site.wait_for_pool("main", "an image that is missing", allocation_says("ImagePullBackOff: Back-off pulling image"));

    // A list whose rest is too old is begun anew, and a server that fails is asked again.
    api.cluster().page = 1;
    for (what, fault) in [
        ("GET jobs", refused(500, "etcdserver: request timed out", 1)),
        ("GET pods", refused(429, "too many requests, please try again later", 1)),
        ("GET pods", refused(403, "pods is forbidden: User \"me\" cannot list resource \"pods\"", 1)),
    ] {
        api.fault(what, fault);
        site.wait_for_pool("main", "an answer that is missing", |pool| {
            reason(pool).contains("Kubernetes does not answer")
        });
        site.wait_for_pool("main", "the next answer", |pool| !reason(pool).contains("does not answer"));
    }
    api.heal();

    // What waits and is not needed is cancelled; the campaign does not need it any more.
    place.run(&["cancel", "smoke"]).expect(0);
    wait_for("the job to be cancelled", || (api.cluster().open_jobs() == 0).then_some(()));
    assert_eq!(api.count(&Method::DELETE, "jobs"), 1);
    let pool = site.wait_for_pool("main", "no allocation", |pool| pool["allocations"] == serde_json::json!([]));
    assert_eq!(pool["mode"], "active", "{pool}");
    assert_all_valid(&place, &api.received());
}

#[test]
fn a_list_whose_rest_is_too_old_is_begun_anew() {
    let place = Place::new();
    let api = Api::start(&place);
    {
        let mut cluster = api.cluster();
        (cluster.page, cluster.is_full) = (1, true);
    }
    let site = Site::new(&api, &place);
    site.try_add("main", &["--max", "2", "--min", "2", "--backlog", "2", "--time", "5m"]).expect(0);
    let both = |pool: &Value| {
        let waiting = |known: &Value| known["reason"].as_str().is_some_and(|reason| reason.contains("Unschedulable"));
        pool["allocations"].as_array().is_some_and(|all| all.len() == 2 && all.iter().all(waiting))
    };
    site.wait_for_pool("main", "two jobs on two pages", both);
    api.fault("GET pods", Fault::Expire(2));
    let lists = api.count(&Method::GET, "pods");
    wait_for("three lists", || (api.count(&Method::GET, "pods") >= lists + 6).then_some(()));
    assert!(!site.log().contains("does not say what is in its queue"), "{}", site.log());
    assert!(both(&site.pool("main")));
    api.fault("GET pods", Fault::Expire(usize::MAX));
    let pool = site.wait_for_pool("main", "no whole list", |pool| reason(pool).contains("does not answer"));
    assert!(reason(&pool).contains("the list expired 3 times"), "{pool}");
    assert_eq!(api.count(&Method::POST, "jobs"), 2);
    api.heal();
    place.run(&["pool", "drain", "main"]).expect(0);
    wait_for("both to be cancelled", || (api.cluster().open_jobs() == 0).then_some(()));
}

/// A kubeconfig is somebody else's text: a plugin that hangs, a proxy with a password, a server without TLS.
#[test]
fn what_a_kubeconfig_names_neither_stops_the_coordinator_nor_is_repeated_nor_gets_a_token_unencrypted() {
    let _turn = one_at_a_time();
    let place = Place::new();
    let api = Api::start(&place);
    let contexts = [
        (
            "hangs",
            "server: https://127.0.0.1:1",
            "exec: {apiVersion: client.authentication.k8s.io/v1, command: sleep, args: ['400'], interactiveMode: Never}",
        ),
        (
            "fails",
            "server: https://127.0.0.1:1",
            "exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, 'echo hidden-output; exit 3'], interactiveMode: Never}",
        ),
        ("proxy", "server: https://127.0.0.1:1\n    proxy-url: http://me:hidden-password@127.0.0.1:9", "token: t"),
        ("plain", "server: http://cluster.example:8080", "token: t"),
    ];
    let named = |what: &str, inner: &dyn Fn(&(&str, &str, &str)) -> String| {
        let items = contexts.iter().map(|context| format!("- name: {}\n  {}\n", context.0, inner(context)));
        format!("{what}:\n{}", items.collect::<String>())
    };
    let kubeconfig = [
        "apiVersion: v1\nkind: Config\n".to_owned(),
        named("clusters", &|context| format!("cluster:\n    {}", context.1)),
        named("users", &|context| format!("user:\n    {}", context.2)),
        named("contexts", &|context| format!("context: {{cluster: {0}, user: {0}}}", context.0)),
    ];
    place.write("kubeconfig", &kubeconfig.concat());
    let site = Site::new(&api, &place);
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| site.try_add("hangs", &["--max", "1", "--context", "hangs"]));
        let mut answered = 0;
        while !hanging.is_finished() {
            place.run(&["list"]).expect(0);
            answered += usize::from(!hanging.is_finished());
        }
        assert!(answered > 0, "the coordinator answers while the plugin hangs");
        let ran = hanging.join().expect("it does not panic");
        assert_ne!(ran.code, Some(0));
        assert!(ran.stderr.contains("no answer within"), "{}", ran.stderr);
    });
    for (context, says) in [("fails", "credential plugin failed"), ("proxy", "a proxy"), ("plain", "https")] {
        let ran = site.try_add(context, &["--max", "1", "--context", context]);
        assert_ne!(ran.code, Some(0));
        assert!(ran.stderr.contains(says) && !ran.stderr.contains("hidden"), "{}", ran.stderr);
    }
    let log = std::fs::read_to_string(place.path("serve.log")).expect("it is there");
    assert!(!log.contains("hidden"), "{log}");
    assert!(!place.path("data/pools/proxy").exists(), "nothing is left of it");
}
