//! The delta method, clustered by trunk, and reliable with few trunks.
//!
//! The points of a trunk share its luck, so the trunk is the unit of sampling, and often there are only six. The
//! covariance is the sandwich of Bell and McCaffrey (2002), "CR2": each trunk's residuals are enlarged to the size they
//! would have had the fit not followed them, by (I - H)^(-1/2) of that trunk. A standard error from six trunks is
//! itself uncertain, so intervals use the quantile of Student's t with the degrees of freedom that match the first two
//! moments of the variance's estimate; those assume luck shared by a trunk's points, whose size is estimated from the
//! residuals. The covariance assumes nothing about the correlation within a trunk; the luck affects only the degrees of
//! freedom.
//!
//! Huber's threshold is usually far below the residuals, so most points pull with the same force. Their pull, divided
//! by the change of the mean pull when the law moves, is the residual a linear fit would have had, and takes its place.
//! docs/design/scaling-fit.md states how often these intervals hold the truth, and what was tried before.

use nalgebra::{Matrix5, SymmetricEigen, Vector5};
use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::function::erf::erf;

use crate::intervals::Interval;
use crate::law::Params;
use crate::noise;
use crate::objective::Objective;
use crate::solver::Problem;
use crate::units::{Batches, Units};

/// The uncertainty of a solution.
#[derive(Debug, Clone)]
pub(crate) struct Clustered {
    params: Params,
    /// (J'J)^-1 over the parameters that are not at a bound; zero elsewhere.
    inverse: Matrix5<f64>,
    /// J' r.
    pull: Vector5<f64>,
    trunks: Way,
    /// Points that saw the same batches, and those among them that are of one trunk; `None` if no two trunks share
    /// batches.
    batches: Option<[Way; 2]>,
}

/// One way to divide the points into clusters.
#[derive(Debug, Clone)]
struct Way {
    clusters: Vec<Cluster>,
    /// Variance of the luck that a cluster's points share, relative to that of a point's own noise.
    luck: f64,
}

/// Sums over one cluster. J are its rows of the Jacobian, A its adjustment, and A J = J T.
#[derive(Debug, Clone)]
struct Cluster {
    /// T' J' r.
    score: Vector5<f64>,
    /// J' J T.
    bread: Matrix5<f64>,
    /// T' J' J T.
    square: Matrix5<f64>,
    /// J' 1.
    sum: Vector5<f64>,
    /// T' J' 1.
    adjusted_sum: Vector5<f64>,
}

/// Sums over a trunk's points.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    normal: Matrix5<f64>,
    score: Vector5<f64>,
    slope: Vector5<f64>,
    residual: f64,
    points: f64,
}

/// The uncertainty of a quantity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    /// Standard error.
    pub(crate) error: f64,
    /// Degrees of freedom of the standard error.
    pub(crate) freedom: f64,
}

/// With more trunks, the degrees of freedom hardly matter, and shared luck is ignored in counting them.
const MOST_WITH_LUCK: usize = 80;
/// Larger values of `luck` make no difference.
const MOST_LUCK: f64 = 1e4;

impl Clustered {
    /// The uncertainty at a solution, over the parameters that are `free`. `None` if the points do not determine them,
    /// or a single cluster determines a combination of them.
    pub(crate) fn new(
        problem: &Problem,
        params: &Params,
        units: &Units,
        free: [bool; 5],
        objective: Objective,
    ) -> Option<Self> {
        let rows = problem.residuals(params, objective);
        let slopes: Vec<Vector5<f64>> =
            rows.iter().map(|(_, slope)| Vector5::from_fn(|i, _| if free[i] { slope[i] } else { 0.0 })).collect();
        let fitted = free.iter().filter(|free| **free).count();
        let residuals: Vec<f64> = rows.iter().map(|(residual, _)| *residual).collect();
        let (residuals, weights) = as_if_linear(&residuals, &problem.places(), fitted, objective);
        let slopes: Vec<Vector5<f64>> = slopes.iter().zip(&weights).map(|(slope, weight)| slope * *weight).collect();
        // Ones on the diagonal for fixed parameters keep the factorisations defined.
        let held = Matrix5::from_diagonal(&Vector5::from_fn(|i, _| if free[i] { 0.0 } else { 1.0 }));
        let normal: Matrix5<f64> = slopes.iter().map(|slope| slope * slope.transpose()).sum();
        let with_held = (normal + held).cholesky()?.inverse();
        let root = with_held.cholesky()?.l();
        let inverse = with_held - held;
        let pull = slopes.iter().zip(&residuals).map(|(slope, residual)| slope * *residual).sum();
        let way = |members: &[usize]| Way::of(&slopes, &residuals, members, (&inverse, &root), fitted);
        let trunks = way(&units.members)?;
        let batches = match &units.batches {
            Some(Batches { members, within }) => Some([way(members)?, way(within)?]),
            None => None,
        };
        inverse.iter().copied().all(f64::is_finite).then_some(Self { params: *params, inverse, pull, trunks, batches })
    }

    /// Covariance of the solver's parameters: that between trunks and that between batches, less what both count.
    pub(crate) fn covariance(&self) -> Matrix5<f64> {
        let of = |way: &Way| -> Matrix5<f64> {
            let meat: Matrix5<f64> = way.clusters.iter().map(|cluster| cluster.score * cluster.score.transpose()).sum();
            self.inverse * meat * self.inverse
        };
        let trunks = of(&self.trunks);
        self.batches.as_ref().map_or(trunks, |[batches, both]| trunks + of(batches) - of(both))
    }

    /// The step that the points ask of log L0, and its spread. At the best law the step is zero.
    pub(crate) fn floor_step(&self) -> (f64, Spread) {
        let mut slope = Vector5::zeros();
        slope[4] = 1.0;
        ((self.inverse * self.pull)[4], self.spread(&slope))
    }

    /// Derivatives of a quantity by the solver's parameters; `None` if it is undefined near the solution.
    pub(crate) fn slope(&self, quantity: &impl Fn(&Params) -> Option<f64>) -> Option<Vector5<f64>> {
        let mut slope = Vector5::zeros();
        for i in (0..5).filter(|&i| self.inverse[(i, i)] > 0.0) {
            // Far above rounding, and far below the precision of any parameter.
            let step = 1e-5;
            let at = |by: f64| {
                let mut params = self.params;
                params[i] += by;
                quantity(&params)
            };
            slope[i] = (at(step)? - at(-step)?) / (2.0 * step);
        }
        slope.iter().all(|slope| slope.is_finite()).then_some(slope)
    }

    /// The spread of a quantity with these derivatives.
    pub(crate) fn spread(&self, slope: &Vector5<f64>) -> Spread {
        let towards = self.inverse * slope;
        let one = self.trunks.spread(&self.inverse, &towards);
        let Some([batches, both]) = &self.batches else { return one };
        let other = batches.spread(&self.inverse, &towards);
        let (a, b) = (one.error.powi(2), other.error.powi(2));
        // What is counted twice is taken off once. The difference is an estimate, and may come out below either.
        let noise = both.spread(&self.inverse, &towards);
        let both = noise.error.powi(2);
        let variance = (a + b - both).max(a).max(b);
        // Two estimates, of which the smaller is taken: what batches share beyond the points' own noise adds to the
        // uncertainty of the variance between trunks; or both add to the points' noise, which is known well.
        let (by_trunks, by_batches) = ((a - both).max(0.0), (b - both).max(0.0));
        let one_way = a * a / one.freedom + by_batches * by_batches / other.freedom;
        let parts = by_trunks * by_trunks / one.freedom + by_batches * by_batches / other.freedom;
        let freedom = variance * variance / one_way.max(parts + both * both / noise.freedom);
        Spread { error: variance.sqrt(), freedom: if freedom.is_finite() { freedom.max(1.0) } else { 1.0 } }
    }

    /// The interval that holds a quantity with probability `level`, around its value at the solution. `None` if the
    /// quantity is undefined there, or unbounded.
    pub(crate) fn interval(&self, level: f64, quantity: impl Fn(&Params) -> Option<f64>) -> Option<Interval> {
        let centre = quantity(&self.params)?;
        let Spread { error, freedom } = self.spread(&self.slope(&quantity)?);
        let reach = t_quantile(freedom, level)? * error;
        (centre.is_finite() && reach.is_finite()).then_some(Interval { low: centre - reach, high: centre + reach })
    }
}

impl Way {
    /// `members` maps each point to its cluster; `inverse` and its root are those of [`Cluster::of`].
    fn of(
        slopes: &[Vector5<f64>],
        residuals: &[f64],
        members: &[usize],
        (inverse, root): (&Matrix5<f64>, &Matrix5<f64>),
        fitted: usize,
    ) -> Option<Self> {
        let mut sums = vec![Sums::default(); members.iter().max()? + 1];
        for ((slope, &residual), &member) in slopes.iter().zip(residuals).zip(members) {
            let sum = &mut sums[member];
            sum.normal += slope * slope.transpose();
            sum.score += slope * residual;
            sum.slope += slope;
            sum.residual += residual;
            sum.points += 1.0;
        }
        let luck = luck(&sums, inverse, residuals, fitted);
        let clusters: Vec<Cluster> = sums.iter().map(|sum| Cluster::of(sum, root)).collect::<Option<_>>()?;
        let finite = clusters.iter().flat_map(|cluster| cluster.score.iter()).copied().all(f64::is_finite);
        finite.then_some(Self { clusters, luck })
    }

    fn variance(&self, towards: &Vector5<f64>) -> f64 {
        self.clusters.iter().map(|cluster| cluster.score.dot(towards).powi(2)).sum()
    }

    fn spread(&self, inverse: &Matrix5<f64>, towards: &Vector5<f64>) -> Spread {
        Spread { error: self.variance(towards).sqrt(), freedom: self.freedom(inverse, towards) }
    }

    /// Satterthwaite's degrees of freedom: tr(Q)^2 / tr(Q^2), where Q is the covariance of the clusters' adjusted
    /// scores.
    fn freedom(&self, inverse: &Matrix5<f64>, towards: &Vector5<f64>) -> f64 {
        let scores: Vec<Vector5<f64>> = self.clusters.iter().map(|cluster| cluster.bread * towards).collect();
        let own: Vec<f64> = self.clusters.iter().map(|cluster| towards.dot(&(cluster.square * towards))).collect();
        let (trace, square) = if self.luck > 0.0 {
            self.moments_with_luck(inverse, towards, &scores, &own)
        } else {
            // Without luck Q = diag(own) - S' inverse S, and both moments are sums over trunks.
            let shared: Vec<f64> = scores.iter().map(|score| score.dot(&(inverse * score))).collect();
            let outer: Matrix5<f64> = scores.iter().map(|score| score * score.transpose()).sum();
            let both = outer * inverse;
            let diagonal = own.iter().zip(&shared);
            let trace: f64 = diagonal.clone().map(|(own, shared)| own - shared).sum();
            let square = diagonal.map(|(own, shared)| own * own - 2.0 * own * shared).sum::<f64>();
            (trace, square + (both * both).trace())
        };
        if square > 0.0 { (trace * trace / square).max(1.0) } else { 1.0 }
    }

    fn moments_with_luck(
        &self,
        inverse: &Matrix5<f64>,
        towards: &Vector5<f64>,
        scores: &[Vector5<f64>],
        own: &[f64],
    ) -> (f64, f64) {
        let projected: Vec<Vector5<f64>> = scores.iter().map(|score| inverse * score).collect();
        // The share of each trunk's luck in each trunk's adjusted score.
        let reach: Vec<Vec<f64>> = projected
            .iter()
            .enumerate()
            .map(|(g, projected)| {
                let of = |(k, cluster): (usize, &Cluster)| {
                    let direct = if g == k { cluster.adjusted_sum.dot(towards) } else { 0.0 };
                    direct - cluster.sum.dot(projected)
                };
                self.clusters.iter().enumerate().map(of).collect()
            })
            .collect();
        let (mut trace, mut square) = (0.0, 0.0);
        for g in 0..scores.len() {
            for h in 0..scores.len() {
                let direct = if g == h { own[g] } else { 0.0 };
                let shared: f64 = reach[g].iter().zip(&reach[h]).map(|(a, b)| a * b).sum();
                let entry = direct - scores[g].dot(&projected[h]) + self.luck * shared;
                square += entry * entry;
                trace += if g == h { entry } else { 0.0 };
            }
        }
        (trace, square)
    }
}

impl Cluster {
    /// `root` is R in (J'J)^-1 = R R' over all trunks. With B = J R of this one, (I - B B')^(-1/2) = I + B F B', and F
    /// follows from the eigenvalues of B'B, however many points the trunk has. `None` if one of them is 1: then this
    /// trunk alone determines a combination of the parameters, and its error cannot be estimated.
    fn of(sums: &Sums, root: &Matrix5<f64>) -> Option<Self> {
        let eigen = SymmetricEigen::new(root.transpose() * sums.normal * root);
        if eigen.eigenvalues.iter().any(|value| *value > 1.0 - 1e-6) {
            return None;
        }
        let stretch =
            eigen.eigenvalues.map(|value| if value < 1e-9 { 0.5 } else { ((1.0 - value).powf(-0.5) - 1.0) / value });
        let turned = root * eigen.eigenvectors;
        let adjust = Matrix5::identity() + turned * Matrix5::from_diagonal(&stretch) * turned.transpose() * sums.normal;
        let bread = sums.normal * adjust;
        Some(Self {
            score: adjust.transpose() * sums.score,
            bread,
            square: adjust.transpose() * bread,
            sum: sums.slope,
            adjusted_sum: adjust.transpose() * sums.slope,
        })
    }
}

/// Residuals and weights of the linear fit that moves like this one. Each row's pull changes with the law by the
/// density of its residual at the law, which is low where the noise is large: these are the weights (here their roots,
/// so that both the slopes and the residuals are to be multiplied by them, and the residuals already are).
fn as_if_linear(residuals: &[f64], places: &[(f64, f64)], fitted: usize, objective: Objective) -> (Vec<f64>, Vec<f64>) {
    let Objective::Huber { delta } = objective else { return (residuals.to_vec(), vec![1.0; residuals.len()]) };
    let count = residuals.len() as f64;
    let freedom = (count - fitted as f64).max(1.0);
    let sizes = noise::relative(residuals, places);
    let even: Vec<f64> = residuals.iter().zip(&sizes).map(|(residual, size)| residual / size).collect();
    let scale = noise::scale(&even, freedom);
    // The share of points within the threshold is noisy if the threshold is small and the fit passes through some
    // points exactly. So points within one standard deviation are counted, less the fitted ones, and the normal
    // distribution gives the share within the threshold.
    let width = delta.max(scale);
    let within = even.iter().filter(|residual| residual.abs() <= width).count() as f64;
    let near = ((within - fitted as f64) / freedom).max(1.0 / count);
    let normal = |width: f64| if scale > 0.0 { erf(width / scale / std::f64::consts::SQRT_2) } else { 1.0 };
    let change = |size: f64| (near * normal(delta / size) / normal(width)).max(1e-12);
    let mean = sizes.iter().map(|&size| change(size)).sum::<f64>() / count;
    let roots: Vec<f64> = sizes.iter().map(|&size| (change(size) / mean).sqrt()).collect();
    let pulls = residuals.iter().zip(&roots).map(|(residual, root)| objective.penalty(*residual).1 / (mean * root));
    (pulls.collect(), roots)
}

/// Variance of shared luck relative to a point's own noise, from the sum of squares and the sums over trunks.
fn luck(sums: &[Sums], inverse: &Matrix5<f64>, residuals: &[f64], fitted: usize) -> f64 {
    if sums.len() > MOST_WITH_LUCK {
        return 0.0;
    }
    let squares: f64 = residuals.iter().map(|residual| residual * residual).sum();
    let of_sums: f64 = sums.iter().map(|sum| sum.residual * sum.residual).sum();
    // The expectations of both are linear in the two variances.
    let freedom = residuals.len() as f64 - fitted as f64;
    let mixed: f64 = sums.iter().map(|sum| sum.points - sum.slope.dot(&(inverse * sum.slope))).sum();
    let mut shared = 0.0;
    for (g, one) in sums.iter().enumerate() {
        for (h, other) in sums.iter().enumerate() {
            let direct = if g == h { one.points } else { 0.0 };
            shared += (direct - one.slope.dot(&(inverse * other.slope))).powi(2);
        }
    }
    let own = squares * shared - of_sums * mixed;
    let luck = of_sums * freedom - squares * mixed;
    match luck / own {
        ratio if own > 0.0 && ratio.is_finite() => ratio.clamp(0.0, MOST_LUCK),
        _ if luck > 0.0 => MOST_LUCK,
        _ => 0.0,
    }
}

/// Student's t that bounds a central share `level`.
pub(crate) fn t_quantile(freedom: f64, level: f64) -> Option<f64> {
    let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
    Some(student.inverse_cdf(0.5 + 0.5 * level.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intervals::Resample;
    use crate::law::Form;
    use crate::noise::scale;
    use crate::point::Point;

    /// Losses that are constant up to noise: the fit is effectively their mean, whose standard error is known.
    #[test]
    fn with_points_alone_and_squares_it_is_the_textbook() {
        let mut points = Vec::new();
        for n in [1e4, 2e4, 4e4, 8e4] {
            for d in [1e6, 2e6, 4e6, 8e6] {
                let loss = 40.0 * f64::powf(n, -0.4) + 900.0 * f64::powf(d, -0.5) + 1.7;
                let sign = if points.len() % 2 == 0 { 1.0 } else { -1.0 };
                points.push(Point { size: n.to_string(), n, d, loss: loss * (1.0 + 1e-3 * sign), ..Point::default() });
            }
        }
        let objective = Objective::LogLeastSquares;
        let problem = Problem::new(Form::Minicpm, &points);
        let found = problem.descend(&problem.start(0.4, 0.5), objective);
        let alone = Units::of(&points, Resample::Points);
        let free = problem.free_at(&found.params);
        let clustered = Clustered::new(&problem, &found.params, &alone, free, objective).expect("determined");
        // HC2 of homoskedastic residuals is about s^2 (J'J)^-1.
        let rows = problem.residuals(&found.params, objective);
        let variance = rows.iter().map(|(residual, _)| residual * residual).sum::<f64>() / 11.0;
        for i in 0..5 {
            let textbook = (variance * clustered.inverse[(i, i)]).sqrt();
            let error = clustered.covariance()[(i, i)].sqrt();
            assert!((error / textbook - 1.0).abs() < 0.25, "{i}: {error} {textbook}");
        }
        let slope = clustered.slope(&|params: &Params| Some(params[1])).expect("defined");
        let Spread { freedom, .. } = clustered.spread(&slope);
        assert!((2.0..=11.0).contains(&freedom), "{freedom}");
    }

    #[test]
    fn quantiles_are_students() {
        assert!((t_quantile(3.0, 0.95).expect("defined") - 3.182).abs() < 1e-3);
        assert!((t_quantile(1e6, 0.95).expect("defined") - 1.960).abs() < 1e-3);
    }

    #[test]
    fn an_outlier_does_not_make_the_scale() {
        let mut residuals: Vec<f64> = (0..40).map(|i| 1e-3 * f64::from(i % 5 - 2)).collect();
        let before = scale(&residuals, 35.0);
        residuals[0] = 10.0;
        assert!(scale(&residuals, 35.0) < 2.0 * before);
    }
}
