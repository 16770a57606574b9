//! The gate every connection passes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Arrival, Register, ServerLimits};

/// Connections that were told to go and are still open. With more than this, none is accepted until one has closed.
const GOING: usize = 64;

/// The least time between two warnings of too many connections.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Counts of connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// Open now.
    pub open: usize,
    /// The most sockets ever open at once, including those that were told to go.
    pub most_held: usize,
    /// Closed to make room for others.
    pub displaced: u64,
    /// Refused on arrival.
    pub refused: u64,
}

/// Takes in connections, within the limits.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: ServerLimits,
    /// Every open socket holds a permit.
    sockets: Arc<Semaphore>,
    state: Mutex<State>,
    /// Ends all connections.
    end: CancellationToken,
}

#[derive(Debug)]
struct State {
    register: Register,
    ends: HashMap<u64, CancellationToken>,
    counts: ConnectionCounts,
    warned: Option<Instant>,
}

/// An open connection's place, released on drop.
#[derive(Debug)]
pub(crate) struct Connection {
    gate: Arc<Gate>,
    number: u64,
    has_called: AtomicBool,
    end: CancellationToken,
    _socket: OwnedSemaphorePermit,
}

/// A call under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Call(Arc<Connection>);

impl Gate {
    /// A gate that ends all of its connections when `end` is cancelled.
    pub(crate) fn new(limits: ServerLimits, end: CancellationToken) -> Arc<Self> {
        let state = State {
            register: Register::new(limits.connections),
            ends: HashMap::new(),
            counts: ConnectionCounts::default(),
            warned: None,
        };
        let sockets = Arc::new(Semaphore::new(limits.connections.max(1).saturating_add(GOING)));
        Arc::new(Self { limits, sockets, state: Mutex::new(state), end })
    }

    pub(crate) fn counts(&self) -> ConnectionCounts {
        let state = self.state();
        ConnectionCounts { open: state.register.open(), ..state.counts }
    }

    /// Waits for room for one more socket.
    pub(crate) async fn room(&self) -> OwnedSemaphorePermit {
        self.sockets.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Takes a connection in, or refuses it.
    pub(crate) fn take_in(self: &Arc<Self>, peer: SocketAddr, room: OwnedSemaphorePermit) -> Option<Arc<Connection>> {
        let mut state = self.state();
        let arrival = state.register.arrive(peer.ip());
        let held = self.limits.connections.max(1) + GOING - self.sockets.available_permits();
        state.counts.most_held = state.counts.most_held.max(held);
        let (number, instead_of) = match arrival {
            Arrival::Taken { number, instead_of } => (number, instead_of),
            Arrival::Refused => {
                state.counts.refused += 1;
                state.warn(self.limits.connections);
                return None;
            }
        };
        if let Some(end) = instead_of.and_then(|number| state.ends.remove(&number)) {
            end.cancel();
            state.counts.displaced += 1;
            state.warn(self.limits.connections);
        }
        let end = self.end.child_token();
        state.ends.insert(number, end.clone());
        let gate = self.clone();
        Some(Arc::new(Connection { gate, number, has_called: AtomicBool::new(false), end, _socket: room }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn warn(&mut self, limit: usize) {
        let now = Instant::now();
        if self.warned.is_none_or(|warned| now.duration_since(warned) >= WARNING_INTERVAL) {
            self.warned = Some(now);
            let ConnectionCounts { displaced, refused, .. } = self.counts;
            warn!(limit, displaced, refused, "more connections arrive than there is room for");
        }
    }
}

impl Connection {
    /// Counts a call that was let in, until the result is dropped.
    pub(crate) fn begin_call(self: &Arc<Self>) -> Call {
        self.has_called.store(true, Ordering::Relaxed);
        self.gate.state().register.call_begins(self.number);
        Call(self.clone())
    }

    /// Resolves when the connection has to go: to make room, or because it made no call in time.
    pub(crate) async fn has_to_go(self: Arc<Self>) {
        let first_call = tokio::time::sleep(self.gate.limits.first_call);
        tokio::select! {
            () = self.end.cancelled() => return,
            () = first_call => {}
        }
        if self.has_called.load(Ordering::Relaxed) {
            self.end.cancelled().await;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.register.leave(self.number);
        state.ends.remove(&self.number);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.gate.state().register.call_ends(self.0.number);
    }
}
