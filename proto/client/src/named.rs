//! What a word on a command line names: a table, a fitted law, a recipe or a campaign.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use report::AnyFit;
use vocabulary::encoding;

/// Largest `fit.json` that is looked into, in bytes.
const MAX_FIT_BYTES: u64 = 1 << 28;

/// What a word names. A file counts by its content or its ending; everything else is the name of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// A file of losses.
    Table,
    /// A `fit.json`, whatever its name; its text.
    Fit(String),
    /// A `.toml` file.
    Recipe,
    /// The name of a campaign.
    Campaign,
    /// Looks like a table's file name, but no such file exists: possibly a campaign's name.
    Absent,
}

/// A path that leads to nothing that could be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotNamed {
    /// There is no such file.
    #[error("there is no file {}", path.display())]
    Missing { path: PathBuf },
    /// A folder, for example of results.
    #[error("{} is a folder: give a file in it, such as its points.csv or fit.json", path.display())]
    Folder { path: PathBuf },
    /// A file that is neither a table nor a law.
    #[error("{reason}")]
    Unknown {
        /// What is accepted.
        reason: String,
    },
}

impl Named {
    /// What a word names. A file that is there counts before a campaign of its name, and a path is always one of a file.
    ///
    /// # Errors
    /// It is a path and leads to nothing that could be meant.
    pub fn of(source: &str) -> Result<Self, NotNamed> {
        let path = Path::new(source);
        let is_path = source.contains(std::path::is_separator);
        let named = || path.to_owned();
        if path.is_dir() {
            return if is_path { Err(NotNamed::Folder { path: named() }) } else { Ok(Self::Campaign) };
        }
        let is_file = path.is_file();
        if is_file && let Some(text) = text_of_a_fit(path) {
            return Ok(Self::Fit(text));
        }
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        if !is_path && !is_file && tables::names_a_table(path) {
            return Ok(Self::Absent);
        }
        if tables::names_a_table(path) || (ending.as_deref() == Some("json".as_ref()) && (is_file || is_path)) {
            return Ok(Self::Table);
        }
        match ending {
            Some(ending) if ending == "toml" && (is_file || is_path) => Ok(Self::Recipe),
            None if !is_path => Ok(Self::Campaign),
            _ if is_file || (path.exists() && is_path) => {
                let reason = tables::ReadError::UnknownKind { path: named() }.to_string();
                Err(NotNamed::Unknown { reason })
            }
            _ if is_path => Err(NotNamed::Missing { path: named() }),
            _ => Ok(Self::Campaign),
        }
    }
}

/// The text of a file, if it is a JSON object with what every `fit.json` has.
fn text_of_a_fit(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let mut start = [0; 64];
    let length = file.read(&mut start).ok()?;
    // UTF-16 has zeros between its letters.
    let first = start[..length]
        .iter()
        .find(|byte| !byte.is_ascii_whitespace() && ![0, 0xef, 0xbb, 0xbf, 0xfe, 0xff].contains(*byte));
    if first != Some(&b'{') || file.metadata().ok()?.len() > MAX_FIT_BYTES {
        return None;
    }
    let text = encoding::text(std::fs::read(path).ok()?).ok()?;
    AnyFit::recognises(&text).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_content_and_campaigns_by_having_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path.to_str().expect("UTF-8").to_owned()
        };
        let fit = "{\"form\": \"L\", \"n_points\": 3, \"fitted\": {}, \"warnings\": [], \"settings\": {}}";
        for name in ["fit.json", "law.txt", "a.JSON", "points.jsonl"] {
            assert!(matches!(Named::of(&write(name, fit)), Ok(Named::Fit(text)) if text == fit), "{name}");
        }
        for name in ["results.json", "a.csv", "b.CSV", "c.jsonl.gz", "d.tsv.zst", "e.parquet"] {
            assert_eq!(Named::of(&write(name, "[]")), Ok(Named::Table), "{name}");
        }
        assert_eq!(Named::of(&write("r.toml", "")), Ok(Named::Recipe));
        for name in ["a.txt", "b.xlsx", "c.csv.bz2", "d.parquet.gz", "plain"] {
            let message = Named::of(&write(name, "x")).expect_err("refused").to_string();
            assert!(message.contains(name) && message.contains(".csv"), "{message}");
        }
        let path = folder.path().to_str().expect("UTF-8");
        assert!(matches!(Named::of(path), Err(NotNamed::Folder { .. })));
        assert!(matches!(Named::of(&format!("{path}/none")), Err(NotNamed::Missing { .. })));
        assert_eq!(Named::of(&format!("{path}/none.csv")), Ok(Named::Table));
        for name in ["quickstart", "smoke.2", "campaign_01ab"] {
            assert_eq!(Named::of(name), Ok(Named::Campaign));
        }
        assert_eq!(Named::of("none.csv"), Ok(Named::Absent));
    }
}
