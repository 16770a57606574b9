//! An object store that fails like disks, networks and services do, for tests of the crates that use one.

#![allow(dead_code, reason = "each crate that includes it uses a part of this")]

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Notify;

/// How often which fault happens, in thousandths of the operations.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rates {
    /// A write fails, and nothing is there.
    pub(crate) put_fails: u64,
    /// A write fails, and the first half of it is there.
    pub(crate) put_is_short: u64,
    /// A write is said to have succeeded, and nothing is there.
    pub(crate) put_is_lost: u64,
    /// A read fails.
    pub(crate) get_fails: u64,
    /// A read gives the first half.
    pub(crate) get_is_short: u64,
    /// An operation takes a while.
    pub(crate) is_slow: u64,
}

/// When the process that writes is to be gone.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Death {
    /// Before the write of this number, counted from 0, has any effect.
    Before(usize),
    /// When half of it is written.
    Within(usize),
    /// When it is done, and nobody has heard of that.
    After(usize),
}

#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    rates: Rates,
    random: Mutex<u64>,
    death: Option<Death>,
    puts: AtomicUsize,
    died: Notify,
}

impl Faulty {
    /// One that fails at these rates, always in the same way for a seed.
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, rates: Rates, seed: u64) -> Self {
        Self { inner, rates, random: Mutex::new(seed), death: None, puts: AtomicUsize::new(0), died: Notify::new() }
    }

    /// One whose user is to be dropped when [`Faulty::died`] returns: from then on nothing is answered.
    pub(crate) fn with_death(inner: Arc<dyn ObjectStore>, death: Death) -> Self {
        Self { death: Some(death), ..Self::new(inner, Rates::default(), 0) }
    }

    pub(crate) async fn died(&self) {
        self.died.notified().await;
    }

    /// How often something was to be written.
    pub(crate) fn puts(&self) -> usize {
        self.puts.load(Ordering::Relaxed)
    }

    /// Whether something happens that does so in this many of a thousand cases.
    fn chance(&self, thousandths: u64) -> bool {
        let mut state = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % 1000 < thousandths
    }

    async fn be_slow(&self) {
        if self.chance(self.rates.is_slow) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn put_half(&self, location: &Path, payload: &PutPayload) -> Result<()> {
        let whole: Vec<u8> = payload.iter().flat_map(|part| part.to_vec()).collect();
        self.inner.put(location, whole[..whole.len() / 2].to_vec().into()).await.map(|_| ())
    }

    async fn die(&self) -> ! {
        self.died.notify_one();
        std::future::pending().await
    }
}

fn refused(what: &str) -> Error {
    Error::Generic { store: "faulty", source: what.to_owned().into() }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a faulty {}", self.inner)
    }
}

#[tonic::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let number = self.puts.fetch_add(1, Ordering::Relaxed);
        match self.death {
            Some(Death::Before(at)) if at <= number => self.die().await,
            Some(Death::Within(at)) if at == number => {
                self.put_half(location, &payload).await?;
                self.die().await
            }
            Some(Death::After(at)) if at == number => {
                self.inner.put_opts(location, payload, opts).await?;
                self.die().await
            }
            Some(Death::Within(at) | Death::After(at)) if at < number => self.die().await,
            _ => {}
        }
        self.be_slow().await;
        if self.chance(self.rates.put_fails) {
            return Err(refused("no space left on device"));
        }
        if self.chance(self.rates.put_is_short) {
            self.put_half(location, &payload).await?;
            return Err(refused("the connection broke"));
        }
        if self.chance(self.rates.put_is_lost) {
            return Ok(PutResult { e_tag: None, version: None, extensions: Default::default() });
        }
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.be_slow().await;
        if self.chance(self.rates.get_fails) {
            return Err(refused("input/output error"));
        }
        let mut result = self.inner.get_opts(location, options.clone()).await?;
        if self.chance(self.rates.get_is_short) {
            let whole = self.inner.get_opts(location, options).await?.bytes().await?;
            let half = whole.slice(..whole.len() / 2);
            result.payload = GetResultPayload::Stream(futures::stream::once(async move { Ok(half) }).boxed());
        }
        Ok(result)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
