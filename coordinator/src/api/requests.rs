//! What callers ask for: typed, and checked as far as that needs no look at the coordinator's state.

use std::time::Duration;

use proto::limits::MAX_NAME_BYTES;
use scheduler::{BranchTerms, Weight};
use vocabulary::{Dataset, EvaluationKind};

use super::limit::{TooLong, at_most};

/// Text that selects a campaign or a stage: an identifier, a name, or the beginning of exactly one identifier. Whether it
/// selects anything is looked up later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector(String);

impl Selector {
    /// # Errors
    /// If the text is longer than any name or identifier.
    pub(crate) fn new(field: &'static str, text: String) -> Result<Self, TooLong> {
        at_most(MAX_NAME_BYTES, field, text.len())?;
        Ok(Self(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// A recipe as its author wrote it.
#[derive(Debug, Clone)]
pub(crate) struct RecipeSource {
    pub(crate) file: String,
    pub(crate) text: String,
}

/// Train a campaign.
#[derive(Debug)]
pub(crate) struct SubmitRequest {
    pub(crate) recipe: RecipeSource,
    pub(crate) dataset: Dataset,
    /// The share of the workers; as before where it is `None`.
    pub(crate) weight: Option<Weight>,
}

/// Add what a larger recipe has to a campaign.
#[derive(Debug)]
pub(crate) struct ExtendRequest {
    pub(crate) campaign: Selector,
    pub(crate) recipe: RecipeSource,
}

/// Start a campaign from the end of a trained stage.
#[derive(Debug)]
pub(crate) struct BranchRequest {
    pub(crate) stage: Selector,
    pub(crate) terms: BranchTerms,
    /// Plan it, and start nothing.
    pub(crate) dry_run: bool,
}

/// Evaluate stages of a campaign on a text.
#[derive(Debug)]
pub(crate) struct EvaluateRequest {
    pub(crate) campaign: Selector,
    /// What the results are called.
    pub(crate) name: String,
    /// What is measured.
    pub(crate) kind: EvaluationKind,
    /// The text. Its held-out part is evaluated on.
    pub(crate) dataset: Dataset,
    /// How many tokens of it; all where it is `None`.
    pub(crate) tokens: Option<u64>,
    /// The last stages of all trials where there are none.
    pub(crate) stages: Vec<Selector>,
    /// Plan it, and add nothing.
    pub(crate) dry_run: bool,
}

/// Read loss curves.
#[derive(Debug)]
pub(crate) struct CurvesRequest {
    pub(crate) campaign: Selector,
    /// Empty for all stages of the campaign.
    pub(crate) stages: Vec<Selector>,
    /// The first step to read.
    pub(crate) from_step: u64,
}

/// Forget a campaign that is over, with what only it has.
#[derive(Debug)]
pub(crate) struct ForgetRequest {
    pub(crate) campaign: Selector,
    /// Delete the datasets that no campaign uses then, too.
    pub(crate) datasets: bool,
    /// Say what would go, and forget nothing.
    pub(crate) dry_run: bool,
}

/// Delete checkpoints that nothing needs, and files that belong to no checkpoint.
#[derive(Debug)]
pub(crate) struct CollectRequest {
    /// Of every campaign where it is `None`.
    pub(crate) campaign: Option<Selector>,
    /// The least age of an orphaned file.
    pub(crate) min_age: Duration,
    /// List them, and delete nothing.
    pub(crate) dry_run: bool,
}
