//! Keeps a pool at the size that the scheduler's decisions want.

use std::collections::BTreeMap;

use scheduler::Timestamp;
use scheduler::pool::{AllocationNumber, Allocations, Demand, Ending, Order, PoolSettings, Seen, scale};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use vocabulary::WorkerId;

use super::{Ended, Observed, Pool, PoolError, WorkersGone};
use crate::tasks::{Panicked, caught};

/// What a pool sees of its workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolEvent {
    /// A worker process has ended and was reaped: nothing of it is left on its device.
    WorkerExited {
        /// The identity of the process.
        worker_id: WorkerId,
    },
    /// Nobody looks after the pool any more.
    KeeperPanicked(Panicked),
}

/// A pool and what is known of its allocations.
///
/// It decides nothing: it tells [`scale`] what it sees and passes on what that orders.
#[derive(Debug)]
pub(super) struct Keeper<P> {
    pool: P,
    settings: PoolSettings,
    allocations: Allocations,
    demand: watch::Receiver<Demand>,
    events: mpsc::Sender<PoolEvent>,
    gone: watch::Sender<Option<WorkersGone>>,
    started: Instant,
}

impl<P: Pool> Keeper<P> {
    pub(super) fn new(
        pool: P,
        settings: PoolSettings,
        demand: watch::Receiver<Demand>,
        events: mpsc::Sender<PoolEvent>,
        gone: watch::Sender<Option<WorkersGone>>,
    ) -> Self {
        let (allocations, started) = (Allocations::default(), Instant::now());
        Self { pool, settings, allocations, demand, events, gone, started }
    }

    /// Submits what is wanted at first.
    ///
    /// # Errors
    /// If one of them cannot be. The others are ended then.
    pub(super) async fn begin(&mut self) -> Result<(), PoolError> {
        for order in self.orders(self.now()) {
            let Order::Submit(number) = order else { continue };
            match self.pool.submit(number).await {
                Ok(worker) => self.allocations.submitted(self.now(), number, worker),
                Err(error) => {
                    self.end().await;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Keeps the pool until it is stopped. Its workers have ended when this returns, unless it says that it panicked.
    pub(super) async fn keep(self, stop: CancellationToken) {
        let events = self.events.clone();
        if let Err(panicked) = caught("the keeper of local workers", self.keep_on(stop)).await {
            // Whoever listened may be gone; then it does not matter any more.
            let _ = events.send(PoolEvent::KeeperPanicked(panicked)).await;
        }
    }

    async fn keep_on(mut self, stop: CancellationToken) {
        // Of the latest orders: what became due while they were carried out is due at once.
        let mut decided = self.now();
        loop {
            let deadline = self.allocations.next_deadline(decided, &self.settings);
            let deadline = deadline.map(|at| self.started + std::time::Duration::from_millis(at.0));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                observed = self.pool.observe() => self.take_in(observed).await,
                () = changed(&mut self.demand) => {}
                () = sleep_until(deadline) => {}
            }
            decided = self.now();
            let orders = self.orders(decided);
            self.carry_out(orders).await;
        }
        self.end().await;
    }

    fn orders(&mut self, now: Timestamp) -> Vec<Order> {
        let demand = self.demand.borrow_and_update();
        self.allocations.note_busy(now, &demand.busy);
        scale(now, &demand, &self.allocations, &self.settings)
    }

    async fn carry_out(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Submit(number) => match self.pool.submit(number).await {
                    Ok(worker) => {
                        info!(%number, id = %worker, "a worker is started again");
                        self.allocations.submitted(self.now(), number, worker);
                    }
                    Err(error) => {
                        let error: &dyn std::error::Error = &error;
                        warn!(%number, error, "a worker cannot be started now");
                        self.allocations.not_submitted(self.now(), number, &self.settings);
                    }
                },
                Order::Release(number) => {
                    info!(%number, "a worker has nothing to do and is released");
                    self.pool.release(number).await;
                    self.allocations.released(number);
                }
            }
        }
    }

    async fn take_in(&mut self, observed: BTreeMap<AllocationNumber, Observed>) {
        let seen = observed.iter().map(|(number, observed)| (*number, observed.into())).collect();
        self.allocations.observed(self.now(), &seen, &self.settings);
        for observed in observed.into_values() {
            let Observed::Ended(Ended { worker, ending, is_gone, obituary }) = observed else { continue };
            if is_gone {
                // Whoever listened may be gone; then it does not matter any more.
                let _ = self.events.send(PoolEvent::WorkerExited { worker_id: worker }).await;
            }
            if ending == Ending::Hopeless && self.allocations.are_abandoned(&self.settings) {
                error!("no worker of the pool is left, and none is started again");
                self.gone.send_replace(Some(obituary));
            }
        }
    }

    /// Releases all and waits until they have ended.
    async fn end(&mut self) {
        let alive: Vec<_> = self.allocations.alive().collect();
        for number in alive {
            self.pool.release(number).await;
            self.allocations.released(number);
        }
        while self.allocations.alive().next().is_some() {
            let observed = self.pool.observe().await;
            self.take_in(observed).await;
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<&Observed> for Seen {
    fn from(observed: &Observed) -> Self {
        match observed {
            Observed::Alive { worker } => Self::Alive { worker: *worker },
            Observed::Ended(ended) => Self::Ended(ended.ending),
        }
    }
}

/// Resolves when the demand changes; never once there is nobody to change it.
async fn changed(demand: &mut watch::Receiver<Demand>) {
    if demand.changed().await.is_err() {
        std::future::pending().await
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use vocabulary::Backoff;

    use super::*;

    /// Long enough on any machine, and only waited for when the test fails.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A pool that takes its time to start a worker, longer than two of its workers end apart.
    struct Slow {
        news: mpsc::UnboundedReceiver<BTreeMap<AllocationNumber, Observed>>,
        submitted: mpsc::UnboundedSender<AllocationNumber>,
    }

    impl Pool for Slow {
        async fn submit(&mut self, number: AllocationNumber) -> Result<WorkerId, PoolError> {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _ = self.submitted.send(number);
            Ok(worker(number))
        }

        async fn observe(&mut self) -> BTreeMap<AllocationNumber, Observed> {
            match self.news.recv().await {
                Some(observed) => observed,
                None => std::future::pending().await,
            }
        }

        async fn release(&mut self, _: AllocationNumber) {}
    }

    fn worker(number: AllocationNumber) -> WorkerId {
        WorkerId::from_content(number.to_string().as_bytes())
    }

    fn ended(number: AllocationNumber) -> BTreeMap<AllocationNumber, Observed> {
        let obituary = WorkersGone { name: String::new(), log: PathBuf::new(), last_log_line: String::new() };
        let ended = Ended { worker: worker(number), ending: Ending::Replaceable, is_gone: false, obituary };
        BTreeMap::from([(number, Observed::Ended(ended))])
    }

    #[tokio::test]
    async fn what_becomes_due_while_another_worker_is_started_is_not_forgotten() {
        let ((news, observed), (submitted, mut started)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let (_demand, demand) = watch::channel(Demand::default());
        let (events, _events) = mpsc::channel(1);
        let (gone, _gone) = watch::channel(None);
        let backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(1) };
        let settings = PoolSettings::fixed(2, backoff, Duration::ZERO);
        let mut keeper = Keeper::new(Slow { news: observed, submitted }, settings, demand, events, gone);
        keeper.begin().await.expect("they can be started");
        let (first, second) = (started.recv().await.expect("one"), started.recv().await.expect("another"));
        let stop = CancellationToken::new();
        let kept = tokio::spawn(keeper.keep(stop.clone()));
        let _ = news.send(ended(first));
        tokio::time::sleep(Duration::from_millis(20)).await;
        let _ = news.send(ended(second));
        for number in [first, second] {
            let again = tokio::time::timeout(PATIENCE, started.recv()).await.expect("it is started again");
            assert_eq!(again, Some(number));
        }
        stop.cancel();
        kept.abort();
    }
}
