//! Checks whether a text has the form of the JSON Schema, whose own words make the messages.
//!
//! Knows only the keywords that [`super::schema`] uses; a test there ensures that there are no others.

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Fault, Problem, nearest, shown};
use super::lines::join;

/// Every fault of a table, unknown keys first: a misspelt key also causes a missing one, and the misspelling makes the
/// better message.
pub(crate) fn faults(table: &DeTable<'_>, schema: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    check_table("", table, schema, &mut faults);
    faults.sort_by_key(|fault| match fault.problem {
        Problem::UnknownKey { .. } => 0,
        Problem::Missing => 2,
        _ => 1,
    });
    faults
}

fn check_table(path: &str, table: &DeTable<'_>, schema: &Value, faults: &mut Vec<Fault>) {
    for (key, value) in table {
        let path = join(path, &shown(key.get_ref()));
        match schema["properties"].get(key.get_ref().as_ref()) {
            Some(schema) => check_value(&path, value, schema, faults),
            None if schema["additionalProperties"].is_object() => {
                check_value(&path, value, &schema["additionalProperties"], faults);
            }
            None => {
                let suggestion = nearest(key.get_ref(), property_names(schema));
                faults.push(Fault::new(path, Problem::UnknownKey { suggestion }, accepted(schema)));
            }
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !table.keys().any(|key| key.get_ref() == name) {
            faults.push(Fault::new(join(path, name), Problem::Missing, accepted(&schema["properties"][name])));
        }
    }
}

fn check_value(path: &str, value: &Spanned<DeValue<'_>>, schema: &Value, faults: &mut Vec<Fault>) {
    let mut refuse = |problem| faults.push(Fault::new(path, problem, accepted(schema)));
    match (value.get_ref(), type_of(schema)) {
        (DeValue::Table(table), Type::Object) => check_table(path, table, schema, faults),
        (DeValue::Array(items), Type::Array) => {
            check_length(items.iter().count(), "items", "Items", schema, &mut refuse);
            for (index, item) in items.iter().enumerate() {
                check_value(&format!("{path}[{index}]"), item, &schema["items"], faults);
            }
        }
        (DeValue::String(text), Type::Choice) => {
            if !choices(schema).contains(&text.as_ref()) {
                let suggestion = nearest(text, choices(schema));
                refuse(Problem::OutOfRange { found: shown(text), suggestion });
            }
        }
        (DeValue::String(text), Type::String) => {
            check_length(text.chars().count(), "characters", "Length", schema, &mut refuse);
        }
        (DeValue::Integer(integer), Type::Integer | Type::Number) => {
            // Integers beyond 64 bits exceed every limit, so their nearest double suffices for the comparison.
            let number = i128::from_str_radix(integer.as_str(), integer.radix()).map_or(f64::INFINITY, |n| n as f64);
            check_range(number, integer.as_str(), schema, &mut refuse);
        }
        (DeValue::Float(float), Type::Number) => {
            check_range(float.as_str().parse().unwrap_or(f64::NAN), float.as_str(), schema, &mut refuse);
        }
        (DeValue::Boolean(_), Type::Boolean) => {}
        (other, kind) => {
            let item = (kind == Type::Array).then(|| one_item(value, &schema["items"])).flatten();
            refuse(match item {
                Some(value) => Problem::NotAList { key: path.rsplit('.').next().unwrap_or(path).to_owned(), value },
                None => Problem::WrongType { found: with_article(other.type_str()) },
            });
        }
    }
}

/// A text or a number as it is written, where it is what the items of a list are.
fn one_item(value: &Spanned<DeValue<'_>>, items: &Value) -> Option<String> {
    let written = match value.get_ref() {
        DeValue::String(text) => format!("\"{}\"", shown(text)),
        DeValue::Integer(integer) => shown(integer.as_str()),
        DeValue::Float(float) => shown(float.as_str()),
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => return None,
    };
    let mut faults = Vec::new();
    check_value("", value, items, &mut faults);
    faults.is_empty().then_some(written)
}

fn check_length(length: usize, unit: &'static str, keyword: &str, schema: &Value, refuse: &mut impl FnMut(Problem)) {
    let limit = |bound: &str| schema[format!("{bound}{keyword}")].as_u64();
    let length_u64 = length as u64;
    if limit("min").is_some_and(|min| length_u64 < min) || limit("max").is_some_and(|max| length_u64 > max) {
        refuse(Problem::WrongLength { found: length, unit });
    }
}

fn check_range(number: f64, found: &str, schema: &Value, refuse: &mut impl FnMut(Problem)) {
    if !is_within(number, schema) {
        refuse(Problem::OutOfRange { found: shown(found), suggestion: None });
    }
}

/// Whether a number is within its key's limits.
pub(super) fn is_within(number: f64, schema: &Value) -> bool {
    let limit = |keyword: &str| schema[keyword].as_f64();
    number.is_finite()
        && limit("minimum").is_none_or(|min| number >= min)
        && limit("maximum").is_none_or(|max| number <= max)
        && limit("exclusiveMinimum").is_none_or(|min| number > min)
        && limit("exclusiveMaximum").is_none_or(|max| number < max)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Object,
    Array,
    Choice,
    String,
    Integer,
    Number,
    Boolean,
}

fn type_of(schema: &Value) -> Type {
    if !choices(schema).is_empty() {
        return Type::Choice;
    }
    match schema["type"].as_str() {
        Some("object") => Type::Object,
        Some("array") => Type::Array,
        Some("integer") => Type::Integer,
        Some("number") => Type::Number,
        Some("boolean") => Type::Boolean,
        _ => Type::String,
    }
}

/// The accepted values of a key. schemars writes a documented variant as a `const` below `oneOf`, and undocumented ones as an
/// `enum`, which is below `oneOf` too if others are documented.
fn choices(schema: &Value) -> Vec<&str> {
    let below = schema["oneOf"].as_array().into_iter().flatten();
    let all = std::iter::once(schema).chain(below);
    all.flat_map(|schema| schema["enum"].as_array().into_iter().flatten().chain([&schema["const"]]))
        .filter_map(Value::as_str)
        .collect()
}

fn property_names(schema: &Value) -> impl Iterator<Item = &str> {
    schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str())
}

/// What a schema accepts, in words.
pub(crate) fn accepted(schema: &Value) -> String {
    match type_of(schema) {
        Type::Object if schema["additionalProperties"].is_object() => {
            format!("a table of names, each {}", accepted(&schema["additionalProperties"]))
        }
        Type::Object if property_names(schema).next().is_none() => "an empty table".to_owned(),
        Type::Object => format!("a table with {}", property_names(schema).collect::<Vec<_>>().join(", ")),
        Type::Array => format!("a list of {}, each {}", length(schema, "Items", "items"), accepted(&schema["items"])),
        Type::Choice => choices(schema).iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "),
        Type::String => format!("text of {}", length(schema, "Length", "characters")),
        Type::Integer => format!("an integer{}", range(schema)),
        Type::Number => format!("a number{}", range(schema)),
        Type::Boolean => "true, false".to_owned(),
    }
}

fn length(schema: &Value, keyword: &str, unit: &str) -> String {
    let limit = |bound: &str| schema[format!("{bound}{keyword}")].as_u64();
    match (limit("min"), limit("max")) {
        (Some(min), Some(max)) => format!("{min} to {max} {unit}"),
        (None, Some(max)) => format!("at most {max} {unit}"),
        (Some(min), None) => format!("at least {min} {unit}"),
        (None, None) => format!("any number of {unit}"),
    }
}

fn range(schema: &Value) -> String {
    let limit = |keyword: &str, words: &str| {
        let value = schema.get(keyword)?;
        // `0.0` in the schema is `0` to a reader.
        let value = value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && number.abs() < 1e15)
            .map_or_else(|| value.to_string(), |number| format!("{number:.0}"));
        Some(format!("{words} {value}"))
    };
    let low = limit("minimum", "from").or_else(|| limit("exclusiveMinimum", "above"));
    let high = limit("maximum", "to").or_else(|| limit("exclusiveMaximum", "below"));
    [low, high].into_iter().flatten().map(|words| format!(" {words}")).collect()
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}
