//! What a folder holds that is not read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Links named in a message; the others are counted.
const LINKS_SHOWN: usize = 3;

/// Counts of what was found and left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Files whose format is not accepted, by their ending; those without one under the empty string.
    pub endings: BTreeMap<String, u64>,
    /// Hidden files and folders. They must be named explicitly.
    pub hidden: u64,
    /// Links that lead to folders that are read anyway, and links in circles.
    pub links: Vec<String>,
}

impl LeftOut {
    /// Counts a file by its ending, compression included: `.csv.gz`.
    pub(super) fn add(&mut self, path: &Path) {
        let ending = |path: &Path| path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        let last = ending(path).unwrap_or_default();
        let inner = path.file_stem().and_then(|stem| ending(Path::new(stem)));
        let name = match inner {
            Some(inner) if matches!(last.as_str(), "gz" | "zst" | "bz2" | "xz") => format!("{inner}.{last}"),
            _ => last,
        };
        *self.endings.entry(name).or_default() += 1;
    }

    /// Adds what another source left out.
    pub fn merge(&mut self, other: Self) {
        for (ending, count) in other.endings {
            *self.endings.entry(ending).or_default() += count;
        }
        self.hidden += other.hidden;
        self.links.extend(other.links);
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = |count: u64| if count == 1 { "file" } else { "files" };
        let mut endings: Vec<_> = self.endings.iter().collect();
        endings.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        let mut parts: Vec<String> = endings
            .into_iter()
            .map(|(ending, count)| match ending.as_str() {
                "" => format!("{count} {} without an ending", files(*count)),
                ending => format!("{count} {} .{ending}", files(*count)),
            })
            .collect();
        if self.hidden > 0 {
            parts.push(format!("{} hidden", self.hidden));
        }
        parts.extend(self.links.iter().take(LINKS_SHOWN).map(|link| format!("the link {link}")));
        match self.links.len().saturating_sub(LINKS_SHOWN) {
            0 => {}
            1 => parts.push("another link".to_owned()),
            more => parts.push(format!("{more} other links")),
        }
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_by_ending() {
        let mut left_out = LeftOut::default();
        for name in ["a.pdf", "b.PDF", "c.docx", "Makefile", "d.csv.gz", "e.v2.pdf"] {
            left_out.add(Path::new(name));
        }
        left_out.hidden = 2;
        left_out.links.push("`a/b`, which leads to `a`".to_owned());
        assert_eq!(
            left_out.to_string(),
            "3 files .pdf, 1 file without an ending, 1 file .csv.gz, 1 file .docx, 2 hidden, the link `a/b`, which leads \
             to `a`"
        );
    }
}
