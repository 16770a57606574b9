//! Objects sent in parts.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{Error, MultipartId, MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use tokio::time::{sleep, timeout};

use super::Transfer;
use super::explain::Where;

/// The most parts that a service takes, with some to spare.
const MOST_PARTS: usize = 9_000;

/// What the parts of one object have in common.
#[derive(Debug)]
pub(super) struct Parts<T> {
    inner: Arc<T>,
    place: Arc<Where>,
    transfer: Transfer,
    path: Path,
    id: MultipartId,
}

impl<T: MultipartStore> Parts<T> {
    /// Begins an upload.
    pub(super) async fn begin(inner: &Arc<T>, place: &Arc<Where>, transfer: &Transfer, path: &Path) -> Result<Self> {
        let id = inner.create_multipart(path).await.map_err(|error| place.explain(error))?;
        let (inner, place) = (Arc::clone(inner), Arc::clone(place));
        Ok(Self { inner, place, transfer: transfer.clone(), path: path.clone(), id })
    }

    /// Sends a whole object. One that cannot be sent leaves nothing, if the service still answers.
    pub(super) async fn send(self, payload: &PutPayload) -> Result<PutResult> {
        let part_bytes = part_bytes(payload.content_length(), self.transfer.part_bytes);
        let sent = async {
            let parts = split(payload, part_bytes).into_iter().enumerate();
            let sending = parts.map(|(index, part)| self.part(index, part));
            let parts: Vec<PartId> =
                futures::stream::iter(sending).buffered(self.transfer.parts_at_once).try_collect().await?;
            self.complete(parts).await
        }
        .await;
        if sent.is_err() {
            self.abort().await;
        }
        sent
    }

    /// Sends a part, and again if the service fails: each try is signed anew.
    async fn part(&self, index: usize, part: PutPayload) -> Result<PartId> {
        let mut wait = self.transfer.first_wait;
        for _ in 0..self.transfer.retries {
            match self.inner.put_part(&self.path, &self.id, index, part.clone()).await {
                Ok(id) => return Ok(id),
                // What is refused is refused again.
                Err(
                    error @ (Error::NotFound { .. } | Error::PermissionDenied { .. } | Error::Unauthenticated { .. }),
                ) => {
                    return Err(self.place.explain(error));
                }
                Err(_) => sleep(wait).await,
            }
            wait = (wait * 2).min(self.transfer.longest_wait);
        }
        let last = self.inner.put_part(&self.path, &self.id, index, part).await;
        last.map_err(|error| self.place.explain(error))
    }

    async fn complete(&self, parts: Vec<PartId>) -> Result<PutResult> {
        let completed = self.inner.complete_multipart(&self.path, &self.id, parts).await;
        completed.map_err(|error| self.place.explain(error))
    }

    /// Gives up what was sent. What stays, a rule of the bucket has to remove.
    async fn abort(&self) {
        let _ = timeout(self.transfer.connect, self.inner.abort_multipart(&self.path, &self.id)).await;
    }
}

/// The size of parts: the usual one, or more for what would need too many.
fn part_bytes(object_bytes: usize, usual: usize) -> usize {
    usual.max(object_bytes.div_ceil(MOST_PARTS)).max(1)
}

/// A payload in pieces of a size, of which the last may be smaller. Copies nothing that is in one piece.
fn split(payload: &PutPayload, part_bytes: usize) -> Vec<PutPayload> {
    let (mut parts, mut current, mut have) = (Vec::new(), Vec::<Bytes>::new(), 0);
    for mut bytes in payload.iter().cloned() {
        while !bytes.is_empty() {
            let next = bytes.split_to(bytes.len().min(part_bytes - have));
            have += next.len();
            current.push(next);
            if have == part_bytes {
                parts.push(std::mem::take(&mut current).into_iter().collect());
                have = 0;
            }
        }
    }
    if have > 0 {
        parts.push(current.into_iter().collect());
    }
    parts
}

/// An upload whose caller says what the parts are.
#[derive(Debug)]
pub(super) struct Upload<T> {
    parts: Arc<Parts<T>>,
    done: Arc<Mutex<Vec<Option<PartId>>>>,
}

impl<T> Upload<T> {
    pub(super) fn new(parts: Parts<T>) -> Self {
        Self { parts: Arc::new(parts), done: Arc::default() }
    }
}

#[async_trait::async_trait]
impl<T: MultipartStore + std::fmt::Debug> MultipartUpload for Upload<T> {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (parts, done) = (Arc::clone(&self.parts), Arc::clone(&self.done));
        let index = {
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push(None);
            done.len() - 1
        };
        Box::pin(async move {
            let id = parts.part(index, data).await?;
            done.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(id);
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let ids: Option<Vec<PartId>> =
            self.done.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        let missing = || Error::Generic { store: "bucket", source: "a part was not sent".into() };
        self.parts.complete(ids.ok_or_else(missing)?).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.abort().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_one_size_but_for_the_last() {
        let whole: Vec<u8> = (0..=255).collect();
        let pieces: PutPayload = whole.chunks(7).map(Bytes::copy_from_slice).collect();
        for size in [1, 7, 10, 100, 255, 256, 1000] {
            let parts = split(&pieces, size);
            assert!(parts[..parts.len() - 1].iter().all(|part| part.content_length() == size), "{size}");
            let joined: Vec<u8> = parts.iter().flat_map(PutPayload::iter).flatten().copied().collect();
            assert_eq!(joined, whole, "{size}");
        }
        assert!(split(&PutPayload::new(), 8).is_empty());
    }

    #[test]
    fn an_object_has_no_more_parts_than_services_take() {
        assert_eq!(part_bytes(1 << 30, 16 << 20), 16 << 20);
        let large = 1 << 40;
        assert!(large / part_bytes(large, 16 << 20) <= MOST_PARTS);
    }
}
