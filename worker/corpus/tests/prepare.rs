//! Prepares texts in temporary directories.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use corpus::{
    InspectOptions, Limits, OpenDataset, PrepareError, PrepareRequest, Prepared, Progress, SourceError, TextRequest,
    TokenizerChoice, WriteError, inspect, prepare,
};
use tempfile::TempDir;

/// A directory of forty documents, old enough for their modification times to be trusted.
fn texts() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for number in 0..40_u64 {
        let words: Vec<_> = (0..120).map(|i| format!("word{}", (i * i + number * 17) % 89)).collect();
        write(&dir.path().join(format!("{number:02}.txt")), &words.join(" "), 100);
    }
    dir
}

fn write(path: &Path, text: &str, seconds_ago: u64) {
    std::fs::write(path, text).expect("writes");
    let file = std::fs::File::options().write(true).open(path).expect("opens");
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds_ago)).expect("sets the time");
}

fn request(texts: &Path, datasets: &Path) -> PrepareRequest {
    PrepareRequest {
        texts: vec![TextRequest { domain: None, sources: vec!["*.txt".to_owned()] }],
        base_dir: texts.to_path_buf(),
        tokenizer: TokenizerChoice::Train { vocab: 300 },
        validation_fraction: 0.2,
        split_seed: 0,
        max_bytes: None,
        datasets_dir: datasets.to_path_buf(),
        limits: Limits::default(),
    }
}

fn run(request: &PrepareRequest) -> (Prepared, Vec<Progress>) {
    let seen = Mutex::new(Vec::new());
    let prepared =
        prepare(request, &|progress| seen.lock().expect("not poisoned").push(progress)).expect("is prepared");
    (prepared, seen.into_inner().expect("not poisoned"))
}

#[test]
fn a_vocabulary_that_the_text_does_not_support_is_said_to_be_cut() {
    let (texts, datasets) = (texts(), tempfile::tempdir().expect("a directory"));
    let of = |vocab| PrepareRequest {
        tokenizer: TokenizerChoice::Train { vocab },
        ..request(texts.path(), datasets.path())
    };
    let (prepared, _) = run(&of(50_257));
    let note = of(50_257).tokenizer.cut(&prepared.dataset).expect("it is cut");
    assert!(note.contains(&format!("{} entries and not the 50257", prepared.dataset.vocab)), "{note}");
    let (whole, _) = run(&of(260));
    assert_eq!((whole.dataset.vocab, of(260).tokenizer.cut(&whole.dataset)), (260, None));
    assert_eq!(TokenizerChoice::Json(String::new()).cut(&prepared.dataset), None);
}

#[test]
fn a_second_preparation_finds_the_first_without_reading() {
    let (texts, datasets) = (texts(), tempfile::tempdir().expect("a directory"));
    let request = request(texts.path(), datasets.path());
    let (first, steps) = run(&request);
    assert!(!first.found);
    assert!(steps.iter().any(|step| matches!(step, Progress::Tokenizing { done, total } if done == total)));
    assert_eq!(first.dir, datasets.path().join(first.dataset.id.to_string()));
    OpenDataset::open(&first.dir).expect("opens").verify().expect("is whole");
    let (second, steps) = run(&request);
    assert_eq!(second, Prepared { found: true, ..first.clone() });
    assert_eq!(steps, [], "nothing was read");
    // Touched but unchanged: read once, and recognised by its content.
    write(&texts.path().join("00.txt"), &std::fs::read_to_string(texts.path().join("00.txt")).expect("reads"), 50);
    let (third, steps) = run(&request);
    assert_eq!(third, second);
    assert!(steps.iter().all(|step| matches!(step, Progress::Hashing { .. })), "{steps:?}");
    assert_eq!(run(&request).1, []);
}

#[test]
fn domains_are_split_and_written_by_themselves_and_share_a_tokenizer() {
    let (texts, datasets) = (texts(), tempfile::tempdir().expect("a directory"));
    // The words of another document, which was read first.
    let twin = std::fs::read_to_string(texts.path().join("07.txt")).expect("reads");
    write(&texts.path().join("x-twin.txt"), &twin, 100);
    for number in 0..20_u64 {
        let lines: Vec<_> = (0..60).map(|i| format!("let x{} = {};", (i * i + number * 13) % 31, i % 7)).collect();
        write(&texts.path().join(format!("x-{number:02}.rs")), &lines.join("\n"), 100);
    }
    let text = |domain: &str, pattern: &str| TextRequest {
        domain: Some(domain.to_owned()),
        sources: vec![pattern.to_owned()],
    };
    let base = request(texts.path(), datasets.path());
    let base = PrepareRequest { texts: vec![text("prose", "[0-9]*.txt"), text("code", "x-*")], ..base };
    let (first, _) = run(&base);
    let names: Vec<_> = first.dataset.domains.iter().map(|domain| domain.name.as_str()).collect();
    assert_eq!(names, ["prose", "code"]);
    let sum: u64 = first.dataset.domains.iter().map(|domain| domain.train_tokens).sum();
    assert_eq!(sum, first.dataset.train_tokens);
    assert_eq!(first.dataset.sources[1], "code: x-*");
    let open = OpenDataset::open(&first.dir).expect("opens");
    open.verify().expect("is whole");
    assert_eq!(open.manifest().dropped.duplicate_documents, 1);
    let documents: Vec<_> = open.manifest().splits().map(|(train, held)| train.documents + held.documents).collect();
    assert_eq!(documents, [40, 20], "the twin is left to the domain that has it first");
    assert_eq!(run(&base).1, [], "nothing was read");
    // Names, texts and their order are part of the identity.
    for others in [
        vec![text("text", "[0-9]*.txt"), text("code", "x-*")],
        vec![text("code", "x-*"), text("prose", "[0-9]*.txt")],
        vec![TextRequest { domain: None, sources: vec!["[0-9]*.txt".to_owned(), "x-*".to_owned()] }],
    ] {
        let (other, _) = run(&PrepareRequest { texts: others.clone(), ..base.clone() });
        assert!(!other.found && other.dataset.id != first.dataset.id, "{others:?}");
    }
    let few = PrepareRequest { texts: vec![text("prose", "[0-9]*.txt"), text("one", "x-00.rs")], ..base };
    let error = prepare(&few, &|_| {}).expect_err("one document is too few");
    assert!(error.to_string().contains("of 1 pieces of text of the domain `one`"), "{error}");
}

#[test]
fn every_part_of_the_request_counts() {
    let (texts, datasets) = (texts(), tempfile::tempdir().expect("a directory"));
    let base = request(texts.path(), datasets.path());
    let (first, _) = run(&base);
    let others = [
        PrepareRequest { split_seed: 1, ..base.clone() },
        PrepareRequest { validation_fraction: 0.5, ..base.clone() },
        PrepareRequest { max_bytes: Some(15_000), ..base.clone() },
        PrepareRequest { tokenizer: TokenizerChoice::Train { vocab: 280 }, ..base.clone() },
        PrepareRequest {
            tokenizer: TokenizerChoice::File(first.dir.join("tokenizer.json")),
            split_seed: 2,
            ..base.clone()
        },
    ];
    for other in &others {
        let (prepared, _) = run(other);
        assert!(!prepared.found);
        assert_ne!(prepared.dataset.id, first.dataset.id);
    }
    // A tokenizer given as text and as a file is the same request.
    let json = std::fs::read_to_string(first.dir.join("tokenizer.json")).expect("it is there");
    let (by_text, _) = run(&PrepareRequest { tokenizer: TokenizerChoice::Json(json), ..others[4].clone() });
    assert!(by_text.found);
    assert_eq!(by_text.dataset.vocab, first.dataset.vocab);
    let (limited, _) = run(&others[2]);
    assert!(limited.dataset.train_bytes + limited.dataset.validation_bytes <= 15_000);
    write(&texts.path().join("07.txt"), "Another text.", 50);
    assert_ne!(run(&base).0.dataset.id, first.dataset.id);
}

#[test]
fn threads_do_not_matter() {
    let texts = texts();
    let with = |threads| {
        let datasets = tempfile::tempdir().expect("a directory");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| run(&request(texts.path(), datasets.path())).0.dataset)
    };
    assert_eq!(with(1), with(5));
}

#[test]
fn damaged_and_deleted_datasets_are_prepared_again() {
    let (texts, datasets) = (texts(), tempfile::tempdir().expect("a directory"));
    let request = request(texts.path(), datasets.path());
    let (first, _) = run(&request);
    std::fs::write(first.dir.join("train-00000.npy"), "short").expect("writes");
    assert_eq!(run(&request).0, first);
    OpenDataset::open(&first.dir).expect("opens").verify().expect("is whole");
    std::fs::remove_dir_all(&first.dir).expect("removes");
    assert_eq!(run(&request).0, first);
    let entries = std::fs::read_dir(datasets.path()).expect("reads");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("reads").file_name()).collect();
    names.sort();
    assert_eq!(names, [first.dataset.id.to_string().as_str(), "prepared"]);
}

#[test]
fn what_is_left_of_an_interrupted_preparation_is_not_in_the_way() {
    let (texts, datasets) = (texts(), tempfile::tempdir().expect("a directory"));
    let left = datasets.path().join(format!(".partial-{}-other", std::process::id()));
    std::fs::create_dir(&left).expect("creates");
    std::fs::write(left.join("train-00000.npy"), "half").expect("writes");
    assert!(!run(&request(texts.path(), datasets.path())).0.found);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let texts = texts();
    // A file instead of the directory: refused for everyone, root included.
    let place = texts.path().join("00.txt").join("datasets");
    let error = prepare(&request(texts.path(), &place), &|_| {}).expect_err("is refused");
    assert!(matches!(&error, PrepareError::Write(WriteError::Write { path, .. }) if *path == place), "{error:?}");
}

#[test]
fn texts_that_cannot_be_split_or_found_are_refused() {
    let (texts, datasets) = (texts(), tempfile::tempdir().expect("a directory"));
    let base = request(texts.path(), datasets.path());
    let one = PrepareRequest {
        texts: vec![TextRequest { domain: None, sources: vec!["00.txt".to_owned()] }],
        ..base.clone()
    };
    assert!(matches!(prepare(&one, &|_| {}), Err(PrepareError::EmptySplit { .. })));
    std::fs::write(texts.path().join("blank.txt"), " \n").expect("writes");
    let blank = PrepareRequest {
        texts: vec![TextRequest { domain: None, sources: vec!["blank.txt".to_owned()] }],
        validation_fraction: 1.0,
        ..base.clone()
    };
    assert!(matches!(prepare(&blank, &|_| {}), Err(PrepareError::NoText)));
    let none = PrepareRequest { texts: vec![TextRequest { domain: None, sources: vec!["*.md".to_owned()] }], ..base };
    let error = prepare(&none, &|_| {}).expect_err("is refused");
    assert!(matches!(error, PrepareError::Sources(SourceError::NothingMatched { .. })), "{error:?}");
}

#[test]
fn an_inspection_tells_what_was_kept_and_dropped() {
    let (texts, datasets) = (texts(), tempfile::tempdir().expect("a directory"));
    std::fs::copy(texts.path().join("00.txt"), texts.path().join("copy.txt")).expect("copies");
    let (prepared, _) = run(&request(texts.path(), datasets.path()));
    let found = inspect(&prepared.dir, &InspectOptions { samples: 2, sample_tokens: 20 }).expect("is shown");
    assert_eq!(found.train_documents + found.validation_documents, 40);
    assert_eq!(found.dropped.duplicate_documents, 1);
    assert_eq!(found.samples.len(), 2);
    assert!(found.samples[0].starts_with("word"), "{:?}", found.samples[0]);
}

#[test]
fn the_documentation_of_the_toolchain_is_a_corpus() {
    let datasets = tempfile::tempdir().expect("a directory");
    let request = PrepareRequest {
        texts: vec![TextRequest { domain: None, sources: vec!["toolchain-docs".to_owned()] }],
        max_bytes: Some(400_000),
        validation_fraction: 0.1,
        ..request(Path::new("."), datasets.path())
    };
    match prepare(&request, &|_| {}) {
        Ok(prepared) => {
            assert!(prepared.dataset.sources[0].starts_with("toolchain-docs ("), "{:?}", prepared.dataset.sources);
            assert!(prepared.dataset.train_bytes > 200_000, "{:?}", prepared.dataset);
        }
        Err(PrepareError::Sources(SourceError::NoToolchainDocs { .. })) => {
            eprintln!("skipped: no text of the toolchain")
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// The tokens of a split, decoded, with documents apart.
fn decoded(prepared: &Prepared, shards: &[corpus::dataset::ShardEntry]) -> Vec<String> {
    let json = std::fs::read_to_string(prepared.dir.join("tokenizer.json")).expect("reads");
    let tokenizer = corpus::tokenizer::Tokenizer::from_json(json).expect("a tokenizer");
    let mut tokens = Vec::new();
    for shard in shards {
        let bytes = std::fs::read(prepared.dir.join(&shard.file.name)).expect("reads");
        let numbers = &bytes[bytes.len() - 2 * shard.tokens as usize..];
        tokens.extend(numbers.chunks(2).map(|pair| u32::from(u16::from_le_bytes([pair[0], pair[1]]))));
    }
    let documents = tokens.split(|token| *token == tokenizer.end_of_document()).filter(|tokens| !tokens.is_empty());
    documents.map(|tokens| tokenizer.decode(tokens).expect("decodes")).collect()
}

#[test]
fn of_a_corpus_of_one_long_file_blocks_are_held_out_and_none_of_them_is_trained_on() {
    let (texts, datasets) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let lines: Vec<String> = (0..30_000).map(|line| format!("line {line} says {}\n", line * line % 977)).collect();
    std::fs::write(texts.path().join("input.txt"), lines.concat()).expect("writes");
    let (prepared, _) = run(&PrepareRequest {
        texts: vec![TextRequest { domain: None, sources: vec!["input.txt".to_owned()] }],
        validation_fraction: 0.1,
        ..request(texts.path(), datasets.path())
    });
    let open = OpenDataset::open(&prepared.dir).expect("opens");
    let (train, held_out) = (&open.manifest().train, &open.manifest().validation);
    assert!(held_out.documents > 2, "{held_out:?}");
    let (train, held_out) = (decoded(&prepared, &train.shards), decoded(&prepared, &held_out.shards));
    let of = |texts: &[String]| texts.concat().lines().map(|line| format!("{line}\n")).collect::<BTreeSet<_>>();
    let (train, held_out) = (of(&train), of(&held_out));
    // No line is in both, and all lines are in one of them: so blocks end with lines.
    assert!(train.is_disjoint(&held_out));
    assert_eq!(train.union(&held_out).cloned().collect::<BTreeSet<_>>(), lines.iter().cloned().collect());
    let share = held_out.len() as f64 / lines.len() as f64;
    assert!((0.03..0.25).contains(&share), "{share}");
}

#[test]
fn books_and_notes_are_both_held_out_and_each_source_has_its_share_of_what_is_measured() {
    let (texts, datasets) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    for (folder, files, lines) in [("books", 20, 2_000), ("notes", 60, 20)] {
        std::fs::create_dir(texts.path().join(folder)).expect("creates");
        for file in 0..files {
            let text: String = (0..lines).map(|line| format!("{folder} {file}: line {line} of many more\n")).collect();
            std::fs::write(texts.path().join(folder).join(format!("{file}.txt")), text).expect("writes");
        }
    }
    let (prepared, _) = run(&PrepareRequest {
        texts: vec![TextRequest { domain: None, sources: vec!["books".to_owned(), "notes".to_owned()] }],
        validation_fraction: 0.1,
        ..request(texts.path(), datasets.path())
    });
    let open = OpenDataset::open(&prepared.dir).expect("opens");
    let held_out = open.dataset().validation_tokens;
    let share = held_out as f64 / (held_out + open.dataset().train_tokens) as f64;
    assert!((0.06..0.14).contains(&share), "{share} is held out");
    let sample = corpus::samples(&open, held_out / 2).remove(0);
    assert_eq!(sample.sources.iter().map(|share| share.source.as_str()).collect::<Vec<_>>(), ["books", "notes"]);
    let tokens = |of: fn(&corpus::SourceShare) -> u64| sample.sources.iter().map(of).sum::<u64>();
    assert_eq!((tokens(|share| share.tokens), tokens(|share| share.of_tokens)), (held_out / 2, held_out));
    assert!(sample.sources.iter().all(|share| share.tokens > 0), "{sample:?}");
}
