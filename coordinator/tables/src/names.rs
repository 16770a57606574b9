//! Usual column names, for columns that were not named.

/// Names of N, unambiguous ones first.
pub(crate) const N: &[&str] = &[
    "n",
    "params_no_embed",
    "non_embedding_params",
    "params_non_embedding",
    "params_active_precise",
    "params",
    "parameters",
    "n_params",
    "num_params",
    "model_size",
];
/// Names of D.
pub(crate) const D: &[&str] =
    &["d", "tokens", "n_tokens", "num_tokens", "train_tokens", "training_tokens", "total_tokens"];
/// Names of the compute C, used if there is no D.
pub(crate) const FLOPS: &[&str] = &["c", "flops", "compute", "training_flops"];
/// Names of the loss.
pub(crate) const LOSS: &[&str] = &["loss", "final_loss", "val_loss", "validation_loss", "eval_loss", "test_loss"];

/// Columns that distinguish a campaign's runs beyond N, D and the seed.
pub(crate) const APART: &[&str] = &["arm", "batch_tokens", "peak_lr"];

/// What the N column counts, judged by its name.
pub(crate) fn meaning_of_n(column: &str, of_a_campaign: bool) -> &'static str {
    let name = column.to_ascii_lowercase();
    let without = ["no_embed", "non_embed", "noembed", "nonembed", "without_embed"];
    if of_a_campaign || without.iter().any(|word| name.contains(word)) {
        "parameters without embeddings"
    } else {
        "parameters; the table does not say whether embeddings are included"
    }
}
