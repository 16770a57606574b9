//! A coordinator with pools, and an `sbatch` of its own in front of Slurm's.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::engine::Engine;
use crate::support::Place;
use crate::support::process::{Running, wait_for};

/// A coordinator with its own `sbatch` in front of Slurm's.
pub(crate) struct PoolSite<'a> {
    engine: &'a Engine,
    place: &'a Place,
    port: u16,
    serve: Mutex<Option<Running>>,
}

impl<'a> PoolSite<'a> {
    pub(crate) fn new(engine: &'a Engine, place: &'a Place) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("has an address").port();
        let site = Self { engine, place, port, serve: Mutex::new(None) };
        fs::create_dir_all(place.path("bin")).expect("made");
        site.write_sbatch();
        drop(listener);
        site.start();
        site
    }

    /// An `sbatch` that counts submissions, and does what files in the place ask for: `lose` has it submit and then hang, so that
    /// its answer is lost, `hang` has it hang before it submits. Each is done once.
    fn write_sbatch(&self) {
        let folder = self.place.path("");
        let text = format!(
            "#!/bin/bash\n\
             cd '{folder}'\n\
             export PATH=${{PATH#*:}}\n\
             case \" $* \" in *' --test-only '*) exec sbatch \"$@\" ;; esac\n\
             echo \"$*\" >> submissions\n\
             if mv hang hung 2>/dev/null; then exec sleep 1000; fi\n\
             if mv lose lost 2>/dev/null; then sbatch \"$@\" > answer; exec sleep 1000; fi\n\
             exec sbatch \"$@\"\n",
            folder = folder.display()
        );
        let path = self.place.write("bin/sbatch", &text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("ours");
    }

    pub(crate) fn start(&self) {
        let path = std::env::var("PATH").unwrap_or_default();
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command = self.place.command(&["serve", "--listen", &listen, "--slurm-poll", "1", "--lease", "10"]);
        // Workers keep their folders there.
        fs::create_dir_all(self.place.path("tmp")).expect("made");
        command.env("SLURM_CONF", self.engine.conf()).env("TMPDIR", self.place.path("tmp"));
        command.env("PATH", format!("{}:{path}", self.place.path("bin").display()));
        let log = fs::File::options().create(true).append(true).open(self.place.path("serve.log")).expect("opened");
        *self.serve.lock().expect("no thread panicked with it") = Some(Running::start_to(&mut command, log));
        wait_for("the coordinator to answer", || {
            thread::sleep(Duration::from_millis(50));
            (self.place.run(&["pool", "list"]).code == Some(0) && self.is_served()).then_some(())
        });
    }

    fn is_served(&self) -> bool {
        std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    pub(crate) fn kill(&self) {
        let serve = self.serve.lock().expect("no thread panicked with it").take().expect("it runs");
        serve.kill_group();
    }

    pub(crate) fn add(&self, name: &str, options: &[&str], sbatch: &[&str]) -> String {
        let program = env!("CARGO_BIN_EXE_windtunnel");
        let fixed = [
            "pool",
            "add",
            "slurm",
            name,
            "--gpus-per-worker",
            "0",
            "--device",
            "flex",
            "--idle",
            "4s",
            "--rate",
            "60/min",
        ];
        let mut args = fixed.to_vec();
        if !options.contains(&"--program") {
            args.extend(["--program", program]);
        }
        args.extend(options);
        args.extend(["--", "--cpus-per-task=1", "--mem=500"]);
        args.extend(sbatch);
        self.place.run(&args).expect(0).stdout
    }

    /// The pool, as it is shown.
    pub(crate) fn pool(&self, name: &str) -> Value {
        let shown = self.place.run(&["pool", "show", name, "--json"]).expect(0).stdout;
        serde_json::from_str(&shown).expect("is JSON")
    }

    /// The job and the node of an allocation that has a worker with work.
    #[track_caller]
    pub(crate) fn wait_for_busy(&self, name: &str) -> (String, String) {
        self.wait_for_another(name, "")
    }

    /// The job of another such allocation.
    #[track_caller]
    pub(crate) fn wait_for_busy_besides(&self, name: &str, job: &str) -> String {
        self.wait_for_another(name, job).0
    }

    #[track_caller]
    fn wait_for_another(&self, name: &str, job: &str) -> (String, String) {
        wait_for("a worker to have work", || {
            thread::sleep(Duration::from_millis(200));
            let pool = self.pool(name);
            let allocations = pool["allocations"].as_array().expect("a list").clone();
            let is_busy = |known: &&Value| {
                let workers = known["workers"].as_array().expect("a list");
                known["state"] == "running"
                    && known["job"].as_u64() != job.parse().ok()
                    && workers.iter().any(|worker| worker["is_busy"] == true)
            };
            let busy = allocations.iter().find(is_busy)?;
            Some((busy["job"].as_u64()?.to_string(), busy["node"].as_str()?.to_owned()))
        })
    }

    /// How many stages are done; `None` before the campaign is known.
    pub(crate) fn stages_done(&self) -> Option<u64> {
        let shown = self.place.run(&["list", "--json"]);
        let shown: Value = serde_json::from_str(&shown.stdout).ok()?;
        shown["campaigns"].as_array()?.iter().find(|campaign| campaign["name"] == "smoke")?["stages"]["completed"]
            .as_u64()
    }

    pub(crate) fn submissions(&self) -> usize {
        fs::read_to_string(self.place.path("submissions")).unwrap_or_default().lines().count()
    }

    /// Jobs of pools that are in the queue or on a node.
    pub(crate) fn jobs(&self) -> usize {
        let jobs = self.engine.said("squeue", &["-h", "-o", "%j", "--states=PENDING,RUNNING,CONFIGURING"]);
        jobs.lines().filter(|name| name.starts_with("windtunnel-")).count()
    }

    #[track_caller]
    pub(crate) fn wait_for_no_jobs(&self) {
        let ended = Instant::now();
        wait_for("all jobs to end", || {
            thread::sleep(Duration::from_millis(200));
            (self.jobs() == 0).then_some(())
        });
        eprintln!("no job is left {:?} after the campaign", ended.elapsed());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.place.path("serve.log")).unwrap_or_default()
    }
}

impl Drop for PoolSite<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}
