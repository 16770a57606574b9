//! Tries every combination once.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use vocabulary::search::{Dimension, Search, Settings, Values};

/// The combination for a trial number. The order is shuffled, so that an unfinished grid has covered its whole space,
/// and the earlier trials at a rung are not neighbours.
pub(super) fn combination(search: &Search, number: u32) -> Option<Settings> {
    let mut order: Vec<usize> = (0..search.combinations()?).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(search.seed));
    order.get(number as usize).map(|index| nth(&search.space, *index))
}

/// The combination with this index, the last key changing fastest.
pub(super) fn nth(space: &[Dimension], mut index: usize) -> Settings {
    let mut settings = Settings::new();
    for dimension in space.iter().rev() {
        if let Values::Levels { levels } = &dimension.values {
            settings.insert(dimension.parameter, levels[index % levels.len()]);
            index /= levels.len();
        }
    }
    settings
}
