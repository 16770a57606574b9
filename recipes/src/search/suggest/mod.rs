//! Chooses the next settings to try.

mod grid;
mod tpe;

use std::cmp::Ordering;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vocabulary::search::{Dimension, Sampler, Search, Settings};

/// What was known of a trial when another one was suggested.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Observed<'a> {
    pub(super) settings: &'a Settings,
    /// Number of rungs it reached, plus one for its end.
    pub(super) depth: usize,
    /// Its loss there; infinite if it diverged.
    pub(super) loss: f64,
}

impl Observed<'_> {
    /// Orders by merit, better first: a trial that got further was among the best before, and its loss is lower anyway.
    /// Diverged trials are last.
    pub(super) fn by_merit(&self, other: &Self) -> Ordering {
        let diverged = |observed: &Self| !observed.loss.is_finite();
        diverged(self).cmp(&diverged(other)).then(other.depth.cmp(&self.depth)).then(self.loss.total_cmp(&other.loss))
    }
}

/// Settings for the trial with this number that were not tried before; `None` if there are none left.
///
/// `tried` are the settings of all earlier trials, `observed` what is known about some of them.
pub(super) fn suggest(
    search: &Search,
    number: u32,
    tried: &[&Settings],
    observed: &[Observed<'_>],
) -> Option<Settings> {
    let is_new = |settings: &Settings| !tried.contains(&settings);
    // Each trial has its own generator, so no other trial affects its draws.
    let mut rng = ChaCha8Rng::seed_from_u64(search.seed);
    rng.set_stream(u64::from(number) + 1);
    match search.sampler {
        Sampler::Grid => grid::combination(search, number),
        Sampler::Tpe if number >= search.startup && !observed.is_empty() => {
            let proposed = tpe::propose(&search.space, tried, observed, &mut rng);
            proposed.into_iter().find(is_new).or_else(|| by_chance(search, &mut rng, is_new))
        }
        Sampler::Tpe | Sampler::Random => by_chance(search, &mut rng, is_new),
    }
}

/// Draws until something new appears. If that is unlikely, enumerates what is left.
fn by_chance(search: &Search, rng: &mut ChaCha8Rng, is_new: impl Fn(&Settings) -> bool) -> Option<Settings> {
    const DRAWS: u32 = 100;
    let drawn = (0..DRAWS).map(|_| settings_at(&search.space, |_| rng.random())).find(|settings| is_new(settings));
    drawn.or_else(|| {
        let left: Vec<Settings> = (0..search.combinations()?)
            .map(|index| grid::nth(&search.space, index))
            .filter(|each| is_new(each))
            .collect();
        (!left.is_empty()).then(|| left[rng.random_range(0..left.len())].clone())
    })
}

/// The settings at a point of the unit cube.
fn settings_at(space: &[Dimension], mut place: impl FnMut(usize) -> f64) -> Settings {
    let at = |(axis, dimension): (usize, &Dimension)| (dimension.parameter, dimension.values.at(place(axis)));
    space.iter().enumerate().map(at).collect()
}
