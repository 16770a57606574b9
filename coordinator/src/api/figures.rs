//! How things stand in numbers, for who watches the coordinator.

use scheduler::{Slot, WorkerStatus};

use super::views::CampaignView;
use super::{Api, ApiError};
use crate::driver::view::View;

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerState {
    /// It has work and a connection.
    Working,
    Idle,
    /// It is given nothing: it rests after failures, or cannot use the storage.
    HeldBack,
    Leaving,
    /// It has no connection, and may come back.
    Away,
}

impl WorkerState {
    pub(crate) const ALL: [Self; 5] = [Self::Working, Self::Idle, Self::HeldBack, Self::Leaving, Self::Away];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Idle => "idle",
            Self::HeldBack => "held_back",
            Self::Leaving => "leaving",
            Self::Away => "away",
        }
    }

    fn of(view: &View, status: &WorkerStatus) -> Self {
        match status.slot {
            _ if !view.is_connected(&status.worker) => Self::Away,
            Slot::Busy(_) | Slot::Dropping(_) => Self::Working,
            Slot::Leaving => Self::Leaving,
            Slot::Idle if status.held_back.is_some() => Self::HeldBack,
            Slot::Idle => Self::Idle,
        }
    }
}

/// The numbers of one look.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) campaigns: Vec<CampaignView>,
    pub(crate) workers: Vec<WorkerState>,
    /// Of all workers, by what they say.
    pub(crate) tokens_per_second: f64,
    /// Committed ones that are in the storage.
    pub(crate) checkpoints: usize,
    pub(crate) checkpoint_bytes: u64,
    /// Workers whose last checkpoint cannot be read so far.
    pub(crate) storage_troubles: usize,
}

impl Figures {
    fn of(view: &View) -> Self {
        let mut figures = Self { campaigns: CampaignView::all(view), ..Self::default() };
        for status in view.scheduler.workers() {
            figures.workers.push(WorkerState::of(view, &status));
            let (Slot::Busy(key) | Slot::Dropping(key)) = status.slot else { continue };
            let speed = view.progress(&status.worker, key).map_or(0.0, |progress| progress.tokens_per_second);
            if view.is_connected(&status.worker) && speed.is_finite() && speed > 0.0 {
                figures.tokens_per_second += speed;
            }
            figures.storage_troubles += usize::from(view.trouble(&status.worker, key).is_some());
        }
        for checkpoint in view.index.all() {
            figures.checkpoints += 1;
            figures.checkpoint_bytes = figures.checkpoint_bytes.saturating_add(checkpoint.bytes);
        }
        figures
    }
}

impl Api {
    /// How things stand in numbers.
    pub(crate) async fn figures(&self) -> Result<Figures, ApiError> {
        self.look(Figures::of).await
    }
}
