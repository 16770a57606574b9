//! Model shapes by name: the paper's wind tunnel, and a tiny family for CPUs.

use crate::shape::Shape;

/// Table 8 of the paper, by the names it uses. Heads are 64 wide, the feed-forward layer is 2.5 times as wide as the model,
/// and only the 1.2B model has grouped queries.
pub const PAPER: &[(&str, Shape)] = &[
    ("9M", paper_row(320, 5, 5, 8)),
    ("30M", paper_row(512, 8, 8, 12)),
    ("70M", paper_row(640, 10, 10, 14)),
    ("0.1B", paper_row(768, 12, 12, 16)),
    ("0.17B", paper_row(896, 14, 14, 18)),
    ("0.2B", paper_row(1024, 16, 16, 20)),
    ("0.5B", paper_row(1344, 21, 21, 24)),
    ("1.2B", paper_row(1536, 24, 8, 52)),
    ("2.4B", paper_row(2304, 36, 36, 40)),
];

/// Shapes that train in seconds on a CPU core. All have two blocks and heads 16 wide, so only the width differs: with
/// different depths at this scale, larger models lose to smaller ones.
pub const TINY: &[(&str, Shape)] = &[
    ("tiny-32", tiny(32)),
    ("tiny-48", tiny(48)),
    ("tiny-64", tiny(64)),
    ("tiny-96", tiny(96)),
    ("tiny-128", tiny(128)),
];

/// Every named shape, the tiny ones first.
pub fn all() -> impl Iterator<Item = (&'static str, Shape)> {
    TINY.iter().chain(PAPER).copied()
}

/// The shape with this name.
#[must_use]
pub fn find(name: &str) -> Option<Shape> {
    all().find(|(known, _)| *known == name).map(|(_, shape)| shape)
}

const fn paper_row(d_model: u32, n_heads: u32, n_kv_heads: u32, n_layers: u32) -> Shape {
    Shape { d_model, d_ff: d_model / 2 * 5, head_dim: 64, n_heads, n_kv_heads, n_layers }
}

const fn tiny(d_model: u32) -> Shape {
    let n_heads = d_model / 16;
    Shape { d_model, d_ff: d_model / 2 * 5, head_dim: 16, n_heads, n_kv_heads: n_heads, n_layers: 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_paper() {
        let counts: Vec<_> = PAPER.iter().map(|(name, shape)| (*name, shape.non_embedding_params())).collect();
        assert_eq!(
            counts,
            [
                ("9M", 9_426_240),
                ("30M", 36_188_672),
                ("70M", 65_964_160),
                ("0.1B", 108_552_960),
                ("0.17B", 166_216_064),
                ("0.2B", 241_214_464),
                ("0.5B", 498_614_592),
                ("1.2B", 1_247_442_432), // to the digit what the paper prints
                ("2.4B", 2_442_057_984), // likewise
            ]
        );
    }

    #[test]
    fn tiny_counts_are_known() {
        let counts: Vec<_> = TINY.iter().map(|(_, shape)| shape.non_embedding_params()).collect();
        assert_eq!(counts, [23_712, 53_232, 94_528, 212_448, 377_472]);
    }

    #[test]
    fn heads_fill_the_width_and_names_are_unique() {
        for (name, shape) in all() {
            assert_eq!(shape.n_heads * shape.head_dim, shape.d_model, "{name}");
            assert_eq!(shape.n_heads % shape.n_kv_heads, 0, "{name}");
            assert_eq!(all().filter(|(other, _)| *other == name).count(), 1, "{name}");
        }
    }
}
