//! The objective as a recipe writes it: a list of terms, each a table of one key.

use schemars::JsonSchema;
use serde::Deserialize;
use vocabulary::{Objective, Term};

use super::error::{Fault, Problem};

/// A term of the objective: one of these keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TermRecipe {
    /// The cross-entropy of the next token, in nats a token. An objective has it once.
    pub next_token: Option<NextTokenRecipe>,
    /// The mean over tokens of `logsumexp(logits)^2`, which keeps the logits from drifting off together (section 5 of the
    /// PaLM paper).
    pub z_loss: Option<ZLossRecipe>,
}

/// There is nothing to choose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NextTokenRecipe {}

/// How much the term counts.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZLossRecipe {
    /// What it is multiplied by; 1e-4 in PaLM.
    #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
    pub weight: f64,
}

impl TermRecipe {
    fn terms(&self) -> impl Iterator<Item = Term> {
        let next_token = self.next_token.map(|NextTokenRecipe {}| Term::NextToken);
        let z_loss = self.z_loss.map(|ZLossRecipe { weight }| Term::ZLoss { weight });
        next_token.into_iter().chain(z_loss)
    }
}

/// The objective of a recipe that does not say.
pub(super) fn default() -> Vec<TermRecipe> {
    vec![TermRecipe { next_token: Some(NextTokenRecipe {}), z_loss: None }]
}

/// Refuses what is not a sum of terms with the next token among them.
pub(super) fn check(terms: &[TermRecipe]) -> Result<(), Fault> {
    let mut seen: Vec<&str> = Vec::new();
    for (index, recipe) in terms.iter().enumerate() {
        let key = format!("objective[{index}]");
        let mut found = recipe.terms();
        let (Some(term), None) = (found.next(), found.next()) else {
            let accepted = "a table of one term: `next_token = {}`, or `z_loss = { weight = 1e-4 }`";
            return Err(Fault::conflict(key, format!("has {} terms", recipe.terms().count()), accepted));
        };
        if seen.contains(&term.name()) {
            return Err(Fault::new(key, Problem::Duplicate { found: format!("`{}`", term.name()) }, "each term once"));
        }
        seen.push(term.name());
    }
    if !seen.contains(&Term::NextToken.name()) {
        return Err(Fault::conflict("objective", "predicts nothing", "terms with `next_token` among them"));
    }
    Ok(())
}

/// The sum of terms that were checked, whatever their order in the recipe.
pub(super) fn sum(terms: &[TermRecipe]) -> Objective {
    let mut terms: Vec<Term> = terms.iter().flat_map(TermRecipe::terms).collect();
    terms.sort_by_key(|term| match term {
        Term::NextToken => 0,
        Term::ZLoss { .. } => 1,
    });
    Objective::new(terms).expect("the terms are checked")
}
