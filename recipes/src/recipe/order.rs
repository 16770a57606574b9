//! The seeds of data orders.

use vocabulary::{Plan, Shape};

/// How the order of a run's data follows from its seed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// From the seed and the shape of the model. Two sizes of one seed see their data in different orders, so that they
    /// share no luck, and the intervals of the law may take their trunks as independent.
    #[default]
    OfSeedAndShape,
    /// From the seed alone: every size of a seed sees the same batches. Campaigns recorded before sizes had orders of
    /// their own keep this one.
    OfSeed,
}

impl Order {
    /// The rule that a campaign was recorded with.
    pub(crate) fn of(plan: &Plan) -> Self {
        let of_seed =
            plan.stages.iter().any(|stage| stage.parent.is_none() && stage.spec.data.order_seed == stage.seed);
        if of_seed { Self::OfSeed } else { Self::OfSeedAndShape }
    }

    /// The seed of the order in which a model of this shape sees its data.
    pub(crate) fn seed(self, seed: u64, shape: &Shape) -> u64 {
        match self {
            Self::OfSeed => seed,
            Self::OfSeedAndShape => {
                let Shape { d_model, d_ff, head_dim, n_heads, n_kv_heads, n_layers } = *shape;
                let shape = [d_model, d_ff, head_dim, n_heads, n_kv_heads, n_layers].map(u64::from);
                // JSON readers keep whole numbers below 2^53 exactly.
                shape.into_iter().fold(mixed(seed), |hash, part| mixed(hash ^ part)) >> 11
            }
        }
    }
}

/// The output function of splitmix64, a bijection in which every bit of the input changes half of the output's.
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn sizes_and_seeds_have_orders_of_their_own() {
        let shape = |d_model, n_layers| Shape { d_model, d_ff: 80, head_dim: 16, n_heads: 2, n_kv_heads: 2, n_layers };
        let shapes = [shape(32, 2), shape(32, 3), shape(48, 2), shape(2, 32)];
        let seeds: BTreeSet<u64> =
            shapes.iter().flat_map(|shape| (0..50).map(|seed| Order::OfSeedAndShape.seed(seed, shape))).collect();
        assert_eq!(seeds.len(), 200);
        assert!(seeds.iter().all(|seed| *seed < 1 << 53));
        // Recorded campaigns depend on it.
        assert_eq!(Order::OfSeedAndShape.seed(0, &shapes[0]), Order::OfSeedAndShape.seed(0, &shape(32, 2)));
        assert_eq!(Order::OfSeed.seed(7, &shapes[0]), 7);
    }
}
