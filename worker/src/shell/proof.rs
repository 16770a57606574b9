//! Opens the storage that the coordinator names, and shows the coordinator that it is the same one and can be used.

use std::time::Duration;

use storage::{ProofError, Storage, StorageError, prove};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::{info, warn};
use vocabulary::Backoff;
use vocabulary::text::one_line;

use super::Shell;
use crate::checkpoint::off_thread;
use crate::error::WorkerError;
use crate::jobs::Done;
use crate::session::{Offer, Unnumbered};

/// The waits between two tries to use the storage.
const BETWEEN_PROOFS: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60) };
/// How often a storage that is not the coordinator's is looked at before a worker that never could work leaves: what the
/// coordinator just wrote may show late.
const LOOKS_BEFORE_LEAVING: u32 = 2;

/// Whether the storage is the coordinator's, and can be used.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// What the latest welcome named.
    pub(super) offer: Option<Offer>,
    /// The latest try.
    job: Option<AbortHandle>,
    /// Tries in a row that failed.
    failures: u32,
    pub(super) again_at: Option<Instant>,
    /// Whether this process could ever use the storage.
    was_given: bool,
}

impl Shell {
    /// Has the storage that the coordinator named opened and proved beside the session: a file system whose server is gone may
    /// never answer, and heartbeats and signals must not wait for it.
    pub(super) fn prove_storage(&mut self) -> Result<(), WorkerError> {
        self.proof.again_at = None;
        let Some(Offer { address, id }) = self.proof.offer.clone() else { return Ok(()) };
        if self.storage.as_ref().is_none_or(|(known, _)| *known != address) {
            if self.opening.as_ref() != Some(&address) {
                self.opening = Some(address.clone());
                self.jobs.spawn(off_thread(move || {
                    let result = Storage::open(&address);
                    Done::Opened { address, result }
                }));
            }
            return Ok(());
        }
        if let (Some(id), Some((_, storage))) = (id, &self.storage) {
            let (storage, name) = (storage.clone(), self.session.worker().to_string());
            let job = async move { Done::Proved { result: prove(storage.store().as_ref(), &id, &name).await } };
            // The latest welcome is what counts.
            if let Some(earlier) = self.proof.job.replace(self.jobs.spawn(job)) {
                earlier.abort();
            }
        }
        Ok(())
    }

    pub(super) fn on_opened(
        &mut self,
        address: String,
        opened: Result<Storage, StorageError>,
    ) -> Result<(), WorkerError> {
        if self.opening.take_if(|opening| *opening == address).is_none() {
            return Ok(()); // Another coordinator has named another one meanwhile.
        }
        match opened {
            Ok(storage) => {
                info!(storage = address, "welcome");
                self.storage = Some((address, storage));
            }
            // Where this process has worked before, whatever it is may pass.
            Err(error) if error.may_pass() || self.proof.was_given => {
                self.storage = None;
                self.not_proved(&address, &error);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        self.prove_storage()?;
        match self.unprepared.take().and_then(|assignment| self.prepare(assignment)) {
            Some(event) => self.feed(event),
            None => Ok(()),
        }
    }

    pub(super) fn on_proved(&mut self, result: Result<(), ProofError>) -> Result<(), WorkerError> {
        let address = self.storage.as_ref().map(|(address, _)| address.clone()).unwrap_or_default();
        match result {
            Ok(()) => {
                self.proof.failures = 0;
                self.proof.was_given = true;
                self.send_beside(Unnumbered::StorageProof { trouble: None });
            }
            // Somebody started it where it cannot work. One whose parent started it says so and stays, and so does one that
            // could work here before: a file system may have gone away.
            Err(source)
                if source.is_elsewhere()
                    && self.proof.failures >= LOOKS_BEFORE_LEAVING
                    && !self.proof.was_given
                    && !self.options.exit_with_stdin =>
            {
                return Err(WorkerError::OtherStorage { address, source });
            }
            Err(error) => self.not_proved(&address, &error),
        }
        Ok(())
    }

    /// Says why the storage cannot be used, and tries again later.
    fn not_proved(&mut self, address: &str, error: &dyn std::error::Error) {
        let trouble = format!("cannot use the storage at {address}: {}", one_line(error));
        self.proof.failures = self.proof.failures.saturating_add(1);
        let wait = BETWEEN_PROOFS.wait_after(self.proof.failures);
        warn!(?wait, "{trouble}; trying again");
        self.proof.again_at = Some(Instant::now() + wait);
        self.send_beside(Unnumbered::StorageProof { trouble: Some(trouble) });
    }

    /// The storage failed an attempt: the coordinator is told, and hears again once it works.
    pub(super) fn doubt_storage(&mut self, reason: String) -> Result<(), WorkerError> {
        if self.proof.offer.as_ref().is_none_or(|offer| offer.id.is_none()) {
            return Ok(());
        }
        self.send_beside(Unnumbered::StorageProof { trouble: Some(reason) });
        self.prove_storage()
    }
}
