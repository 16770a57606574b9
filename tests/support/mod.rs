//! Shared by the end-to-end tests: a private directory per test, and the program run in it.

#![allow(dead_code, reason = "each test file is a program of its own and uses a part of this")]

pub(crate) mod guide;
pub(crate) mod process;
pub(crate) mod remote;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tempfile::TempDir;

/// A directory with a text, a recipe over it, and space for data and results. Nothing outside it is touched.
pub(crate) struct Place {
    dir: TempDir,
}

/// Workers use the whole machine, so a test program runs one campaign at a time.
pub(crate) fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The points of an undisturbed run over [`Place::with_much_to_train`].
pub(crate) fn undisturbed() -> &'static str {
    static POINTS: OnceLock<String> = OnceLock::new();
    POINTS.get_or_init(|| {
        let place = Place::with_much_to_train();
        place.run(&["run", "smoke.toml"]).expect(0);
        place.points("out/smoke")
    })
}

/// The smoke recipe, over the text of a [`Place`].
pub(crate) fn smoke_recipe() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/smoke.toml");
    let text = fs::read_to_string(file).expect("the smoke recipe is there");
    let replaced = text.replace("sources = [\"toolchain-docs\"]", "sources = [\"texts\"]");
    assert_ne!(text, replaced, "the smoke recipe names its sources as this test expects");
    replaced
}

impl Place {
    /// A place whose recipe keeps two workers busy for some seconds, so that they can be disturbed.
    pub(crate) fn with_much_to_train() -> Self {
        let place = Self::new();
        let recipe = smoke_recipe();
        let longer = recipe.replace("tokens = [5_120, 10_240, 20_480]", "tokens = [51_200, 102_400, 204_800]");
        assert_ne!(longer, recipe, "the smoke recipe has the points that this test expects");
        place.write("smoke.toml", &longer);
        place
    }

    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("texts")).expect("made");
        for index in 0..60 {
            fs::write(dir.path().join(format!("texts/{index:02}.txt")), story(index)).expect("written");
        }
        fs::write(dir.path().join("smoke.toml"), smoke_recipe()).expect("written");
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("written");
        path
    }

    /// The program in this directory, with data directory `data` and without the environment variables that would change its
    /// behaviour.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windtunnel"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for name in ["WINDTUNNEL_COORDINATOR", "WINDTUNNEL_STORE", "RUST_LOG", "COLUMNS", "NO_COLOR"] {
            command.env_remove(name);
        }
        command.env("WINDTUNNEL_DATA_DIR", self.path("data"));
        command
    }

    /// A copy of the program that every user of this machine can run: the folder it was built in may be closed to others.
    pub(crate) fn program_for_everybody(&self) -> PathBuf {
        let copy = self.path("windtunnel");
        if !copy.exists() {
            fs::copy(env!("CARGO_BIN_EXE_windtunnel"), &copy).expect("there is space");
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("it is ours");
            fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        copy
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().expect("the program starts"))
    }

    /// Every file and folder of the place except its text, sorted.
    pub(crate) fn listing(&self) -> Vec<String> {
        let mut names = Vec::new();
        list(self.dir.path(), self.dir.path(), &mut names);
        names.retain(|name| !name.starts_with("texts"));
        names.sort();
        names
    }

    /// The points of a result.
    pub(crate) fn points(&self, out: &str) -> String {
        let path = self.path(out).join("points.csv");
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

fn list(root: &Path, dir: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(dir).expect("is readable") {
        let path = entry.expect("is readable").path();
        names.push(path.strip_prefix(root).expect("is below it").display().to_string());
        if path.is_dir() {
            list(root, &path, names);
        }
    }
}

/// A document of a few thousand letters, another for each index.
fn story(index: u64) -> String {
    const WORDS: [&str; 24] = [
        "wind", "tunnel", "model", "token", "loss", "river", "stone", "light", "small", "large", "under", "over",
        "runs", "falls", "holds", "turns", "the", "a", "of", "and", "in", "with", "slow", "quick",
    ];
    let mut state = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
    let mut text = format!("Story {index}.\n\n");
    for word in 0..600 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[(state >> 33) as usize % WORDS.len()]);
        text.push_str(if word % 12 == 11 { ".\n" } else { " " });
    }
    text
}

/// The same command, with another program in place of its own.
pub(crate) fn by(program: impl AsRef<OsStr>, command: &Command) -> Command {
    let mut other = Command::new(program);
    other.args(command.get_args()).stdin(Stdio::null());
    if let Some(folder) = command.get_current_dir() {
        other.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other
}

/// What became of a run of the program.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("prints UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("prints UTF-8"),
        }
    }

    /// It ended with this code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}
