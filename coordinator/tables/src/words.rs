//! The words that tables are read by: names of columns, and what columns of states say. Those for quantities match a whole name.

/// Names of an N that counts no embeddings, which is the law's.
pub(crate) const N_WITHOUT_EMBEDDINGS: &[&str] = &[
    "params_no_embed",
    "params_no_embedding",
    "non_embedding_params",
    "non_embedding_parameters",
    "non_embed_params",
    "nonembedding_params",
    "params_non_embedding",
    "params_non_embed",
    "n_params_non_embedding",
    "n_non_embedding",
];

/// Other names of N.
pub(crate) const N: &[&str] = &[
    "n",
    "params",
    "parameters",
    "n_params",
    "n_parameters",
    "num_params",
    "num_parameters",
    "param_count",
    "total_params",
    "model_params",
    "params_active_precise",
    "model_size",
];

/// Names of D.
pub(crate) const D: &[&str] = &[
    "d",
    "tokens",
    "n_tokens",
    "num_tokens",
    "train_tokens",
    "training_tokens",
    "total_tokens",
    "tokens_seen",
    "token_count",
];

/// Names of the compute C, which is used if the table has no D.
pub(crate) const FLOPS: &[&str] = &["c", "flops", "compute", "training_flops", "train_flops", "total_flops"];

/// Names of the loss.
pub(crate) const LOSS: &[&str] = &[
    "loss",
    "final_loss",
    "val_loss",
    "valid_loss",
    "validation_loss",
    "eval_loss",
    "test_loss",
    "held_out_loss",
    "final_val_loss",
    "bpb",
    "val_bpb",
    "validation_bpb",
    "eval_bpb",
    "final_bpb",
];

/// Names of the seed.
pub(crate) const SEED: &[&str] =
    &["seed", "random_seed", "rng_seed", "run_seed", "training_seed", "replicate", "replica"];

/// Names of how a run ended.
pub(crate) const STATE: &[&str] =
    &["state", "status", "run_state", "run_status", "trial_state", "trial_status", "job_state", "job_status"];

/// Settings of runs, where they are called as usual. A word matches a whole name or a part between underscores.
pub(crate) const SETTINGS: &[&str] = &[
    "lr",
    "learning_rate",
    "eta",
    "bs",
    "batch",
    "batch_size",
    "batchsize",
    "gbsz",
    "gbs",
    "mbs",
    "batch_tokens",
    "warmup",
    "wd",
    "weight_decay",
    "beta1",
    "beta2",
    "momentum",
    "dropout",
    "optimizer",
    "optim",
    "schedule",
    "scheduler",
    "cooldown",
    "decay",
    "init_std",
    "context",
    "seq_len",
    "seqlen",
    "sequence_length",
    "arm",
    "dataset",
    "data",
    "mixture",
    "tokenizer",
    "depth",
    "width",
    "n_layers",
    "n_layer",
    "layers",
    "heads",
    "d_model",
    "aspect_ratio",
    "precision",
];

/// What makes a name that of a measurement, whatever it is of: `batch_time`.
pub(crate) const MEASURED: &[&str] =
    &["loss", "losses", "acc", "accuracy", "time", "seconds", "hours", "norm", "mfu", "throughput"];

/// What is measured of a run or names it, so that it differs between any two.
pub(crate) const OF_ONE_RUN: &[&str] = &[
    "loss",
    "losses",
    "acc",
    "accuracy",
    "ppl",
    "perplexity",
    "bpb",
    "err",
    "error",
    "score",
    "norm",
    "mmlu",
    "time",
    "date",
    "timestamp",
    "start",
    "end",
    "created",
    "seconds",
    "sec",
    "minutes",
    "hours",
    "duration",
    "runtime",
    "throughput",
    "speed",
    "mfu",
    "id",
    "uuid",
    "index",
    "number",
    "name",
    "run",
    "url",
    "path",
    "host",
    "hostname",
    "node",
    "job",
    "trial",
    "stage",
    "step",
    "steps",
    "iteration",
    "comment",
    "notes",
];

/// Words for runs without a final loss: those of Windtunnel, Optuna, Weights & Biases, MLflow, Ray and Slurm.
pub(crate) const UNFINISHED: &[&str] = &[
    "pruned",
    "diverged",
    "fail",
    "failed",
    "failure",
    "running",
    "waiting",
    "pending",
    "queued",
    "scheduled",
    "requeued",
    "paused",
    "suspended",
    "crashed",
    "killed",
    "aborted",
    "cancelled",
    "canceled",
    "stopped",
    "early_stopped",
    "interrupted",
    "preempted",
    "preempting",
    "error",
    "errored",
    "timeout",
    "timed_out",
    "oom",
    "out_of_memory",
    "node_fail",
    "incomplete",
    "unfinished",
];

/// Words for runs that finished.
pub(crate) const FINISHED: &[&str] =
    &["complete", "completed", "finished", "done", "success", "succeeded", "successful", "ok", "ended", "terminated"];

/// Columns of yes and no, and the answer of a run without a final loss.
pub(crate) const ANSWERS: [(&[&str], bool); 2] = [
    (&["finished", "is_finished", "completed", "is_completed", "complete", "done", "success", "succeeded"], false),
    (
        &["diverged", "is_diverged", "failed", "is_failed", "crashed", "pruned", "is_pruned", "preempted", "killed"],
        true,
    ),
];

/// Columns that distinguish a campaign's runs beyond N, D and the seed.
pub(crate) const APART: &[&str] = &["arm", "batch_tokens", "peak_lr"];
