//! Prepares the toolchain's documentation below a directory (the first argument) and prints how long it took.

use std::path::PathBuf;
use std::time::Instant;

use corpus::{InspectOptions, Limits, PrepareRequest, TextRequest, TokenizerChoice, inspect, prepare};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let datasets_dir = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: toolchain_docs DIRECTORY")?;
    let request = PrepareRequest {
        texts: vec![TextRequest { sources: vec!["toolchain-docs".to_owned()], ..TextRequest::default() }],
        base_dir: PathBuf::from("."),
        tokenizer: TokenizerChoice::Train { vocab: 512 },
        validation_fraction: 0.06,
        split_seed: 0,
        max_bytes: None,
        datasets_dir,
        limits: Limits::default(),
    };
    for _ in 0..2 {
        let start = Instant::now();
        let prepared = prepare(&request, &|_| {})?;
        println!("found: {}, in {:.2?}", prepared.found, start.elapsed());
        println!("{:#?}", inspect(&prepared.dir, &InspectOptions::default())?);
    }
    Ok(())
}
