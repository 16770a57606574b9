//! Faults drawn from a seed.

use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Lease in these runs: short, so that faults that outlast a lease stay quick.
pub(super) const LEASE: Duration = Duration::from_secs(4);

/// A kind of fault: a row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// SIGKILL to the coordinator.
    KillCoordinator,
    /// SIGTERM to the coordinator: it shuts down cleanly.
    StopCoordinator,
    /// SIGSTOP to the coordinator, and SIGCONT once every lease has expired by its clock.
    FreezeCoordinator,
    /// SIGKILL to a worker.
    KillWorker,
    /// SIGTERM to a worker: it checkpoints, hands its stage back and exits.
    PreemptWorker,
    /// Two SIGTERMs to a worker, as Slurm sends them: it does the same.
    PreemptWorkerTwice,
    /// A worker's training makes no step any more: the worker notices and exits.
    HangWorker,
    /// SIGSTOP to a worker, and SIGCONT before its lease expires.
    PauseWorker,
    /// SIGSTOP to a worker, and SIGCONT long after another worker has taken its stage.
    FreezeWorker,
}

impl Fault {
    /// Every fault with its relative frequency.
    const WEIGHTS: [(Self, u32); 9] = [
        (Self::KillCoordinator, 22),
        (Self::StopCoordinator, 7),
        (Self::FreezeCoordinator, 4),
        (Self::KillWorker, 32),
        (Self::PreemptWorker, 14),
        (Self::PreemptWorkerTwice, 6),
        (Self::HangWorker, 6),
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
            Self::HangWorker => "worker, training hangs",
            Self::PauseWorker => "worker, SIGSTOP within the lease, SIGCONT",
            Self::FreezeWorker => "worker, SIGSTOP past the lease, SIGCONT",
        }
    }

    /// Whether it ends a process.
    pub(super) fn kills(self) -> bool {
        !matches!(self, Self::FreezeCoordinator | Self::PauseWorker | Self::FreezeWorker)
    }

    pub(super) fn is_of_coordinator(self) -> bool {
        matches!(self, Self::KillCoordinator | Self::StopCoordinator | Self::FreezeCoordinator)
    }

    /// Signals sent, in order.
    pub(super) fn signals(self) -> &'static [&'static str] {
        match self {
            Self::KillCoordinator | Self::KillWorker => &["KILL"],
            Self::StopCoordinator | Self::PreemptWorker => &["TERM"],
            Self::PreemptWorkerTwice => &["TERM", "TERM"],
            Self::HangWorker => &[],
            Self::FreezeCoordinator | Self::PauseWorker | Self::FreezeWorker => &["STOP"],
        }
    }

    /// Exit code the process must end with; `None` if a signal ends it.
    pub(super) fn exit_code(self) -> Option<i32> {
        match self {
            Self::StopCoordinator => Some(0),
            Self::PreemptWorker | Self::PreemptWorkerTwice => Some(75),
            Self::HangWorker => Some(1),
            _ => None,
        }
    }
}

/// The next fault: when, what, which worker, and how long the process stays away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Drawn {
    /// Time since the previous fault.
    pub(super) after: Duration,
    pub(super) fault: Fault,
    /// Index of the worker, if the fault hits one; below the number of workers.
    pub(super) worker: usize,
    /// Time until the process is restarted or continued.
    pub(super) away: Duration,
}

/// An endless sequence of faults, determined by a seed.
pub(super) struct Faults {
    random: ChaCha8Rng,
    workers: usize,
    /// Mean time between two process exits.
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
            // Half return immediately; now and then one stays away longer than a lease.
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
