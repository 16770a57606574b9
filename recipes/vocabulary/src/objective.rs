//! What a stage minimises.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A term of an objective, in the order in which terms are written down.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Term {
    /// The cross-entropy of the next token, in nats a token.
    NextToken,
    /// `weight` times the mean over tokens of the squared log-sum-exp of the logits, which keeps the softmax's normaliser
    /// near one (PaLM, section 5).
    ZLoss {
        /// Finite and above zero; 1e-4 in PaLM.
        weight: f64,
    },
}

/// A sum of terms: each at most once, in the order of [`Term`], and the next token among them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Term>", into = "Vec<Term>")]
pub struct Objective(Vec<Term>);

/// Why terms do not make an objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ObjectiveError {
    /// Nothing is predicted.
    #[error("has to contain the term `next_token`")]
    NoNextToken,
    /// A term is there twice, or terms are not in their order.
    #[error("has to name each term once, `next_token` before `z_loss`")]
    Order,
    /// A weight is zero, negative, infinite or NaN.
    #[error("a weight has to be finite and above zero")]
    Weight,
}

impl Term {
    /// Its name in recipes and plans.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NextToken => "next_token",
            Self::ZLoss { .. } => "z_loss",
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::NextToken => 0,
            Self::ZLoss { .. } => 1,
        }
    }
}

/// `next_token`, or `z_loss` behind its weight.
impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NextToken => f.write_str(self.name()),
            Self::ZLoss { weight } => write!(f, "{weight} {}", self.name()),
        }
    }
}

/// For people: `next_token + 0.0001 z_loss`.
impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terms: Vec<String> = self.0.iter().map(Term::to_string).collect();
        f.pad(&terms.join(" + "))
    }
}

impl Objective {
    /// The sum of these terms.
    ///
    /// # Errors
    /// If they are not in order, the next token is not among them, or a weight is not a positive number.
    pub fn new(terms: Vec<Term>) -> Result<Self, ObjectiveError> {
        if !terms.windows(2).all(|pair| pair[0].rank() < pair[1].rank()) {
            return Err(ObjectiveError::Order);
        }
        if !terms.contains(&Term::NextToken) {
            return Err(ObjectiveError::NoNextToken);
        }
        for term in &terms {
            match term {
                Term::ZLoss { weight } if !weight.is_finite() || *weight <= 0.0 => return Err(ObjectiveError::Weight),
                Term::ZLoss { .. } | Term::NextToken => {}
            }
        }
        Ok(Self(terms))
    }

    /// Its terms.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.0
    }

    /// Whether it is the next token's loss alone.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == [Term::NextToken]
    }
}

/// The next token's loss alone.
impl Default for Objective {
    fn default() -> Self {
        Self(vec![Term::NextToken])
    }
}

impl TryFrom<Vec<Term>> for Objective {
    type Error = ObjectiveError;

    fn try_from(terms: Vec<Term>) -> Result<Self, ObjectiveError> {
        Self::new(terms)
    }
}

impl From<Objective> for Vec<Term> {
    fn from(objective: Objective) -> Self {
        objective.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_predicts_something_and_has_one_form() {
        let [next, z_loss] = [Term::NextToken, Term::ZLoss { weight: 1e-4 }];
        assert_eq!(Objective::new(vec![next]), Ok(Objective::default()));
        let both = Objective::new(vec![next, z_loss]).expect("two terms in order");
        assert_eq!(both.terms(), [next, z_loss]);
        assert!(!both.is_default());
        assert_eq!(both.to_string(), "next_token + 0.0001 z_loss");
        assert_eq!(Objective::new(vec![z_loss, next]), Err(ObjectiveError::Order));
        assert_eq!(Objective::new(vec![next, next]), Err(ObjectiveError::Order));
        assert_eq!(Objective::new(vec![z_loss]), Err(ObjectiveError::NoNextToken));
        assert_eq!(Objective::new(vec![]), Err(ObjectiveError::NoNextToken));
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Objective::new(vec![next, Term::ZLoss { weight }]), Err(ObjectiveError::Weight));
        }
    }
}
