//! The cache against several users, crashes and its budget.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;

fn cache(budget: u64) -> (TempDir, NodeCache) {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = NodeCache::below(dir.path(), budget);
    (dir, cache)
}

/// Holds a thing of so many bytes, and counts when it has to be filled.
async fn hold(cache: &NodeCache, name: &str, bytes: u64, fills: &AtomicUsize) -> Result<InUse, CacheError<Infallible>> {
    let fill = |dir: PathBuf| async move {
        fills.fetch_add(1, Ordering::Relaxed);
        // Others come meanwhile.
        tokio::time::sleep(Duration::from_millis(20)).await;
        fs::write(dir.join("file"), vec![1; bytes as usize]).expect("written");
        Ok(())
    };
    cache.hold(name, bytes, fill).await
}

/// The bytes of all content.
fn used(cache: &NodeCache) -> u64 {
    let entries = fs::read_dir(&cache.dir).expect("there").flatten();
    entries.filter_map(|entry| fs::metadata(entry.path().join("content/file")).ok()).map(|file| file.len()).sum()
}

fn age(cache: &NodeCache, name: &str, seconds: u64) {
    let lock = fs::File::open(cache.dir.join(name).join("lock")).expect("there");
    lock.set_modified(SystemTime::now() - Duration::from_secs(seconds)).expect("set");
}

#[tokio::test]
async fn several_who_want_the_same_download_it_once() {
    let (_dir, cache) = cache(1000);
    let fills = AtomicUsize::new(0);
    let held = futures::future::join_all((0..8).map(|_| hold(&cache, "a", 100, &fills))).await;
    assert!(held.iter().all(|held| held.as_ref().is_ok_and(|held| held.content().join("file").is_file())));
    assert_eq!(fills.load(Ordering::Relaxed), 1);
}

/// Workers that start together look before anybody has begun to fill it; each keeps what it holds until all have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_looked_before_it_was_filled_has_it_while_others_use_it() {
    let (_dir, cache) = cache(1 << 20);
    let (cache, fills) = (Arc::new(cache), Arc::new(AtomicUsize::new(0)));
    for round in 0..50 {
        let asking = (0..4).map(|_| {
            let (cache, fills) = (Arc::clone(&cache), Arc::clone(&fills));
            tokio::spawn(async move { hold(&cache, &format!("thing-{round}"), 10, &fills).await })
        });
        let all = futures::future::join_all(asking.collect::<Vec<_>>());
        let held = tokio::time::timeout(Duration::from_secs(60), all).await.expect("nobody waits for another to end");
        assert!(held.iter().all(|held| held.as_ref().is_ok_and(Result::is_ok)));
    }
    assert_eq!(fills.load(Ordering::Relaxed), 50);
}

#[tokio::test]
async fn the_oldest_goes_and_never_what_is_in_use() {
    let (_dir, cache) = cache(250);
    let fills = AtomicUsize::new(0);
    let a = hold(&cache, "a", 100, &fills).await.expect("fits");
    for name in ["b", "c", "d"] {
        drop(hold(&cache, name, 100, &fills).await.expect("something older goes"));
        age(&cache, "a", 1000);
        assert!(used(&cache) <= 250, "{name}");
        assert!(a.content().join("file").is_file(), "it is in use");
    }
    // Of two that nobody uses, the one that was used last stays.
    drop(a);
    age(&cache, "a", 0);
    age(&cache, "d", 10);
    drop(hold(&cache, "e", 100, &fills).await.expect("fits"));
    assert!(cache.held("d").await.expect("readable").is_none());
    assert!(cache.held("a").await.expect("readable").is_some());
}

#[tokio::test]
async fn what_does_not_fit_beside_what_is_in_use_is_refused() {
    let (_dir, cache) = cache(250);
    let fills = AtomicUsize::new(0);
    let _a = hold(&cache, "a", 200, &fills).await.expect("fits");
    let error = hold(&cache, "b", 100, &fills).await.expect_err("it does not");
    assert!(matches!(error, CacheError::NoRoom { needed: 100, budget: 250, in_use: 200, .. }), "{error}");
    assert!(error.to_string().contains("--cache-bytes"), "{error}");
    assert_eq!(used(&cache), 200);
    let error = hold(&cache, "c", 251, &fills).await.expect_err("it never does");
    assert!(matches!(error, CacheError::NoRoom { .. }), "{error}");
}

#[tokio::test]
async fn what_a_crash_left_is_filled_again_and_keeps_no_room() {
    let (_dir, cache) = cache(250);
    // As it looks when the process was killed within a download of 200 bytes.
    let left = cache.dir.join("a");
    fs::create_dir_all(left.join("partial")).expect("made");
    fs::write(left.join("bytes"), "200\n").expect("written");
    fs::write(left.join("partial/file"), vec![0; 77]).expect("written");
    fs::write(left.join("lock"), "").expect("written");
    let fills = AtomicUsize::new(0);
    drop(hold(&cache, "b", 240, &fills).await.expect("nobody has the other"));
    assert!(!left.join("partial").exists());
    let held = hold(&cache, "a", 200, &fills).await.expect("it fits once the other is gone");
    assert_eq!(fs::read(held.content().join("file")).expect("there").len(), 200);
    assert_eq!(used(&cache), 200);
}

#[tokio::test]
async fn a_download_that_fails_leaves_nothing() {
    let (_dir, cache) = cache(250);
    let fill = |dir: PathBuf| async move {
        fs::write(dir.join("file"), b"half").expect("written");
        Err(io::Error::other("the line broke"))
    };
    let error = cache.hold("a", 100, fill).await.expect_err("it fails");
    assert!(matches!(error, CacheError::Fill(_)), "{error}");
    assert!(!cache.dir.join("a/partial").exists() && !cache.dir.join("a/bytes").exists());
    assert!(cache.held("a").await.expect("readable").is_none());
}

#[tokio::test]
async fn what_is_damaged_is_removed_although_somebody_has_it_open() {
    let (_dir, cache) = cache(250);
    let fills = AtomicUsize::new(0);
    let _held = hold(&cache, "a", 100, &fills).await.expect("fits");
    cache.discard("a").await.expect("removed");
    cache.discard("a").await.expect("there is nothing left");
    assert!(cache.held("a").await.expect("readable").is_none());
}
