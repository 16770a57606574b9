//! The parts of the check, one command each.

use clap::ValueEnum;

/// Script that installs a Python with PyTorch into a folder, and prints its interpreter's path.
pub const PYTHON_MAKER: &str = "tests/pytorch/environment.py";

/// That folder, below cargo's target directory.
pub const PYTHON_FOLDER: &str = "pytorch";

/// Environment variable that tells the tests that interpreter.
pub const PYTHON_VARIABLE: &str = "WINDTUNNEL_PYTHON";

/// A part of the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The code is formatted.
    Fmt,
    /// No warnings from rustc or clippy, in any target, with the CUDA and wgpu backends, which need neither a toolkit nor a
    /// GPU to build. What is only compiled without them is a few lines, and the tests compile those.
    Clippy,
    /// The documentation builds without warnings.
    Doc,
    /// All tests, doc tests included.
    Test,
    /// Training and exported models, compared with PyTorch and Hugging Face's transformers. On first use it installs them
    /// from PyPI, into a folder of their own.
    Pytorch,
    /// The whole quick start gives a law that holds. Takes minutes.
    Quickstart,
    /// A campaign on real text while its processes are killed, stopped and told to quit gives the results of an
    /// undisturbed one. Takes minutes.
    Chaos,
    /// The trainer on the wgpu backend, compared with the CPU's. Skips itself on a machine without an adapter, unless
    /// `WINDTUNNEL_TEST_WGPU` is set.
    WgpuTest,
    /// Licences, advisories and origins of the dependencies, if cargo-deny is installed.
    Deny,
}

impl Part {
    /// All, in the order they run: what fails fastest first. The docs come after the lints because both need the metadata of the
    /// dependencies, which is made once for the same features; wgpu comes last, since it compiles burn again.
    pub const ALL: [Self; 9] = [
        Self::Fmt,
        Self::Clippy,
        Self::Doc,
        Self::Test,
        Self::Pytorch,
        Self::Quickstart,
        Self::Chaos,
        Self::WgpuTest,
        Self::Deny,
    ];

    /// The arguments of its cargo command.
    #[must_use]
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Fmt => &["fmt", "--all", "--check"],
            Self::Clippy => {
                &["clippy", "--workspace", "--all-targets", "--features", "cuda,wgpu", "--", "-D", "warnings"]
            }
            Self::Doc => &["doc", "--workspace", "--no-deps", "--document-private-items", "--features", "cuda,wgpu"],
            Self::Test => &["test", "--workspace"],
            Self::Pytorch => &[
                "test",
                "--workspace",
                "--test",
                "pytorch",
                "--test",
                "transformers",
                "--",
                "--ignored",
                "--nocapture",
            ],
            // With the features of the whole workspace, as above, so that nothing is compiled again.
            Self::Quickstart => &["test", "--workspace", "--test", "quickstart", "--", "--ignored", "--nocapture"],
            Self::Chaos => &["run", "--quiet", "--package", "xtask", "--", "chaos"],
            // All of the workspace, so that what the feature does not touch is not compiled again.
            Self::WgpuTest => &["test", "--workspace", "--features", "wgpu", "--test", "wgpu", "--", "--nocapture"],
            Self::Deny => &["deny", "--workspace", "check"],
        }
    }

    /// Variables set in its environment.
    #[must_use]
    pub fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Doc => &[("RUSTDOCFLAGS", "-D warnings")],
            _ => &[],
        }
    }

    /// Whether it needs a Python with PyTorch, which [`PYTHON_MAKER`] installs and `WINDTUNNEL_PYTHON` names.
    #[must_use]
    pub fn needs_pytorch(self) -> bool {
        self == Self::Pytorch
    }

    /// The cargo subcommand it needs, apart from fmt and clippy. Without it the part is skipped, and the summary says so.
    #[must_use]
    pub fn optional_tool(self) -> Option<&'static str> {
        match self {
            Self::Deny => Some("deny"),
            _ => None,
        }
    }

    /// The command as a shell line.
    #[must_use]
    pub fn command_line(self) -> String {
        let mut words: Vec<String> =
            self.environment().iter().map(|(name, value)| format!("{name}='{value}'")).collect();
        if self.needs_pytorch() {
            let folder = format!("${{CARGO_TARGET_DIR:-target}}/{PYTHON_FOLDER}");
            words.push(format!("{PYTHON_VARIABLE}=\"$(python3 {PYTHON_MAKER} \"{folder}\")\""));
        }
        words.push("cargo".to_owned());
        words.extend(self.arguments().iter().map(|&word| word.to_owned()));
        words.join(" ")
    }

    /// Its name on the command line and in the summary.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}
