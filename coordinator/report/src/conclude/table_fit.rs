//! A law fitted to a table, without a campaign.

use scaling::{Analysis, Law, ScalingLaw};

use super::fit_file::{FitFile, Fitted, Produced};
use super::source::Source;

/// A law fitted to a table.
#[derive(Debug, Clone)]
pub struct TableFit<L = ScalingLaw> {
    /// Where the points come from.
    pub source: Source,
    /// The law with its intervals, optima and diagnostics.
    pub analysis: Analysis<L>,
    /// The program named in the files, for example `windtunnel 0.1.0`.
    pub program: String,
}

impl<L: Law> TableFit<L> {
    /// The contents of `fit.json`.
    #[must_use]
    pub fn fit_file(&self) -> FitFile<L> {
        let fitted = Fitted {
            n: self.source.meaning("N"),
            d: self.source.meaning("D"),
            loss: self.source.meaning("loss"),
            unit: self.source.unit.clone(),
            points: self.source.points(),
            arm: None,
            validation_tokens: None,
        };
        let bootstrap = self.analysis.settings.bootstrap;
        let settings = Produced {
            program: self.program.clone(),
            recipe: None,
            dataset: None,
            bootstrap: Some(bootstrap),
            resampled: bootstrap.resample.describe().to_owned(),
        };
        FitFile {
            table: Some(self.source.clone()),
            ..FitFile::of_law(Some(&self.analysis), self.analysis.n_points, fitted, settings)
        }
    }
}
