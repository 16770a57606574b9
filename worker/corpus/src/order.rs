//! A keyed permutation: the order of an epoch, computed instead of stored.

/// Rounds of the Feistel network. Four make a permutation look random; small domains need a few more.
const ROUNDS: usize = 8;

/// A permutation of `0..len`: a Feistel network over the next power of four, applied until the result is in range.
#[derive(Debug, Clone)]
pub(crate) struct Permutation {
    len: u64,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// The permutation of a seed and an epoch.
    pub(crate) fn new(seed: u64, epoch: u128, len: u64) -> Self {
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        let mut hasher = blake3::Hasher::new_derive_key("windtunnel 2026-11 order of windows");
        hasher.update(&seed.to_le_bytes()).update(&epoch.to_le_bytes());
        let mut output = hasher.finalize_xof();
        let keys = std::array::from_fn(|_| {
            let mut key = [0; 8];
            output.fill(&mut key);
            u64::from_le_bytes(key)
        });
        Self { len, half_bits: bits.div_ceil(2).max(1), keys }
    }

    /// The image of `index`; both are below `len`.
    pub(crate) fn at(&self, index: u64) -> u64 {
        let mask = (1_u64 << self.half_bits) - 1;
        let mut value = index;
        loop {
            let (mut left, mut right) = (value >> self.half_bits, value & mask);
            for key in self.keys {
                (left, right) = (right, left ^ (mix(right ^ key) & mask));
            }
            value = left << self.half_bits | right;
            // The network's domain is at most four times as long, so this takes a few iterations. It terminates because
            // the cycle of a permutation through `index` returns to `index`.
            if value < self.len {
                return value;
            }
        }
    }
}

/// The finaliser of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_comes_once(seed: u64, epoch in 0_u64..9, len in 1_u64..2_000) {
            let order = Permutation::new(seed, epoch.into(), len);
            let mut seen = vec![false; len as usize];
            for index in 0..len {
                let place = &mut seen[order.at(index) as usize];
                prop_assert!(!*place);
                *place = true;
            }
        }
    }

    #[test]
    fn seeds_and_epochs_have_orders_of_their_own() {
        let order = |seed, epoch| (0..1_000).map(|i| Permutation::new(seed, epoch, 1_000).at(i)).collect::<Vec<_>>();
        assert_ne!(order(1, 0), order(2, 0));
        assert_ne!(order(1, 0), order(1, 1));
        let neighbours = order(1, 0).windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
        assert!(neighbours < 15, "{neighbours} of 1,000 neighbours stay neighbours; two are expected");
    }

    #[test]
    fn the_largest_domain_fits() {
        let order = Permutation::new(1, 0, u64::MAX >> 2);
        assert!(order.at(0) < u64::MAX >> 2);
    }
}
