//! How long a plan takes on several workers, by list scheduling of its stage tree.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use serde::Serialize;
use vocabulary::{Plan, StageKey};

/// How long a plan takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wall {
    /// Seconds of the longest path from a root to a leaf: no number of workers is faster.
    pub critical_path_seconds: f64,
    /// The stages of that path, from the root.
    pub critical_path: Vec<StageKey>,
    /// The schedule on the requested number of workers.
    pub schedule: Option<Schedule>,
}

/// A schedule of stages on workers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Schedule {
    /// Workers, one device each.
    pub workers: usize,
    /// Seconds from the first stage's start to the last one's end.
    pub seconds: f64,
    /// The fraction of the workers' time in which they train.
    pub busy: f64,
}

/// The critical path, and the schedule that hands the ready stage with the longest path below it to whoever is idle, as the
/// coordinator does. `seconds` has those of each stage, in the plan's order, and then those of each evaluation.
pub(super) fn wall(plan: &Plan, seconds: &[f64], workers: Option<usize>) -> Wall {
    let nodes: Vec<(StageKey, Option<StageKey>)> = plan.links().collect();
    let places: BTreeMap<StageKey, usize> = nodes.iter().enumerate().map(|(place, (key, _))| (*key, place)).collect();
    let parent = |place: usize| nodes[place].1.and_then(|key| places.get(&key).copied());
    // Parents come before children: from the back, each adds to its parent's longest path.
    let mut below = seconds.to_vec();
    let mut longest_child: Vec<Option<usize>> = vec![None; seconds.len()];
    for place in (0..seconds.len()).rev() {
        if let Some(parent) = parent(place)
            && seconds[parent] + below[place] > below[parent]
        {
            below[parent] = seconds[parent] + below[place];
            longest_child[parent] = Some(place);
        }
    }
    let root = (0..seconds.len()).filter(|&place| parent(place).is_none());
    let mut next = root.max_by(|&one, &other| below[one].total_cmp(&below[other]).then(other.cmp(&one)));
    let critical_path_seconds = next.map_or(0.0, |root| below[root]);
    let mut critical_path = Vec::new();
    while let Some(place) = next {
        critical_path.push(nodes[place].0);
        next = longest_child[place];
    }
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); seconds.len()];
    let mut roots = Vec::new();
    for place in 0..seconds.len() {
        match parent(place) {
            Some(parent) => children[parent].push(place),
            None => roots.push(place),
        }
    }
    let schedule = workers.filter(|workers| *workers > 0).map(|workers| {
        let end = list_schedule(seconds, &below, &children, &roots, workers);
        let work: f64 = seconds.iter().sum();
        Schedule { workers, seconds: end, busy: if end > 0.0 { work / (end * workers as f64) } else { 1.0 } }
    });
    Wall { critical_path_seconds, critical_path, schedule }
}

/// When the last stage ends.
fn list_schedule(seconds: &[f64], below: &[f64], children: &[Vec<usize>], roots: &[usize], workers: usize) -> f64 {
    // Non-negative floats are ordered like their bits.
    let priority = |&place: &usize| (below[place].to_bits(), Reverse(place));
    let mut ready: BinaryHeap<(u64, Reverse<usize>)> = roots.iter().map(priority).collect();
    let mut running: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut now = 0.0;
    loop {
        while running.len() < workers {
            let Some((_, Reverse(place))) = ready.pop() else { break };
            running.push(Reverse(((now + seconds[place]).to_bits(), place)));
        }
        let Some(Reverse((end, place))) = running.pop() else { return now };
        now = f64::from_bits(end);
        ready.extend(children[place].iter().map(priority));
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::{CampaignId, CheckpointPolicy, Retries, Stage, StageRole, sample};

    use super::*;

    /// A trunk of three stages with a branch after each, and a separate stage.
    fn plan() -> (Plan, Vec<f64>) {
        let key = |index: u8| StageKey::from_bytes([index; 32]);
        let parents = [None, Some(0), Some(0), Some(2), Some(2), Some(4), None];
        let stage = |(parent, index): (&Option<u8>, u8)| Stage {
            key: key(index),
            parent: parent.map(key),
            spec: sample::stage(),
            role: StageRole::Trunk,
            size: "tiny-32".to_owned(),
            seed: 0,
        };
        let plan = Plan {
            campaign: CampaignId::from_content(b"a campaign"),
            name: "by-hand".to_owned(),
            description: String::new(),
            dataset: None,
            trials: Vec::new(),
            stages: parents.iter().zip(0..).map(stage).collect(),
            evaluations: Vec::new(),
            retries: Retries::DEFAULT,
            checkpoints: CheckpointPolicy::default(),
            search: None,
        };
        (plan, vec![4.0, 1.0, 4.0, 2.0, 4.0, 3.0, 5.0])
    }

    #[test]
    fn the_longest_path_bounds_every_schedule() {
        let (plan, seconds) = plan();
        let of = |workers| wall(&plan, &seconds, Some(workers));
        let path: Vec<u8> = of(1).critical_path.iter().map(|key| key.as_bytes()[0]).collect();
        assert_eq!((of(1).critical_path_seconds, path), (15.0, vec![0, 2, 4, 5]));
        let schedules: Vec<_> = [1, 2, 100].map(|workers| of(workers).schedule.expect("workers")).to_vec();
        assert_eq!(schedules.iter().map(|schedule| schedule.seconds).collect::<Vec<_>>(), [23.0, 15.0, 15.0]);
        assert_eq!(schedules[0].busy, 1.0);
        assert_eq!(schedules[1].busy, 23.0 / 30.0);
        assert_eq!(wall(&plan, &seconds, None).schedule, None);
    }
}
