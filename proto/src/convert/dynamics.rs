//! What a step records beside its loss.

use vocabulary::{Consecutive, Dynamics, LargestUpdates};

use crate::v1;

impl From<&Dynamics> for v1::Dynamics {
    fn from(dynamics: &Dynamics) -> Self {
        let Dynamics { largest_gradient, consecutive, updates } = dynamics;
        let consecutive =
            consecutive.map(|Consecutive { product, cosine, d1, d2 }| v1::Consecutive { product, cosine, d1, d2 });
        let [embedding, qkv, attention_out, gate_up, down, gain, head] = updates.by_kind();
        let updates = v1::LargestUpdates { embedding, qkv, attention_out, gate_up, down, gain, head };
        Self { largest_gradient: *largest_gradient, consecutive, updates: Some(updates) }
    }
}

/// Measurements may be anything, so nothing is refused.
impl From<&v1::Dynamics> for Dynamics {
    fn from(dynamics: &v1::Dynamics) -> Self {
        let v1::Dynamics { largest_gradient, consecutive, updates } = *dynamics;
        let consecutive =
            consecutive.map(|v1::Consecutive { product, cosine, d1, d2 }| Consecutive { product, cosine, d1, d2 });
        let v1::LargestUpdates { embedding, qkv, attention_out, gate_up, down, gain, head } =
            updates.unwrap_or_default();
        let updates = LargestUpdates::new([embedding, qkv, attention_out, gate_up, down, gain, head]);
        Self { largest_gradient, consecutive, updates }
    }
}
