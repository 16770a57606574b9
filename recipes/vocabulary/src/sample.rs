//! A small stage, its model and its data, for tests and examples.
//!
//! A test names what it is about and takes the rest from here:
//!
//! ```
//! use vocabulary::{StageSpec, sample};
//! let spec = StageSpec { steps: 0..16, ..sample::stage() };
//! assert!(spec.key(None) != sample::stage().key(None));
//! ```

use crate::batch::Batch;
use crate::data::DataSpec;
use crate::dataset::Dataset;
use crate::evaluation::{EvaluationKind, EvaluationSpec, EvaluationTask};
use crate::id::DatasetId;
use crate::model::ModelSpec;
use crate::objective::Objective;
use crate::optimizer::AdamW;
use crate::precision::Precision;
use crate::schedule::LrSchedule;
use crate::shape::Shape;
use crate::spec::{NUMERICS_VERSION, StageSpec};
use crate::start::StartSpec;

/// A hundred steps of [`model`] over [`dataset`], from a root.
#[must_use]
pub fn stage() -> StageSpec {
    StageSpec {
        model: model(),
        start: StartSpec::of_seed(0),
        data: DataSpec { dataset: dataset().id, order_seed: 0, mixture: None },
        objective: Objective::default(),
        steps: 0..100,
        schedule: LrSchedule::Constant { warmup_steps: 10 },
        peak_lr: 0.01,
        batch: Batch { sequences: 16, context: 64, micro_sequences: 16, lanes: 1 },
        optimizer: AdamW::PAPER,
        precision: Precision::Fp32,
        validation_tokens: 1024,
        loss_limit: None,
        recording: None,
        numerics_version: NUMERICS_VERSION,
    }
}

/// The loss of [`model`] on held-out text that nobody has.
#[must_use]
pub fn evaluation() -> EvaluationSpec {
    let dataset = DatasetId::from_content(b"other text");
    EvaluationSpec {
        model: model(),
        task: EvaluationTask { kind: EvaluationKind::HeldOutLoss, dataset, tokens: 2048, context: 64 },
        precision: Precision::Fp32,
        numerics_version: NUMERICS_VERSION,
    }
}

/// Two narrow blocks with the paper's scalings.
#[must_use]
pub fn model() -> ModelSpec {
    let shape = Shape { d_model: 32, d_ff: 80, head_dim: 16, n_heads: 2, n_kv_heads: 2, n_layers: 2 };
    ModelSpec::paper(shape, 512)
}

/// A smaller one, with the vocabulary of the recipe `smoke.toml`.
#[must_use]
pub fn smoke_dataset() -> Dataset {
    Dataset {
        vocab: 300,
        train_tokens: 100_000,
        validation_tokens: 4096,
        train_bytes: 300_000,
        validation_bytes: 12_000,
        ..dataset()
    }
}

/// The description of a dataset that does not exist.
#[must_use]
pub fn dataset() -> Dataset {
    Dataset {
        id: DatasetId::from_content(b"some text"),
        vocab: model().vocab,
        train_tokens: 1_000_000,
        validation_tokens: 10_000,
        train_bytes: 4_000_000,
        validation_bytes: 40_000,
        sources: vec!["some text".to_owned()],
        domains: Vec::new(),
    }
}
