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
    /// `None` if no two trunks saw the same batches.
    pub(crate) batches: Option<Batches>,
}

/// Points that saw the same batches.
#[derive(Debug, Clone)]
pub(crate) struct Batches {
    /// The batches of each point: its order, as far as its D.
    pub(crate) members: Vec<usize>,
    /// The same, within each unit.
    pub(crate) within: Vec<usize>,
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
        let batches = Batches::of(points, &members);
        Self { members, count, by_size: sizes.into_values().collect(), batches }
    }
}

impl Batches {
    fn of(points: &[Point], units: &[usize]) -> Option<Self> {
        // Points without an order have batches of their own.
        let key = |(index, point): (usize, &Point)| match point.order.as_str() {
            "" => (String::new(), index as u64),
            order => (order.to_owned(), point.d.to_bits()),
        };
        let keys: Vec<(String, u64)> = points.iter().enumerate().map(key).collect();
        let mut seen: BTreeMap<&(String, u64), usize> = BTreeMap::new();
        let is_shared =
            keys.iter().zip(units).any(|(key, unit)| seen.insert(key, *unit).is_some_and(|other| other != *unit));
        is_shared
            .then(|| Self { members: numbered(&keys), within: numbered(&keys.iter().zip(units).collect::<Vec<_>>()) })
    }
}

/// Equal values by equal numbers from 0.
fn numbered<T: Ord>(values: &[T]) -> Vec<usize> {
    let mut distinct: Vec<&T> = values.iter().collect();
    distinct.sort_unstable();
    distinct.dedup();
    values.iter().map(|value| distinct.partition_point(|other| *other < value)).collect()
}
