//! The commands of a guide, as they stand in `docs/guide`, so that a page and its test cannot drift apart.
//!
//! A test reads a page with what takes the place of its host names, folders and times, takes its blocks of commands one by one, in
//! the order of the page, and runs each or starts it. A replacement that the page does not need and a block that nobody takes are
//! errors: whoever changes the page changes its test. Blocks in other languages than `sh` are not commands.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Place, Ran};

/// What fences the blocks of commands.
const COMMANDS: &str = "sh";

/// A page whose commands are run.
pub(crate) struct Guide<'a> {
    place: &'a Place,
    name: String,
    blocks: VecDeque<Block>,
    others: Vec<Block>,
    variables: Vec<(&'static str, OsString)>,
}

/// A block of commands, or of another language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// The last heading before it, without its marks.
    pub(crate) heading: String,
    /// What the fences say, for example `sh`.
    pub(crate) language: String,
    /// What stands in the fences, after all replacements.
    pub(crate) text: String,
}

impl<'a> Guide<'a> {
    /// Reads `docs/guide/NAME`. Each replacement is of a text of the blocks, and applies to all of them.
    #[track_caller]
    pub(crate) fn read(place: &'a Place, name: &str, replacements: &[(&str, &str)]) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide").join(name);
        let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut blocks = blocks(&page);
        // What a page shows of a program's output is not to be replaced.
        blocks.retain(|block| block.language != "text");
        let mut unused: BTreeSet<&str> = replacements.iter().map(|(from, _)| *from).collect();
        for block in &mut blocks {
            for (from, to) in replacements.iter().filter(|(from, _)| block.text.contains(from)).collect::<Vec<_>>() {
                unused.remove(from);
                block.text = block.text.replace(from, to);
            }
        }
        assert!(unused.is_empty(), "no command of docs/guide/{name} has {unused:?}");
        let (blocks, others): (Vec<Block>, Vec<Block>) =
            blocks.into_iter().partition(|block| block.language == COMMANDS);
        Self { place, name: name.to_owned(), blocks: blocks.into(), others, variables: Vec::new() }
    }

    /// The text of the only block in a language, such as `toml`.
    #[track_caller]
    pub(crate) fn text_in(&self, language: &str) -> &str {
        let mut found = self.others.iter().filter(|block| block.language == language);
        let (first, second) = (found.next(), found.next());
        assert!(second.is_none(), "docs/guide/{} has several blocks in {language}", self.name);
        &first.unwrap_or_else(|| panic!("docs/guide/{} has no block in {language}", self.name)).text
    }

    /// Has the blocks run with this variable.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Takes the next block, which has to contain this.
    #[track_caller]
    pub(crate) fn take(&mut self, containing: &str) -> Block {
        let next = self.blocks.pop_front();
        let block = next.unwrap_or_else(|| panic!("docs/guide/{} has no block left with {containing:?}", self.name));
        assert!(block.text.contains(containing), "docs/guide/{}: {block:?} has no {containing:?}", self.name);
        block
    }

    /// Takes the next block, which has to contain this, and runs it to its end, which has to be a good one.
    #[track_caller]
    pub(crate) fn run(&mut self, containing: &str) -> Ran {
        let block = self.take(containing);
        Ran::of(self.command(&block).output().expect("bash starts")).expect(0)
    }

    /// What runs a block: in the place, with `windtunnel` on the path, up to the first command that fails.
    pub(crate) fn command(&self, block: &Block) -> Command {
        let bin = self.place.path("guide-bin");
        fs::create_dir_all(&bin).expect("made");
        let program = bin.join("windtunnel");
        if !program.exists() {
            symlink(env!("CARGO_BIN_EXE_windtunnel"), program).expect("made");
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &block.text]).current_dir(self.place.path("")).stdin(Stdio::null());
        for (name, value) in self.place.command(&[]).get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("PATH", format!("{}:{path}", bin.display()));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Every command of the page was taken.
    #[track_caller]
    pub(crate) fn end(self) {
        assert!(self.blocks.is_empty(), "nobody runs these commands of docs/guide/{}: {:#?}", self.name, self.blocks);
    }
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut heading, mut blocks, mut open) = (String::new(), Vec::new(), None);
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.trim().to_owned(), String::new())),
            (None, None) if line.starts_with('#') => heading = line.trim_start_matches('#').trim().to_owned(),
            (None, None) => {}
            (Some((_, text)), None) => text.extend([line, "\n"]),
            (Some((language, text)), Some(_)) => {
                let (language, text) = (std::mem::take(language), std::mem::take(text));
                blocks.push(Block { heading: heading.clone(), language, text });
                open = None;
            }
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}
