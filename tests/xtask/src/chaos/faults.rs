//! What befalls the processes, drawn from a seed.

use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// How long a lease lasts in these runs. Short, so that what outlasts it does not take long.
pub(super) const LEASE: Duration = Duration::from_secs(4);

/// A kind of fault, as the table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// SIGKILL to the coordinator.
    KillCoordinator,
    /// SIGTERM to the coordinator: it stops in order.
    StopCoordinator,
    /// SIGSTOP to the coordinator, and SIGCONT when all leases are over by its clock.
    FreezeCoordinator,
    /// SIGKILL to a worker.
    KillWorker,
    /// SIGTERM to a worker: it checkpoints, hands its stage back and ends.
    PreemptWorker,
    /// SIGTERM twice: it ends at once.
    PreemptWorkerTwice,
    /// SIGSTOP to a worker, and SIGCONT before its lease is over.
    PauseWorker,
    /// SIGSTOP to a worker, and SIGCONT long after: it comes back as one whose stage another has.
    FreezeWorker,
}

impl Fault {
    /// All of them, with how often each is drawn.
    const WEIGHTS: [(Self, u32); 8] = [
        (Self::KillCoordinator, 22),
        (Self::StopCoordinator, 7),
        (Self::FreezeCoordinator, 4),
        (Self::KillWorker, 32),
        (Self::PreemptWorker, 14),
        (Self::PreemptWorkerTwice, 6),
        (Self::PauseWorker, 8),
        (Self::FreezeWorker, 7),
    ];

    /// Its name in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::KillCoordinator => "coordinator, SIGKILL",
            Self::StopCoordinator => "coordinator, SIGTERM",
            Self::FreezeCoordinator => "coordinator, SIGSTOP past the lease, SIGCONT",
            Self::KillWorker => "worker, SIGKILL",
            Self::PreemptWorker => "worker, SIGTERM",
            Self::PreemptWorkerTwice => "worker, SIGTERM twice",
            Self::PauseWorker => "worker, SIGSTOP within the lease, SIGCONT",
            Self::FreezeWorker => "worker, SIGSTOP past the lease, SIGCONT",
        }
    }

    /// Whether a process ends by it.
    pub(super) fn kills(self) -> bool {
        !matches!(self, Self::FreezeCoordinator | Self::PauseWorker | Self::FreezeWorker)
    }

    pub(super) fn is_of_coordinator(self) -> bool {
        matches!(self, Self::KillCoordinator | Self::StopCoordinator | Self::FreezeCoordinator)
    }

    /// The signals it begins with.
    pub(super) fn signals(self) -> &'static [&'static str] {
        match self {
            Self::KillCoordinator | Self::KillWorker => &["KILL"],
            Self::StopCoordinator | Self::PreemptWorker => &["TERM"],
            Self::PreemptWorkerTwice => &["TERM", "TERM"],
            Self::FreezeCoordinator | Self::PauseWorker | Self::FreezeWorker => &["STOP"],
        }
    }

    /// The exit code a process has to end with; `None` where the signal itself ends it.
    pub(super) fn exit_code(self) -> Option<i32> {
        match self {
            Self::StopCoordinator => Some(0),
            Self::PreemptWorker | Self::PreemptWorkerTwice => Some(75),
            _ => None,
        }
    }
}

/// The next fault: when, what, to which worker, and how long the process is away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Drawn {
    /// Counted from the fault before.
    pub(super) after: Duration,
    pub(super) fault: Fault,
    /// The worker, where it is one's; smaller than the number of workers.
    pub(super) worker: usize,
    /// Until it is started again, or goes on.
    pub(super) away: Duration,
}

/// An endless row of faults. The same seed gives the same row.
pub(super) struct Faults {
    random: ChaCha8Rng,
    workers: usize,
    /// The mean time between two ends of processes.
    between: Duration,
}

impl Faults {
    pub(super) fn new(seed: u64, workers: usize, between: Duration) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), workers, between }
    }
}

impl Iterator for Faults {
    type Item = Drawn;

    fn next(&mut self) -> Option<Drawn> {
        let weights = Fault::WEIGHTS;
        let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
        let mut draw = self.random.random_range(0..total);
        let fault = weights.into_iter().find_map(|(fault, weight)| match draw.checked_sub(weight) {
            Some(rest) => {
                draw = rest;
                None
            }
            None => Some(fault),
        })?;
        let kills: u32 = weights.iter().filter(|(fault, _)| fault.kills()).map(|(_, weight)| weight).sum();
        let mean = self.between.mul_f64(f64::from(kills) / f64::from(total));
        let away = match fault {
            Fault::FreezeCoordinator | Fault::FreezeWorker => LEASE.mul_f64(self.random.random_range(1.5..2.5)),
            Fault::PauseWorker => LEASE.mul_f64(self.random.random_range(0.05..0.4)),
            // Half of the time at once, and now and then longer than a lease.
            _ => LEASE.mul_f64((self.random.random_range(-1.0..1.2_f64)).max(0.0)),
        };
        Some(Drawn {
            after: mean.mul_f64(self.random.random_range(0.2..1.8)),
            fault,
            worker: self.random.random_range(0..self.workers),
            away,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_row_with_every_kind_in_it() {
        let row = |seed| Faults::new(seed, 3, Duration::from_secs(1)).take(300).collect::<Vec<_>>();
        assert_eq!(row(7), row(7));
        assert_ne!(row(7), row(8));
        for (fault, _) in Fault::WEIGHTS {
            assert!(row(7).iter().any(|drawn| drawn.fault == fault), "{fault:?}");
        }
        assert!(row(7).iter().all(|drawn| drawn.worker < 3));
    }
}
