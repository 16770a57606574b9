//! A bucket as an object store.

use std::fmt;
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::Transfer;
use super::explain::Where;
use super::parts::{Parts, Upload};

/// See the [module's page](self).
#[derive(Debug)]
pub(super) struct Bucket<T> {
    inner: Arc<T>,
    place: Arc<Where>,
    transfer: Transfer,
}

impl<T> Bucket<T> {
    pub(super) fn new(inner: T, place: Where, transfer: Transfer) -> Self {
        Self { inner: Arc::new(inner), place: Arc::new(place), transfer }
    }

    fn explained<R>(&self, result: Result<R>) -> Result<R> {
        result.map_err(|error| self.place.explain(error))
    }

    fn explained_stream<R: 'static>(&self, stream: BoxStream<'static, Result<R>>) -> BoxStream<'static, Result<R>> {
        let place = Arc::clone(&self.place);
        stream.map_err(move |error| place.explain(error)).boxed()
    }
}

impl<T> fmt::Display for Bucket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bucket {}", self.place.bucket)
    }
}

#[async_trait::async_trait]
impl<T: ObjectStore + MultipartStore> ObjectStore for Bucket<T> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        // Nothing here puts under a condition; who does gets one request, to which conditions apply.
        if payload.content_length() <= self.transfer.part_bytes || options.mode != PutMode::Overwrite {
            return self.explained(self.inner.put_opts(location, payload, options).await);
        }
        Parts::begin(&self.inner, &self.place, &self.transfer, location).await?.send(&payload).await
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let parts = Parts::begin(&self.inner, &self.place, &self.transfer, location).await?;
        Ok(Box::new(Upload::new(parts)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let found = self.explained(self.inner.get_opts(location, options).await)?;
        let payload = match found.payload {
            GetResultPayload::Stream(stream) => GetResultPayload::Stream(self.explained_stream(stream)),
            other => other,
        };
        Ok(GetResult { payload, ..found })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.explained_stream(self.inner.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.explained_stream(self.inner.list(prefix))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.explained(self.inner.list_with_delimiter(prefix).await)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.explained(self.inner.copy_opts(from, to, options).await)
    }
}
