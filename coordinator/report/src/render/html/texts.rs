//! The training text of a campaign, in a line.

use vocabulary::Dataset;

/// The sources, grouped by domain, with their common origin last:
/// `guides: book, cargo; code: std; from toolchain-docs (documentation of Rust 1.95.0)`.
pub(super) fn texts(dataset: &Dataset) -> String {
    let sources: Option<Vec<(&str, &str)>> = dataset.sources.iter().map(|source| of_domain(dataset, source)).collect();
    let Some(sources) = sources.filter(|sources| !sources.is_empty()) else { return dataset.sources.join(", ") };
    let [folder, note] = shared(&sources).unwrap_or_default();
    let mut domains: Vec<(&str, Vec<&str>)> = Vec::new();
    for (domain, source) in sources {
        let name = source.strip_suffix(note.as_str()).unwrap_or(source);
        let name = name.strip_prefix(folder.as_str()).unwrap_or(name);
        match domains.iter_mut().find(|(other, _)| *other == domain) {
            Some((_, names)) => names.push(name),
            None => domains.push((domain, vec![name])),
        }
    }
    let mut parts: Vec<String> =
        domains.into_iter().map(|(domain, names)| format!("{domain}: {}", names.join(", "))).collect();
    if !folder.is_empty() {
        parts.push(format!("from {}{note}", folder.trim_end_matches('/')));
    }
    parts.join("; ")
}

/// Splits a source into its domain, which precedes it, and the rest.
fn of_domain<'a>(dataset: &Dataset, source: &'a str) -> Option<(&'a str, &'a str)> {
    let parts = source.split_once(": ")?;
    dataset.domains.iter().any(|domain| domain.name == parts.0).then_some(parts)
}

/// The folder and the parenthesised remark that all sources share.
fn shared(sources: &[(&str, &str)]) -> Option<[String; 2]> {
    let parts = |source: &str| {
        let (folder, rest) = source.split_once('/')?;
        let note = rest.find(" (").map(|start| &rest[start..])?;
        Some([format!("{folder}/"), note.to_owned()])
    };
    let first = parts(sources.first()?.1)?;
    sources.iter().all(|(_, source)| parts(source).as_ref() == Some(&first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use vocabulary::{DatasetId, Domain};

    use super::*;

    fn dataset(sources: &[&str], domains: &[&str]) -> Dataset {
        let domain = |name: &&str| Domain {
            name: (*name).to_owned(),
            train_tokens: 1,
            validation_tokens: 1,
            train_bytes: 1,
            validation_bytes: 1,
        };
        Dataset {
            id: DatasetId::from_content(b"a text"),
            vocab: 300,
            train_tokens: 1,
            validation_tokens: 1,
            train_bytes: 1,
            validation_bytes: 1,
            sources: sources.iter().map(|source| (*source).to_owned()).collect(),
            domains: domains.iter().map(domain).collect(),
        }
    }

    #[test]
    fn sources_are_grouped_by_domain_with_their_common_origin_last() {
        let sources = ["guides: docs/book (of Rust 1)", "code: docs/std (of Rust 1)", "guides: docs/cargo (of Rust 1)"];
        let found = texts(&dataset(&sources, &["guides", "code"]));
        assert_eq!(found, "guides: book, cargo; code: std; from docs (of Rust 1)");
        assert_eq!(texts(&dataset(&["a: x.txt", "a: y.txt", "b: z"], &["a", "b"])), "a: x.txt, y.txt; b: z");
        assert_eq!(texts(&dataset(&["x.txt", "y: z.txt"], &[])), "x.txt, y: z.txt");
    }
}
