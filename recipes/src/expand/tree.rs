//! Runs that begin alike, merged into a tree of stages.
//!
//! Each run is cut wherever another run of the same model diverges from it, and at the start of its decay. Two stretches
//! with the same learning rates then have the same spec and the same key, so they are one stage. Only the key decides what
//! is merged: a mistake in the cuts could cost sharing, but not correctness.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use vocabulary::{DataSpec, LrSchedule, Stage, StageKey, StageRole, StageSpec};

use super::known::Known;
use crate::recipe::runs::Run;

/// The stages of all runs, parents before children, and the path of each run.
///
/// Each run comes with its spec as one stage. Where a run follows known stages it is cut as they are, so that it shares them
/// whatever the other runs are; it is cut anew only after the last of them.
pub(super) fn merge(runs: &[(&Run, &StageSpec)], known: &Known<'_>) -> (Vec<Stage>, Vec<Vec<StageKey>>) {
    let mut stages: Vec<Stage> = Vec::new();
    let mut seen: BTreeSet<StageKey> = BTreeSet::new();
    let mut paths = vec![Vec::new(); runs.len()];
    for family in families(runs) {
        for &index in &family {
            let (run, spec) = runs[index];
            let mut path: Vec<StageKey> = Vec::new();
            let others = family.iter().map(|&other| runs[other].0);
            for steps in cuts(run, others, &known.ends(run, spec)).windows(2).map(|ends| ends[0]..ends[1]) {
                let spec = stretch(run, spec, &steps);
                let parent = path.last().copied();
                let key = spec.key(parent.as_ref());
                if seen.insert(key) {
                    let (size, seed) = (run.size.clone(), run.seed);
                    stages.push(Stage { key, parent, spec, role: StageRole::Trunk, size, seed });
                }
                path.push(key);
            }
            paths[index] = path;
        }
    }
    assign_roles(&mut stages);
    (stages, paths)
}

/// The spec of a stretch of a run, given the run as one stage. No stretch spans the start of the decay, because every run is
/// cut there.
pub(super) fn stretch(run: &Run, spec: &StageSpec, steps: &Range<u64>) -> StageSpec {
    let schedule = spec.schedule.restricted_to(steps);
    let recording = run.recording(&schedule);
    let mixture = match (spec.data.mixture, run.decay_weights, run.schedule) {
        (Some(mixture), Some(weights), LrSchedule::Wsd { decay_start, .. }) if steps.start >= decay_start => {
            Some(mixture.switched(weights, decay_start * u64::from(spec.batch.sequences)))
        }
        (mixture, ..) => mixture,
    };
    let data = DataSpec { mixture, ..spec.data };
    StageSpec { steps: steps.clone(), schedule, recording, data, ..spec.clone() }
}

/// Groups runs that differ only in learning rates and length, so that they could share stages, in the order of their first
/// runs. Arms that differ only in the schedule are one family.
fn families(runs: &[(&Run, &StageSpec)]) -> Vec<Vec<usize>> {
    let mut families: Vec<Vec<usize>> = Vec::new();
    let mut family_of: BTreeMap<StageKey, usize> = BTreeMap::new();
    for (index, (_, spec)) in runs.iter().enumerate() {
        let alike = StageSpec { steps: 0..0, schedule: LrSchedule::Constant { warmup_steps: 0 }, ..(*spec).clone() };
        let family = *family_of.entry(alike.key(None)).or_insert(families.len());
        if family == families.len() {
            families.push(Vec::new());
        }
        families[family].push(index);
    }
    families
}

/// The steps at which a run is cut, including its first step and one past its last. Up to the last of the known ends, the
/// cuts are those ends.
fn cuts<'a>(run: &Run, family: impl Iterator<Item = &'a Run>, known: &[u64]) -> Vec<u64> {
    let mut cuts: BTreeSet<u64> = family.map(|other| shared_steps(run, other)).collect();
    // Cut at the decay even if no other run branches off there: a campaign with more points may continue from it.
    if let LrSchedule::Wsd { decay_start, .. } = run.schedule {
        cuts.insert(decay_start);
    }
    if let Some(last) = known.last() {
        cuts.retain(|step| step > last);
        cuts.extend(known);
    }
    cuts.extend([0, run.steps]);
    cuts.into_iter().filter(|step| *step <= run.steps).collect()
}

/// The number of first steps over which two runs of a family have the same learning rates.
fn shared_steps(a: &Run, b: &Run) -> u64 {
    let both_end = a.steps.min(b.steps);
    match (a.schedule, b.schedule) {
        _ if (a.schedule, a.decay_weights) == (b.schedule, b.decay_weights) => both_end,
        _ if a.schedule.warmup_steps() != b.schedule.warmup_steps() => 0,
        (LrSchedule::Wsd { decay_start: one, .. }, LrSchedule::Wsd { decay_start: other, .. }) => {
            one.min(other).min(both_end)
        }
        (LrSchedule::Wsd { decay_start, .. }, LrSchedule::Constant { .. })
        | (LrSchedule::Constant { .. }, LrSchedule::Wsd { decay_start, .. }) => decay_start.min(both_end),
        // Cosines of different lengths differ from the end of the warm-up, which is too early to be worth sharing.
        _ => 0,
    }
}

fn assign_roles(stages: &mut [Stage]) {
    let parents: BTreeSet<StageKey> = stages.iter().filter_map(|stage| stage.parent).collect();
    for stage in stages {
        stage.role = match (stage.spec.schedule, stage.parent) {
            (LrSchedule::Wsd { .. }, Some(_)) => StageRole::Decay,
            (_, None) if !parents.contains(&stage.key) => StageRole::Whole,
            _ => StageRole::Trunk,
        };
    }
}
