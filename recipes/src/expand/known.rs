//! The stages that a campaign already has, and how far a run can follow them.

use std::collections::BTreeMap;

use vocabulary::{Stage, StageKey, StageSpec};

use super::tree::stretch;
use crate::recipe::runs::Run;

/// The stages of a campaign, by the stage they start from.
#[derive(Debug, Default)]
pub(super) struct Known<'a> {
    below: BTreeMap<Option<StageKey>, Vec<&'a Stage>>,
}

impl<'a> Known<'a> {
    pub(super) fn of(stages: &'a [Stage]) -> Self {
        let mut below: BTreeMap<Option<StageKey>, Vec<&'a Stage>> = BTreeMap::new();
        for stage in stages {
            below.entry(stage.parent).or_default().push(stage);
        }
        Self { below }
    }

    /// The ends of the stages that a run can follow, in order. Of several paths it takes the longest, and of those the first
    /// in the plan.
    pub(super) fn ends(&self, run: &Run, whole: &StageSpec) -> Vec<u64> {
        let mut furthest = Vec::new();
        self.go_on((run, whole), None, &mut Vec::new(), &mut furthest);
        furthest
    }

    fn go_on(
        &self,
        (run, whole): (&Run, &StageSpec),
        from: Option<StageKey>,
        way: &mut Vec<u64>,
        furthest: &mut Vec<u64>,
    ) {
        if way.last() > furthest.last() {
            furthest.clone_from(way);
        }
        for stage in self.below.get(&from).into_iter().flatten() {
            let steps = stage.spec.steps.clone();
            if steps.end <= whole.steps.end && stretch(run, whole, &steps) == stage.spec {
                way.push(steps.end);
                self.go_on((run, whole), Some(stage.key), way, furthest);
                way.pop();
            }
        }
    }
}
