//! Waiting for a store that somebody else holds, or whose disk is full. Nothing was promised yet, so waiting costs only time.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use vocabulary::Backoff;
use vocabulary::text::one_line;

use crate::store::StoreError;

/// The waits between two tries, on top of the time that the store itself waits for a lock.
const WAITS: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(30) };

/// What the driver waits for, and since when.
#[derive(Debug, Clone)]
pub(crate) struct Stall {
    pub(crate) since: Instant,
    /// What the store says, in one line.
    pub(crate) why: Arc<str>,
}

/// Repeats what fails for a reason that passes.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    stall: watch::Sender<Option<Stall>>,
    /// Nobody waits beyond the coordinator's end.
    stop: CancellationToken,
}

impl Patience {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { stall: watch::Sender::new(None), stop }
    }

    /// The same for a task beside the driver, whose waits hold up nothing else.
    pub(super) fn beside(&self) -> Self {
        Self::new(self.stop.clone())
    }

    /// What is waited for now.
    pub(super) fn stalls(&self) -> watch::Receiver<Option<Stall>> {
        self.stall.subscribe()
    }

    /// Calls until the call succeeds, or fails for a reason that does not pass by itself.
    ///
    /// # Errors
    /// The error that does not pass, or the last one where the coordinator is told to stop.
    pub(super) async fn call<'a, T>(
        &self,
        what: &'static str,
        call: impl Fn() -> BoxFuture<'a, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let since = Instant::now();
        let mut failures = 0;
        loop {
            let error = match call().await {
                Err(error) if error.is_retryable() => error,
                outcome => {
                    if failures > 0 && outcome.is_ok() {
                        info!(what, after = ?since.elapsed(), "the store can be used again");
                    }
                    self.stall.send_if_modified(|stall| stall.take().is_some());
                    return outcome;
                }
            };
            failures += 1;
            let (wait, why) = (WAITS.wait_after(failures), one_line(&error));
            warn!(what, error = why, failures, "the store cannot be used now; trying again");
            self.stall.send_replace(Some(Stall { since, why: why.into() }));
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(error),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
