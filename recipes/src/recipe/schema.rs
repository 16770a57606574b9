//! The recipe format as a JSON Schema, for editors and for [`super::Recipe::parse`] itself.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::arms::{DATA_OVERRIDES, OVERRIDES};
use super::format::RecipeFile;

/// The JSON Schema of the recipe format (draft 2020-12), including every limit.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<RecipeFile>().to_value();
    drop_null(&mut schema);
    add_overrides(&mut schema);
    schema
}

/// An arm's overrides have the recipe's limits, but none of them is required.
fn add_overrides(schema: &mut Value) {
    let overrides: Vec<(&str, Value)> = OVERRIDES
        .iter()
        .map(|name| {
            let mut section = schema["properties"][name].clone();
            require_nothing(&mut section);
            if *name == "data"
                && let Some(keys) = section["properties"].as_object_mut()
            {
                keys.retain(|key, _| DATA_OVERRIDES.contains(&key.as_str()));
            }
            (*name, section)
        })
        .collect();
    let arm = &mut schema["properties"]["arms"]["items"];
    for (name, section) in overrides {
        arm["properties"][name] = section;
    }
    arm["additionalProperties"] = Value::Bool(false);
}

/// Applies to a table and its nested tables. Items of lists are always complete.
fn require_nothing(schema: &mut Value) {
    if let Some(table) = schema.as_object_mut() {
        table.remove("required");
        table.remove("default");
    }
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.values_mut().for_each(require_nothing);
    }
}

/// TOML has no null: an optional key may be absent, which `required` already expresses.
fn drop_null(schema: &mut Value) {
    let is_null = |value: &Value| value == "null" || value["type"] == "null";
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|kind| !is_null(kind));
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| !is_null(choice));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    // The key's own description precedes that of its type.
                    for (key, value) in only {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            if object.get("default").is_some_and(Value::is_null) {
                object.remove("default");
            }
            object.values_mut().for_each(drop_null);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_null),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn keywords(schema: &Value, found: &mut BTreeSet<String>) {
        let Value::Object(fields) = schema else { panic!("not a schema: {schema}") };
        for (keyword, value) in fields {
            found.insert(keyword.clone());
            match keyword.as_str() {
                "properties" => value.as_object().into_iter().flatten().for_each(|(_, field)| keywords(field, found)),
                "items" => keywords(value, found),
                "additionalProperties" if value.is_object() => keywords(value, found),
                "oneOf" => value.as_array().into_iter().flatten().for_each(|choice| keywords(choice, found)),
                _ => {}
            }
        }
    }

    #[test]
    fn the_schema_says_nothing_that_is_not_enforced() {
        let mut found = BTreeSet::new();
        keywords(&schema(), &mut found);
        let words = ["$schema", "title", "description", "default", "format"];
        let enforced = ["type", "properties", "required", "additionalProperties", "items", "oneOf", "const", "enum"];
        let limits = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];
        let lengths = ["minLength", "maxLength", "minItems", "maxItems"];
        let known: BTreeSet<&str> = words.into_iter().chain(enforced).chain(limits).chain(lengths).collect();
        let unknown: Vec<_> = found.iter().filter(|keyword| !known.contains(keyword.as_str())).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn every_key_is_explained_and_every_number_and_list_has_limits() {
        fn check(path: &str, schema: &Value) {
            assert!(schema["description"].is_string(), "{path} is not explained");
            let limited = |low: &[&str], high: &[&str]| {
                let has = |names: &[&str]| names.iter().any(|name| schema[*name].is_number());
                assert!(has(low) && has(high), "{path} has no limits: {schema}");
            };
            match schema["type"].as_str() {
                Some("integer" | "number") => {
                    limited(&["minimum", "exclusiveMinimum"], &["maximum", "exclusiveMaximum"]);
                }
                Some("array") => assert!(schema["maxItems"].is_number(), "{path} has no limit"),
                _ => {}
            }
            let items = schema["items"]["properties"].as_object();
            for (name, field) in schema["properties"].as_object().into_iter().chain(items).flatten() {
                check(&format!("{path}.{name}"), field);
            }
        }
        check("recipe", &schema());
    }
}
