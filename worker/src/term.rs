//! How long a worker has its machine, and how much of that goes into leaving it.

use std::time::Duration;

/// What is left unused before the machine is taken away. After the stage is handed back, the goodbye and the end of the process
/// take a second or two, and so do the scripts around it. Schedulers state their times in whole seconds, by the clocks of other
/// machines, and a script asks for them some seconds after its job began.
pub(crate) const MARGIN: Duration = Duration::from_secs(10);

/// How long a stage is assumed to take to its first step before one was measured: data is fetched and hashed, and kernels are
/// compiled.
const UNMEASURED_START: Duration = Duration::from_secs(20);

/// How much longer than any before the next checkpoint may take.
const SLOWER: u32 = 2;

/// What stages cost on this machine, by the slowest so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Costs {
    start: Option<Duration>,
    checkpoint: Option<Duration>,
}

impl Costs {
    /// A stage took this long from its assignment to its first steps.
    pub(crate) fn started(&mut self, took: Duration) {
        self.start = self.start.max(Some(took));
    }

    /// A checkpoint took this long to be stored.
    pub(crate) fn stored(&mut self, took: Duration) {
        self.checkpoint = self.checkpoint.max(Some(took));
    }

    /// The time to finish a step, store a checkpoint and hand the stage back: what was allowed for it, or more if checkpoints
    /// are slow.
    fn handing_back(&self, grace: Duration) -> Duration {
        grace.max(self.checkpoint.unwrap_or_default().saturating_mul(SLOWER))
    }
}

/// How long a worker may take to hand its stage back while it has its machine for `left` more.
pub(crate) fn to_hand_back(left: Duration) -> Duration {
    left.saturating_sub(MARGIN)
}

/// After how much time a worker leaves by itself that has its machine for `left` more: while there is just enough to hand its
/// stage back, or, if it has none, once a stage could not be brought to a checkpoint any more.
pub(crate) fn until_leaving(left: Duration, grace: Duration, costs: &Costs, is_idle: bool) -> Duration {
    let start = if is_idle { costs.start.unwrap_or(UNMEASURED_START) } else { Duration::ZERO };
    to_hand_back(left).saturating_sub(costs.handing_back(grace)).saturating_sub(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const GRACE: Duration = Duration::from_secs(25);

    #[test]
    fn a_worker_leaves_while_there_is_time_to_hand_its_stage_back() {
        let costs = Costs::default();
        assert_eq!(until_leaving(seconds(3600), GRACE, &costs, false), seconds(3600 - 10 - 25));
        assert_eq!(until_leaving(seconds(35), GRACE, &costs, false), Duration::ZERO);
        assert_eq!(until_leaving(seconds(1), GRACE, &costs, false), Duration::ZERO);
        assert_eq!((to_hand_back(seconds(180)), to_hand_back(seconds(3))), (seconds(170), Duration::ZERO));
    }

    #[test]
    fn slow_checkpoints_make_it_leave_earlier() {
        let mut costs = Costs::default();
        costs.stored(seconds(5));
        assert_eq!(until_leaving(seconds(3600), GRACE, &costs, false), seconds(3600 - 10 - 25));
        costs.stored(seconds(100));
        costs.stored(seconds(60));
        assert_eq!(until_leaving(seconds(3600), GRACE, &costs, false), seconds(3600 - 10 - 200));
        costs.stored(Duration::MAX);
        assert_eq!(until_leaving(seconds(3600), GRACE, &costs, false), Duration::ZERO);
    }

    #[test]
    fn a_worker_takes_no_stage_that_it_could_not_bring_to_a_checkpoint() {
        let mut costs = Costs::default();
        assert_eq!(until_leaving(seconds(3600), GRACE, &costs, true), seconds(3600 - 10 - 25 - 20), "not measured yet");
        costs.started(seconds(2));
        assert_eq!(until_leaving(seconds(3600), GRACE, &costs, true), seconds(3600 - 10 - 25 - 2));
        costs.started(seconds(300));
        assert_eq!(until_leaving(seconds(3600), GRACE, &costs, true), seconds(3600 - 10 - 25 - 300));
        assert_eq!(until_leaving(seconds(200), GRACE, &costs, true), Duration::ZERO, "it leaves at once");
        assert!(until_leaving(seconds(200), GRACE, &costs, false) > Duration::ZERO, "what it has begun it continues");
    }
}
