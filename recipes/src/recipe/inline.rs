//! A shape on one line, for the command line: `d_model=64,d_ff=160,n_heads=4,n_layers=2`.

use serde::Deserialize;
use serde_json::Value;
use toml::de::DeTable;
use vocabulary::Shape;

use super::check::check_dimensions;
use super::conform;
use super::error::{Fault, Problem, shown};
use super::format::ShapeRecipe;
use super::schema;

/// A text that does not describe a shape.
#[derive(Debug, thiserror::Error)]
#[error("key `{key}`: {problem}; accepted: {accepted}")]
pub struct ShapeError {
    /// `shape.d_model`, or `shape` itself.
    pub key: String,
    pub problem: Problem,
    /// What would be accepted, in words.
    pub accepted: String,
}

/// Parses a shape described by the keys of `[[model.shapes]]`, without the name, under the same limits.
///
/// Keys whose value follows the same rule in all of the paper's models may be omitted: heads fill the width, the
/// feed-forward layer is 2.5 times as wide as the model, and there are as many key and value heads as query heads.
///
/// # Errors
/// Fails on unknown or missing keys, values outside their limits, and values that do not form a shape together.
pub fn shape(text: &str) -> Result<Shape, ShapeError> {
    parse(text).map_err(|Fault { key, problem, accepted }| ShapeError { key, problem, accepted })
}

fn parse(text: &str) -> Result<Shape, Fault> {
    let mut pairs = Vec::new();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        let Some((key, value)) = part.split_once('=') else {
            let problem = Problem::OutOfRange { found: shown(part), suggestion: None };
            return Err(Fault::new("shape", problem, "keys with their values, as in `d_model=64,n_heads=4`"));
        };
        pairs.push((key.trim(), value.trim()));
    }
    // Only used to compute defaults; problems with a value are reported below.
    let number = |wanted: &str| {
        let found = pairs.iter().find(|(key, _)| *key == wanted)?;
        found.1.parse::<u32>().ok().filter(|&number| number > 0)
    };
    let (d_model, n_heads) = (number("d_model"), number("n_heads"));
    let mut lines: Vec<String> = pairs.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    let mut default = |key: &str, value: Option<u32>| {
        if let Some(value) = value.filter(|_| !pairs.iter().any(|(given, _)| *given == key)) {
            lines.push(format!("{key} = {value}\n"));
        }
    };
    default("d_ff", d_model.filter(|width| width.is_multiple_of(2)).map(|width| width / 2 * 5));
    let heads = d_model.zip(n_heads).filter(|(width, heads)| width.is_multiple_of(*heads));
    default("head_dim", heads.map(|(width, heads)| width / heads));

    let text = lines.concat();
    let schema = schema_of_shapes();
    let not_toml = |error: toml::de::Error| {
        Fault::new("shape", Problem::OutOfRange { found: shown(error.message()), suggestion: None }, numbers())
    };
    let table = DeTable::parse(&text).map_err(not_toml)?;
    if let Some(mut fault) = conform::faults(table.get_ref(), &schema).into_iter().next() {
        fault.key = format!("shape.{}", fault.key);
        return Err(fault);
    }
    let named = format!("name = \"shape\"\n{text}");
    let shape = toml::from_str::<Named>(&format!("[shape]\n{named}")).map_err(not_toml)?.shape.shape();
    check_dimensions("shape", &shape)?;
    Ok(shape)
}

fn numbers() -> &'static str {
    "each key once, with an integer"
}

#[derive(Deserialize)]
struct Named {
    shape: ShapeRecipe,
}

/// The schema of `[[model.shapes]]`, without the name.
fn schema_of_shapes() -> Value {
    let mut schema = schema::schema()["properties"]["model"]["properties"]["shapes"]["items"].take();
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.remove("name");
    }
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| name != "name");
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_recipe() {
        let shape = shape("d_model=64, d_ff=100,head_dim=8,n_heads=4,n_kv_heads=2,n_layers=3").expect("is a shape");
        assert_eq!(shape, Shape { d_model: 64, d_ff: 100, head_dim: 8, n_heads: 4, n_kv_heads: 2, n_layers: 3 });
    }

    #[test]
    fn what_is_left_out_is_as_in_the_paper() {
        let shape = shape("d_model=320,n_heads=5,n_layers=8").expect("is a shape");
        assert_eq!(Some(shape), vocabulary::ladder::find("9M"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |text| shape(text).expect_err(text).to_string();
        let limit = "accepted: an integer from 1 to 65536";
        for (text, begins) in [
            ("d_model=64,n_heads=4", "key `shape.n_layers`: missing"),
            ("d_modle=64,n_heads=4,n_layers=2", "key `shape.d_modle`: unknown, did you mean `d_model`?"),
            ("d_model=0,n_heads=4,n_layers=2", &format!("key `shape.d_model`: `0` is not accepted; {limit}")),
            ("d_model=wide,n_heads=4,n_layers=2", "key `shape`: "),
            ("d_model=1.5,n_heads=4,n_layers=2", &format!("key `shape.d_model`: is a float; {limit}")),
            ("d_model=64,d_model=64,n_heads=4,n_layers=2", "key `shape`: `duplicate key`"),
            ("d_model=64,n_heads=3,n_layers=2", "key `shape.head_dim`: missing"),
            ("d_model=64,n_heads=4,n_kv_heads=3,n_layers=2", "key `shape.n_kv_heads`: 3 does not divide the 4"),
            ("d_model=36,n_heads=4,n_layers=2", "key `shape.head_dim`: 9 is odd"),
            ("64", "key `shape`: `64` is not accepted; accepted: keys with their values"),
            ("name=\"x\",d_model=64,n_heads=4,n_layers=2", "key `shape.name`: unknown"),
        ] {
            let message = message(text);
            assert!(message.starts_with(begins), "{text}: {message}");
        }
    }
}
