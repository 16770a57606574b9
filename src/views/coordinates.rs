//! Tables of the coordinate check.

use std::collections::BTreeMap;

use recipes::Parametrization;
use serde::Serialize;
use trainer::coordinates::{Exponent, Measure, Observed, PROBE_TOKENS, Quantity, STABLE, Verdict};

use crate::views::output::View;

/// Observations for each arm of a recipe.
#[derive(Serialize)]
pub(crate) struct CoordinatesView {
    pub(crate) recipe: String,
    pub(crate) steps: u64,
    pub(crate) seeds: Vec<u64>,
    pub(crate) variants: Vec<VariantCoordinates>,
}

#[derive(Serialize)]
pub(crate) struct VariantCoordinates {
    pub(crate) arm: Option<String>,
    pub(crate) parametrization: Parametrization,
    pub(crate) peak_lr: f64,
    pub(crate) exponents: Vec<Exponent>,
    pub(crate) models: Vec<ModelCoordinates>,
}

#[derive(Serialize)]
pub(crate) struct ModelCoordinates {
    pub(crate) size: String,
    pub(crate) d_model: u32,
    pub(crate) seed: u64,
    pub(crate) observed: Vec<Observed>,
}

impl View for CoordinatesView {
    fn table(&self) -> String {
        let mut text = format!(
            "{}: activations on about {PROBE_TOKENS} held-out tokens, mean of {} seed{}\n",
            self.recipe,
            self.seeds.len(),
            if self.seeds.len() == 1 { "" } else { "s" }
        );
        for variant in &self.variants {
            text.push_str(&variant.table(self.steps));
        }
        text.push_str(&format!(
            "\nslope: log-log slope of the measure over width; stable from -{STABLE} to {STABLE}\n"
        ));
        text
    }
}

impl VariantCoordinates {
    fn table(&self, steps: u64) -> String {
        let parametrization = match self.parametrization {
            Parametrization::TensorProgram => "tensor_program",
            Parametrization::Standard => "standard",
        };
        let arm = self.arm.as_ref().map(|arm| format!("{arm}: ")).unwrap_or_default();
        let mut text = format!("\n{arm}parametrization {parametrization}, peak LR {} without warm-up\n", self.peak_lr);
        let shown = [0, 1, steps / 2, steps];
        for (measure, title) in [(Measure::Size, "mean |activation|"), (Measure::Change, "mean |change since step 0|")]
        {
            text.push_str(&self.rows(measure, title, &shown));
        }
        for measure in [Measure::Size, Measure::Change] {
            text.push_str(&self.conclusion(measure, steps));
        }
        text
    }

    fn rows(&self, measure: Measure, title: &str, shown: &[u64]) -> String {
        let means = self.means(measure);
        let mut widths: Vec<u32> = self.models.iter().map(|model| model.d_model).collect();
        widths.sort_unstable();
        widths.dedup();
        let mut text = format!("\n{title}\n{:>5}  {:<10}", "step", "of");
        for width in &widths {
            text.push_str(&format!("  {:>9}", format!("width {width}")));
        }
        text.push_str("   slope\n");
        for exponent in self.exponents.iter().filter(|exponent| exponent.measure == measure) {
            if !shown.contains(&exponent.step) {
                continue;
            }
            text.push_str(&format!("{:>5}  {:<10}", exponent.step, name(exponent.quantity)));
            for width in &widths {
                let mean = means.get(&(exponent.step, exponent.quantity, *width)).copied();
                text.push_str(&format!("  {:>9}", mean.map_or_else(String::new, |mean| format!("{mean:.4}"))));
            }
            let slope = exponent.slope.map_or_else(|| "none".to_owned(), |slope| format!("{slope:+.2}"));
            text.push_str(&format!("  {slope:>6}\n"));
        }
        text
    }

    /// Means over the models of each width.
    fn means(&self, measure: Measure) -> BTreeMap<(u64, Quantity, u32), f64> {
        let mut sums: BTreeMap<(u64, Quantity, u32), (f64, f64)> = BTreeMap::new();
        for model in &self.models {
            for observed in &model.observed {
                for (quantity, size) in &observed.sizes {
                    let (sum, count) = sums.entry((observed.step, *quantity, model.d_model)).or_default();
                    *sum += measure.of(*size);
                    *count += 1.0;
                }
            }
        }
        sums.into_iter().map(|(key, (sum, count))| (key, sum / count)).collect()
    }

    /// The verdict at the last step, in a line.
    fn conclusion(&self, measure: Measure, steps: u64) -> String {
        let words = |verdict| match verdict {
            Verdict::Stable => "stable",
            Verdict::Grows => "grows with the width",
            Verdict::Vanishes => "vanishes with the width",
            Verdict::NoExponent => "has no exponent",
        };
        let last = self.exponents.iter().filter(|exponent| (exponent.step, exponent.measure) == (steps, measure));
        let parts: Vec<_> =
            last.map(|exponent| format!("{} {}", name(exponent.quantity), words(exponent.verdict))).collect();
        let what = match measure {
            Measure::Size => "size",
            Measure::Change => "change",
        };
        let gap = if measure == Measure::Size { "\n" } else { "" };
        format!("{gap}{what} after {steps} steps: {}\n", parts.join(", "))
    }
}

fn name(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Embedding => "embedding",
        Quantity::Attention => "attention",
        Quantity::Mlp => "mlp",
        Quantity::Stream => "stream",
        Quantity::Logits => "logits",
    }
}
