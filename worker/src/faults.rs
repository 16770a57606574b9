//! Checkpoints on failing storages and interrupted uploads: afterwards either the previous checkpoint or the new one
//! exists, and a read returns what was written or an error.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::sync::Mutex;
use vocabulary::{Attempt, AttemptKey, StageKey};

use crate::checkpoint::{Blobs, CheckpointRef, download, find, upload};
use crate::faulty::{Death, Faulty, Rates};
use crate::jobs::{PrepareError, RetryPolicy, StoreError, fetch, store};
use crate::node_cache::NodeCache;
use crate::session::{Lost, Unprepared};
use crate::training::Blob;
use storage::Storage;

/// Writes per checkpoint: two blobs and the manifest.
const PUTS: usize = 3;

impl RetryPolicy {
    /// The usual number of tries, without waiting.
    const AT_ONCE: Self = Self { tries: 4, first_wait: Duration::ZERO, longest_wait: Duration::ZERO };
}

fn key() -> AttemptKey {
    AttemptKey { stage: StageKey::from_content(b"a stage"), attempt: Attempt(2) }
}

fn content(step: u8) -> Vec<Blob> {
    let blob = |name: &str, byte| Blob { name: name.to_owned(), bytes: vec![byte; 1000] };
    vec![blob("weights.safetensors", step), blob("optimizer.safetensors", step + 100)]
}

/// A storage with a checkpoint of step 10.
async fn with_one() -> (Arc<dyn ObjectStore>, CheckpointRef) {
    let sound: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let old = upload(sound.as_ref(), key(), 10, &Blobs::new(content(10))).await.expect("memory takes everything");
    (sound, old)
}

#[tokio::test]
async fn a_process_gone_at_any_write_leaves_the_checkpoint_before_or_the_new_one() {
    let mut complete = 0;
    for death in (0..PUTS).flat_map(|put| [Death::Before(put), Death::Within(put), Death::After(put)]) {
        let (sound, old) = with_one().await;
        let dying = Faulty::with_death(Arc::clone(&sound), death);
        let new = Blobs::new(content(20));
        tokio::select! {
            stored = upload(&dying, key(), 20, &new) => panic!("{death:?}: {stored:?}"),
            () = dying.died() => {}
        }
        let before = download(sound.as_ref(), &old).await.expect("it was there before");
        assert_eq!(*before, content(10), "{death:?}");
        // A truncated manifest invalidates its whole checkpoint.
        if let Ok(Some((_, blobs))) = find(sound.as_ref(), key(), 20).await {
            assert_eq!(*blobs, content(20), "{death:?}");
            complete += 1;
        }
        // The next attempt writes it anew, over what exists.
        let next = upload(sound.as_ref(), key(), 20, &new).await.expect("memory takes everything");
        assert_eq!(*download(sound.as_ref(), &next).await.expect("it is whole"), content(20), "{death:?}");
    }
    assert_eq!(complete, 1, "only the one whose manifest was written");
}

#[tokio::test]
async fn whatever_fails_what_is_read_is_what_was_written() {
    let rates =
        Rates { put_fails: 150, put_is_short: 100, put_is_lost: 50, get_fails: 150, get_is_short: 100, is_slow: 50 };
    let (mut stored, mut read) = (0, 0);
    for seed in 0..500 {
        let (sound, old) = with_one().await;
        let faulty: Arc<dyn ObjectStore> = Arc::new(Faulty::new(Arc::clone(&sound), rates, seed));
        let storage = Storage::over(Arc::clone(&faulty));
        let turn = Arc::new(Mutex::new(()));
        let outcome = store(storage, turn, key(), 20, RetryPolicy::AT_ONCE, Box::new(|| Ok(content(20)))).await;
        assert_eq!(*download(sound.as_ref(), &old).await.expect("nobody touched it"), content(10));
        let Ok((new, _)) = outcome else { continue };
        stored += 1;
        // Silent loss by the storage is noticed, by the coordinator before it commits and here.
        if let Ok(blobs) = download(faulty.as_ref(), &new).await {
            read += 1;
            assert_eq!(*blobs, content(20), "seed {seed}");
        }
    }
    assert!(stored > 300 && read > 100 && read < stored, "{stored} stored, {read} read");
}

#[tokio::test]
async fn a_storage_that_takes_nothing_is_tried_again_and_then_hands_the_attempt_back() {
    let full = Rates { put_fails: 1000, ..Rates::default() };
    for patience in [RetryPolicy::AT_ONCE, RetryPolicy { tries: 7, ..RetryPolicy::AT_ONCE }] {
        let faulty = Arc::new(Faulty::new(Arc::new(InMemory::new()), full, 1));
        let storage = Storage::over(faulty.clone());
        let turn = Arc::new(Mutex::new(()));
        let error =
            store(storage, turn, key(), 20, patience, Box::new(|| Ok(content(20)))).await.expect_err("it is full");
        // A try ends with the first refused blob; the manifest is not written.
        let puts = faulty.puts();
        assert!((patience.tries as usize..2 * patience.tries as usize + 1).contains(&puts), "{puts} writes");
        let Lost::NotStored { reason } = error.into() else { panic!("it is the storage's fault") };
        assert!(reason.contains("no space left on device"), "{reason}");
    }
}

#[tokio::test]
async fn what_the_training_cannot_give_is_not_the_storages_fault() {
    let storage = || Storage::over(Arc::new(InMemory::new()));
    let turn = || Arc::new(Mutex::new(()));
    let error = store(storage(), turn(), key(), 20, RetryPolicy::AT_ONCE, Box::new(|| Err("no memory".into()))).await;
    assert!(matches!(error, Err(StoreError::Take(_))));
    let error = store(storage(), turn(), key(), 20, RetryPolicy::AT_ONCE, Box::new(|| panic!("a bug"))).await;
    let Lost::NotTaken { reason } = error.expect_err("it panicked").into() else { panic!("it is the training's") };
    assert!(reason.contains("a bug"), "{reason}");
}

#[tokio::test]
async fn a_start_that_is_damaged_is_told_from_one_that_cannot_be_read() {
    let failure = async |rates| {
        let (sound, start) = with_one().await;
        let storage = Storage::over(Arc::new(Faulty::new(sound, rates, 1)));
        let error =
            fetch(&storage, &start, &NodeCache::below(std::path::Path::new("nowhere"), 0), RetryPolicy::AT_ONCE)
                .await
                .expect_err("it cannot be had");
        Unprepared::from(PrepareError::Checkpoint { checkpoint: start, source: error })
    };
    let unreachable = failure(Rates { get_fails: 1000, ..Rates::default() }).await;
    assert!(matches!(unreachable, Unprepared::StorageFailed { .. }), "{unreachable:?}");
    let damaged = failure(Rates { get_is_short: 1000, ..Rates::default() }).await;
    let Unprepared::StartUnusable { checkpoint, .. } = damaged else { panic!("{damaged:?}") };
    assert_eq!(checkpoint.step, 10);
}
