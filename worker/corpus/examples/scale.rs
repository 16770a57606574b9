//! Makes a large corpus in a temporary directory, prepares it, and prints how fast that was and how much memory it took.
//!
//! `cargo run --release -p windtunnel-corpus --example scale -- 4` takes 4 GB of text, half of it compressed. Twice as much
//! disk space is needed below TMPDIR.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use corpus::{Limits, PrepareRequest, Progress, TextRequest, TokenizerChoice, prepare};

/// Different words of the text.
const WORDS: u64 = 200_000;
/// Bytes of text per file, about.
const FILE_BYTES: u64 = 256 << 20;

/// A small generator of random numbers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// A word; the frequent ones are short.
    fn word(&mut self, into: &mut String) {
        // The product of uniform numbers is close to Zipf's law.
        let rank = self.next() % (1 + self.next() % (1 + self.next() % WORDS));
        let mut rest = rank + 1;
        while rest > 0 {
            into.push_str(
                ["ka", "re", "to", "in", "sol", "ver", "mi", "ant", "ul", "ex", "phi", "o"][(rest % 12) as usize],
            );
            rest /= 12;
        }
    }
}

fn write_lines(into: &mut dyn Write, seed: u64) -> std::io::Result<u64> {
    let mut random = Random(seed);
    let mut written = 0;
    let mut text = String::new();
    while written < FILE_BYTES {
        text.clear();
        for _ in 0..100 + random.next() % 800 {
            random.word(&mut text);
            text.push_str(if random.next().is_multiple_of(12) { ".\\n" } else { " " });
        }
        writeln!(into, "{{\"id\": {written}, \"text\": \"{text}\"}}")?;
        written += text.len() as u64;
    }
    Ok(written)
}

fn write_corpus(dir: &Path, bytes: u64) -> std::io::Result<u64> {
    let mut written = 0;
    for number in 0..bytes.div_ceil(FILE_BYTES) {
        let file = |ending: &str| File::create(dir.join(format!("part-{number:04}.jsonl{ending}"))).map(BufWriter::new);
        if number.is_multiple_of(2) {
            let mut file = file("")?;
            written += write_lines(&mut file, number)?;
            file.flush()?;
        } else {
            let mut file = zstd::Encoder::new(file(".zst")?, 1)?;
            written += write_lines(&mut file, number)?;
            file.finish()?.flush()?;
        }
    }
    Ok(written)
}

/// The most memory that this process has had resident, in mebibytes.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1024)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gigabytes: f64 = std::env::args().nth(1).map_or(Ok(4.0), |number| number.parse())?;
    let dir = tempfile::tempdir()?;
    let texts = dir.path().join("texts");
    std::fs::create_dir(&texts)?;
    let bytes = write_corpus(&texts, (gigabytes * 1e9) as u64)?;
    println!("{:.2} GB of text in {}", bytes as f64 / 1e9, texts.display());
    let request = PrepareRequest {
        texts: vec![TextRequest { sources: vec![".".to_owned()], ..TextRequest::default() }],
        base_dir: texts,
        tokenizer: TokenizerChoice::Train { vocab: 32_000 },
        validation_fraction: 0.001,
        split_seed: 0,
        max_bytes: None,
        datasets_dir: dir.path().join("datasets"),
        limits: Limits::default(),
    };
    let start = Instant::now();
    let step = std::sync::Mutex::new(None);
    let prepared = prepare(&request, &|progress: Progress| {
        if let Ok(mut before) = step.lock()
            && before.replace(std::mem::discriminant(&progress)) != Some(std::mem::discriminant(&progress))
        {
            println!("{:7.1} s, {:5} MiB: {progress:?}", start.elapsed().as_secs_f64(), peak_mib().unwrap_or(0));
        }
    })?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} tokens in {seconds:.0} s, {:.1} MB of text a second on {} threads; {} MiB resident at most",
        prepared.dataset.train_tokens,
        bytes as f64 / 1e6 / seconds,
        std::thread::available_parallelism()?,
        peak_mib().unwrap_or(0)
    );
    Ok(())
}
