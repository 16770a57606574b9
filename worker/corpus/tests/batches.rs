//! Batches of a written dataset.

use std::collections::BTreeSet;

use corpus::dataset::{MANIFEST, write_texts};
use corpus::{Batch, BatchError, OpenDataset, OpenError, samples};
use tempfile::TempDir;
use vocabulary::MAX_ROWS;

fn text(seed: u64, words: u64) -> String {
    (0..words).map(|i| format!("word{} ", (i * i + seed) % 97)).collect()
}

fn toy() -> (TempDir, OpenDataset) {
    let dir = tempfile::tempdir().expect("a directory");
    let (train, held_out) = ([text(1, 900), text(2, 700)], [text(3, 400)]);
    let (_, at) =
        write_texts(dir.path(), &train.each_ref().map(String::as_str), &held_out.each_ref().map(String::as_str), 300)
            .expect("is written");
    let open = OpenDataset::open(&at).expect("opens");
    (dir, open)
}

fn shape(sequences: u32, context: u32) -> vocabulary::Batch {
    vocabulary::Batch { sequences, context, micro_sequences: sequences, lanes: 1 }
}

fn rows(batch: &Batch) -> Vec<(Vec<i32>, Vec<i32>)> {
    let inputs = batch.inputs.chunks(batch.context).map(<[i32]>::to_vec);
    inputs.zip(batch.targets.chunks(batch.context).map(<[i32]>::to_vec)).collect()
}

#[test]
fn an_epoch_shows_every_window_once_and_the_next_shuffles_again() {
    let (_dir, data) = toy();
    let windows = data.dataset().train_tokens / 16;
    let epoch = |number: u64| -> Vec<_> {
        (number * windows..(number + 1) * windows)
            .map(|step| rows(&data.train_batch(7, step, &shape(1, 16)).expect("a batch")).remove(0))
            .collect()
    };
    let (first, second) = (epoch(0), epoch(1));
    assert_ne!(first, second);
    let sorted = |mut rows: Vec<_>| {
        rows.sort();
        rows
    };
    // The same windows, equally often; end to end they are the text.
    assert_eq!(sorted(first.clone()), sorted(second));
    let total: usize = first.iter().map(|(inputs, _)| inputs.len()).sum();
    assert_eq!(total as u64, windows * 16);
    let distinct: BTreeSet<_> = first.iter().collect();
    assert!(distinct.len() as u64 > windows * 9 / 10, "{} distinct of {windows}", distinct.len());
}

#[test]
fn targets_are_inputs_moved_on_by_one() {
    let (_dir, data) = toy();
    for (inputs, targets) in rows(&data.train_batch(1, 3, &shape(4, 16)).expect("a batch")) {
        assert_eq!(inputs[1..], targets[..15]);
    }
}

#[test]
fn a_batch_depends_on_seed_and_step_alone() {
    let (dir, data) = toy();
    let forwards: Vec<_> = (0..50).map(|step| data.train_batch(5, step, &shape(3, 16)).expect("a batch")).collect();
    let again = OpenDataset::open(data.dir()).expect("opens");
    for step in (0..50).rev() {
        assert_eq!(again.train_batch(5, step, &shape(3, 16)).expect("a batch"), forwards[step as usize]);
    }
    assert_ne!(data.train_batch(6, 0, &shape(3, 16)).expect("a batch"), forwards[0]);
    // The number of sequences per step does not change their order.
    let one_by_one: Vec<_> =
        (0..6).flat_map(|step| data.train_batch(5, step, &shape(1, 16)).expect("a batch").inputs).collect();
    assert_eq!(one_by_one, [&forwards[0].inputs[..], &forwards[1].inputs[..]].concat());
    drop(dir);
}

#[test]
fn validation_is_the_held_out_text_in_order() {
    let (_dir, data) = toy();
    let all = data.dataset().validation_tokens;
    for (tokens, context) in [(all, 16), (all, 1_000_000), (33, 16), (1, 16)] {
        let set = data.validation(tokens, context).expect("a set");
        let bytes = set.bytes();
        let batches: Vec<_> = set.map(|batch| batch.expect("a batch")).collect();
        let targets: Vec<i32> = batches.iter().flat_map(|batch| batch.targets.clone()).collect();
        assert_eq!(targets.len() as u64, tokens);
        assert!(batches.iter().all(|batch| batch.inputs.len() == batch.sequences * batch.context));
        if tokens == all {
            assert_eq!(bytes, data.dataset().validation_bytes);
            assert_eq!(bytes, text(3, 400).len() as u64);
            assert_eq!(targets.last().copied(), Some(data.manifest().end_of_document as i32));
        }
    }
    assert_eq!(
        data.validation(all + 1, 16).expect_err("too many"),
        BatchError::TooFewHeldOut { tokens: all, asked: all + 1 }
    );
}

#[test]
fn what_the_data_cannot_serve_is_refused() {
    let (_dir, data) = toy();
    assert!(matches!(data.train_batch(1, 0, &shape(1, 1 << 20)), Err(BatchError::TooFewToTrain { .. })));
    assert_eq!(data.train_batch(1, 0, &shape(0, 16)), Err(BatchError::Empty));
    data.train_batch(1, u64::MAX, &shape(2, 16)).expect("any step has a batch");
}

#[test]
fn damage_is_noticed() {
    let (_dir, data) = toy();
    data.verify().expect("is whole");
    let shard = data.dir().join(&data.manifest().train.shards[0].file.name);
    let mut bytes = std::fs::read(&shard).expect("reads");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    // Written elsewhere and renamed, because the old file is mapped.
    std::fs::write(shard.with_extension("new"), &bytes).expect("writes");
    std::fs::rename(shard.with_extension("new"), &shard).expect("moves");
    let open = OpenDataset::open(data.dir()).expect("sizes are right");
    assert!(matches!(open.verify(), Err(OpenError::Damaged { path, .. }) if path == shard));
    std::fs::write(shard.with_extension("new"), &bytes[..last]).expect("writes");
    std::fs::rename(shard.with_extension("new"), &shard).expect("moves");
    assert!(matches!(OpenDataset::open(data.dir()), Err(OpenError::Damaged { .. })));
    std::fs::write(data.dir().join(MANIFEST), "{}").expect("writes");
    assert!(matches!(OpenDataset::open(data.dir()), Err(OpenError::Manifest { .. })));
}

#[test]
fn the_same_texts_are_the_same_dataset() {
    let dir = tempfile::tempdir().expect("a directory");
    let (train, held_out) = (text(1, 300), text(2, 300));
    let first = write_texts(dir.path(), &[&train], &[&held_out], 280).expect("is written");
    assert_eq!(write_texts(dir.path(), &[&train], &[&held_out], 280).expect("is found"), first);
    assert_ne!(write_texts(dir.path(), &[&held_out], &[&train], 280).expect("is written").0.id, first.0.id);
    assert_eq!(std::fs::read_dir(dir.path()).expect("reads").count(), 2, "nothing unfinished is left");
}

/// A dataset whose held-out texts are of different lengths and lie in another order than that of measurement.
fn held_out(texts: &[String]) -> (TempDir, OpenDataset) {
    let dir = tempfile::tempdir().expect("a directory");
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (_, at) = write_texts(dir.path(), &[&text(1, 900)], &texts, 300).expect("is written");
    let open = OpenDataset::open(&at).expect("opens");
    (dir, open)
}

fn targets(set: corpus::ValidationSet<'_>) -> Vec<i32> {
    set.flat_map(|batch| batch.expect("a batch").targets).collect()
}

#[test]
fn what_is_measured_is_a_sample_of_all_that_is_held_out() {
    let texts: Vec<String> = (0..60).map(|number| text(number, 5 + number % 40)).collect();
    let (_dir, data) = held_out(&texts);
    let (_, as_stored) = held_out(&texts.iter().rev().cloned().collect::<Vec<_>>());
    let all = data.dataset().validation_tokens;
    let measured = |data: &OpenDataset, tokens: u64| targets(data.validation(tokens, 16).expect("a set"));
    let whole = measured(&data, all);
    // Where the documents lie makes no difference, and fewer tokens are the first of more.
    assert_eq!(measured(&as_stored, all), whole);
    assert_eq!(measured(&data, all / 3)[..], whole[..all as usize / 3]);
    let end = data.manifest().end_of_document as i32;
    let documents: Vec<&[i32]> = whole.split_inclusive(|token| *token == end).collect();
    let stored = |context| {
        let mut tokens = Vec::new();
        for batch in data.validation(all, context).expect("a set") {
            tokens.extend(batch.expect("a batch").inputs);
        }
        tokens
    };
    assert_eq!(stored(16), stored(1024), "the tokens do not depend on the rows they come in");
    assert_eq!(documents.len(), texts.len());
    let groups = data.validation(all, 16).expect("a set").groups().to_vec();
    let lengths: Vec<usize> = groups.iter().map(|group| (group.end - group.start) as usize).collect();
    assert_eq!(lengths, documents.iter().map(|document| document.len()).collect::<Vec<_>>());
    // Lengths grow with the place in the list: neither order would look like a draw.
    assert!(!lengths.is_sorted() && !lengths.iter().rev().is_sorted());
}

#[test]
fn the_groups_cover_what_is_measured_and_its_bytes() {
    let texts: Vec<String> = (0..60).map(|number| text(number, 5 + number % 40)).collect();
    let (_dir, data) = held_out(&texts);
    for tokens in [1, 2, 37, 500, data.dataset().validation_tokens] {
        let set = data.validation(tokens, 16).expect("a set");
        let groups = set.groups();
        assert_eq!((groups[0].start, groups.last().map(|group| group.end)), (0, Some(tokens)));
        assert!(groups.windows(2).all(|pair| pair[0].end == pair[1].start && pair[1].start < pair[1].end));
        assert_eq!(groups.iter().map(|group| group.bytes).sum::<u64>(), set.bytes());
    }
    let sample = &samples(&data, 500)[0];
    assert_eq!((sample.tokens, sample.of_tokens), (500, data.dataset().validation_tokens));
    assert_eq!(sample.documents, data.validation(500, 16).expect("a set").groups().len() as u64);
    assert_eq!(sample.of_documents, 60);
}

#[test]
fn many_documents_are_summed_up_in_groups_of_several() {
    let texts: Vec<String> = (0..MAX_ROWS + 5).map(|number| format!("a{number} b")).collect();
    let (_dir, data) = held_out(&texts);
    let set = data.validation(data.dataset().validation_tokens, 16).expect("a set");
    assert_eq!(set.groups().len(), (MAX_ROWS + 5).div_ceil(2));
    assert_eq!(set.groups().iter().map(|group| group.bytes).sum::<u64>(), set.bytes());
}

#[test]
fn a_dataset_of_an_earlier_version_is_measured_in_the_order_of_its_shards() {
    let texts: Vec<String> = (0..9).map(|number| text(number, 30)).collect();
    let (_dir, data) = held_out(&texts);
    // What an earlier version would have written: the same shards, and no index.
    let mut manifest = data.manifest().clone();
    manifest.validation.index = None;
    manifest.dataset.id = manifest.content_id();
    std::fs::write(data.dir().join(MANIFEST), serde_json::to_vec(&manifest).expect("JSON")).expect("writes");
    let old = OpenDataset::open(data.dir()).expect("opens");
    old.verify().expect("is whole");
    assert_ne!(old.dataset().id, data.dataset().id);
    let set = old.validation(old.dataset().validation_tokens, 16).expect("a set");
    assert!(set.groups().is_empty());
    let measured = targets(set);
    assert_ne!(measured, targets(data.validation(data.dataset().validation_tokens, 16).expect("a set")));
    let tokenizer = std::fs::read_to_string(data.dir().join("tokenizer.json")).expect("reads");
    let tokenizer = corpus::tokenizer::Tokenizer::from_json(tokenizer).expect("a tokenizer");
    let first: Vec<i32> = tokenizer.encode(&texts[0]).expect("encodes").into_iter().map(|token| token as i32).collect();
    assert_eq!(measured[..first.len()], first[..]);
    assert!(samples(&old, 10).is_empty());
}

#[test]
fn an_index_that_does_not_add_up_is_damage() {
    let (_dir, data) = held_out(&(0..9).map(|number| text(number, 30)).collect::<Vec<_>>());
    let index = data.manifest().validation.index.clone().expect("there is one");
    let path = data.dir().join(&index.name);
    let mut bytes = std::fs::read(&path).expect("reads");
    let first = bytes.len() - 9 * 16;
    bytes[first] ^= 1;
    std::fs::write(path.with_extension("new"), &bytes).expect("writes");
    std::fs::rename(path.with_extension("new"), &path).expect("moves");
    assert!(matches!(OpenDataset::open(data.dir()), Err(OpenError::Damaged { path: found, .. }) if found == path));
}
