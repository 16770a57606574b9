//! Finds the line of each key in the text.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The line of every key and list item of a recipe, by its path from the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// Locates all keys of a parsed text.
    pub(crate) fn of(text: &str, table: &DeTable<'_>) -> Self {
        let starts: Vec<usize> =
            std::iter::once(0).chain(text.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        let mut lines = Self::default();
        lines.add_table("", table, &starts);
        lines
    }

    /// The line of a key, or of the nearest enclosing table that exists.
    pub(crate) fn line(&self, key: &str) -> usize {
        let mut path = key;
        loop {
            if let Some(line) = self.0.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return 1,
            }
        }
    }

    fn add_table(&mut self, path: &str, table: &DeTable<'_>, starts: &[usize]) {
        for (key, value) in table {
            let path = join(path, key.get_ref());
            self.0.insert(path.clone(), line_at(key.span().start, starts));
            self.add_value(&path, value, starts);
        }
    }

    fn add_value(&mut self, path: &str, value: &Spanned<DeValue<'_>>, starts: &[usize]) {
        match value.get_ref() {
            DeValue::Table(table) => self.add_table(path, table, starts),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.0.insert(path.clone(), line_at(item.span().start, starts));
                    self.add_value(&path, item, starts);
                }
            }
            _ => {}
        }
    }
}

/// The line of a byte of the text, counted from 1.
pub(crate) fn line_of_byte(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1
}

fn line_at(byte: usize, starts: &[usize]) -> usize {
    starts.partition_point(|start| *start <= byte)
}

/// The path of a key inside a table.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_and_missing_ones_are_where_their_table_is() {
        let text = "name = \"x\"\n\n[model]\nsizes = [\n  \"a\",\n  \"b\",\n]\n[[model.shapes]]\nname = \"a\"\n";
        let table = DeTable::parse(text).expect("TOML");
        let lines = Lines::of(text, table.get_ref());
        let found =
            ["name", "model", "model.sizes", "model.sizes[1]", "model.shapes[0].name"].map(|key| lines.line(key));
        assert_eq!(found, [1, 3, 4, 6, 9]);
        assert_eq!(lines.line("model.shapes[0].d_model"), 8);
        assert_eq!(lines.line("model.tied"), 3);
        assert_eq!(lines.line("data.sources"), 1);
        assert_eq!(line_of_byte(text, text.find("[model]").expect("is there")), 3);
    }
}
