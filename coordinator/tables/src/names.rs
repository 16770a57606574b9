//! Columns that are found without being named.

/// Names of N, those that leave no doubt first.
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
/// Names of the compute C, where there is no D.
pub(crate) const FLOPS: &[&str] = &["c", "flops", "compute", "training_flops"];
/// Names of the loss.
pub(crate) const LOSS: &[&str] = &["loss", "final_loss", "val_loss", "validation_loss", "eval_loss", "test_loss"];

/// What tells the runs of a campaign apart beside N, D and the seed.
pub(crate) const APART: &[&str] = &["arm", "batch_tokens", "peak_lr"];

/// What N a column counts, as far as its name says.
pub(crate) fn meaning_of_n(column: &str, of_a_campaign: bool) -> &'static str {
    let name = column.to_ascii_lowercase();
    let without = ["no_embed", "non_embed", "noembed", "nonembed", "without_embed"];
    if of_a_campaign || without.iter().any(|word| name.contains(word)) {
        "parameters without embeddings"
    } else {
        "parameters as the table counts them; whether embeddings are among them it does not say"
    }
}
