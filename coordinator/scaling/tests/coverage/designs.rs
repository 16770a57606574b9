//! Tables whose law is known: what a campaign or a published table may look like, with the noise that it may have.

use rand::distr::Distribution;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use scaling::{Point, ScalingLaw};

/// The law that a toy campaign gave.
const TOY: ScalingLaw = ScalingLaw { c_n: 47.2, alpha: 0.398, c_d: 947.0, beta: 0.535, l0: 1.758 };
/// Of twelve runs of one language: 0.2M to 25M parameters, 5M to 80M tokens.
const TWELVE: ScalingLaw = ScalingLaw { c_n: 47.1, alpha: 0.350, c_d: 3_420.0, beta: 0.428, l0: 0.8 };
/// The same with hardly a floor.
const NO_FLOOR: ScalingLaw = ScalingLaw { c_n: 27.1, alpha: 0.258, c_d: 882.0, beta: 0.339, l0: 0.05 };
/// Chinchilla's, near enough.
const LARGE: ScalingLaw = ScalingLaw { c_n: 482.0, alpha: 0.347, c_d: 2_085.0, beta: 0.367, l0: 1.82 };

/// Sizes, each on some trunks, each with some amounts of data.
#[derive(Clone, Copy)]
pub(crate) struct Design {
    pub(crate) name: &'static str,
    pub(crate) law: ScalingLaw,
    /// The smallest size, the number of sizes and the factor between them.
    pub(crate) sizes: (f64, i32, f64),
    /// The smallest amount of data, the number of amounts and the factor between them.
    pub(crate) amounts: (f64, i32, f64),
    pub(crate) seeds: i32,
    /// Standard deviation of what the points of a trunk share, in nats.
    pub(crate) luck: f64,
    /// Standard deviation of a point's own noise, in nats, at the largest amount of data.
    pub(crate) noise: f64,
    /// Correlation of the noise between sizes of one seed at one amount of data.
    pub(crate) shared: f64,
    /// The noise grows with this power of 1 / D.
    pub(crate) uneven: f64,
    /// Share of the points at the smallest amount of data that lie twenty times as far off.
    pub(crate) outliers: f64,
    /// Whether all of those lie above the law.
    pub(crate) one_sided: bool,
    /// Distance between two settings that every point was trained with, and nobody told apart.
    pub(crate) apart: f64,
}

const PLAIN: Design = Design {
    name: "",
    law: TOY,
    sizes: (2e4, 6, 2.0),
    amounts: (5e5, 6, 2.0),
    seeds: 1,
    luck: 0.0,
    noise: 0.0,
    shared: 0.0,
    uneven: 0.0,
    outliers: 0.0,
    one_sided: false,
    apart: 0.0,
};

const fn campaign(name: &'static str, sizes: i32, seeds: i32, amounts: i32, luck: f64, noise: f64) -> Design {
    Design { name, sizes: (2e4, sizes, 2.0), amounts: (5e5, amounts, 2.0), seeds, luck, noise, ..PLAIN }
}

const fn grid(name: &'static str) -> Design {
    Design { sizes: (2e4, 12, 1.6), amounts: (5e5, 8, 2.0), noise: 0.004, ..Design { name, ..PLAIN } }
}

const fn twelve(name: &'static str, law: ScalingLaw) -> Design {
    Design { name, law, sizes: (2e5, 4, 5.0), amounts: (5e6, 3, 4.0), noise: 0.15, ..PLAIN }
}

pub(crate) const DESIGNS: [Design; 20] = [
    // A campaign like the paper's: six sizes of six points, one seed.
    campaign("6, 1, 6; 0.005, 0.001", 6, 1, 6, 0.005, 0.001),
    campaign("6, 1, 6; 0.01, 0.005", 6, 1, 6, 0.01, 0.005),
    campaign("6, 1, 6; 0.003, 0.003", 6, 1, 6, 0.003, 0.003),
    campaign("5, 1, 6; 0.003, 0.001", 5, 1, 6, 0.003, 0.001),
    campaign("8, 3, 5; 0.005, 0.002", 8, 3, 5, 0.005, 0.002),
    campaign("10, 2, 5; 0.005, 0.002", 10, 2, 5, 0.005, 0.002),
    // Every size of a seed has seen the same batches.
    Design { shared: 0.3, ..campaign("6, 1, 6, one order, r 0.3", 6, 1, 6, 0.0089, 0.0043) },
    Design { shared: 0.69, ..campaign("6, 1, 6, one order, r 0.69", 6, 1, 6, 0.0089, 0.0043) },
    Design { shared: 0.3, ..campaign("5, 2, 7, one order, r 0.3", 5, 2, 7, 0.0089, 0.0043) },
    Design { shared: 0.69, ..campaign("5, 2, 7, one order, r 0.69", 5, 2, 7, 0.0089, 0.0043) },
    // Tables of others.
    grid("12, 1, 8, even"),
    Design { noise: 0.002, uneven: 0.5, ..grid("12, 1, 8, noisier at small D") },
    Design { outliers: 0.35, ..grid("12, 1, 8, 35% outliers at the smallest D") },
    Design { outliers: 0.35, one_sided: true, ..grid("12, 1, 8, 35% outliers above the law at the smallest D") },
    Design {
        law: LARGE,
        sizes: (2.4e7, 6, 2.0),
        amounts: (5e8, 5, 2.0),
        noise: 0.003,
        luck: 0.002,
        apart: 0.02,
        ..Design { name: "6, 1, 5, two settings 0.02 apart", ..PLAIN }
    },
    Design {
        law: LARGE,
        sizes: (2.4e7, 6, 2.0),
        amounts: (5e8, 5, 2.0),
        noise: 0.003,
        luck: 0.006,
        apart: 0.015,
        ..Design { name: "6, 1, 5, two settings 0.015 apart", ..PLAIN }
    },
    twelve("4, 1, 3, L0 0.8, noise 0.15", TWELVE),
    twelve("4, 1, 3, L0 0.05, noise 0.15", NO_FLOOR),
    Design { noise: 0.01, luck: 0.01, ..campaign("6, 2, 6, L0 0.05", 6, 2, 6, 0.01, 0.01).with(NO_FLOOR_TOY) },
    Design { noise: 0.02, luck: 0.01, ..campaign("8, 1, 6, L0 0.3", 8, 1, 6, 0.01, 0.02).with(LITTLE_FLOOR) },
];

/// The toy's law with hardly a floor, and with a little one.
const NO_FLOOR_TOY: ScalingLaw = ScalingLaw { l0: 0.05, ..TOY };
const LITTLE_FLOOR: ScalingLaw = ScalingLaw { alpha: 0.25, c_n: 20.0, l0: 0.3, ..TOY };

impl Design {
    const fn with(self, law: ScalingLaw) -> Self {
        Self { law, ..self }
    }

    fn n(self, size: i32) -> f64 {
        self.sizes.0 * self.sizes.2.powi(size)
    }

    fn d(self, amount: i32) -> f64 {
        self.amounts.0 * self.amounts.2.powi(amount)
    }

    pub(crate) fn table(self, seed: u64) -> Vec<Point> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut points = Vec::new();
        let mut orders = vec![vec![0.0; self.amounts.1 as usize]; self.seeds as usize];
        if self.shared > 0.0 {
            orders.iter_mut().flatten().for_each(|order| *order = normal(&mut rng));
        }
        for size in 0..self.sizes.1 {
            for trunk in 0..self.seeds {
                let luck = self.luck * normal(&mut rng);
                for amount in 0..self.amounts.1 {
                    let (n, d) = (self.n(size), self.d(amount));
                    let noise = self.noise * (self.d(self.amounts.1 - 1) / d).powf(self.uneven);
                    for setting in if self.apart > 0.0 { &[-0.5, 0.5][..] } else { &[0.0] } {
                        let order = orders[trunk as usize][amount as usize];
                        let own = self.shared.sqrt() * order + (1.0 - self.shared).sqrt() * normal(&mut rng);
                        let is_outlier =
                            amount == 0 && self.outliers > 0.0 && rng.random_range(0.0..1.0) < self.outliers;
                        let off = match (is_outlier, self.one_sided) {
                            (false, _) => own,
                            (true, false) => 20.0 * own,
                            (true, true) => 20.0 * own.abs(),
                        };
                        let loss = self.law.predict(n, d) + luck + noise * off + setting * self.apart;
                        points.push(Point {
                            size: size.to_string(),
                            n,
                            d,
                            loss,
                            trunk: format!("{size}/{trunk}"),
                            order: if self.shared > 0.0 { trunk.to_string() } else { String::new() },
                            ..Point::default()
                        });
                    }
                }
            }
        }
        points
    }

    /// Four times the largest N and D.
    pub(crate) fn far(self) -> (f64, f64) {
        (4.0 * self.n(self.sizes.1 - 1), 4.0 * self.d(self.amounts.1 - 1))
    }
}

pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// A table of which others are drawn with replacement: its fit is the truth. Sizes and amounts are as irregular as in a
/// collection of published runs, the noise is larger at small D, and some small models lie far off.
pub(crate) fn population() -> Vec<Point> {
    let mut rng = ChaCha8Rng::seed_from_u64(240);
    (0..240)
        .map(|index| {
            let n = 4e7 * 400f64.powf(rng.random_range(0.0..1.0));
            let d = (6.0 * n).powf(0.3) * 4e6 * 200f64.powf(rng.random_range(0.0..1.0));
            let noise = 0.012 * (1e10 / d).powf(0.35);
            let far = if rng.random_range(0.0..1.0) < 0.05 { 6.0 } else { 1.0 };
            let loss = LARGE.predict(n, d) * (far * noise * normal(&mut rng)).exp();
            Point { size: index.to_string(), n, d, loss, trunk: index.to_string(), ..Point::default() }
        })
        .collect()
}

/// As many rows as a table has, drawn with replacement.
pub(crate) fn drawn(population: &[Point], seed: u64) -> Vec<Point> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..population.len()).map(|_| population[rng.random_range(0..population.len())].clone()).collect()
}
