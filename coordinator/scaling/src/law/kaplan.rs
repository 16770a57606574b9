//! The law of Kaplan et al. (2020), equation 1.5.

use serde::{Deserialize, Serialize};

use super::sealed::Solved;
use super::{Form, Law, Parameter, Params};

/// The law as text.
pub(crate) const FORM: &str = "L(N, D) = [(N_c / N)^(alpha_N / alpha_D) + D_c / D]^alpha_D";

/// A power of a sum: it has no floor, and falls to zero with N and D.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KaplanLaw {
    /// The N at which the model term alone gives a loss of one nat.
    #[serde(rename = "N_c")]
    pub n_c: f64,
    /// Exponent of the loss in N with unlimited data.
    #[serde(rename = "alpha_N")]
    pub alpha_n: f64,
    /// The D at which the data term alone gives a loss of one nat.
    #[serde(rename = "D_c")]
    pub d_c: f64,
    /// Exponent of the loss in D for an unlimited model.
    #[serde(rename = "alpha_D")]
    pub alpha_d: f64,
}

impl Law for KaplanLaw {
    const FORM: Form = Form::Kaplan;
    const PARAMETERS: &'static [Parameter] = &[Parameter::Nc, Parameter::AlphaN, Parameter::Dc, Parameter::AlphaD];

    fn predict(&self, n: f64, d: f64) -> f64 {
        ((self.n_c / n).powf(self.alpha_n / self.alpha_d) + self.d_c / d).powf(self.alpha_d)
    }

    fn get(&self, parameter: Parameter) -> f64 {
        match parameter {
            Parameter::Nc => self.n_c,
            Parameter::AlphaN => self.alpha_n,
            Parameter::Dc => self.d_c,
            Parameter::AlphaD => self.alpha_d,
            Parameter::CN | Parameter::Alpha | Parameter::CD | Parameter::Beta | Parameter::L0 => f64::NAN,
        }
    }

    /// A power does not move a minimum, so this is the split of the sum inside it.
    fn split(&self) -> Option<(f64, f64)> {
        let falls = self.alpha_n > 0.0 && self.alpha_d > 0.0 && self.n_c > 0.0 && self.d_c > 0.0;
        falls.then(|| {
            let alpha = self.alpha_n / self.alpha_d;
            // In logarithms: N_c^alpha may exceed the range of a double.
            let log_k = (alpha.ln() + alpha * self.n_c.ln() - self.d_c.ln()) / (alpha + 1.0);
            (log_k.exp(), (1.0 - alpha) / (1.0 + alpha))
        })
    }
}

/// The solver's parameters are [A, alpha_N, B, alpha_D, -] of log L = alpha_D LSE((A - alpha_N x) / alpha_D, B /
/// alpha_D - y): A and B are the log losses of one term alone at the centre, and stay so when the exponents change.
impl Solved for KaplanLaw {
    fn of_params(&[a, alpha_n, b, alpha_d, _]: &Params, (x, y): (f64, f64)) -> Self {
        Self { n_c: (a / alpha_n + x).exp(), alpha_n, d_c: (b / alpha_d + y).exp(), alpha_d }
    }

    fn to_params(&self, (x, y): (f64, f64)) -> Params {
        let log = |value: f64| value.max(1e-300).ln();
        [self.alpha_n * (log(self.n_c) - x), self.alpha_n, self.alpha_d * (log(self.d_c) - y), self.alpha_d, 0.0]
    }
}
