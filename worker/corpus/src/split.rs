//! Decides which documents are held out.

/// Documents longer than this, in bytes, are trained on, unless everything is held out.
///
/// The validation set of a small corpus has a few hundred kilobytes. One long document in it would turn the loss into a
/// measurement of that document, and a single hash would decide whether it gets there.
pub const MAX_VALIDATION_DOCUMENT_BYTES: usize = 40_000;

/// The two parts of a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    /// Trained on.
    Train,
    /// Held out.
    Validation,
}

/// Assigns a document to a split by the seed and its own text alone, so that other documents can come and go without
/// moving it, and no text is in both. At a fraction of 1, everything is held out.
#[must_use]
pub fn split_of(text: &str, validation_fraction: f64, seed: u64) -> Split {
    if validation_fraction >= 1.0 {
        return Split::Validation;
    }
    if text.len() > MAX_VALIDATION_DOCUMENT_BYTES {
        return Split::Train;
    }
    let mut hasher = blake3::Hasher::new_derive_key("windtunnel 2026-11 train/validation split");
    hasher.update(&seed.to_le_bytes()).update(text.as_bytes());
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    // A double holds 53 bits exactly: the draw is uniform in [0, 1).
    let draw = (u64::from_le_bytes([a, b, c, d, e, f, g, h]) >> 11) as f64 / (1_u64 << 53) as f64;
    if draw < validation_fraction { Split::Validation } else { Split::Train }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_the_asked_fraction_is_held_out() {
        let held_out = (0..20_000).filter(|i| split_of(&format!("document {i}"), 0.06, 0) == Split::Validation).count();
        assert!((1_000..1_400).contains(&held_out), "{held_out} of 20,000 at 6%");
    }

    #[test]
    fn a_larger_fraction_only_adds() {
        for i in 0..2_000 {
            let text = format!("document {i}");
            if split_of(&text, 0.05, 1) == Split::Validation {
                assert_eq!(split_of(&text, 0.10, 1), Split::Validation);
            }
        }
    }

    #[test]
    fn another_seed_holds_out_others() {
        let held_out = |seed| {
            let is_held_out = |i: &i32| split_of(&format!("document {i}"), 0.1, seed) == Split::Validation;
            (0..2_000).filter(is_held_out).collect::<Vec<_>>()
        };
        assert_eq!(held_out(1), held_out(1));
        let (one, two) = (held_out(1), held_out(2));
        let common = one.iter().filter(|i| two.contains(i)).count();
        assert!(common < one.len() / 3, "{common} of {} are held out by both", one.len());
    }

    #[test]
    fn long_documents_are_trained_on() {
        let nearly_all = 1.0 - f64::EPSILON;
        assert_eq!(split_of(&"x".repeat(MAX_VALIDATION_DOCUMENT_BYTES + 1), nearly_all, 0), Split::Train);
        assert_eq!(split_of(&"x".repeat(MAX_VALIDATION_DOCUMENT_BYTES), nearly_all, 0), Split::Validation);
    }

    #[test]
    fn where_everything_is_held_out_long_documents_are_too() {
        assert_eq!(split_of(&"x".repeat(MAX_VALIDATION_DOCUMENT_BYTES + 1), 1.0, 0), Split::Validation);
    }
}
