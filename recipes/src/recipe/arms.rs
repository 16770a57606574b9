//! Arms: the recipe again, with some keys changed.

use serde::Deserialize;
use toml::de::DeTable;
use toml::{Table, Value};

use super::error::{Fault, Problem};
use super::format::RecipeFile;
use super::{check, conform, schema};

/// Sections that an arm may override.
pub(super) const OVERRIDES: [&str; 10] =
    ["seeds", "precision", "objective", "data", "model", "points", "schedule", "batch", "optimizer", "record"];

/// Keys of the data that an arm may override: how it is sampled, but not the text, because losses on different text are
/// not comparable.
pub(super) const DATA_OVERRIDES: [&str; 2] = ["weights", "decay_weights"];

/// A variant of a recipe: the recipe itself, or one of its arms.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variant {
    /// `None` if the recipe has no arms.
    pub(crate) arm: Option<String>,
    /// Path of the arm's table in the recipe's text.
    path: String,
    pub(crate) contents: RecipeFile,
}

impl Variant {
    /// Translates a fault of the variant into one of the recipe's text.
    pub(crate) fn place(&self, fault: Fault) -> Fault {
        fault.under(&self.path)
    }
}

/// The variants of a well-formed recipe, in its order, each checked.
pub(super) fn variants(text: &Table, contents: &RecipeFile) -> Result<Vec<Variant>, Fault> {
    let Some(arms) = text.get("arms").and_then(Value::as_array).filter(|arms| !arms.is_empty()) else {
        return Ok(vec![Variant { arm: None, path: String::new(), contents: contents.clone() }]);
    };
    let mut shared = text.clone();
    shared.remove("arms");
    let mut variants: Vec<Variant> = Vec::with_capacity(arms.len());
    for (index, (arm, recipe)) in arms.iter().zip(&contents.arms).enumerate() {
        let path = format!("arms[{index}]");
        check::check_name(&format!("{path}.name"), &recipe.name)?;
        if variants.iter().any(|other| other.arm.as_deref() == Some(&recipe.name)) {
            let problem = Problem::Duplicate { found: format!("`{}`", recipe.name) };
            return Err(Fault::new(format!("{path}.name"), problem, "a name for each arm"));
        }
        let mut whole = shared.clone();
        if let Some(arm) = arm.as_table() {
            override_with(&mut whole, arm);
        }
        let contents = read(&whole).map_err(|fault| fault.under(&path))?;
        let variant = Variant { arm: Some(recipe.name.clone()), path, contents };
        check::check(&variant.contents).map_err(|fault| variant.place(fault))?;
        variants.push(variant);
    }
    Ok(variants)
}

/// An arm's table may lack keys that its kind of schedule needs, so the merged recipe is checked against the schema
/// again.
fn read(recipe: &Table) -> Result<RecipeFile, Fault> {
    let text = recipe.to_string();
    let faults = DeTable::parse(&text).map(|table| conform::faults(table.get_ref(), &schema::schema()));
    if let Some(fault) = faults.ok().and_then(|faults| faults.into_iter().next()) {
        return Err(fault);
    }
    RecipeFile::deserialize(recipe.clone())
        .map_err(|error| Fault::conflict("", super::error::shown(error.message()), "a recipe once it is merged"))
}

/// Applies an arm's overrides to a recipe.
fn override_with(recipe: &mut Table, arm: &Table) {
    for (section, value) in arm.iter().filter(|(section, _)| OVERRIDES.contains(&section.as_str())) {
        if section == "model" {
            drop_scalings_of_another_parametrization(recipe, value);
        }
        // Replaced as a whole: keys of one kind of schedule are wrong for another, and points are one of two lists.
        let in_its_place = section == "points" || section == "schedule" && value.get("kind").is_some();
        match (recipe.get_mut(section), value) {
            // A domain left out of an arm's weights has weight 0, instead of keeping the recipe's.
            (Some(Value::Table(old)), Value::Table(new)) if section == "data" => old.extend(new.clone()),
            (Some(Value::Table(old)), Value::Table(new)) if !in_its_place => merge(old, new),
            _ => {
                recipe.insert(section.clone(), value.clone());
            }
        }
    }
}

/// Scalings chosen for one parametrization are refused by the other, or have another meaning there.
fn drop_scalings_of_another_parametrization(recipe: &mut Table, arm: &Value) {
    let of = |model: Option<&Value>| model?.get("parametrization")?.as_str().map(str::to_owned);
    let Some(wanted) = of(Some(arm)) else { return };
    if of(recipe.get("model")).as_deref().unwrap_or("tensor_program") == wanted {
        return;
    }
    if let Some(model) = recipe.get_mut("model").and_then(Value::as_table_mut) {
        for key in ["scale_emb", "scale_depth", "init_std", "d_base"] {
            model.remove(key);
        }
    }
}

fn merge(old: &mut Table, new: &Table) {
    for (key, value) in new {
        match (old.get_mut(key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            _ => {
                old.insert(key.clone(), value.clone());
            }
        }
    }
}
