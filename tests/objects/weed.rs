//! SeaweedFS, an S3 server that people run, for the same tests.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::server::{KEY, SECRET};
use crate::support::process::{Running, wait_for};

/// The variable that names the program.
pub(crate) const PROGRAM: &str = "WINDTUNNEL_TEST_WEED";

/// A server with the folder it keeps everything in. Dropping it kills it.
pub(crate) struct Weed {
    server: Option<Running>,
    program: PathBuf,
    dir: TempDir,
    ports: Vec<u16>,
}

impl Weed {
    /// Starts it, and waits until it answers.
    pub(crate) fn start(program: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("s3.json");
        let identity = format!(
            r#"{{"identities": [{{"name": "test", "credentials": [{{"accessKey": "{KEY}", "secretKey": "{SECRET}"}}],
                "actions": ["Admin", "Read", "List", "Tagging", "Write"]}}]}}"#
        );
        fs::write(&config, identity).expect("written");
        let mut weed = Self { server: None, program: program.to_owned(), dir, ports: free_ports() };
        weed.go_on();
        weed
    }

    /// Kills it as a crash would.
    pub(crate) fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill_group();
        }
    }

    /// Starts it with what it has kept. For some seconds after that, it answers reads with errors.
    pub(crate) fn go_on(&mut self) {
        let port = |name: &str, index: usize| format!("-{name}={}", self.ports[index]);
        let dir = self.dir.path();
        let mut command = Command::new(&self.program);
        command
            .args(["-logtostderr=true", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"])
            .arg(format!("-dir={}", dir.display()))
            .arg(format!("-s3.config={}", dir.join("s3.json").display()))
            .args(["-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=20"])
            .args([port("master.port", 0), port("volume.port", 1), port("filer.port", 2), port("s3.port", 3)])
            .args([port("master.port.grpc", 4), port("volume.port.grpc", 5), port("filer.port.grpc", 6)])
            .arg(port("s3.port.grpc", 7))
            .current_dir(dir)
            .stdin(Stdio::null());
        self.server = Some(Running::silent(&mut command));
        wait_for("an S3 port that takes connections", || TcpStream::connect(("127.0.0.1", self.ports[3])).ok());
    }

    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.ports[3]);
        let variables = [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_REGION", "us-east-1"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }
}

/// Ports that are free now, each another.
fn free_ports() -> Vec<u16> {
    let listeners: Vec<TcpListener> =
        (0..8).map(|_| TcpListener::bind(("127.0.0.1", 0)).expect("a port is free")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("it is bound").port()).collect()
}
