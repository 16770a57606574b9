//! A trained vocabulary that is smaller than the one asked for.

use vocabulary::Dataset;

use super::TokenizerChoice;

impl TokenizerChoice {
    /// A note, where the text of a dataset did not support the vocabulary that was asked for.
    #[must_use]
    pub fn cut(&self, dataset: &Dataset) -> Option<String> {
        let Self::Train { vocab: asked } = self else { return None };
        (dataset.vocab < *asked).then(|| {
            format!(
                "the vocabulary has {} entries and not the {asked} asked for: the text has no more pairs of tokens that occur \
                 twice",
                dataset.vocab
            )
        })
    }
}
