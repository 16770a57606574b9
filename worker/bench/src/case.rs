//! Named models and batches to train.

use serde::{Deserialize, Serialize};
use vocabulary::{
    Batch, DataSpec, DatasetId, LrSchedule, ModelSpec, Precision, Shape, StageSpec, TensorProgram, ladder,
};

/// A model and its batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Name on the command line and in tables.
    pub name: String,
    pub model: ModelSpec,
    /// Size of a step.
    pub batch: Batch,
}

/// No case has this name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no shape is called `{name}`: expected one of {}", Case::names().join(", "))]
pub struct UnknownCase {
    /// The name given.
    pub name: String,
}

impl Case {
    /// All cases: three that differ in size and proportions, then the quick start's own.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let a = paper("9M");
        let b = Shape { d_model: 128, d_ff: 320, head_dim: 64, n_heads: 2, n_kv_heads: 2, n_layers: 4 };
        let c = Shape { d_model: 64, d_ff: 160, head_dim: 16, n_heads: 4, n_kv_heads: 4, n_layers: 2 };
        let mut all = vec![
            Self::new("A", a, 256, [4096, 256, 8]),
            Self::new("B", b, 32, [2048, 128, 16]),
            Self::new("C", c, 32, [1024, 128, 16]),
        ];
        all.extend(ladder::TINY.iter().map(|(name, shape)| Self::new(name, *shape, 32, [512, 64, 16])));
        all
    }

    /// Names of all cases.
    #[must_use]
    pub fn names() -> Vec<String> {
        Self::all().into_iter().map(|case| case.name).collect()
    }

    /// Finds a case by name.
    ///
    /// # Errors
    /// Fails if no case has this name.
    pub fn find(name: &str) -> Result<Self, UnknownCase> {
        Self::all()
            .into_iter()
            .find(|case| case.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownCase { name: name.to_owned() })
    }

    /// Shape C scaled up to the paper's 30M, on the same tokens.
    #[must_use]
    pub fn growing_models() -> Vec<Self> {
        let shape = |d_model, n_layers| Shape {
            d_model,
            d_ff: d_model / 2 * 5,
            head_dim: 64,
            n_heads: d_model / 64,
            n_kv_heads: d_model / 64,
            n_layers,
        };
        let c = Self { name: "C".to_owned(), ..Self::all().swap_remove(2) };
        let larger =
            [("128 x 4", shape(128, 4)), ("192 x 6", shape(192, 6)), ("9M", paper("9M")), ("30M", paper("30M"))];
        let larger = larger.map(|(name, shape)| Self::new(name, shape, 256, [1024, 128, 16]));
        std::iter::once(c).chain(larger).collect()
    }

    /// Shape B's model on four sequences of increasing length, up to the paper's 4096.
    #[must_use]
    pub fn growing_contexts() -> Vec<Self> {
        let model = Self::all().swap_remove(1).model;
        let case = |context: u32| Self {
            name: format!("context {context}"),
            model,
            batch: Batch { sequences: 4, context, micro_sequences: 4, lanes: 1 },
        };
        [256, 512, 1024, 2048, 4096].map(case).into()
    }

    /// Whether it belongs to the quick start, which trains each model on one thread.
    #[must_use]
    pub fn is_of_quickstart(&self) -> bool {
        ladder::TINY.iter().any(|(name, _)| *name == self.name)
    }

    /// Number of all parameters.
    #[must_use]
    pub fn params(&self) -> u64 {
        self.model.shape.total_params(self.model.vocab, self.model.tied)
    }

    /// Useful FLOPs per token: six for each parameter of a matrix, including the tied head's, and the causal half of
    /// attention's products.
    #[must_use]
    pub fn flops_per_token(&self) -> f64 {
        self.model.shape.training_flops_per_token(self.model.vocab, self.batch.context).0
    }

    /// A stage of it, longer than any measurement.
    #[must_use]
    pub fn stage(&self, data: DatasetId, precision: Precision) -> StageSpec {
        StageSpec {
            model: self.model,
            data: DataSpec { dataset: data, ..vocabulary::sample::stage().data },
            steps: 0..1 << 32,
            schedule: LrSchedule::Constant { warmup_steps: 50 },
            batch: self.batch,
            precision,
            validation_tokens: u64::from(self.batch.context),
            ..vocabulary::sample::stage()
        }
    }

    fn new(name: &str, shape: Shape, d_base: u32, [vocab, context, sequences]: [u32; 3]) -> Self {
        let tensor_program = TensorProgram { d_base, ..TensorProgram::PAPER };
        let model = ModelSpec { tensor_program, ..ModelSpec::paper(shape, vocab) };
        Self { name: name.to_owned(), model, batch: Batch { sequences, context, micro_sequences: sequences, lanes: 1 } }
    }
}

fn paper(name: &str) -> Shape {
    ladder::find(name).expect("the ladder has the rows of the paper")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whatever_their_case_and_others_are_refused_with_all_there_are() {
        assert_eq!(Case::find("a").expect("is there").batch.tokens(), 2048);
        let error = Case::find("tiny-33").expect_err("is not there").to_string();
        assert!(error.contains("`tiny-33`") && error.contains("A, B, C, tiny-32"), "{error}");
    }

    #[test]
    fn operations_can_be_checked_by_hand() {
        let c = Case::find("C").expect("is there");
        let matrices = 2 * (4 * 64 * 64 + 3 * 64 * 160) + 1024 * 64;
        // Layers, forward and twice backward, two products, two operations each, half of the context.
        let attention = 2 * 3 * 2 * 2 * 64 * 128 / 2;
        assert_eq!(c.flops_per_token(), f64::from(6 * matrices + attention));
    }

    #[test]
    fn growth_ends_at_thirty_million_parameters_and_at_a_context_of_4096() {
        let models = Case::growing_models();
        assert!(models.windows(2).all(|pair| pair[0].params() < pair[1].params()));
        assert!(models.iter().all(|case| case.batch == models[0].batch));
        assert!(models.last().is_some_and(|case| case.params() > 30_000_000));
        assert_eq!(Case::growing_contexts().last().map(|case| case.batch.context), Some(4096));
    }
}
