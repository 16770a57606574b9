//! A PostgreSQL server of a test program's own: in a temporary folder, on a free port of loopback, and gone with the program.

#![allow(dead_code, reason = "each test program uses a part of this")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Set to 1 where a machine without PostgreSQL is a mistake.
const REQUIRED: &str = "WINDTUNNEL_TEST_POSTGRES";

/// Distributions keep the server's programs out of the path.
const PROGRAMS: [&str; 2] = ["/usr/lib/postgresql", "/usr/pgsql"];

/// A running server.
pub(crate) struct Server {
    dir: PathBuf,
    programs: PathBuf,
    port: u16,
    /// Stops the server and removes its folder at the end of its standard input, which is that of this process at the latest.
    keeper: Child,
    databases: AtomicU32,
}

/// The server of this test program, started once. `None`, with the reason on standard error, where there is none to start.
pub(crate) fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    SERVER.get_or_init(Server::start).as_ref()
}

impl Server {
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(std::env::var(REQUIRED).as_deref() != Ok("1"), "no PostgreSQL, and {REQUIRED}=1 asks for it");
            eprintln!("skipped: there is no initdb of PostgreSQL on this machine");
            return None;
        };
        let dir = std::env::temp_dir().join(format!("windtunnel-postgres-{:016x}", rand::random::<u64>()));
        fs::create_dir(&dir).expect("a folder for the server");
        // The server refuses to run as root, and its user has to get here.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("its mode is set");
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&dir));
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let keeper = keeper(&dir, &programs);
        let server = Self { dir, programs, port, keeper, databases: AtomicU32::new(0) };
        let mut initdb = server.program("initdb");
        initdb.args(["-U", "windtunnel", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions", "-D"]);
        run(initdb.arg(server.data()));
        server.guard();
        server.control("start");
        Some(server)
    }

    /// Has the role `guarded` show a password over TLS, and makes a certificate for that. Everybody else is trusted.
    fn guard(&self) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]);
        let made = made.expect("a certificate");
        fs::write(self.certificate(), made.cert.pem()).expect("written");
        let script = "umask 077; cat > \"$0/server.key\"; cp \"$1\" \"$0/server.crt\"; \
                      { echo 'hostssl all guarded 127.0.0.1/32 scram-sha-256'; echo 'host all guarded all reject'; \
                      cat \"$0/pg_hba.conf\"; } > \"$0/new\"; mv \"$0/new\" \"$0/pg_hba.conf\"";
        let mut shell = as_its_user(Path::new("/bin/sh"));
        shell.arg("-c").arg(script).arg(self.data()).arg(self.certificate());
        let mut shell = shell.stdin(Stdio::piped()).spawn().expect("a shell");
        let mut key = shell.stdin.take().expect("is piped");
        std::io::Write::write_all(&mut key, made.signing_key.serialize_pem().as_bytes()).expect("it reads");
        drop(key);
        assert!(shell.wait().expect("it ends").success());
    }

    /// The certificate of the server, which vouches for itself.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.join("certificate.pem")
    }

    /// The address of a database, for the role that has to show a password.
    pub(crate) fn guarded_url(&self, database: &str, certificate: &Path) -> String {
        let (port, certificate) = (self.port, certificate.display());
        format!("postgres://guarded@127.0.0.1:{port}/{database}?sslmode=verify-full&sslrootcert={certificate}")
    }

    /// The address of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://windtunnel@127.0.0.1:{}/{database}", self.port)
    }

    /// A name that no database has had yet.
    pub(crate) fn fresh_name(&self) -> String {
        format!("wt{}", self.databases.fetch_add(1, Ordering::Relaxed))
    }

    /// Ends every session as a loss of power would, and starts again.
    pub(crate) fn crash_and_restart(&self) {
        let mut stop = self.pg_ctl();
        run(stop.args(["-m", "immediate", "-w", "stop"]));
        self.control("start");
    }

    fn control(&self, action: &str) {
        let options = format!(
            "-k {} -p {} -c listen_addresses=127.0.0.1 -c max_connections=200 -c shared_buffers=32MB \
             -c ssl=on",
            self.dir.display(),
            self.port
        );
        let mut control = self.pg_ctl();
        run(control.args(["-w", "-t", "60", "-o", &options, "-l"]).arg(self.dir.join("log")).arg(action));
    }

    fn pg_ctl(&self) -> Command {
        let mut control = self.program("pg_ctl");
        control.arg("-D").arg(self.data());
        control
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn program(&self, name: &str) -> Command {
        as_its_user(&self.programs.join(name))
    }
}

fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = PROGRAMS
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten())
        .map(|entry| entry.path().join("bin"))
        .filter(|folder| folder.join("initdb").is_file())
        .collect();
    versions.sort();
    versions.pop()
}

fn keeper(dir: &Path, programs: &Path) -> Child {
    let mut shell = as_its_user(Path::new("/bin/sh"));
    let script = "cat > /dev/null; \"$1/pg_ctl\" -D \"$0/data\" -m immediate stop > /dev/null 2>&1; rm -rf \"$0\"/*";
    shell.arg("-c").arg(script).arg(dir).arg(programs);
    // Signals of the terminal are for the tests.
    std::os::unix::process::CommandExt::process_group(&mut shell, 0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell")
}

fn as_its_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program).current_dir("/");
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

#[track_caller]
fn run(command: &mut Command) {
    // The server inherits what it is given, so output goes nowhere that somebody waits for.
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it starts");
    assert!(status.success(), "{command:?}: {status}");
}
