//! Reads a recipe.

use recipes::{Recipe, expand, sketch};
use vocabulary::{Dataset, DatasetId, Domain};

fn domain(name: &str) -> Domain {
    let (tokens, bytes) = (1 << 20, 1 << 22);
    Domain {
        name: name.to_owned(),
        train_tokens: tokens,
        validation_tokens: tokens,
        train_bytes: bytes,
        validation_bytes: bytes,
    }
}

/// The input is the TOML text. An accepted recipe must expand, twice to the same plan.
pub fn recipe(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let recipe = match Recipe::parse("fuzz.toml", text) {
        Ok(recipe) => recipe,
        // A refusal has a message.
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let dataset = Dataset {
        id: DatasetId::from_content(b"fuzz"),
        vocab: recipe.data().vocab.unwrap_or(512),
        train_tokens: 1 << 24,
        validation_tokens: 1 << 18,
        train_bytes: 1 << 26,
        validation_bytes: 1 << 20,
        sources: Vec::new(),
        domains: recipe.data().domain_names().into_iter().map(domain).collect(),
    };
    // The data may be too small for it.
    if let Ok(plan) = expand(&recipe, &dataset) {
        assert_eq!(Ok(plan), expand(&recipe, &dataset).map_err(|error| error.to_string()));
    }
    let _ = sketch(&recipe);
}
