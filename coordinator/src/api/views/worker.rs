//! Workers.

use std::time::Duration;

use scheduler::{Slot, WorkerStatus};
use vocabulary::{Place, Work, WorkerId};

use crate::driver::from_worker::Progress;
use crate::driver::view::View;

/// A worker, and what it does.
#[derive(Debug, Clone)]
pub(crate) struct WorkerView {
    pub(crate) worker: WorkerId,
    pub(crate) name: String,
    pub(crate) device: String,
    pub(crate) place: Place,
    /// How long this coordinator has known it.
    pub(crate) known_for: Duration,
    pub(crate) is_connected: bool,
    pub(crate) work: Option<Work>,
    pub(crate) progress: Option<Progress>,
    /// Why it is given nothing, where that is so although it may do nothing.
    pub(crate) held_back: Option<String>,
    /// For how long, where it is a rest.
    pub(crate) held_back_for: Option<Duration>,
}

impl WorkerView {
    /// Every worker that is known to be alive, by name.
    pub(crate) fn all(view: &View) -> Vec<Self> {
        let mut workers: Vec<_> = view.scheduler.workers().map(|status| Self::of(view, status)).collect();
        workers.sort_by(|a, b| (&a.name, a.worker).cmp(&(&b.name, b.worker)));
        workers
    }

    fn of(view: &View, status: WorkerStatus) -> Self {
        let WorkerStatus { worker, name, slot, held_back, rests_until, .. } = status;
        let now = view.scheduler.last_handled().unwrap_or_default();
        let key = match slot {
            Slot::Busy(key) | Slot::Dropping(key) => Some(key),
            Slot::Idle | Slot::Leaving => None,
        };
        Self {
            worker,
            name,
            device: view.device(&worker).to_owned(),
            place: view.place(&worker),
            known_for: view.known_for(&worker),
            is_connected: view.is_connected(&worker),
            work: key.and_then(|key| view.scheduler.work(&key.stage)).cloned(),
            progress: key.and_then(|key| view.progress(&worker, key)).cloned(),
            held_back,
            held_back_for: rests_until.map(|until| until.since(now)),
        }
    }
}
