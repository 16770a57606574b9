//! One colour per size, darker as N grows; with a single size, one colour per run.

use super::runs::Runs;

/// Stops from green through blue to violet, ordered by lightness so that the order of sizes survives without colour.
const STOPS: [[u8; 3]; 6] = [
    [0x7c, 0xc0, 0x9a],
    [0x45, 0xa3, 0x9d],
    [0x2b, 0x82, 0x9b],
    [0x2a, 0x5f, 0x92],
    [0x31, 0x3d, 0x7c],
    [0x2a, 0x1c, 0x4f],
];

/// Colours distinguishable on white, the most different ones first.
const KINDS: [&str; 10] =
    ["#2a5f92", "#e07a3f", "#2f9e6e", "#c2452d", "#7d57b3", "#8a6240", "#d562a3", "#6b7580", "#a3a024", "#27b0c4"];

/// The colours of sizes and runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Palette {
    low: f64,
    high: f64,
    /// The positions of runs of a single size between the first stop and the last.
    runs: Vec<f64>,
}

impl Palette {
    /// The palette of a campaign.
    #[must_use]
    pub fn of(runs: &Runs) -> Self {
        let (low, high) = super::span(runs.runs.iter().map(|run| run.n.ln()));
        let count = if low < high { 0 } else { runs.runs.len() };
        let last = count.saturating_sub(1).max(1) as f64;
        let place = |index| if count < 2 { 0.5 } else { index as f64 / last };
        Self { low, high, runs: (0..count).map(place).collect() }
    }

    /// The palette of a table, whose runs are unknown.
    #[must_use]
    pub fn of_sizes(sizes: impl Iterator<Item = f64>) -> Self {
        let (low, high) = super::span(sizes.map(f64::ln));
        Self { low, high, runs: Vec::new() }
    }

    /// The colour of a run, by index.
    pub(super) fn run(&self, runs: &Runs, number: usize) -> String {
        match self.runs.get(number) {
            Some(place) => hex(*place),
            None => self.colour(runs.runs[number].n),
        }
    }

    /// The colour of a size.
    pub(super) fn colour(&self, n: f64) -> String {
        let range = self.high - self.low;
        let place = if range > 0.0 { (n.ln() - self.low) / range } else { 0.5 };
        hex(place)
    }
}

/// The stops as colours, from dark to light.
pub(super) fn dark_to_light() -> Vec<String> {
    STOPS.iter().rev().map(|[r, g, b]| format!("rgb({r},{g},{b})")).collect()
}

/// The colour of one line among `count`.
pub(super) fn of_index(index: usize, count: usize) -> String {
    hex(if count < 2 { 0.5 } else { index as f64 / (count - 1) as f64 })
}

/// The colour of one of several unordered things, such as arms.
pub(super) fn of_kind(index: usize) -> &'static str {
    KINDS[index % KINDS.len()]
}

fn hex(place: f64) -> String {
    let [r, g, b] = at(place);
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Linear interpolation between stops.
fn at(place: f64) -> [u8; 3] {
    let place = place.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let below = (place.floor() as usize).min(STOPS.len() - 2);
    let part = place - below as f64;
    std::array::from_fn(|channel| {
        let [low, high] = [STOPS[below][channel], STOPS[below + 1][channel]].map(f64::from);
        (low + (high - low) * part).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_the_ends_and_one_size_is_in_the_middle() {
        let palette = Palette { low: 1e4_f64.ln(), high: 1e6_f64.ln(), runs: Vec::new() };
        assert_eq!(palette.colour(1e4), "#7cc09a");
        assert_eq!(palette.colour(1e6), "#2a1c4f");
        let single = Palette { low: 1.0, high: 1.0, runs: Vec::new() };
        assert_eq!(single.colour(1.0_f64.exp()), "#2b7197");
    }
}
