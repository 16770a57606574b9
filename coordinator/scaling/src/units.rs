//! What counts as a sample: trunks, or single points.

use std::collections::BTreeMap;

use crate::intervals::Resample;
use crate::point::{Point, trunks};

/// The units of a table that share no luck.
#[derive(Debug, Clone)]
pub(crate) struct Units {
    /// The unit of each point.
    pub(crate) members: Vec<usize>,
    pub(crate) count: usize,
    /// The units of each size, in ascending order of N. A unit belongs to the size of its first point.
    pub(crate) by_size: Vec<Vec<usize>>,
}

impl Units {
    pub(crate) fn of(points: &[Point], resample: Resample) -> Self {
        let names = trunks(points);
        let (members, count): (Vec<usize>, usize) = match resample {
            Resample::Points => ((0..points.len()).collect(), points.len()),
            Resample::Trunks | Resample::Seeds => {
                let place = |point: &Point| names.partition_point(|name| *name < point.trunk.as_str());
                (points.iter().map(place).collect(), names.len())
            }
        };
        let mut sizes: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        let mut seen = vec![false; count];
        for (point, &member) in points.iter().zip(&members) {
            if !std::mem::replace(&mut seen[member], true) {
                // Positive doubles sort like their bits.
                sizes.entry(point.n.to_bits()).or_default().push(member);
            }
        }
        Self { members, count, by_size: sizes.into_values().collect() }
    }
}
