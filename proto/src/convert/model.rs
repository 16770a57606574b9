//! Models, batches, optimisers.

use vocabulary::{AdamW, Batch, ModelSpec, Precision, Shape, TensorProgram};

use super::{ConvertError, Problem, finite, positive, positive_number, required};
use crate::v1;

impl From<&Shape> for v1::Shape {
    fn from(shape: &Shape) -> Self {
        let Shape { d_model, d_ff, head_dim, n_heads, n_kv_heads, n_layers } = *shape;
        Self { d_model, d_ff, head_dim, n_heads, n_kv_heads, n_layers }
    }
}

impl TryFrom<v1::Shape> for Shape {
    type Error = ConvertError;

    fn try_from(shape: v1::Shape) -> Result<Self, ConvertError> {
        let n_heads = positive("n_heads", shape.n_heads)?;
        let n_kv_heads = positive("n_kv_heads", shape.n_kv_heads)?;
        if !n_heads.is_multiple_of(n_kv_heads) {
            return Err(ConvertError::new("n_kv_heads", Problem::Range { reason: "has to divide n_heads" }));
        }
        Ok(Self {
            d_model: positive("d_model", shape.d_model)?,
            d_ff: positive("d_ff", shape.d_ff)?,
            head_dim: positive("head_dim", shape.head_dim)?,
            n_heads,
            n_kv_heads,
            n_layers: positive("n_layers", shape.n_layers)?,
        })
    }
}

impl From<&TensorProgram> for v1::TensorProgram {
    fn from(program: &TensorProgram) -> Self {
        let TensorProgram { scale_emb, scale_depth, init_std, d_base } = *program;
        Self { scale_emb, scale_depth, init_std, d_base }
    }
}

impl TryFrom<v1::TensorProgram> for TensorProgram {
    type Error = ConvertError;

    fn try_from(program: v1::TensorProgram) -> Result<Self, ConvertError> {
        Ok(Self {
            scale_emb: finite("scale_emb", program.scale_emb)?,
            scale_depth: finite("scale_depth", program.scale_depth)?,
            init_std: finite("init_std", program.init_std)?,
            d_base: positive("d_base", program.d_base)?,
        })
    }
}

impl From<&ModelSpec> for v1::ModelSpec {
    fn from(model: &ModelSpec) -> Self {
        Self {
            shape: Some((&model.shape).into()),
            vocab: model.vocab,
            tied: model.tied,
            tensor_program: Some((&model.tensor_program).into()),
            rope_theta: model.rope_theta,
            norm_eps: model.norm_eps,
        }
    }
}

impl TryFrom<v1::ModelSpec> for ModelSpec {
    type Error = ConvertError;

    fn try_from(model: v1::ModelSpec) -> Result<Self, ConvertError> {
        Ok(Self {
            shape: required("shape", model.shape)?,
            vocab: positive("vocab", model.vocab)?,
            tied: model.tied,
            tensor_program: required("tensor_program", model.tensor_program)?,
            rope_theta: positive_number("rope_theta", model.rope_theta)?,
            norm_eps: finite("norm_eps", model.norm_eps)?,
        })
    }
}

impl From<&Batch> for v1::Batch {
    fn from(batch: &Batch) -> Self {
        let Batch { sequences, context, micro_sequences } = *batch;
        Self { sequences, context, micro_sequences }
    }
}

impl TryFrom<v1::Batch> for Batch {
    type Error = ConvertError;

    fn try_from(batch: v1::Batch) -> Result<Self, ConvertError> {
        let sequences = positive("sequences", batch.sequences)?;
        let micro_sequences = positive("micro_sequences", batch.micro_sequences)?;
        if !sequences.is_multiple_of(micro_sequences) {
            return Err(ConvertError::new("micro_sequences", Problem::Range { reason: "has to divide sequences" }));
        }
        Ok(Self { sequences, context: positive("context", batch.context)?, micro_sequences })
    }
}

impl From<&AdamW> for v1::AdamW {
    fn from(optimizer: &AdamW) -> Self {
        let AdamW { beta1, beta2, eps, weight_decay, clip_norm } = *optimizer;
        Self { beta1, beta2, eps, weight_decay, clip_norm }
    }
}

impl TryFrom<v1::AdamW> for AdamW {
    type Error = ConvertError;

    fn try_from(optimizer: v1::AdamW) -> Result<Self, ConvertError> {
        Ok(Self {
            beta1: finite("beta1", optimizer.beta1)?,
            beta2: finite("beta2", optimizer.beta2)?,
            eps: finite("eps", optimizer.eps)?,
            weight_decay: finite("weight_decay", optimizer.weight_decay)?,
            clip_norm: positive_number("clip_norm", optimizer.clip_norm)?,
        })
    }
}

impl From<Precision> for v1::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Fp32 => Self::Fp32,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

/// The precision of a field that travels as the number of an enumeration.
pub(super) fn precision(field: &str, value: i32) -> Result<Precision, ConvertError> {
    match v1::Precision::try_from(value) {
        Ok(v1::Precision::Fp32) => Ok(Precision::Fp32),
        Ok(v1::Precision::Bf16) => Ok(Precision::Bf16),
        Ok(v1::Precision::Unspecified) => Err(ConvertError::new(field, Problem::Missing)),
        Err(_) => Err(ConvertError::new(field, Problem::Enum { of: "Precision", value })),
    }
}
