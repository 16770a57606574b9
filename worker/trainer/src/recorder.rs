//! Measures what a step did to gradients and weights (the metrics of [`vocabulary::dynamics`]), without taking part in it.
//!
//! The recorder copies gradients and weights to the host, each as one vector, and keeps those of the step before. Sums are
//! taken in 64 bits, over pieces of a fixed size in their order, so that neither the number of threads nor the device
//! changes them. Its state is part of the checkpoint, so that the first step after a resume has the values of an
//! uninterrupted run.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::optim::GradientsParams;
use minicpm::MiniCpm;
use rayon::prelude::*;
use vocabulary::dynamics::larger;
use vocabulary::metrics::{D1, D2, GRADIENT_COSINE, GRADIENT_PRODUCT, LARGEST_GRADIENT, LARGEST_UPDATE};
use vocabulary::{Measurements, ParamKind};

use crate::fit::{FitError, fitting};
use crate::parameters::{Path, Read, ReadGradients};
use crate::snapshot::{GRADIENT, HostTensor, WEIGHT_BEFORE};

/// Elements per partial sum.
const PIECE: usize = 1 << 14;
/// Sums kept side by side within a piece, so that the compiler can vectorise them.
const LANES: usize = 4;

/// Records the steps of a stage.
#[derive(Debug)]
pub(crate) struct Recorder {
    parameters: Vec<Parameter>,
    /// `None` before the first recorded step.
    last: Option<Last>,
}

/// A parameter's slice of the vectors, which are in the order in which burn visits a model.
#[derive(Debug)]
struct Parameter {
    name: String,
    shape: Vec<usize>,
    kind: ParamKind,
}

/// The step before.
#[derive(Debug)]
struct Last {
    /// Its gradient before clipping.
    gradient: Vec<f32>,
    /// The weights before its update.
    weights: Vec<f32>,
}

/// Measurements before an update.
pub(crate) struct Measured {
    gradient: Vec<f32>,
    weights: Vec<f32>,
    measurements: Measurements,
}

impl Parameter {
    fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Recorder {
    /// A recorder for this model, before its first step.
    pub(crate) fn new(model: &MiniCpm) -> Self {
        let mut parameters = Vec::new();
        let receive = |name: String, shape, _| {
            let kind = ParamKind::of(&name).unwrap_or_else(|| panic!("`{name}` is of no kind of parameter"));
            parameters.push(Parameter { name, shape, kind });
        };
        model.visit(&mut Read { path: Path::default(), receive });
        Self { parameters, last: None }
    }

    /// Restores the step before from a checkpoint that has it.
    pub(crate) fn restore(&mut self, recorded: &BTreeMap<String, HostTensor>) -> Result<(), FitError> {
        if recorded.is_empty() {
            return Ok(());
        }
        let mut last = Last { gradient: Vec::new(), weights: Vec::new() };
        for Parameter { name, shape, .. } in &self.parameters {
            last.gradient.extend_from_slice(fitting(recorded, format!("{name}{GRADIENT}"), shape)?);
            last.weights.extend_from_slice(fitting(recorded, format!("{name}{WEIGHT_BEFORE}"), shape)?);
        }
        self.last = Some(last);
        Ok(())
    }

    /// The state that [`Recorder::restore`] takes.
    pub(crate) fn state(&self) -> BTreeMap<String, HostTensor> {
        let mut state = BTreeMap::new();
        let Some(last) = &self.last else { return state };
        for (vector, suffix) in [(&last.gradient, GRADIENT), (&last.weights, WEIGHT_BEFORE)] {
            let mut rest = vector.as_slice();
            for parameter in &self.parameters {
                let (values, after) = rest.split_at(parameter.count());
                rest = after;
                let tensor = HostTensor { shape: parameter.shape.clone(), values: values.to_vec() };
                state.insert(format!("{}{suffix}", parameter.name), tensor);
            }
        }
        state
    }

    /// Measures gradients and weights before an update.
    pub(crate) fn before_update(&mut self, model: &MiniCpm, gradients: &GradientsParams) -> Measured {
        let gradient = gradient(model, gradients, &self.parameters);
        let weights = weights(model, &self.parameters);
        let last = self.last.take();
        let measurements = last.map(|last| compared(&gradient, &weights, &last)).unwrap_or_default();
        let measurements = measurements.with(LARGEST_GRADIENT, largest(&gradient));
        Measured { gradient, weights, measurements }
    }

    /// Measures the update.
    pub(crate) fn after_update(&mut self, model: &MiniCpm, measured: Measured) -> Measurements {
        let Measured { gradient, weights, mut measurements } = measured;
        let updated = self::weights(model, &self.parameters);
        let mut updates: BTreeMap<ParamKind, f64> = BTreeMap::new();
        let (mut after, mut before) = (updated.as_slice(), weights.as_slice());
        for parameter in &self.parameters {
            let (new, rest) = after.split_at(parameter.count());
            let (old, rest_before) = before.split_at(parameter.count());
            (after, before) = (rest, rest_before);
            let change = largest_difference(new, old);
            updates.entry(parameter.kind).and_modify(|known| *known = larger(*known, change)).or_insert(change);
        }
        for (kind, change) in updates {
            measurements.set(LARGEST_UPDATE.part(kind.name()), change);
        }
        self.last = Some(Last { gradient, weights });
        measurements
    }
}

/// Sums over all parameters, of a step's gradient g, that of the step before, and the update v between them.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    /// g . g before
    product: f64,
    /// g . g
    square: f64,
    /// The same of the step before.
    square_before: f64,
    /// v . v
    update_square: f64,
    /// g . v
    along: f64,
    /// (g - g before) . v
    change_along: f64,
}

impl Sums {
    fn add(&mut self, [gradient, gradient_before, weight, weight_before]: [f32; 4]) {
        let [gradient, gradient_before] = [gradient, gradient_before].map(f64::from);
        let update = f64::from(weight) - f64::from(weight_before);
        self.product += gradient * gradient_before;
        self.square += gradient * gradient;
        self.square_before += gradient_before * gradient_before;
        self.update_square += update * update;
        self.along += gradient * update;
        self.change_along += (gradient - gradient_before) * update;
    }

    fn plus(self, other: Self) -> Self {
        Self {
            product: self.product + other.product,
            square: self.square + other.square,
            square_before: self.square_before + other.square_before,
            update_square: self.update_square + other.update_square,
            along: self.along + other.along,
            change_along: self.change_along + other.change_along,
        }
    }
}

/// A step beside the one before it. `weights` are those after the last update, and before the one that is to come.
fn compared(gradient: &[f32], weights: &[f32], last: &Last) -> Measurements {
    let gradients = gradient.par_chunks(PIECE).zip(last.gradient.par_chunks(PIECE));
    let weights = weights.par_chunks(PIECE).zip(last.weights.par_chunks(PIECE));
    let pieces: Vec<Sums> = gradients.zip(weights).map(|((a, b), (c, d))| sums([a, b, c, d])).collect();
    let Sums { product, square, square_before, update_square, along, change_along } =
        pieces.into_iter().fold(Sums::default(), Sums::plus);
    Measurements::new()
        .with(GRADIENT_PRODUCT, product)
        .with(GRADIENT_COSINE, product / (square.sqrt() * square_before.sqrt()))
        .with(D1, along / update_square.sqrt())
        .with(D2, change_along / update_square)
}

fn sums(vectors: [&[f32]; 4]) -> Sums {
    let [(a, a_rest), (b, b_rest), (c, c_rest), (d, d_rest)] = vectors.map(<[f32]>::as_chunks::<LANES>);
    let mut lanes = [Sums::default(); LANES];
    for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
        for (lane, sums) in lanes.iter_mut().enumerate() {
            sums.add([a[lane], b[lane], c[lane], d[lane]]);
        }
    }
    for (((a, b), c), d) in a_rest.iter().zip(b_rest).zip(c_rest).zip(d_rest) {
        lanes[0].add([*a, *b, *c, *d]);
    }
    lanes.into_iter().fold(Sums::default(), Sums::plus)
}

/// The largest absolute value.
fn largest(values: &[f32]) -> f64 {
    let pieces = values.par_chunks(PIECE);
    pieces.map(|piece| piece.iter().map(|value| f64::from(value.abs())).fold(0.0, larger)).reduce(|| 0.0, larger)
}

/// The largest absolute difference of two vectors, element by element.
fn largest_difference(a: &[f32], b: &[f32]) -> f64 {
    let difference = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).abs();
    let pieces = a.par_chunks(PIECE).zip(b.par_chunks(PIECE));
    pieces.map(|(a, b)| a.iter().zip(b).map(difference).fold(0.0, larger)).reduce(|| 0.0, larger)
}

/// All weights of a model.
fn weights(model: &MiniCpm, parameters: &[Parameter]) -> Vec<f32> {
    let mut vector = Vec::with_capacity(length(parameters));
    let receive = |_, _, values: Vec<f32>| vector.extend(values);
    model.visit(&mut Read { path: Path::default(), receive });
    vector
}

/// All gradients of a model.
fn gradient(model: &MiniCpm, gradients: &GradientsParams, parameters: &[Parameter]) -> Vec<f32> {
    let mut vector = Vec::with_capacity(length(parameters));
    let receive = |_, _, values: Vec<f32>| vector.extend(values);
    model.visit(&mut ReadGradients { path: Path::default(), gradients, receive });
    assert_eq!(vector.len(), length(parameters), "every parameter has a gradient");
    vector
}

fn length(parameters: &[Parameter]) -> usize {
    parameters.iter().map(Parameter::count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers around zero, the same on every machine.
    fn values(count: usize, salt: u32) -> Vec<f32> {
        let value =
            |index: usize| ((index as u32).wrapping_mul(2_654_435_761).wrapping_add(salt * 777_777_777) >> 9) as f32;
        (0..count).map(|index| value(index) / 4_194_304.0 - 1.0).collect()
    }

    fn in_pool(threads: usize, count: usize) -> Measurements {
        let [now, before, weights, weights_before] = [1, 2, 3, 4].map(|salt| values(count, salt));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("starts");
        pool.install(|| compared(&now, &weights, &Last { gradient: before, weights: weights_before }))
    }

    #[test]
    fn sums_are_those_of_the_formulas_and_of_every_number_of_threads() {
        for count in [1, 7, PIECE, 5 * PIECE + 3] {
            let [g, g_before, x, x_before] =
                [1, 2, 3, 4].map(|salt| values(count, salt).into_iter().map(f64::from).collect::<Vec<_>>());
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
            let v = minus(&x, &x_before);
            let found = in_pool(1, count);
            for (metric, expected) in [
                (GRADIENT_PRODUCT, dot(&g, &g_before)),
                (GRADIENT_COSINE, dot(&g, &g_before) / (dot(&g, &g) * dot(&g_before, &g_before)).sqrt()),
                (D1, dot(&g, &v) / dot(&v, &v).sqrt()),
                (D2, dot(&minus(&g, &g_before), &v) / dot(&v, &v)),
            ] {
                let found = found.get(metric).expect("it is measured");
                assert!((found - expected).abs() <= 1e-9 * count as f64, "{found} against {expected} of {count}");
            }
            assert_eq!([2, 3].map(|threads| in_pool(threads, count)), [found.clone(), found]);
        }
    }

    #[test]
    fn the_largest_is_found_wherever_it_is() {
        let mut far = values(3 * PIECE, 1);
        far[2 * PIECE + 5] = -9.0;
        assert_eq!(largest(&far), 9.0);
        assert_eq!(
            largest_difference(&far, &values(3 * PIECE, 1)),
            9.0 + f64::from(values(3 * PIECE, 1)[2 * PIECE + 5])
        );
        far[7] = f32::NAN;
        assert!(largest(&far).is_nan());
    }
}
