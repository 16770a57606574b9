//! Histories on disk: one that failed is saved, and can be played again.

use std::fs;
use std::path::{Path, PathBuf};

use crate::action::Action;

/// Names a file with a history to be played, instead of new ones.
pub(crate) const REPLAY: &str = "SCHEDULER_REPLAY";

/// Histories that failed once. They are played at each run of the tests.
pub(crate) fn regressions() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulation/regressions");
    let entries = fs::read_dir(&folder).expect("the folder of regressions is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

pub(crate) fn load(file: &Path) -> Vec<Action> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Saves a history that failed, and says how to play it again.
pub(crate) fn save(actions: &[Action]) -> String {
    let lines: Vec<String> =
        actions.iter().map(|action| serde_json::to_string(action).expect("an action has a JSON form")).collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("history-{}.json", name_of(&text)));
    if let Err(error) = fs::write(&file, &text) {
        return format!("it could not be saved as {}: {error}\n{text}", file.display());
    }
    format!(
        "saved as {file}\nplay it again with\n  {REPLAY}={file} cargo test -p windtunnel-scheduler --test simulation\n\
         and put it into coordinator/scheduler/tests/simulation/regressions once it is understood",
        file = file.display()
    )
}

/// Names a history by its content.
fn name_of(text: &str) -> String {
    vocabulary::CampaignId::from_content(text.as_bytes()).to_string().replace("campaign_", "")
}
