//! A recipe that asks for more than it did.

use toml_edit::{Array, DocumentMut, Item, TableLike, Value};
use vocabulary::ladder;

use super::Recipe;
use super::error::{Fault, RecipeError, shown};

/// What is put behind the items of a recipe's lists. What a list has already is not put there again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Additions {
    /// To `points.tokens`.
    pub tokens: Vec<u64>,
    /// To `points.times_n`.
    pub times_n: Vec<f64>,
    /// To `model.sizes`. Capitals do not matter.
    pub sizes: Vec<String>,
    /// To `seeds`.
    pub seeds: Vec<u64>,
    /// To `optimizer.peak_lr`.
    pub peak_lr: Vec<f64>,
    /// In the place of `search.trials`, where it is more.
    pub trials: Option<u32>,
}

impl Recipe {
    /// The recipe with more in its lists; its text keeps its comments. Arms that have such a list of their own keep it as
    /// it is.
    ///
    /// # Errors
    /// If it is no valid recipe then.
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
                "is asked for, and the recipe is no search",
                accepted,
            )));
        }
        Self::parse(&self.file, &text.to_string())
    }

    /// The size that a name means, with the capitals it has.
    fn size(&self, name: &str) -> String {
        let shapes = self.contents().model.shapes.iter().map(|shape| shape.name.as_str());
        let mut names = shapes.chain(ladder::all().map(|(name, _)| name));
        names.find(|known| known.eq_ignore_ascii_case(name)).unwrap_or(name).to_owned()
    }
}

fn section<'a>(root: &'a mut toml_edit::Table, name: &str) -> Option<&'a mut dyn TableLike> {
    root.get_mut(name).and_then(Item::as_table_like_mut)
}

/// A list that the text leaves out is written with what it is by default.
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

/// What is no 64-bit integer of TOML's is beyond every limit of a recipe, and is refused with it.
fn whole(count: u64) -> Value {
    Value::from(i64::try_from(count).unwrap_or(i64::MAX))
}

/// `80` rather than `80.0`, as people write it.
fn number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e15 { Value::from(number as i64) } else { Value::from(number) }
}
