//! A corpus that is several times as large takes no more memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use corpus::{Limits, PrepareRequest, TextRequest, TokenizerChoice, prepare};

/// Counts what is allocated.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Writes JSON Lines of about as many mebibytes.
fn write(dir: &Path, mebibytes: u64) {
    let file = std::fs::File::create(dir.join("lines.jsonl")).expect("creates");
    let mut lines = std::io::BufWriter::new(file);
    for number in 0..mebibytes * 64 {
        let words: String =
            (0..1_500).map(|i| format!("word{} ", (i * i + number * 7919 + i * number) % 997)).collect();
        writeln!(lines, "{{\"text\": \"{number} {words}\"}}").expect("writes");
    }
    lines.flush().expect("writes");
}

/// The most memory at any time that a preparation took, and the bytes of its text.
fn peak_of(mebibytes: u64, tokenizer: &TokenizerChoice) -> (usize, u64) {
    let (peak, bytes, _) = prepared(mebibytes, tokenizer);
    (peak, bytes)
}

/// The same, and the tokenizer.
fn prepared(mebibytes: u64, tokenizer: &TokenizerChoice) -> (usize, u64, String) {
    let (texts, datasets) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    write(texts.path(), mebibytes);
    let request = PrepareRequest {
        texts: vec![TextRequest { sources: vec![".".to_owned()], ..TextRequest::default() }],
        base_dir: texts.path().to_path_buf(),
        tokenizer: tokenizer.clone(),
        validation_fraction: 0.05,
        split_seed: 0,
        max_bytes: None,
        datasets_dir: datasets.path().to_path_buf(),
        limits: Limits::default(),
    };
    PEAK.store(NOW.load(Ordering::Relaxed), Ordering::Relaxed);
    let before = NOW.load(Ordering::Relaxed);
    let done = prepare(&request, &|_| {}).expect("is prepared");
    let peak = PEAK.load(Ordering::Relaxed) - before;
    let tokenizer = std::fs::read_to_string(done.dir.join("tokenizer.json")).expect("is there");
    (peak, done.dataset.train_bytes + done.dataset.validation_bytes, tokenizer)
}

#[test]
fn memory_does_not_grow_with_the_corpus() {
    // A tokenizer is trained on a sample in memory, which all of this text would fit into: this one is trained before.
    let (_, _, tokenizer) = prepared(1, &TokenizerChoice::Train { vocab: 2_000 });
    let tokenizer = TokenizerChoice::Json(tokenizer);
    let (small, some) = peak_of(10, &tokenizer);
    let (large, more) = peak_of(30, &tokenizer);
    assert!(more > 2 * some, "{more} bytes are more than {some}");
    // A few batches that a small corpus does not fill.
    let growth = large.saturating_sub(small) as u64;
    assert!(growth < (more - some) / 2, "{large} bytes of memory for {more} of text, {small} for {some}");
}
