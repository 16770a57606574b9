//! Extends a recipe's lists.

use toml_edit::{Array, DocumentMut, Item, TableLike, Value};
use vocabulary::ladder;

use super::Recipe;
use super::error::{Fault, RecipeError, shown};

/// Items to append to a recipe's lists. Items that a list already has are skipped.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Additions {
    /// For `points.tokens`.
    pub tokens: Vec<u64>,
    /// For `points.times_n`.
    pub times_n: Vec<f64>,
    /// For `model.sizes`; case-insensitive.
    pub sizes: Vec<String>,
    /// For `seeds`.
    pub seeds: Vec<u64>,
    /// For `optimizer.peak_lr`.
    pub peak_lr: Vec<f64>,
    /// Replaces `search.trials`, if larger.
    pub trials: Option<u32>,
}

impl Recipe {
    /// The recipe with longer lists; its text keeps its comments. Arms with a list of their own keep it unchanged.
    ///
    /// # Errors
    /// Fails if the result is not a valid recipe.
    pub fn with(&self, more: &Additions) -> Result<Self, RecipeError> {
        let mut text: DocumentMut = self.text.parse().map_err(|error: toml_edit::TomlError| RecipeError::Syntax {
            file: self.file.clone(),
            line: 1,
            reason: shown(error.message()),
        })?;
        let known = self.contents();
        let points = &known.points;
        let sizes: Vec<String> = more.sizes.iter().map(|name| self.size(name)).collect();
        let root = text.as_table_mut();
        add(root, "seeds", &known.seeds, &more.seeds, whole);
        if let Some(table) = section(root, "model") {
            add(table, "sizes", &known.model.sizes, &sizes, Value::from);
        }
        if let Some(table) = section(root, "points") {
            add(table, "tokens", points.tokens.as_deref().unwrap_or_default(), &more.tokens, whole);
            add(table, "times_n", points.times_n.as_deref().unwrap_or_default(), &more.times_n, number);
        }
        if let Some(table) = section(root, "optimizer") {
            add(table, "peak_lr", &known.optimizer.peak_lr, &more.peak_lr, number);
        }
        if let Some((table, trials)) = section(root, "search").zip(more.trials) {
            let is_more = known.search.as_ref().and_then(|search| search.trials).is_none_or(|known| known < trials);
            if is_more {
                table.insert("trials", Item::Value(whole(u64::from(trials))));
            }
        } else if more.trials.is_some() {
            let accepted = "a recipe with a section `search`";
            return Err(self.refuse(Fault::conflict(
                "search.trials",
                "is given, but the recipe is not a search",
                accepted,
            )));
        }
        Self::parse(&self.file, &text.to_string())
    }

    /// The size that a name refers to, in its proper case.
    fn size(&self, name: &str) -> String {
        let shapes = self.contents().model.shapes.iter().map(|shape| shape.name.as_str());
        let mut names = shapes.chain(ladder::all().map(|(name, _)| name));
        names.find(|known| known.eq_ignore_ascii_case(name)).unwrap_or(name).to_owned()
    }
}

fn section<'a>(root: &'a mut toml_edit::Table, name: &str) -> Option<&'a mut dyn TableLike> {
    root.get_mut(name).and_then(Item::as_table_like_mut)
}

/// A list that the text leaves out starts from its default.
fn add<T: Clone + PartialEq>(
    table: &mut dyn TableLike,
    key: &str,
    known: &[T],
    more: &[T],
    write: impl Fn(T) -> Value,
) {
    let mut new: Vec<T> = Vec::new();
    for item in more {
        if !known.contains(item) && !new.contains(item) {
            new.push(item.clone());
        }
    }
    if new.is_empty() {
        return;
    }
    match table.get_mut(key).and_then(Item::as_array_mut) {
        Some(list) => new.into_iter().for_each(|item| list.push(write(item))),
        None => {
            let list: Array = known.iter().cloned().chain(new).map(write).collect();
            table.insert(key, Item::Value(list.into()));
        }
    }
}

/// A number that does not fit TOML's 64-bit integers exceeds every limit of a recipe, and is refused with it.
fn whole(count: u64) -> Value {
    Value::from(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Writes `80` rather than `80.0`.
fn number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e15 { Value::from(number as i64) } else { Value::from(number) }
}
