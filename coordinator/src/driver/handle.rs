//! The driver, as the services and pools see it: a queue, and notice of what has changed.

use std::sync::Arc;

use scheduler::pool::Demand;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use vocabulary::{CampaignId, DatasetId};

use super::index::Indexed;
use super::input::{Cancelled, Extended, Extension, Input, Request, Retried, Submission, Submitted};
use super::patience::Stall;
use super::request_error::RequestError;
use super::view::View;
use crate::counters::Counters;
use crate::store::Term;
use crate::tasks::{Alarm, Panicked};

/// Half of the processors: readers leave the others to the driver and the workers on this machine.
fn looks_at_a_time() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2))
}

/// A way to talk to the driver.
#[derive(Debug, Clone)]
pub(crate) struct DriverHandle {
    inputs: mpsc::Sender<Input>,
    changes: watch::Receiver<u64>,
    demand: watch::Sender<Demand>,
    stalls: watch::Receiver<Option<Stall>>,
    alarm: Alarm,
    counters: Arc<Counters>,
    term: Term,
    /// Of looks that are computed.
    turns: Arc<Semaphore>,
}

impl DriverHandle {
    pub(crate) fn new(
        inputs: mpsc::Sender<Input>,
        changes: watch::Receiver<u64>,
        demand: watch::Sender<Demand>,
        stalls: watch::Receiver<Option<Stall>>,
        alarm: Alarm,
        counters: Arc<Counters>,
        term: Term,
    ) -> Self {
        let turns = Arc::new(Semaphore::new(looks_at_a_time()));
        Self { inputs, changes, demand, stalls, alarm, counters, term, turns }
    }

    /// Where a panic is reported that the coordinator cannot live with.
    pub(crate) fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    /// Counts of what the driver did.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many inputs wait for the driver.
    pub(crate) fn queue_length(&self) -> usize {
        self.inputs.max_capacity() - self.inputs.capacity()
    }

    /// In which this coordinator writes.
    pub(crate) fn term(&self) -> Term {
        self.term
    }

    /// The queue for sessions and pools.
    pub(crate) fn inputs(&self) -> &mpsc::Sender<Input> {
        &self.inputs
    }

    /// Notified on every visible change; step progress alone does not count.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// What the scheduler could use, from now on. It is kept up to date for as long as somebody has a receiver.
    pub(crate) async fn demand(&self) -> watch::Receiver<Demand> {
        let demand = self.demand.subscribe();
        // Any turn of the driver brings it up to date. A driver that is gone has none.
        let _ = self.view().await;
        demand
    }

    /// Accepts a plan. It is durable when this returns.
    pub(crate) async fn submit(&self, submission: Submission) -> Result<Submitted, RequestError> {
        self.ask(|reply| Request::Submit { submission: Box::new(submission), reply }).await?
    }

    /// Adds to a campaign. It is durable when this returns.
    pub(crate) async fn extend(&self, extension: Extension) -> Result<Extended, RequestError> {
        self.ask(|reply| Request::Extend { extension: Box::new(extension), reply }).await?
    }

    /// Cancels a campaign.
    pub(crate) async fn cancel(&self, selector: String) -> Result<Cancelled, RequestError> {
        self.ask(|reply| Request::Cancel { selector, reply }).await?
    }

    /// Tries the failed stages of a campaign again, and on request those that diverged.
    pub(crate) async fn retry(&self, selector: String, diverged: bool) -> Result<Retried, RequestError> {
        self.ask(|reply| Request::Retry { selector, diverged, reply }).await?
    }

    /// Forgets a campaign that is over, and these datasets unless another uses them. It is gone for good when this returns;
    /// its files are deleted after that, by the next coordinator if this one ends.
    pub(crate) async fn forget(&self, campaign: CampaignId, datasets: Vec<DatasetId>) -> Result<(), RequestError> {
        self.ask(|reply| Request::Forget { campaign, datasets, reply }).await?
    }

    /// Removes these committed checkpoints, as far as nothing needs them, and returns those that were removed.
    pub(crate) async fn collect(&self, checkpoints: Vec<Indexed>) -> Result<Vec<Indexed>, RequestError> {
        self.ask(|reply| Request::Collect { checkpoints, reply }).await
    }

    /// Looks at the state, after everything that came before is durable. The driver only hands out a copy; whatever the look
    /// takes, it takes beside the driver, and few looks at a time.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&View) -> T + Send + 'static,
    ) -> Result<T, RequestError> {
        let view = self.view().await?;
        self.beside(move || look(&view)).await
    }

    /// Computes something for a reader, beside everything else.
    pub(crate) async fn beside<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RequestError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| RequestError::Stopping)?;
        let computed = tokio::task::spawn_blocking(move || {
            let computed = compute();
            drop(turn);
            computed
        });
        computed.await.map_err(|error| match error.try_into_panic() {
            Ok(payload) => RequestError::Panicked(Panicked::new("a look", payload.as_ref())),
            // The runtime ends.
            Err(_) => RequestError::Stopping,
        })
    }

    /// The state, after everything that came before is durable.
    pub(crate) async fn view(&self) -> Result<Arc<View>, RequestError> {
        let mut stalls = self.stalls.clone();
        tokio::select! {
            biased;
            view = self.ask(Request::Look) => view,
            // What the driver has taken in is not durable, so nobody may see it yet.
            Ok(stall) = stalls.wait_for(Option::is_some) => {
                Err(stall.as_ref().map_or(RequestError::Stopping, RequestError::from))
            }
        }
    }

    /// Asks for a change. While the driver waits for the store, it is refused: nobody could say when it would be made.
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, RequestError> {
        self.check_stall()?;
        let (reply, answer) = oneshot::channel();
        let sent = self.inputs.send(Input::Request(request(reply))).await;
        sent.map_err(|_| RequestError::Stopping)?;
        answer.await.map_err(|_| RequestError::Stopping)
    }

    fn check_stall(&self) -> Result<(), RequestError> {
        self.stalls.borrow().as_ref().map_or(Ok(()), |stall| Err(stall.into()))
    }
}

impl From<&Stall> for RequestError {
    fn from(stall: &Stall) -> Self {
        Self::Stalled { seconds: stall.since.elapsed().as_secs(), why: stall.why.to_string() }
    }
}
