//! What a change must pass, one command a part.

use clap::ValueEnum;

/// One part of the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The code is formatted.
    Fmt,
    /// No warnings from rustc or clippy, in any target.
    Clippy,
    /// The documentation builds without warnings.
    Doc,
    /// All tests, doc tests included.
    Test,
    /// The quick start, trained whole, gives a law that holds. Takes minutes.
    Quickstart,
    /// The CUDA backend compiles. Needs no toolkit and no GPU.
    Cuda,
    /// The wgpu backend compiles.
    Wgpu,
    /// The trainer on the wgpu backend, held against the CPU's. Skips itself on a machine without an adapter, unless
    /// `WINDTUNNEL_TEST_WGPU` is set.
    WgpuTest,
    /// Licences, advisories and origins of the dependencies, where cargo-deny is installed.
    Deny,
}

impl Part {
    /// All, in the order they run: what fails fastest first. The lints come before the docs because both want the
    /// dependencies' metadata, which the lints' run leaves behind; the features come last, since they compile burn anew.
    pub const ALL: [Self; 9] = [
        Self::Fmt,
        Self::Clippy,
        Self::Doc,
        Self::Test,
        Self::Quickstart,
        Self::Cuda,
        Self::Wgpu,
        Self::WgpuTest,
        Self::Deny,
    ];

    /// The arguments of its cargo command.
    #[must_use]
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Fmt => &["fmt", "--all", "--check"],
            Self::Clippy => &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
            Self::Doc => &["doc", "--workspace", "--no-deps", "--document-private-items"],
            Self::Test => &["test", "--workspace"],
            // With the features of the whole workspace, as above, so that nothing is compiled again.
            Self::Quickstart => &["test", "--workspace", "--test", "quickstart", "--", "--ignored", "--nocapture"],
            // All of the workspace, as above, so that what the features do not touch is not compiled again.
            Self::Cuda => &["clippy", "--workspace", "--all-targets", "--features", "cuda", "--", "-D", "warnings"],
            Self::Wgpu => &["clippy", "--workspace", "--all-targets", "--features", "wgpu", "--", "-D", "warnings"],
            Self::WgpuTest => &["test", "--workspace", "--features", "wgpu", "--test", "wgpu", "--", "--nocapture"],
            Self::Deny => &["deny", "--workspace", "check"],
        }
    }

    /// What is set in its environment.
    #[must_use]
    pub fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Doc => &[("RUSTDOCFLAGS", "-D warnings")],
            _ => &[],
        }
    }

    /// The tool it needs beside cargo, rustfmt and clippy. Without it the part is left out, and the summary says so.
    #[must_use]
    pub fn optional_tool(self) -> Option<&'static str> {
        match self {
            Self::Deny => Some("deny"),
            _ => None,
        }
    }

    /// The command as one would type it.
    #[must_use]
    pub fn command_line(self) -> String {
        let mut words: Vec<String> =
            self.environment().iter().map(|(name, value)| format!("{name}='{value}'")).collect();
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
