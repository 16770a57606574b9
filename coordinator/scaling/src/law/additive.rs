//! The additive law: a term in N, a term in D and a constant.

use serde::{Deserialize, Serialize};

use super::sealed::Solved;
use super::{Form, Law, Parameter, Params};
use crate::optimum::Optimum;

/// The law as text, for people and for `fit.json`.
pub const FORM: &str = "L(N, D) = C_N * N^-alpha + C_D * D^-beta + L0";

/// The data-model scaling law of the MiniCPM paper, section 4.5.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScalingLaw {
    /// Coefficient of the model term, in nats times N^alpha.
    #[serde(rename = "C_N")]
    pub c_n: f64,
    /// Exponent of the model term.
    pub alpha: f64,
    /// Coefficient of the data term, in nats times D^beta.
    #[serde(rename = "C_D")]
    pub c_d: f64,
    /// Exponent of the data term.
    pub beta: f64,
    /// The loss that remains with unlimited parameters and data, in nats.
    #[serde(rename = "L0")]
    pub l0: f64,
}

impl ScalingLaw {
    /// The loss predicted for `n` parameters trained on `d` tokens, in nats.
    #[must_use]
    pub fn predict(&self, n: f64, d: f64) -> f64 {
        self.c_n * n.powf(-self.alpha) + self.c_d * d.powf(-self.beta) + self.l0
    }

    /// The value of a parameter; NaN for one of another form.
    #[must_use]
    pub fn get(&self, parameter: Parameter) -> f64 {
        match parameter {
            Parameter::CN => self.c_n,
            Parameter::Alpha => self.alpha,
            Parameter::CD => self.c_d,
            Parameter::Beta => self.beta,
            Parameter::L0 => self.l0,
            Parameter::Nc | Parameter::AlphaN | Parameter::Dc | Parameter::AlphaD => f64::NAN,
        }
    }

    /// K and eta of the paper's N_opt / D_opt = K^2 (C/6)^eta; `None` if the loss does not fall in both N and D, in
    /// which case no split is best.
    #[must_use]
    pub fn split(&self) -> Option<(f64, f64)> {
        let falls = self.alpha > 0.0 && self.beta > 0.0 && self.c_n > 0.0 && self.c_d > 0.0;
        falls.then(|| {
            let sum = self.alpha + self.beta;
            let k = (self.alpha * self.c_n / (self.beta * self.c_d)).powf(1.0 / sum);
            (k, (self.beta - self.alpha) / sum)
        })
    }

    /// The compute-optimal N and D at a budget C = 6ND, section 4.5 of the paper; `None` as for [`ScalingLaw::split`].
    #[must_use]
    pub fn optimum(&self, flops: f64) -> Option<Optimum> {
        Law::optimum(self, flops)
    }
}

impl Law for ScalingLaw {
    const FORM: Form = Form::Minicpm;
    const PARAMETERS: &'static [Parameter] = &Parameter::ALL;

    fn predict(&self, n: f64, d: f64) -> f64 {
        self.predict(n, d)
    }

    fn get(&self, parameter: Parameter) -> f64 {
        self.get(parameter)
    }

    fn split(&self) -> Option<(f64, f64)> {
        self.split()
    }
}

impl Solved for ScalingLaw {
    fn of_params(&[a, alpha, b, beta, e]: &Params, (x, y): (f64, f64)) -> Self {
        Self { c_n: (a + alpha * x).exp(), alpha, c_d: (b + beta * y).exp(), beta, l0: e.exp() }
    }

    fn to_params(&self, (x, y): (f64, f64)) -> Params {
        let log = |value: f64| value.max(1e-300).ln();
        [log(self.c_n) - self.alpha * x, self.alpha, log(self.c_d) - self.beta * y, self.beta, log(self.l0)]
    }
}
