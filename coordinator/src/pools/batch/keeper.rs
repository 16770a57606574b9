//! The task that keeps all pools: it looks, hands on what it sees, and carries out what is ordered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use scheduler::Timestamp;
use scheduler::pool::batch::Look;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};
use vocabulary::WorkerId;
use vocabulary::text::one_line;

use super::pool::Kept;
use super::queues::Queues;
use super::service::{Request, Surroundings};
use super::view::Seen;
use crate::clock::unix_ms;
use crate::driver::view::View;
use crate::store::StoreError;

/// Changes that come closer together are taken in together.
const TOGETHER: Duration = Duration::from_millis(200);

/// The time of day, as the pools' decisions take it: what they remember outlives the process.
pub(super) fn now() -> Timestamp {
    Timestamp(unix_ms())
}

pub(super) struct Keeper {
    pub(super) surroundings: Surroundings,
    pub(super) pools: BTreeMap<String, Kept>,
    pub(super) queues: Queues,
    requests: mpsc::Receiver<Request>,
    publish: watch::Sender<Seen>,
    /// Workers that came with the token of their pool.
    own: BTreeSet<WorkerId>,
}

impl Keeper {
    pub(super) async fn new(
        surroundings: Surroundings,
        requests: mpsc::Receiver<Request>,
        publish: watch::Sender<Seen>,
    ) -> Result<Self, StoreError> {
        let allocations = surroundings.store.allocations().await?;
        let mut pools = BTreeMap::new();
        for row in surroundings.store.pools().await? {
            let name = row.name.clone();
            match Kept::restore(row, &allocations, &surroundings.grounds) {
                Ok(kept) => drop(pools.insert(name, kept)),
                Err(error) => {
                    error!(pool = name, error = one_line(&error), "a pool cannot be kept")
                }
            }
        }
        let (queues, own) = (Queues::default(), BTreeSet::new());
        let mut keeper = Self { surroundings, pools, queues, requests, publish, own };
        let names: Vec<String> = keeper.pools.keys().cloned().collect();
        for name in names {
            if let Err(error) = keeper.equip(&name).await {
                error!(pool = name, error = one_line(&error), "the folder of a pool cannot be written");
            }
        }
        // Whoever asks before the first look at the queue sees what is stored.
        keeper.publish();
        Ok(keeper)
    }

    /// Keeps the pools until the coordinator stops.
    pub(super) async fn keep(mut self, stop: CancellationToken) {
        let mut changes = self.surroundings.driver.changes();
        loop {
            let due = self.queues.next_look(&self.pools);
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                request = self.requests.recv() => match request {
                    Some(request) => self.meet(request).await,
                    None => return,
                },
                () = changed(&mut changes) => {}
                () = reached(due) => {}
            }
            if self.step().await.is_err() {
                // The coordinator ends for the same reason.
                return;
            }
        }
    }

    /// Takes in what work there is, looks at the queues that are due, and carries out what follows.
    async fn step(&mut self) -> Result<(), Deposed> {
        let Ok(view) = self.surroundings.driver.view().await else { return Ok(()) };
        self.recognise(&view).await;
        let looks = self.queues.look(&self.pools).await;
        let names: Vec<String> = self.pools.keys().cloned().collect();
        for name in &names {
            let others = self.pools.iter().filter(|(other, _)| *other != name).map(|(_, other)| other.coming()).sum();
            let Some(kept) = self.pools.get_mut(name) else { continue };
            kept.take_in(&view, others, &self.own);
            if let Some(answer) = looks.get(name) {
                kept.away = answer.as_ref().err().cloned().unwrap_or_default();
            }
            let look = match looks.get(name) {
                Some(Ok(jobs)) => Look::Jobs(jobs),
                Some(Err(_)) => Look::Away,
                None => Look::Nothing,
            };
            let orders = kept.pool.handle(now(), look, &kept.load);
            for order in orders {
                self.carry_out(name, order).await?;
            }
            self.remove_if_over(name).await?;
        }
        self.publish();
        Ok(())
    }

    /// Notes which of the workers that name a pool came with that pool's token.
    async fn recognise(&mut self, view: &View) {
        self.own.retain(|worker| view.is_connected(worker));
        for status in view.scheduler.workers() {
            let worker = status.worker;
            let named = self.pools.values().find(|kept| kept.allocation_of(view, &worker).is_some());
            let Some(kept) = named.filter(|_| !self.own.contains(&worker)) else { continue };
            match self.surroundings.store.speaker(worker).await {
                // Where callers need no token, a worker's word is all there is.
                Ok(speaker) if kept.is_spoken_for_by(speaker.token.as_deref(), &self.surroundings.grounds.dial) => {
                    self.own.insert(worker);
                }
                Ok(_) => debug!(%worker, pool = kept.row.name, "a worker names a pool whose token it does not have"),
                Err(error) => warn!(%worker, error = one_line(&error), "cannot read who speaks for a worker"),
            }
        }
    }

    pub(super) fn publish(&self) {
        let views = self.pools.values().map(|kept| kept.view(now())).collect();
        self.publish.send_replace(Seen { at: Instant::now(), pools: views });
    }
}

/// Another coordinator writes the store.
pub(super) struct Deposed;

/// Resolves some time after a change; never once there is nobody to change anything.
async fn changed(changes: &mut watch::Receiver<u64>) {
    if changes.changed().await.is_err() {
        std::future::pending().await
    }
    tokio::time::sleep(TOGETHER).await;
}

/// Resolves at `time`; pends forever if it is `None`.
async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
