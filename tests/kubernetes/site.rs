//! A coordinator with pools of Kubernetes jobs.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::api::Api;
use crate::support::process::{Running, wait_for};
use crate::support::{Place, Ran};

pub(crate) struct Site<'a> {
    pub(crate) api: &'a Api,
    pub(crate) place: &'a Place,
    port: u16,
    serve: Mutex<Option<Running>>,
}

impl<'a> Site<'a> {
    pub(crate) fn new(api: &'a Api, place: &'a Place) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("has an address").port();
        drop(listener);
        let site = Self { api, place, port, serve: Mutex::new(None) };
        site.start();
        site
    }

    pub(crate) fn start(&self) {
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command =
            self.place.command(&["serve", "--listen", &listen, "--kubernetes-poll", "1", "--lease", "10"]);
        command.env("KUBECONFIG", self.place.path("kubeconfig"));
        let log = File::options().create(true).append(true).open(self.place.path("serve.log")).expect("opened");
        *self.serve.lock().expect("no thread panicked with it") = Some(Running::start_to(&mut command, log));
        wait_for("the coordinator to answer", || {
            thread::sleep(Duration::from_millis(50));
            let is_served = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
            (is_served && self.place.run(&["pool", "list"]).code == Some(0)).then_some(())
        });
    }

    pub(crate) fn kill(&self) {
        let serve = self.serve.lock().expect("no thread panicked with it").take().expect("it runs");
        serve.kill_group();
    }

    pub(crate) fn try_add(&self, name: &str, options: &[&str]) -> Ran {
        let mut args = vec!["pool", "add", "kubernetes", name, "--image", "registry.example/windtunnel:1"];
        args.extend(["--device", "flex", "--idle", "4s", "--rate", "60/min"]);
        if !options.contains(&"--gpus-per-worker") {
            args.extend(["--gpus-per-worker", "0"]);
        }
        args.extend(options);
        self.place.run(&args)
    }

    /// The pool, as it is shown.
    pub(crate) fn pool(&self, name: &str) -> Value {
        let shown = self.place.run(&["pool", "show", name, "--json"]).expect(0).stdout;
        serde_json::from_str(&shown).expect("is JSON")
    }

    pub(crate) fn wait_for_pool(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || {
            thread::sleep(Duration::from_millis(200));
            Some(self.pool(name)).filter(|pool| is_so(pool))
        })
    }

    /// Waits for a pod with a worker that has work, other than these. Returns it.
    pub(crate) fn wait_for_busy(&self, name: &str, besides: &[&str]) -> String {
        wait_for("a worker to have work", || {
            thread::sleep(Duration::from_millis(200));
            let pool = self.pool(name);
            let is_busy = |known: &&Value| {
                known["workers"]
                    .as_array()
                    .is_some_and(|workers| workers.iter().any(|worker| worker["is_busy"] == true))
            };
            let busy = pool["allocations"].as_array()?.iter().find(is_busy)?["allocation"].as_str()?.to_owned();
            let running = self.api.cluster().running();
            let is_new = |pod: &&String| pod.contains(&busy) && !besides.contains(&pod.as_str());
            running.iter().map(|(pod, _)| pod).find(is_new).cloned()
        })
    }

    /// How many stages are done; `None` before the campaign is known.
    pub(crate) fn stages_done(&self) -> Option<u64> {
        let shown = self.place.run(&["list", "--json"]);
        let shown: Value = serde_json::from_str(&shown.stdout).ok()?;
        shown["campaigns"].as_array()?.first()?["stages"]["completed"].as_u64()
    }

    pub(crate) fn wait_for_no_jobs(&self) {
        wait_for("all jobs to end", || {
            thread::sleep(Duration::from_millis(200));
            (self.api.cluster().open_jobs() == 0).then_some(())
        });
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.place.path("serve.log")).unwrap_or_default()
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}
