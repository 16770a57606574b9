//! A Slurm of this test's own: a controller, two nodes and their authentication, in a temporary folder, on free ports of the
//! loopback interface. It ends with the test.

#![allow(dead_code, reason = "not every test of a suite needs all that an engine can do")]

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::process::{send, wait_for};

/// Demands a Slurm: without one the tests fail, where they are otherwise skipped.
const DEMANDED: &str = "WINDTUNNEL_TEST_SLURM";

/// The programs that an engine consists of.
const PROGRAMS: [&str; 6] = ["munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue"];

/// The names of the nodes, each with 16 processors.
pub(crate) const NODES: [&str; 2] = ["n1", "n2"];

/// The partition that jobs go to unless they name another.
pub(crate) const MAIN: &str = "main";

/// A partition on the same nodes whose jobs are requeued, without any grace, when [`MAIN`] needs the nodes.
pub(crate) const LOW: &str = "low";

/// How long it may take until the nodes are idle after a start: usually half a second.
const START: Duration = Duration::from_secs(30);

/// How often to start again where somebody took a free port first.
const TRIES: u32 = 3;

/// A running Slurm.
pub(crate) struct Engine {
    dir: TempDir,
    munged: Child,
    controller: Mutex<Option<Child>>,
    nodes: [Mutex<Option<Child>>; 2],
}

impl Engine {
    /// Starts one; `None`, once the reason is printed, where Slurm is not installed and nothing demands it.
    pub(crate) fn start() -> Option<Self> {
        let missing: Vec<&str> = PROGRAMS.into_iter().filter(|program| !is_installed(program)).collect();
        if !missing.is_empty() {
            let why = format!("not installed: {} (Debian: slurmctld slurmd slurm-client munge)", missing.join(", "));
            assert_ne!(std::env::var(DEMANDED).as_deref(), Ok("1"), "{DEMANDED}=1, but {why}");
            eprintln!("skipped: {why}; {DEMANDED}=1 makes this an error");
            return None;
        }
        let mut problem = String::new();
        for _ in 0..TRIES {
            match Self::try_to_start() {
                Ok(engine) => return Some(engine),
                Err(said) => problem = said,
            }
        }
        panic!("Slurm does not start: {problem}");
    }

    fn try_to_start() -> Result<Self, String> {
        let dir = tempfile::Builder::new().prefix("slurm-").tempdir().expect("a temporary directory");
        let root = dir.path();
        // Jobs of other users must reach the sockets and spool folders.
        open_to_all(root);
        for name in ["socket", "state", "log", "run", "spool.n1", "spool.n2"] {
            fs::create_dir(root.join(name)).expect("made");
            open_to_all(&root.join(name));
        }
        fs::create_dir(root.join("munge")).expect("made");
        fs::set_permissions(root.join("munge"), fs::Permissions::from_mode(0o700)).expect("ours");
        fs::write(root.join("munge/key"), rand::random::<[u8; 128]>()).expect("written");
        fs::set_permissions(root.join("munge/key"), fs::Permissions::from_mode(0o400)).expect("ours");
        fs::write(root.join("cgroup.conf"), "CgroupAutomount=no\n").expect("written");
        let gpus = pretended_gpus(root);
        fs::write(root.join("slurm.conf"), configuration(root, free_ports(), gpus)).expect("written");

        let munged = daemon(root, "munged", munge_arguments(root));
        wait_for("munge to listen", || root.join("socket/munge").exists().then_some(()));
        let engine = Self { munged, controller: Mutex::new(None), nodes: [Mutex::new(None), Mutex::new(None)], dir };
        engine.start_controller();
        for node in NODES {
            engine.start_node(node);
        }
        let deadline = Instant::now() + START;
        while engine.said("sinfo", &["-h", "-p", MAIN, "-t", "idle", "-o", "%D"]).trim() != "2" {
            if Instant::now() > deadline {
                let log = |name: &str| fs::read_to_string(engine.path(name)).unwrap_or_default();
                return Err(format!("{}{}", log("log/slurmctld.log"), log("log/slurmd.n1.log")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(engine)
    }

    /// A path in the engine's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What `SLURM_CONF` has to be for the commands of Slurm to find this engine.
    pub(crate) fn conf(&self) -> PathBuf {
        self.path("slurm.conf")
    }

    /// A command that finds this engine.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.conf()).stdin(Stdio::null());
        command
    }

    /// What a command printed; it has to succeed.
    #[track_caller]
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> String {
        let output = self.command(program).args(args).output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {}: {said}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What a command printed, whether it succeeded or not.
    pub(crate) fn said(&self, program: &str, args: &[&str]) -> String {
        let output = self.command(program).args(args).output().expect("the program starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The state of a job, for example `RUNNING`; `None` once Slurm has forgotten it.
    pub(crate) fn state(&self, job: &str) -> Option<String> {
        let shown = self.said("scontrol", &["--oneliner", "show", "job", job]);
        word_after(&shown, "JobState=").map(str::to_owned)
    }

    /// The exit status of a job that has ended.
    pub(crate) fn exit_code(&self, job: &str) -> Option<i32> {
        let shown = self.said("scontrol", &["--oneliner", "show", "job", job]);
        word_after(&shown, "ExitCode=").and_then(|code| code.split(':').next()?.parse().ok())
    }

    /// Waits until a job is in one of these states, and says in which.
    #[track_caller]
    pub(crate) fn wait_for_state(&self, job: &str, states: &[&str]) -> String {
        wait_for(&format!("job {job} to be {}", states.join(" or ")), || {
            std::thread::sleep(Duration::from_millis(100));
            self.state(job).filter(|state| states.contains(&state.as_str()))
        })
    }

    /// Has a running job's limit end one to two minutes from now.
    pub(crate) fn limit_to_soon(&self, job: &str) {
        let used = self.run("squeue", &["-h", "-j", job, "-o", "%M"]);
        let parts = used.trim().rsplit(':').map(|part| part.parse::<u64>().expect("under a day")).collect::<Vec<_>>();
        let minutes = parts.get(1).unwrap_or(&0) + 60 * parts.get(2).unwrap_or(&0);
        self.run("scontrol", &["update", &format!("JobId={job}"), &format!("TimeLimit={}", minutes + 2)]);
    }

    /// Starts the controller, or starts it again with the state that it had.
    pub(crate) fn start_controller(&self) {
        let mut controller = self.controller.lock().expect("no test panicked with it");
        assert!(controller.is_none(), "the controller runs");
        *controller = Some(daemon(self.dir.path(), "slurmctld", vec!["-D".to_owned()]));
    }

    /// Ends the controller in order: what asks it meanwhile fails after some seconds.
    pub(crate) fn stop_controller(&self) {
        let mut controller = self.controller.lock().expect("no test panicked with it");
        let mut child = controller.take().expect("the controller runs");
        send("TERM", &child.id().to_string());
        child.wait().expect("it ends");
    }

    /// Starts a node's daemon.
    pub(crate) fn start_node(&self, node: &str) {
        let mut slot = self.node(node).lock().expect("no test panicked with it");
        assert!(slot.is_none(), "{node} runs");
        *slot = Some(daemon(self.dir.path(), "slurmd", vec!["-D".to_owned(), "-N".to_owned(), node.to_owned()]));
    }

    /// Kills a node's daemon. What runs there lives on, unwatched.
    pub(crate) fn kill_node(&self, node: &str) {
        let mut slot = self.node(node).lock().expect("no test panicked with it");
        let mut child = slot.take().expect("it runs");
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
    }

    fn node(&self, node: &str) -> &Mutex<Option<Child>> {
        let index = NODES.iter().position(|known| *known == node).expect("is a node");
        &self.nodes[index]
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The controller ends jobs in order. Whatever it cannot reach is ended by its environment, which names this folder.
        let jobs = self.said("squeue", &["-h", "-o", "%A"]);
        let jobs: Vec<&str> = jobs.split_whitespace().collect();
        if !jobs.is_empty() {
            self.said("scancel", &[["--signal=KILL", "--full"].as_slice(), &jobs].concat());
            self.said("scancel", &jobs);
        }
        let daemons = self.nodes.iter_mut().chain([&mut self.controller]);
        for daemon in daemons.filter_map(|daemon| daemon.get_mut().ok()?.take()) {
            end(daemon);
        }
        for left in left_behind(&self.conf()) {
            send("KILL", &left.to_string());
        }
        let _ = self.munged.kill();
        let _ = self.munged.wait();
    }
}

fn end(mut daemon: Child) {
    send("TERM", &daemon.id().to_string());
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        if matches!(daemon.try_wait(), Ok(Some(_))) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = daemon.kill();
    let _ = daemon.wait();
}

/// Processes whose environment names this configuration: steps and tasks that outlived their daemons.
fn left_behind(conf: &Path) -> Vec<u32> {
    let wanted = format!("SLURM_CONF={}", conf.display());
    let entries = fs::read_dir("/proc").expect("this is Linux").flatten();
    let named = entries.filter_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let environment = fs::read(entry.path().join("environ")).ok()?;
        environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()).then_some(id)
    });
    named.filter(|id| *id != std::process::id()).collect()
}

/// Starts a daemon in the foreground, out of reach of what a terminal sends.
fn daemon(root: &Path, program: &str, args: Vec<String>) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(root.join("log/daemons.log")).expect("opened");
    let mut command = Command::new(path_of(program).expect("is installed"));
    command.args(args).env("SLURM_CONF", root.join("slurm.conf")).process_group(0);
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("can be shared")).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn munge_arguments(root: &Path) -> Vec<String> {
    let at = |option: &str, name: &str| format!("--{option}={}", root.join(name).display());
    let files = [
        at("key-file", "munge/key"),
        at("socket", "socket/munge"),
        at("pid-file", "run/munged.pid"),
        at("seed-file", "munge/seed"),
        at("log-file", "log/munged.log"),
    ];
    ["--foreground".to_owned(), "--num-threads=2".to_owned()].into_iter().chain(files).collect()
}

/// Credentials live for 10 s, because a requeued job waits for the end of its last one. Everything listens on loopback.
fn configuration(root: &Path, [controller, first, second]: [u16; 3], gpus: bool) -> String {
    let (user, host) = (printed("id", "-un"), printed("hostname", "-s"));
    let (gres_types, gres) = if gpus { ("GresTypes=gpu\n", " Gres=gpu:4") } else { ("", "") };
    let root = root.display();
    format!(
        "ClusterName=test\n\
         SlurmctldHost={host}(127.0.0.1)\n\
         CommunicationParameters=NoCtldInAddrAny,NoInAddrAny\n\
         SlurmctldPort={controller}\n\
         SlurmUser={user}\n\
         SlurmdUser={user}\n\
         AuthType=auth/munge\n\
         AuthInfo=socket={root}/socket/munge,cred_expire=10\n\
         StateSaveLocation={root}/state\n\
         SlurmdSpoolDir={root}/spool.%n\n\
         SlurmctldPidFile={root}/run/slurmctld.pid\n\
         SlurmdPidFile={root}/run/slurmd.%n.pid\n\
         SlurmctldLogFile={root}/log/slurmctld.log\n\
         SlurmdLogFile={root}/log/slurmd.%n.log\n\
         ProctrackType=proctrack/linuxproc\n\
         TaskPlugin=task/none\n\
         MpiDefault=none\n\
         MailProg=/bin/true\n\
         SelectType=select/cons_tres\n\
         SelectTypeParameters=CR_Core\n\
         {gres_types}\
         SlurmdParameters=config_overrides\n\
         ReturnToService=2\n\
         SlurmdTimeout=10\n\
         KillWait=10\n\
         SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2\n\
         PreemptType=preempt/partition_prio\n\
         PreemptMode=REQUEUE\n\
         NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=16 RealMemory=64000{gres}\n\
         NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=16 RealMemory=64000{gres}\n\
         PartitionName={MAIN} Nodes=n1,n2 Default=YES MaxTime=UNLIMITED PriorityTier=10\n\
         PartitionName={LOW} Nodes=n1,n2 PriorityTier=1 PreemptMode=REQUEUE GraceTime=0\n"
    )
}

/// Has four devices stand in for GPUs on each node, which takes root: a task with `--gpus-per-task` then sees
/// `CUDA_VISIBLE_DEVICES`. Returns whether it could.
fn pretended_gpus(root: &Path) -> bool {
    let made = (0..4).all(|index| {
        let device = root.join(format!("run/gpu{index}"));
        let made = Command::new("mknod").arg(device).args(["c", "1", "3"]).stderr(Stdio::null()).status();
        made.is_ok_and(|status| status.success())
    });
    let devices = format!("Name=gpu File={}/run/gpu[0-3]\n", root.display());
    fs::write(root.join("gres.conf"), if made { devices } else { String::new() }).expect("written");
    made
}

/// Three ports that were free a moment ago.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("has an address").port())
}

fn open_to_all(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("ours");
}

fn printed(program: &str, arg: &str) -> String {
    let output = Command::new(program).arg(arg).output().expect("the program is there");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The word that follows `key` directly.
fn word_after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split_whitespace().find_map(|word| word.strip_prefix(key))
}

fn is_installed(program: &str) -> bool {
    path_of(program).is_some()
}

/// Daemons lie in /usr/sbin, which is not on every user's path.
fn path_of(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.find_map(|folder| Some(folder.join(program)).filter(|path| path.is_file()))
}
