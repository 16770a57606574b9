//! Standing by: another coordinator leads the store, and this one waits for its turn.
//!
//! It listens meanwhile, so that whoever dials it is told to dial on.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::task::{Context, Poll};
use std::time::Duration;

use proto::v1::campaign_service_server::CampaignServiceServer;
use proto::v1::pool_service_server::PoolServiceServer;
use proto::v1::worker_service_server::WorkerServiceServer;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;
use tracing::{info, warn};
use vocabulary::text::one_line;

use crate::grpc::{CampaignHandlers, PoolHandlers, WorkerHandlers};
use crate::store::{Leader, Store, StoreError, Turn};

/// Between two looks at who leads.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// A row that no leader has written yet has none.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

/// A leader that was silent for so many leases hangs.
const SILENT_LEASES: u32 = 3;

/// Waits until this store may begin a term, and ends the term of a leader that hangs. `said` is what callers are told.
pub(super) async fn wait_for_turn(store: &dyn Store, first: Option<Leader>, said: &watch::Sender<String>) {
    let mut silence = Silence::since(first.as_ref(), Instant::now());
    say(first.as_ref(), said);
    let mut is_away = false;
    loop {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let outcome = look(store, &mut silence, said).await;
        match outcome {
            Ok(true) => return info!("the coordinator's turn has come: it leads now"),
            Ok(false) => is_away = false,
            Err(error) => {
                // The database restarts, or is not reached. Nobody leads over it meanwhile.
                if !std::mem::replace(&mut is_away, true) {
                    warn!(error = one_line(&error), "the store cannot be reached; trying again");
                }
            }
        }
    }
}

/// Whether the turn has come.
async fn look(store: &dyn Store, silence: &mut Silence, said: &watch::Sender<String>) -> Result<bool, StoreError> {
    let leader = match store.take_turn().await? {
        Turn::Taken => return Ok(true),
        Turn::Held(leader) => leader,
    };
    say(leader.as_ref(), said);
    if let Some(silent) = silence.note(leader.as_ref(), Instant::now()) {
        warn!(leader = silent.name, term = %silent.term, "the leader gives no sign of life: its session is ended");
        store.end_leader().await?;
    }
    Ok(false)
}

fn say(leader: Option<&Leader>, said: &watch::Sender<String>) {
    let sentence = leader.map_or_else(
        || "standing by for another coordinator, which is starting".to_owned(),
        |leader| format!("standing by for {leader}"),
    );
    said.send_if_modified(|known| {
        let is_news = *known != sentence;
        if is_news {
            info!("{sentence}");
            *known = sentence;
        }
        is_news
    });
}

/// How long a leader has been silent, by this machine's clock alone.
#[derive(Debug)]
struct Silence {
    seen: Option<Leader>,
    since: Instant,
}

impl Silence {
    fn since(seen: Option<&Leader>, now: Instant) -> Self {
        Self { seen: seen.cloned(), since: now }
    }

    /// Takes in what was seen now. Returns the leader if it hangs; it is given as long again after that.
    fn note(&mut self, seen: Option<&Leader>, now: Instant) -> Option<Leader> {
        let is_alive = match (&self.seen, seen) {
            (Some(before), Some(seen)) => before.term != seen.term || before.beats != seen.beats,
            (before, seen) => before.is_some() != seen.is_some(),
        };
        if is_alive {
            *self = Self::since(seen, now);
            return None;
        }
        let leader = seen?;
        if now.duration_since(self.since) < leader.lease.max(SHORTEST_LEASE) * SILENT_LEASES {
            return None;
        }
        self.since = now;
        Some(leader.clone())
    }
}

/// What answers every call of every service while this coordinator stands by.
pub(super) fn routes(said: &watch::Receiver<String>) -> Routes {
    let campaigns: Answer<CampaignServiceServer<CampaignHandlers>> = Answer::new(said);
    let workers: Answer<WorkerServiceServer<WorkerHandlers>> = Answer::new(said);
    let pools: Answer<PoolServiceServer<PoolHandlers>> = Answer::new(said);
    Routes::new(campaigns).add_service(workers).add_service(pools)
}

/// Says in whose place a coordinator stands by, whatever it is asked.
struct Answer<S> {
    said: watch::Receiver<String>,
    service: PhantomData<fn() -> S>,
}

impl<S> Answer<S> {
    fn new(said: &watch::Receiver<String>) -> Self {
        Self { said: said.clone(), service: PhantomData }
    }
}

impl<S> Clone for Answer<S> {
    fn clone(&self) -> Self {
        Self::new(&self.said)
    }
}

impl<S: NamedService> NamedService for Answer<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<http::Request<B>> for Answer<S> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<B>) -> Self::Future {
        let said = self.said.borrow();
        let status = Status::unavailable(format!("this coordinator does not lead, {}: dial the one that leads", *said));
        ready(Ok(status.into_http()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryStore, Term};

    const LEASE: Duration = Duration::from_secs(10);

    fn leader(term: Term, beats: u64) -> Leader {
        Leader { term, name: "one".to_owned(), since: "noon".to_owned(), beats, lease: LEASE }
    }

    #[tokio::test]
    async fn only_a_leader_that_is_silent_for_three_leases_hangs() {
        let store = MemoryStore::new();
        let term = store.begin_term().await.expect("it begins");
        let start = Instant::now();
        let at = |leases: f64| start + LEASE.mul_f64(leases);
        let mut silence = Silence::since(Some(&leader(term, 1)), start);
        assert_eq!(silence.note(Some(&leader(term, 1)), at(2.9)), None);
        assert_eq!(silence.note(Some(&leader(term, 2)), at(2.95)), None, "it lives");
        assert_eq!(silence.note(Some(&leader(term, 2)), at(5.9)), None);
        assert_eq!(silence.note(Some(&leader(term, 2)), at(6.0)), Some(leader(term, 2)));
        assert_eq!(silence.note(Some(&leader(term, 2)), at(6.1)), None, "it is given time to end");
        assert_eq!(silence.note(None, at(6.2)), None);
        let next = store.begin_term().await.expect("it begins");
        assert_eq!(silence.note(Some(&leader(next, 2)), at(30.0)), None, "another one begins anew");
        assert_eq!(silence.note(Some(&leader(next, 2)), at(33.5)), Some(leader(next, 2)));
        // Somebody who makes the tables has no lease yet.
        let first = Leader { lease: Duration::ZERO, ..leader(term, 0) };
        let mut silence = Silence::since(Some(&first), start);
        assert_eq!(silence.note(Some(&first), start + Duration::from_millis(2900)), None);
        assert_eq!(silence.note(Some(&first), start + Duration::from_secs(3)), Some(first));
    }
}
