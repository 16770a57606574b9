//! Two coordinators of one PostgreSQL store, two workers, and everything that can end a term: the points are those of a run
//! that nobody disturbed, byte for byte, and no term wrote after the next one had begun.

#[path = "../support/postgres.rs"]
mod database;
mod guide;
#[path = "../support/mod.rs"]
mod support;

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use database::Server;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use support::process::{Running, wait_for};
use support::{Place, Ran, smoke_recipe};

/// Seconds. Three of them without a sign of life are a leader that hangs.
const LEASE: u64 = 2;

/// A place whose campaign is long enough to be disturbed four times.
fn place() -> Place {
    let place = Place::new();
    let recipe = smoke_recipe();
    let longer = recipe.replace("tokens = [5_120, 10_240, 20_480]", "tokens = [102_400, 204_800, 409_600]");
    assert_ne!(longer, recipe, "the smoke recipe has the points that this test expects");
    place.write("smoke.toml", &longer);
    place
}

/// Somebody who looks at the tables. A new session each time: servers end here.
struct Onlooker {
    url: String,
    runtime: tokio::runtime::Runtime,
}

impl Onlooker {
    /// With a database of one test's own.
    fn new(server: &Server) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
        let name = server.fresh_name();
        let onlooker = Self { url: server.url("postgres"), runtime };
        onlooker.execute(&format!("CREATE DATABASE {name}")).expect("it is created");
        Self { url: server.url(&name), ..onlooker }
    }

    /// Gives the database to a role that has to show a password over TLS. Its address there.
    fn guarded(&self, server: &Server) -> String {
        let name = self.text("current_database()").expect("it has a name");
        // The role is the server's, and another test may make it at the same moment.
        let role = "DO $$ BEGIN CREATE ROLE guarded LOGIN PASSWORD 'hunter2'; \
                    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
        self.execute(&format!("{role}; ALTER DATABASE {name} OWNER TO guarded")).expect("it is made");
        server.guarded_url(&name, &server.certificate())
    }

    fn execute(&self, sql: &str) -> Result<(), sqlx::Error> {
        self.runtime.block_on(async {
            let mut session = PgConnection::connect(&self.url).await?;
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut session).await.map(drop)
        })
    }

    fn text(&self, sql: &str) -> Option<String> {
        self.runtime.block_on(async {
            let mut session = PgConnection::connect(&self.url).await.ok()?;
            sqlx::query_scalar(AssertSqlSafe(format!("SELECT ({sql})::text"))).fetch_one(&mut session).await.ok()
        })
    }

    fn number(&self, sql: &str) -> Option<i64> {
        self.text(sql)?.parse().ok()
    }

    /// Waits until facts were written in the term that is current then, after so many terms before it.
    fn wait_for_facts_after(&self, epoch: i64) -> i64 {
        let newest = "SELECT max(epoch) FROM facts";
        wait_for("a fact of another term", || self.number(newest).filter(|newest| *newest > epoch))
    }

    /// Waits until more was committed: the campaign is under way.
    fn wait_for_progress(&self) {
        let facts = || self.number("SELECT count(*) FROM facts");
        let before = wait_for("a log", facts);
        wait_for("progress", || facts().filter(|now| *now > before + 1));
    }
}

/// A coordinator, its log and the moments at which it said that it serves.
struct Coordinator {
    running: Running,
    serves: Receiver<Instant>,
}

/// Two of them, each with a data directory and a port of its own.
struct Pair<'a> {
    place: &'a Place,
    store: String,
    ports: [u16; 2],
}

impl Pair<'_> {
    fn start(&self, index: usize) -> Coordinator {
        let (data, listen) = (self.place.path(NAMES[index]), format!("127.0.0.1:{}", self.ports[index]));
        let (storage, lease) = (self.place.path("shared").display().to_string(), LEASE.to_string());
        let args = ["serve", "--store", &self.store, "--storage", &storage, "--listen", &listen, "--lease", &lease];
        let mut command = self.place.command(&args);
        command.env("WINDTUNNEL_DATA_DIR", data);
        let log = OpenOptions::new().create(true).append(true).open(self.log(index)).expect("a log");
        let (running, lines) = Running::piped_to(&mut command, log);
        let (said, serves) = channel();
        std::thread::spawn(move || lines.map(|_| said.send(Instant::now())).all(|sent| sent.is_ok()));
        Coordinator { running, serves }
    }

    fn log(&self, index: usize) -> std::path::PathBuf {
        self.place.path(&format!("{}.log", NAMES[index]))
    }

    fn said(&self, index: usize) -> String {
        std::fs::read_to_string(self.log(index)).unwrap_or_default()
    }

    /// Waits until a coordinator says something more, after what it had said.
    fn wait_until_says(&self, index: usize, before: usize, what: &str) {
        wait_for(what, || self.said(index)[before..].contains(what).then_some(()));
    }

    /// The command, as somebody who knows both addresses gives it.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.command(args);
        command.env("WINDTUNNEL_COORDINATOR", self.ports.map(|port| format!("http://127.0.0.1:{port}")).join(","));
        command.env("WINDTUNNEL_TOKEN_FILE", self.place.path("token"));
        command
    }
}

const NAMES: [&str; 2] = ["one", "other"];

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port()
}

/// Waits until a coordinator serves, and says how long that took.
fn wait_until_serves(coordinator: &Coordinator, since: Instant, after: &str) {
    let served = coordinator.serves.recv_timeout(Duration::from_secs(240)).expect("it serves");
    let leases = served.duration_since(since).as_secs_f64() / LEASE as f64;
    eprintln!("after {after}: the next one serves in {leases:.2} leases of {LEASE} s");
}

/// Runs the program with a store of its own choice, and without passwords of whoever runs the tests.
fn with_password(place: &Place, args: &[&str], password: Option<&Path>) -> Ran {
    let mut command = place.command(args);
    command.env("HOME", place.path("")).env_remove("PGPASSWORD").env_remove("WINDTUNNEL_STORE");
    if let Some(password) = password {
        command.env("WINDTUNNEL_STORE_PASSWORD_FILE", password);
    }
    Ran::of(command.output().expect("the program starts"))
}

#[test]
fn a_password_is_in_a_private_file_and_goes_to_a_server_that_is_known() {
    let Some(server) = database::server() else { return };
    let (place, onlooker) = (Place::new(), Onlooker::new(server));
    let url = onlooker.guarded(server);
    let name = onlooker.text("current_database()").expect("it has a name");
    let password = place.write("password", "hunter2\n");
    let mode = |mode| std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(mode));
    let create = ["token", "create", "--scope", "read", "--name", "reader", "--store"];
    let create =
        |url: &str, password: Option<&Path>| with_password(&place, &[create.as_slice(), &[url]].concat(), password);

    mode(0o644).expect("its mode is set");
    let refused = create(&url, Some(&password)).expect(2).stderr;
    assert!(refused.contains("chmod 600"), "{refused}");
    mode(0o600).expect("its mode is set");
    let refused = create(&url.replace("guarded@", "guarded:hunter2@"), None).expect(2).stderr;
    assert!(refused.contains("WINDTUNNEL_STORE_PASSWORD_FILE") && !refused.contains("hunter2"), "{refused}");
    assert_ne!(create(&url, None).code, Some(0), "the server asks for the password");
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let other = server.guarded_url(&name, &place.write("other.pem", &other.cert.pem()));
    let refused = create(&other, Some(&password));
    assert!(refused.code != Some(0) && refused.stderr.contains("certificate"), "{}", refused.stderr);

    create(&url, Some(&password)).expect(0);
    let noted = std::fs::read_to_string(place.path("data/store.json")).expect("it is noted");
    assert!(noted.contains("guarded@127.0.0.1") && !noted.contains("hunter2"), "{noted}");
    // From now on the directory knows its store.
    let listed = with_password(&place, &["token", "list"], Some(&password)).expect(0).stdout;
    assert!(listed.contains("reader"), "{listed}");
    let copied = with_password(&place, &["store", "copy", &url, "copy"], Some(&password)).expect(0).stdout;
    assert!(copied.contains("all were read back"), "{copied}");
    let in_copy = with_password(&place, &["token", "list", "--data-dir", "copy"], None).expect(0).stdout;
    assert_eq!(in_copy, listed);
    let other = with_password(&place, &["store", "copy", "mysql://me:hunter2@db-1/wt", "copy"], None).expect(2).stderr;
    assert!(!other.contains("hunter2"), "{other}");
    let again = with_password(&place, &["store", "copy", "copy", &url], Some(&password)).expect(2).stderr;
    assert!(again.contains("the target has data already"), "{again}");
}

#[test]
fn whoever_takes_over_and_cannot_serve_stands_by_again() {
    let Some(server) = database::server() else { return };
    let (place, onlooker) = (Place::new(), Onlooker::new(server));
    let pair = Pair { place: &place, store: onlooker.url.clone(), ports: [free_port(), free_port()] };
    let one = pair.start(0);
    wait_until_serves(&one, Instant::now(), "the start");
    let mut other = pair.start(1);
    pair.wait_until_says(1, 0, "standing by for http://127.0.0.1:");
    // The file server goes away together with the leader.
    std::fs::rename(place.path("shared"), place.path("away")).expect("moved");
    one.running.kill_group();
    pair.wait_until_says(1, 0, "standing by again: took over the store, could not serve it, and gave up its term");
    pair.wait_until_says(1, 0, "cannot begin a term yet: ");
    assert!(pair.said(1).contains("shared"), "it says why: {}", pair.said(1));
    assert!(!other.running.has_ended());
    std::fs::rename(place.path("away"), place.path("shared")).expect("moved");
    wait_until_serves(&other, Instant::now(), "the storage is back");

    // What no retry fixes ends the process, as at any start.
    other.running.signal("TERM");
    assert!(other.running.wait().success());
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (999999, 'of a later version', true, '', 0)";
    onlooker.execute(newer).expect("written");
    let mut refused = pair.start(0);
    assert_eq!(refused.running.wait().code(), Some(1), "{}", pair.said(0));
    assert!(pair.said(0).contains("written by a newer version of Windtunnel"), "{}", pair.said(0));
}

#[test]
fn whatever_ends_a_term_the_campaign_ends_with_the_same_points() {
    let Some(server) = database::server() else { return };
    let undisturbed = place();
    undisturbed.run(&["run", "smoke.toml"]).expect(0);

    let (place, onlooker) = (place(), Onlooker::new(server));
    let pair = Pair { place: &place, store: onlooker.url.clone(), ports: [free_port(), free_port()] };
    // A token is in the database, so it opens both doors.
    let mut create = place.command(&["token", "create", "--store", &pair.store, "--scope", "admin", "--name", "test"]);
    let token = create.env("WINDTUNNEL_DATA_DIR", place.path("one")).output().expect("it starts");
    assert!(token.status.success(), "{}", String::from_utf8_lossy(&token.stderr));
    let file = place.path("token");
    std::fs::write(&file, token.stdout).expect("written");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its mode is set");

    let one = pair.start(0);
    wait_until_serves(&one, Instant::now(), "the start");
    let other = pair.start(1);
    pair.wait_until_says(1, 0, "standing by for http://127.0.0.1:");
    // Whoever dials the one that stands by alone is told so.
    let mut asked = place.command(&["list"]);
    asked.env("WINDTUNNEL_COORDINATOR", format!("http://127.0.0.1:{}", pair.ports[1]));
    let asked = asked.env("WINDTUNNEL_TOKEN_FILE", &file).output().expect("it starts");
    let answer = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(!asked.status.success() && answer.contains("standing by for http://127.0.0.1:"), "{answer}");

    let worker = |name: &str| {
        let data = place.path(name).display().to_string();
        let log = File::create(place.path(&format!("{name}.log"))).expect("a log");
        Running::start_to(&mut pair.command(&["worker", "--name", name, "--data-dir", &data, "--threads", "1"]), log)
    };
    let _workers = [worker("worker-1"), worker("worker-2")];
    let submitted = pair.command(&["submit", "smoke.toml"]).output().expect("it starts");
    assert!(submitted.status.success(), "{}", String::from_utf8_lossy(&submitted.stderr));
    onlooker.wait_for_progress();
    let mut epoch = onlooker.number("SELECT epoch FROM leader").expect("somebody leads");

    // A process that is killed.
    let at = Instant::now();
    one.running.kill_group();
    wait_until_serves(&other, at, "kill -9");
    epoch = onlooker.wait_for_facts_after(epoch);
    let said = pair.said(0).len();
    let one = pair.start(0);
    pair.wait_until_says(0, said, "standing by for http://127.0.0.1:");

    // One that hangs, and wakes when another has taken over.
    let (at, said) = (Instant::now(), pair.said(1).len());
    other.running.signal("STOP");
    wait_until_serves(&one, at, "SIGSTOP");
    epoch = onlooker.wait_for_facts_after(epoch);
    other.running.signal("CONT");
    pair.wait_until_says(1, said, "this coordinator no longer leads");
    pair.wait_until_says(1, said, "standing by for http://127.0.0.1:");

    // A session that an administrator, a firewall or a pooler ends. Either of the two may lead after that.
    let at = Instant::now();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted \
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    onlooker.execute(end).expect("it is ended");
    let newest = "SELECT epoch FROM leader";
    wait_for("another term", || onlooker.number(newest).filter(|newest| *newest > epoch));
    eprintln!("after pg_terminate_backend: another term in {:.2} leases", at.elapsed().as_secs_f64() / LEASE as f64);
    epoch = onlooker.wait_for_facts_after(epoch);

    // A server that crashes.
    let at = Instant::now();
    server.crash_and_restart();
    wait_for("another term", || onlooker.number(newest).filter(|newest| *newest > epoch));
    eprintln!("after -m immediate: another term in {:.2} leases", at.elapsed().as_secs_f64() / LEASE as f64);
    onlooker.wait_for_facts_after(epoch);

    wait_for("the end of the campaign", || {
        let watched = pair.command(&["watch", "smoke"]).output().expect("it starts");
        watched.status.success().then_some(())
    });
    let report = pair.command(&["report", "smoke", "--out", "out/smoke"]).output().expect("it starts");
    assert!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
    assert_eq!(place.points("out/smoke"), undisturbed.points("out/smoke"));

    let late = "SELECT count(*) FROM (SELECT epoch, lag(epoch) OVER (ORDER BY sequence) AS before FROM facts) AS facts \
                WHERE epoch < before";
    assert_eq!(onlooker.number(late), Some(0), "a term wrote after the next one had begun");
    let terms = onlooker.number("SELECT count(DISTINCT epoch) FROM facts");
    assert!(terms >= Some(5), "{terms:?}");

    // While one leads, nobody examines what it writes; after that everything is found whole.
    let doctor = || {
        let mut doctor = place.command(&["doctor"]);
        doctor.env("WINDTUNNEL_DATA_DIR", place.path("doctor")).output().expect("it starts")
    };
    std::fs::create_dir(place.path("doctor")).expect("made");
    std::fs::copy(place.path("one/store.json"), place.path("doctor/store.json")).expect("it is noted");
    std::fs::copy(place.path("one/storage.json"), place.path("doctor/storage.json")).expect("it is noted");
    let refused = place.run(&["doctor", "--store", &pair.store]).expect(2).stderr;
    assert!(refused.contains("the store is in use by the coordinator http://127.0.0.1:"), "{refused}");
    let refused = String::from_utf8_lossy(&doctor().stderr).into_owned();
    assert!(refused.contains("the store is in use by the coordinator http://127.0.0.1:"), "{refused}");
    for mut coordinator in [one.running, other.running] {
        coordinator.signal("TERM");
        assert!(coordinator.wait().success());
    }
    let examined = doctor();
    assert!(examined.status.success(), "{}", String::from_utf8_lossy(&examined.stdout));
    // The address alone leads to the same.
    let by_address = |command: &mut Command, url: &str| {
        command.env("WINDTUNNEL_DATA_DIR", place.path("nowhere")).args(["--store", url]);
        Ran::of(command.output().expect("it starts"))
    };
    let found = by_address(&mut place.command(&["doctor"]), &pair.store).expect(0);
    assert_eq!(found.stdout, String::from_utf8_lossy(&examined.stdout));
    let empty = Onlooker::new(server);
    let none = by_address(&mut place.command(&["doctor"]), &empty.url).expect(2).stderr;
    assert!(none.contains("holds no store of this version") && none.contains("postgres://"), "{none}");
    assert!(!place.path("nowhere").exists());
}
