//! Checks a `tokenizer.json` from elsewhere, and switches off what would make its tokens stand for another text.
//!
//! Every token has to stand for an exact number of bytes of the text as it is: a loss per byte is compared between
//! tokenizers, on the same text.

use serde_json::Value;

use super::TokenizerError;

/// A `tokenizer.json` that is safe to use.
pub(super) struct Given {
    /// What is stored with the dataset: the file as it was given, unless something had to be switched off.
    pub(super) json: String,
    /// What text is tokenized with.
    pub(super) value: Value,
    /// What was switched off, as sentences.
    pub(super) notes: Vec<String>,
}

/// Parses a `tokenizer.json` and makes it deterministic and lossless.
pub(super) fn adjust(json: String) -> Result<Given, TokenizerError> {
    let mut value: Value = serde_json::from_str(&json).map_err(|error| not_one(&error.to_string()))?;
    if !value.get("model").is_some_and(Value::is_object) {
        return Err(not_one("it has no `model`"));
    }
    let mut notes = Vec::new();
    if let Some(dropout) = value.pointer_mut("/model/dropout")
        && dropout.as_f64().is_some_and(|rate| rate > 0.0)
    {
        notes.push(format!(
            "the tokenizer's dropout of {dropout} is switched off: the same text always gives the same tokens"
        ));
        *dropout = Value::Null;
    }
    if let Some(step) = value.get_mut("pre_tokenizer")
        && switch_off_prefix_space(step)
    {
        notes.push(
            "the tokenizer's add_prefix_space is switched off: it puts a space before a document that has none"
                .to_owned(),
        );
    }
    // What is stored changes only if what came before could not be used, or not twice.
    let json = if notes.is_empty() { json } else { value.to_string() };
    // A document that is not composed keeps its bytes. Text that is composed, as nearly all is, gives the same tokens.
    if let Some(normalizer) = value.get_mut("normalizer") {
        let kept = lossless(normalizer)?;
        *normalizer = kept;
    }
    for key in ["truncation", "padding"] {
        value[key] = Value::Null;
    }
    Ok(Given { json, value, notes })
}

fn not_one(reason: &str) -> TokenizerError {
    TokenizerError::Parse { reason: reason.to_owned() }
}

/// Whether one of the steps was to put a space before each text.
fn switch_off_prefix_space(step: &mut Value) -> bool {
    let mut found = false;
    if let Some(steps) = step.get_mut("pretokenizers").and_then(Value::as_array_mut) {
        for step in steps {
            found |= switch_off_prefix_space(step);
        }
    }
    // Absent, it is on.
    if step["type"] == "ByteLevel" && step.get("add_prefix_space").is_none_or(|asked| asked == true) {
        step["add_prefix_space"] = false.into();
        found = true;
    }
    found
}

/// The normalizer without what composes characters. Refuses one that turns the text into another.
fn lossless(normalizer: &Value) -> Result<Value, TokenizerError> {
    if normalizer.is_null() {
        return Ok(Value::Null);
    }
    let kind = normalizer["type"].as_str().unwrap_or("of no type");
    match kind {
        "ByteLevel" => Ok(normalizer.clone()),
        "NFC" => Ok(Value::Null),
        "Sequence" => {
            let steps = normalizer["normalizers"].as_array().map_or(&[][..], Vec::as_slice);
            let steps = steps.iter().map(lossless).collect::<Result<Vec<_>, _>>()?;
            let steps: Vec<Value> = steps.into_iter().filter(|step| !step.is_null()).collect();
            if steps.is_empty() {
                return Ok(Value::Null);
            }
            let mut kept = normalizer.clone();
            kept["normalizers"] = steps.into();
            Ok(kept)
        }
        other => Err(TokenizerError::ChangesText { normalizer: other.to_owned() }),
    }
}

/// What in a tokenizer may be the reason that its tokens do not add up to the text, as a clause.
pub(super) fn suspect(value: &Value) -> String {
    let has_bytes = |key: &str| value[key].to_string().contains("\"ByteLevel\"");
    if !has_bytes("pre_tokenizer") && !has_bytes("normalizer") {
        return "neither its pre_tokenizer nor its normalizer is a ByteLevel".to_owned();
    }
    let added = value["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    let strips = |token: &&Value| token["special"] != true && (token["lstrip"] == true || token["rstrip"] == true);
    if let Some(token) = added.iter().find(strips) {
        return format!("its added token {} swallows the spaces around it (lstrip, rstrip)", token["content"]);
    }
    if let Some(token) = value.pointer("/model/unk_token").and_then(Value::as_str) {
        return format!("what its vocabulary lacks becomes {token:?}");
    }
    "its vocabulary may lack some of the 256 bytes, or a step of its pre_tokenizer removes text".to_owned()
}
