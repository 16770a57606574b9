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
        texts: vec![TextRequest { sources: vec!["*.txt".to_owned()], ..TextRequest::default() }],
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
        text_key: None,
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
        vec![TextRequest { sources: vec!["[0-9]*.txt".to_owned(), "x-*".to_owned()], ..TextRequest::default() }],
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
    // Of the right size, but overwritten.
    let shard = first.dir.join("train-00000.npy");
    let mut bytes = std::fs::read(&shard).expect("reads");
    bytes[200..].fill(1);
    std::fs::write(&shard, bytes).expect("writes");
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

fn json_lines(key: &str, texts: std::ops::Range<u64>) -> String {
    let text = |number: u64| (0..60).map(|i| format!("word{} ", (i * i + number * 31) % 89)).collect::<String>();
    texts.map(|number| format!("{{\"id\": NaN, \"{key}\": \"{}\"}}\n", text(number))).collect()
}

fn of(texts: TextRequest, base: &PrepareRequest) -> PrepareRequest {
    PrepareRequest { texts: vec![texts], ..base.clone() }
}

#[test]
fn compressed_parts_are_read_like_plain_ones_and_the_rest_is_counted() {
    let (texts, datasets) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let put = |name: &str, content: &[u8]| std::fs::write(texts.path().join(name), content).expect("writes");
    put("all.jsonl", json_lines("text", 0..90).as_bytes());
    let base = request(texts.path(), datasets.path());
    let (plain, _) = run(&of(TextRequest { sources: vec!["all.jsonl".to_owned()], ..TextRequest::default() }, &base));

    std::fs::create_dir(texts.path().join("parts")).expect("creates");
    put("parts/0.jsonl", json_lines("text", 0..30).as_bytes());
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, json_lines("text", 30..60).as_bytes()).expect("is compressed");
    put("parts/1.JSON.gz", &gzip.finish().expect("is compressed"));
    put("parts/2.jsonl.zst", &zstd::encode_all(json_lines("text", 60..90).as_bytes(), 1).expect("is compressed"));
    put("parts/paper.pdf", b"%PDF");
    let parts = of(TextRequest { sources: vec!["parts".to_owned()], ..TextRequest::default() }, &base);
    let (together, _) = run(&parts);
    assert_eq!(together.dataset.id, plain.dataset.id);
    assert_eq!(together.left_out.to_string(), "1 file .pdf");
    assert_eq!(run(&parts).0, Prepared { found: true, ..together }, "what is left out is said each time");
}

#[test]
fn the_key_of_a_text_can_be_named_and_lines_without_are_skipped() {
    let (texts, datasets) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let lines = json_lines("content", 0..60) + "{\"content\": null}\n{\"other\": 1}\n";
    std::fs::write(texts.path().join("a.jsonl"), lines).expect("writes");
    let base = request(texts.path(), datasets.path());
    let of_key = |key: Option<&str>| {
        let sources = vec!["a.jsonl".to_owned()];
        of(TextRequest { sources, text_key: key.map(str::to_owned), ..TextRequest::default() }, &base)
    };
    let error = prepare(&of_key(None), &|_| {}).expect_err("has no such key").to_string();
    assert!(error.contains("under \"text\"") && error.contains("content (text), id (null)"), "{error}");
    let (prepared, _) = run(&of_key(Some("content")));
    assert_eq!(prepared.dropped.without_text, 2);
    let inspection = inspect(&prepared.dir, &InspectOptions::default()).expect("is shown");
    assert_eq!(inspection.train_documents + inspection.validation_documents, 60);
}

#[test]
fn each_preparation_tells_what_itself_dropped() {
    let (texts, datasets) = (texts(), tempfile::tempdir().expect("a directory"));
    let base = request(texts.path(), datasets.path());
    let (first, _) = run(&base);
    for number in 0..40 {
        let text = std::fs::read_to_string(texts.path().join(format!("{number:02}.txt"))).expect("reads");
        write(&texts.path().join(format!("{number:02}-copy.txt")), &text, 50);
    }
    let (second, _) = run(&base);
    assert_eq!((second.found, second.dataset.id), (false, first.dataset.id));
    assert_eq!((first.dropped.duplicate_documents, second.dropped.duplicate_documents), (0, 40));
    assert_eq!(run(&base).0.dropped, second.dropped, "and tells it again");
}

#[test]
fn ready_tokens_make_the_dataset_that_their_text_makes() {
    let (texts, datasets) = (texts(), tempfile::tempdir().expect("a directory"));
    let base = PrepareRequest { validation_fraction: 1.0, ..request(texts.path(), datasets.path()) };
    let trained = run(&PrepareRequest { validation_fraction: 0.2, ..base.clone() }).0;
    let tokenizer = TokenizerChoice::File(trained.dir.join("tokenizer.json"));
    let base = PrepareRequest { tokenizer, ..base };
    let (from_text, _) = run(&base);
    std::fs::copy(from_text.dir.join("validation-00000.npy"), texts.path().join("tokens.npy")).expect("copies");
    let of_tokens = of(TextRequest { sources: vec!["*.npy".to_owned()], ..TextRequest::default() }, &base);
    let (from_tokens, _) = run(&of_tokens);
    assert_eq!((from_tokens.dataset.id, from_tokens.found), (from_text.dataset.id, false));
    assert_eq!(from_tokens.dataset.validation_bytes, from_text.dataset.validation_bytes);
    let without = PrepareRequest { tokenizer: TokenizerChoice::Train { vocab: 300 }, ..of_tokens };
    let error = prepare(&without, &|_| {}).expect_err("has no tokenizer");
    assert!(matches!(&error, PrepareError::Extract(_)), "{error:?}");
}

#[test]
fn what_is_not_a_tokenizer_is_refused_before_anything_is_read() {
    let (texts, datasets) = (texts(), tempfile::tempdir().expect("a directory"));
    std::fs::write(texts.path().join("tokenizer.model"), b"\x0a\x0e\xff\xfe").expect("writes");
    std::fs::write(texts.path().join("vocab.json"), b"{\"a\": 1}").expect("writes");
    let base = request(texts.path(), datasets.path());
    for (name, words) in [
        ("tokenizer.model", "a SentencePiece model"),
        ("vocab.json", "it has no `model`"),
        ("meta-llama/some-model", "nothing is downloaded"),
        (".", "a folder"),
    ] {
        let tokenizer = TokenizerChoice::File(texts.path().join(name));
        let seen = Mutex::new(0);
        let error =
            prepare(&PrepareRequest { tokenizer, ..base.clone() }, &|_| *seen.lock().expect("not poisoned") += 1);
        let error = error.expect_err(name).to_string();
        assert!(error.contains(words) && error.contains("A tokenizer.json is needed"), "{error}");
        assert_eq!(seen.into_inner().expect("not poisoned"), 0, "nothing was read");
    }
}

#[test]
fn texts_that_cannot_be_split_or_found_are_refused() {
    let (texts, datasets) = (texts(), tempfile::tempdir().expect("a directory"));
    let base = request(texts.path(), datasets.path());
    let one = PrepareRequest {
        texts: vec![TextRequest { sources: vec!["00.txt".to_owned()], ..TextRequest::default() }],
        ..base.clone()
    };
    assert!(matches!(prepare(&one, &|_| {}), Err(PrepareError::EmptySplit { .. })));
    std::fs::write(texts.path().join("blank.txt"), " \n").expect("writes");
    let blank = PrepareRequest {
        texts: vec![TextRequest { sources: vec!["blank.txt".to_owned()], ..TextRequest::default() }],
        validation_fraction: 1.0,
        ..base.clone()
    };
    assert!(matches!(prepare(&blank, &|_| {}), Err(PrepareError::NoText)));
    let none = PrepareRequest {
        texts: vec![TextRequest { sources: vec!["*.md".to_owned()], ..TextRequest::default() }],
        ..base
    };
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
        texts: vec![TextRequest { sources: vec!["toolchain-docs".to_owned()], ..TextRequest::default() }],
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
        texts: vec![TextRequest { sources: vec!["input.txt".to_owned()], ..TextRequest::default() }],
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
        texts: vec![TextRequest { sources: vec!["books".to_owned(), "notes".to_owned()], ..TextRequest::default() }],
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
