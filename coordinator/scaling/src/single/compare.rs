//! Compares several forms on the same observations.

use serde::{Deserialize, Serialize};

use super::{Form, Observation, SingleError, SingleFit, SingleOptions, fit};

/// Forms fitted to the same observations, the best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Ordered by Akaike's criterion if every fit has one, otherwise by the objective.
    pub fits: Vec<SingleFit>,
    /// Forms that could not be fitted, with reasons.
    pub refused: Vec<(Form, String)>,
}

impl Comparison {
    /// The best form.
    #[must_use]
    pub fn best(&self) -> &SingleFit {
        &self.fits[0]
    }

    /// How much lower the best one's criterion is than the next: below 2 the observations do not tell them apart.
    /// `None` with one form, or with too few observations for the criterion.
    #[must_use]
    pub fn margin(&self) -> Option<f64> {
        Some(self.fits.get(1)?.aic? - self.fits[0].aic?)
    }
}

/// Fits each form and ranks those that can be fitted.
///
/// # Errors
/// Fails if no form can be fitted, with the last form's error.
pub fn compare(
    observations: &[Observation],
    forms: &[Form],
    options: &SingleOptions,
) -> Result<Comparison, SingleError> {
    let (mut fits, mut refused) = (Vec::new(), Vec::new());
    let mut last = SingleError::NoVariation;
    for &form in forms {
        match fit(observations, form, options) {
            Ok(found) => fits.push(found),
            Err(error) => {
                refused.push((form, error.to_string()));
                last = error;
            }
        }
    }
    if fits.is_empty() {
        return Err(last);
    }
    let all = fits.iter().all(|fit| fit.aic.is_some());
    let rank = |fit: &SingleFit| fit.aic.filter(|_| all).unwrap_or(fit.objective);
    fits.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
    Ok(Comparison { fits, refused })
}
