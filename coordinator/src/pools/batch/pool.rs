//! One pool: what is stored of it, what is decided of it, and how it looks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dial::{RENDEZVOUS_SCHEME, Rendezvous, Secret};
use scheduler::pool::batch::{AllocationId, BatchPool, Idle, JobId, Load, LoadWorker, Mode, Phase};
use scheduler::{Slot, Timestamp};
use vocabulary::WorkerId;

use super::folder::Folder;
use super::settings::Settings;
use super::system::{Grounds, Purpose, System, system};
use super::view::{AllocationView, BatchPoolView};
use crate::auth::token_id;
use crate::driver::view::View;
use crate::store::{AllocationRow, PoolRow};

/// The shortest time an allocation takes to start. Work that becomes ready within it justifies one.
const START: Duration = Duration::from_secs(30);

/// A pool, as it is kept.
pub(super) struct Kept {
    pub(super) row: PoolRow,
    pub(super) settings: Settings,
    pub(super) mark: [u8; 8],
    pub(super) folder: Folder,
    pub(super) system: Arc<dyn System>,
    /// Why the system gave no answer to the last look; empty if it did.
    pub(super) away: String,
    pub(super) pool: BatchPool,
    pub(super) load: Load,
    /// Names of the workers in the load.
    names: BTreeMap<WorkerId, String>,
}

/// What is wrong with a stored pool.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("this version has no pools of the kind `{0}`")]
    Kind(String),
    #[error("its settings cannot be read")]
    Settings(#[from] serde_json::Error),
    #[error("its mark `{0}` is not 16 hexadecimal digits")]
    Mark(String),
}

impl Kept {
    /// A pool of the store, with its allocations.
    pub(super) fn restore(row: PoolRow, allocations: &[AllocationRow], grounds: &Grounds) -> Result<Self, Unreadable> {
        let settings = Settings::read(&row.kind, &row.settings).ok_or_else(|| Unreadable::Kind(row.kind.clone()))??;
        let mark = u64::from_str_radix(&row.mark, 16).map_err(|_| Unreadable::Mark(row.mark.clone()))?.to_be_bytes();
        let own = allocations.iter().filter(|allocation| allocation.pool == row.name);
        let recorded = own.filter_map(|AllocationRow { allocation, intended_at_ms, job, .. }| {
            Some((allocation.parse().ok()?, Timestamp(*intended_at_ms), job.map(JobId)))
        });
        let pool = BatchPool::new(settings.batch(grounds), mark, mode_of(&row.mode), recorded);
        let folder = Folder::at(settings.folder(grounds.folders.join(&row.name)));
        let purpose = Purpose { pool: row.name.clone(), mark, folder: folder.clone(), grounds: grounds.clone() };
        let (system, away) = (system(&settings, purpose), String::new());
        let (load, names) = (Load::default(), BTreeMap::new());
        Ok(Self { row, settings, mark, folder, system, away, pool, load, names })
    }

    /// Whether it goes once it is empty.
    pub(super) fn is_removing(&self) -> bool {
        self.row.mode == "removing"
    }

    /// How many workers its allocations will still bring.
    pub(super) fn coming(&self) -> usize {
        let is_coming = |known: &scheduler::pool::batch::BatchAllocation| !known.has_said_hello && !known.is_cancelled;
        let coming = self.pool.allocations().filter(|(_, known)| is_coming(known)).count();
        coming * self.settings.workers_per_allocation() as usize
    }

    /// Takes in what work there is, of which others bring workers for `taken`. Of the workers that name this pool, only those
    /// count that `is_own` accepts.
    pub(super) fn take_in(&mut self, view: &View, taken: usize, is_own: &BTreeSet<WorkerId>) {
        let now = view.scheduler.last_handled().unwrap_or_default();
        let mut ready = view.scheduler.ready_by(now + START);
        let mut taken = taken;
        for count in ready.values_mut() {
            let less = taken.min(*count);
            (*count, taken) = (*count - less, taken - less);
        }
        ready.retain(|_, count| *count > 0);
        let (mut workers, mut names) = (BTreeMap::new(), BTreeMap::new());
        for status in view.scheduler.workers() {
            let worker = status.worker;
            let Some(allocation) = self.allocation_of(view, &worker).filter(|_| is_own.contains(&worker)) else {
                continue;
            };
            let node = view.place(&worker).node.map(|node| node.to_string());
            let is_busy = has_work(status.slot);
            names.insert(worker, status.name.clone());
            workers.insert(worker, LoadWorker { allocation, node, is_busy, memory: status.memory_bytes });
        }
        (self.load, self.names) = (Load { ready, workers }, names);
    }

    /// The allocation that a connected worker says it runs in, if it is of this pool.
    pub(super) fn allocation_of(&self, view: &View, worker: &WorkerId) -> Option<AllocationId> {
        if !view.is_connected(worker) {
            return None;
        }
        let place = view.place(worker);
        let allocation: AllocationId = place.allocation?.as_str().parse().ok()?;
        let is_of_pool = place.pool.is_some_and(|pool| pool.as_str() == self.row.name);
        (is_of_pool && allocation.mark() == self.mark).then_some(allocation)
    }

    /// Whether a worker that came with this token, or without any, can be of this pool. Jobs that find the coordinator by the file
    /// in which it announces itself, `dial`, come with the token that it announces there.
    pub(super) fn is_spoken_for_by(&self, token: Option<&str>, dial: &str) -> bool {
        let Some(token) = token else { return true };
        let is_it = |secret: Secret| token_id(secret).is_some_and(|id| id == token);
        let announced = dial.strip_prefix(RENDEZVOUS_SCHEME).and_then(|file| Rendezvous::read(Path::new(file)).ok());
        self.folder.token().is_some_and(is_it)
            || announced.is_some_and(|announced| is_it(Secret::new(announced.worker_token)))
    }

    pub(super) fn view(&self, now: Timestamp) -> BatchPoolView {
        let allocations = self.pool.allocations().map(|(allocation, known)| {
            let (state, reason, left) = match &known.phase {
                _ if known.is_cancelled => ("cancelled", String::new(), None),
                Phase::Intended => ("submitting", String::new(), None),
                Phase::Queued { reason } => ("pending", reason.clone(), None),
                Phase::Running { left, .. } => ("running", String::new(), *left),
            };
            let own: Vec<_> = self.load.workers.iter().filter(|(_, worker)| worker.allocation == allocation).collect();
            // Its worker is heard before the system is asked again.
            let state = if state == "pending" && !own.is_empty() { "running" } else { state };
            let name = |worker: &WorkerId| self.names.get(worker).cloned().unwrap_or_default();
            AllocationView {
                allocation: allocation.to_string(),
                job: known.job.map(|job| job.0),
                state,
                reason,
                node: known.node.clone().unwrap_or_default(),
                age_seconds: now.since(known.intended_at).as_secs(),
                left_seconds: left.map(|left| left.as_secs()),
                workers: own.into_iter().map(|(worker, known)| (name(worker), known.is_busy)).collect(),
            }
        });
        let avoided = self.pool.nodes().avoided(now);
        BatchPoolView {
            name: self.row.name.clone(),
            mode: self.row.mode.clone(),
            reason: self.row.reason.clone(),
            settings: self.settings.clone(),
            folder: self.folder.path().display().to_string(),
            ready: self.load.ready.values().sum(),
            idle: self.pool.why_idle(now, &self.load).map(|why| self.in_words(&why)).unwrap_or_default(),
            allocations: allocations.collect(),
            avoided: avoided.map(|(node, until)| (node.to_owned(), until.since(now).as_secs())).collect(),
        }
    }

    /// Why nothing is submitted, with the system's name.
    fn in_words(&self, why: &Idle) -> String {
        match why {
            Idle::Away if self.away.is_empty() => format!("{} has not answered yet", self.system.name()),
            Idle::Away => format!("{} does not answer: {}", self.system.name(), self.away),
            why => why.to_string(),
        }
    }
}

/// Whether a worker's slot counts as work. A departing worker has already handed its work back, and one that is dropping an attempt
/// is about to be free; counting either would request a second job for the same work.
fn has_work(slot: Slot) -> bool {
    match slot {
        Slot::Busy(_) => true,
        Slot::Idle | Slot::Dropping(_) | Slot::Leaving => false,
    }
}

/// The mode that a stored word stands for. One of a later version submits nothing.
fn mode_of(word: &str) -> Mode {
    match word {
        "active" => Mode::Active,
        "draining" | "removing" => Mode::Draining,
        _ => Mode::Paused,
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::{Attempt, AttemptKey, StageKey};

    use super::*;

    #[test]
    fn a_worker_counts_as_busy_only_while_it_has_something_that_is_wanted() {
        let key = AttemptKey { stage: StageKey::from_bytes([1; 32]), attempt: Attempt(1) };
        assert!(has_work(Slot::Busy(key)));
        for slot in [Slot::Idle, Slot::Dropping(key), Slot::Leaving] {
            assert!(!has_work(slot), "{slot:?}");
        }
    }
}
