//! The Tree-structured Parzen Estimator (Bergstra et al. 2011), over all keys jointly.
//!
//! Trials are split into good ones and others, and the density of each kind is estimated. Of some points drawn from the
//! good ones' density, the one with the largest density ratio to the others comes first. Densities are mixtures of a
//! kernel around each trial and the uniform prior, over the whole cube instead of key by key, because good settings of
//! one key depend on those of another (for example the learning rate and the scale of the initial weights).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use vocabulary::search::{Dimension, Settings};

use super::{Observed, settings_at};

/// Points drawn per suggestion.
const CANDIDATES: usize = 24;

/// Share of the trials that count as good.
const GOOD: f64 = 0.15;

/// Settings for a trial, the most promising first. Trials without results count among the others, which keeps trials
/// suggested at the same time apart.
pub(super) fn propose(
    space: &[Dimension],
    tried: &[&Settings],
    observed: &[Observed<'_>],
    rng: &mut ChaCha8Rng,
) -> Vec<Settings> {
    let places = |settings: &Settings| -> Vec<f64> {
        space.iter().map(|dimension| dimension.values.place(settings[&dimension.parameter])).collect()
    };
    let mut ranked: Vec<&Observed<'_>> = observed.iter().collect();
    ranked.sort_by(|a, b| a.by_merit(b));
    let good = (ranked.len() as f64 * GOOD).ceil() as usize;
    let unknown = tried.iter().filter(|settings| !observed.iter().any(|known| known.settings == **settings));
    let (good, others) = ranked.split_at(good);
    let good = Density::around(good.iter().map(|known| places(known.settings)).collect(), space);
    let others = others.iter().map(|known| known.settings).chain(unknown.copied());
    let others = Density::around(others.map(places).collect(), space);

    let mut candidates: Vec<(f64, Settings)> = (0..CANDIDATES)
        .map(|_| {
            let drawn = good.draw(rng);
            let settings = settings_at(space, |axis| drawn[axis]);
            let place = places(&settings);
            (good.log_at(&place) - others.log_at(&place), settings)
        })
        .collect();
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
    candidates.into_iter().map(|(_, settings)| settings).collect()
}

/// A density over the unit cube: the mean of a product of kernels around each centre and the uniform density.
struct Density {
    centres: Vec<Vec<f64>>,
    kernels: Vec<Kernel>,
}

impl Density {
    fn around(centres: Vec<Vec<f64>>, space: &[Dimension]) -> Self {
        // Scott's rule for the number of trials and keys; a fifth of the range for a single trial.
        let exponent = -1.0 / (space.len() as f64 + 4.0);
        let width = 0.2 * (centres.len().max(1) as f64).powf(exponent);
        let kernel = |dimension: &Dimension| {
            let share = dimension.values.count().map_or(0.0, |count| 0.5 / count as f64);
            Kernel::of_deviation(width.max(share))
        };
        Self { centres, kernels: space.iter().map(kernel).collect() }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let chosen = rng.random_range(0..=self.centres.len());
        let place = |(axis, kernel): (usize, &Kernel)| {
            let quantile = rng.random::<f64>();
            self.centres.get(chosen).map_or(quantile, |centre| kernel.quantile(centre[axis], quantile))
        };
        self.kernels.iter().enumerate().map(place).collect()
    }

    fn log_at(&self, place: &[f64]) -> f64 {
        let kernel = |(axis, kernel): (usize, &Kernel), centre: &[f64]| kernel.density(centre[axis], place[axis]);
        let around =
            |centre: &Vec<f64>| self.kernels.iter().enumerate().map(|each| kernel(each, centre)).product::<f64>();
        let sum: f64 = self.centres.iter().map(around).sum::<f64>() + 1.0;
        (sum / (self.centres.len() + 1) as f64).ln()
    }
}

/// A logistic distribution, truncated to [0, 1]. It resembles a normal distribution, and its mass between the ends and
/// its quantiles have closed forms.
struct Kernel {
    scale: f64,
}

impl Kernel {
    fn of_deviation(deviation: f64) -> Self {
        Self { scale: deviation * 3.0_f64.sqrt() / std::f64::consts::PI }
    }

    fn below(&self, centre: f64, place: f64) -> f64 {
        1.0 / (1.0 + (-(place - centre) / self.scale).exp())
    }

    fn density(&self, centre: f64, place: f64) -> f64 {
        let below = self.below(centre, place);
        below * (1.0 - below) / self.scale / (self.below(centre, 1.0) - self.below(centre, 0.0))
    }

    fn quantile(&self, centre: f64, quantile: f64) -> f64 {
        let (low, high) = (self.below(centre, 0.0), self.below(centre, 1.0));
        let below = low + quantile * (high - low);
        (centre + self.scale * (below / (1.0 - below)).ln()).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_a_density_and_its_quantiles_are_its_own() {
        let kernel = Kernel::of_deviation(0.2);
        for centre in [0.0, 0.3, 1.0] {
            let cells = 10_000;
            let mass: f64 = (0..cells)
                .map(|cell| (f64::from(cell) + 0.5) / f64::from(cells))
                .map(|place| kernel.density(centre, place))
                .sum();
            assert!((mass / f64::from(cells) - 1.0).abs() < 1e-6, "{centre}");
            let median = kernel.quantile(centre, 0.5);
            let below: f64 = (0..cells)
                .map(|cell| (f64::from(cell) + 0.5) / f64::from(cells) * median)
                .map(|place| kernel.density(centre, place))
                .sum();
            assert!((below * median / f64::from(cells) - 0.5).abs() < 1e-6, "{centre}");
        }
    }
}
