//! Preparing the data of a recipe, with progress display.

use std::io::IsTerminal;
use std::mem::discriminant;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context;
use client::Campaigns;
use corpus::{PrepareRequest, Prepared, Progress, TextRequest, TokenizerChoice, find_prepared, prepare};
use indicatif::{ProgressBar, ProgressStyle};
use recipes::Recipe;
use vocabulary::text::{counted, one_line};
use vocabulary::units::{human_bytes, human_count};
use vocabulary::{Dataset, DatasetId};

use super::checkpoint::tokenizer_of;
use super::data_dir::WritableDir;
use crate::exit::OrBadInput;
use crate::logging::{bars, say};

/// The folder of prepared datasets in a data directory.
fn datasets_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("datasets")
}

/// Checks that the text of a recipe exists, without reading it.
pub(crate) fn check_sources(recipe: &Recipe) -> anyhow::Result<()> {
    corpus::sources::resolve(&recipe.data().all_sources(), recipe.folder(), &corpus::Limits::default())
        .or_bad_input()?;
    Ok(())
}

/// The data of a recipe, if already prepared and its text still exists.
pub(crate) fn prepared_before(recipe: &Recipe, data_dir: &Path) -> Option<Prepared> {
    let found = find_prepared(&PrepareRequest::from_recipe(recipe, datasets_dir(data_dir)), &|_| {});
    found.inspect_err(|error| tracing::debug!(error = one_line(error), "the text is missing")).ok().flatten()
}

/// Prepares the data of a recipe, or finds it prepared, and prints which.
pub(crate) fn prepare_data(recipe: &Recipe, data_dir: &Path) -> anyhow::Result<Prepared> {
    recipe.notes().iter().for_each(|note| say(&format!("note: {note}")));
    prepare_request(&PrepareRequest::from_recipe(recipe, datasets_dir(data_dir)))
}

/// What a recipe asks for and does not get, once its data is prepared and before.
pub(crate) fn notes(recipe: &Recipe, dataset: Option<&Dataset>) -> Vec<String> {
    let tokenizer = PrepareRequest::from_recipe(recipe, PathBuf::new()).tokenizer;
    recipe.notes().into_iter().chain(dataset.and_then(|dataset| tokenizer.cut(dataset))).collect()
}

/// Prepares text for models that were trained on another dataset, with the tokenizer of that dataset.
///
/// `validation_fraction` of the documents is held out.
pub(crate) async fn prepare_texts(
    campaigns: &mut Campaigns,
    trained_on: &DatasetId,
    sources: &[String],
    validation_fraction: f64,
    data_dir: &Path,
) -> anyhow::Result<Prepared> {
    let tokenizer = tokenizer_of(campaigns, trained_on).await?;
    let missing = || format!("the storage no longer has the dataset {trained_on}, whose tokenizer is needed");
    let tokenizer = tokenizer.with_context(missing).or_bad_input()?;
    let data_dir = WritableDir::prepare_private(data_dir)?;
    prepare_request(&PrepareRequest {
        texts: vec![TextRequest { sources: sources.to_vec(), ..TextRequest::default() }],
        base_dir: PathBuf::new(),
        tokenizer: TokenizerChoice::Json(tokenizer),
        validation_fraction,
        split_seed: 0,
        max_bytes: None,
        datasets_dir: datasets_dir(data_dir.path()),
        limits: corpus::Limits::default(),
    })
}

/// How many lines or rows have no text.
pub(crate) fn without_text(count: u64) -> String {
    format!("{} without a text", if count == 1 { "1 line or row".to_owned() } else { format!("{count} lines or rows") })
}

/// The tokens to train on and those held out; text to evaluate on has the latter alone.
fn parts(dataset: &Dataset) -> String {
    let held_out = human_count(dataset.validation_tokens as f64);
    match dataset.train_tokens {
        0 => format!("{held_out} tokens, all to evaluate on"),
        tokens => format!("{} tokens to train on, {held_out} held out", human_count(tokens as f64)),
    }
}

/// Prepares data, or finds it prepared, and prints which.
fn prepare_request(request: &PrepareRequest) -> anyhow::Result<Prepared> {
    let display = Display::new();
    let prepared = prepare(request, &|progress| display.show(progress));
    display.finish();
    let prepared = prepared.or_bad_input()?;
    let dataset = &prepared.dataset;
    say(&format!(
        "data: {} ({}): {}, {}",
        dataset.sources.join(", "),
        dataset.id.short(),
        parts(dataset),
        if prepared.found { "prepared before" } else { "prepared now" },
    ));
    request.tokenizer.cut(dataset).iter().for_each(|note| say(&format!("note: {note}")));
    prepared.notes.iter().for_each(|note| say(&format!("note: {note}")));
    if !prepared.left_out.is_empty() {
        say(&format!("data: left out: {}", prepared.left_out));
    }
    if prepared.dropped.without_text > 0 {
        say(&format!("data: skipped {}", without_text(prepared.dropped.without_text)));
    }
    Ok(prepared)
}

/// A progress bar on a terminal; elsewhere one line per step.
struct Display {
    bar: Option<ProgressBar>,
    latest: Mutex<Option<Progress>>,
}

impl Display {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{msg} [{bar:30}] {percent:>3}%");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = bars().add(ProgressBar::new(1).with_style(style));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, latest: Mutex::new(None) }
    }

    /// Called from many threads.
    fn show(&self, progress: Progress) {
        let Ok(mut latest) = self.latest.lock() else { return };
        let is_new_step = latest.is_none_or(|before| discriminant(&before) != discriminant(&progress));
        *latest = Some(progress);
        let (step, done, total) = in_words(progress);
        match &self.bar {
            Some(bar) => {
                bar.set_message(step);
                bar.set_length(total);
                bar.set_position(done);
            }
            // Hashing is too fast to be worth a line.
            None if is_new_step && !matches!(progress, Progress::Hashing { .. }) => say(&format!("data: {step}")),
            None => {}
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn in_words(progress: Progress) -> (String, u64, u64) {
    match progress {
        Progress::Hashing { done, total } => ("looking for text prepared before".to_owned(), done, total),
        Progress::Extracting { done, total } => (format!("reading {}", counted(total, "file")), done, total),
        Progress::TrainingTokenizer { bytes } => {
            (format!("training a tokenizer on {} of text", human_bytes(bytes)), 0, 1)
        }
        Progress::Tokenizing { done, total } => (format!("tokenizing {} of text", human_bytes(total)), done, total),
    }
}
