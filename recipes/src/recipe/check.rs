//! What a recipe must satisfy beyond its form: names that exist, and keys that fit together.

use std::collections::BTreeMap;

use vocabulary::{Shape, ladder};

use super::error::{Fault, Problem, nearest, shown};
use super::format::{
    BatchRecipe, Counted, DecayKind, ModelRecipe, Parametrization, RecipeFile, RecordedStages, RetriesRecipe,
    ScheduleKind, ScheduleRecipe, ShapeRecipe,
};

/// A shape with more parameters is taken for a typing error.
const MAX_PARAMS: u64 = 1_000_000_000_000;

impl RecipeFile {
    /// The shape of the size with this name.
    pub(crate) fn shape(&self, name: &str) -> Option<Shape> {
        let own = self.model.shapes.iter().find(|shape| shape.name == name).map(ShapeRecipe::shape);
        own.or_else(|| ladder::find(name))
    }
}

impl ShapeRecipe {
    pub(super) fn shape(&self) -> Shape {
        let &Self { d_model, d_ff, head_dim, n_heads, n_kv_heads, n_layers, .. } = self;
        Shape { d_model, d_ff, head_dim, n_heads, n_kv_heads: n_kv_heads.unwrap_or(n_heads), n_layers }
    }
}

/// The first fault, if there is one.
pub(super) fn check(recipe: &RecipeFile) -> Result<(), Fault> {
    check_name("name", &recipe.name)?;
    check_data(recipe)?;
    for (index, shape) in recipe.model.shapes.iter().enumerate() {
        check_shape(&format!("model.shapes[{index}]"), shape)?;
    }
    check_sizes(recipe)?;
    check_parametrization(&recipe.model)?;
    distinct("seeds", recipe.seeds.iter())?;
    distinct("optimizer.peak_lr", recipe.optimizer.peak_lr.iter())?;
    check_points(recipe)?;
    check_schedule(&recipe.schedule)?;
    check_batch(recipe)?;
    super::objective::check(&recipe.objective)?;
    if recipe.record.dynamics == RecordedStages::Decay && recipe.schedule.kind != ScheduleKind::Wsd {
        let reason = "\"decay\" records nothing, as the schedule has no decay of its own";
        return Err(Fault::conflict("record.dynamics", reason, "\"all\", \"none\", or the schedule's kind \"wsd\""));
    }
    recipe.retries.as_ref().map_or(Ok(()), check_retries)
}

fn check_retries(retries: &RetriesRecipe) -> Result<(), Fault> {
    let &RetriesRecipe { backoff_seconds, longest_backoff_seconds, .. } = retries;
    if longest_backoff_seconds >= backoff_seconds {
        return Ok(());
    }
    let reason = format!("{longest_backoff_seconds} is less than the first wait of {backoff_seconds}");
    Err(Fault::conflict("retries.longest_backoff_seconds", reason, format!("{backoff_seconds} or more")))
}

/// Whether a name can be that of a campaign or a size, and so of a folder: 1 to 100 letters, digits, `-`, `_` and `.`,
/// not beginning with `.`.
#[must_use]
pub fn is_plain_name(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    // A leading dot hides a folder, and `..` is another one.
    (1..=100).contains(&name.len()) && name.chars().all(is_plain) && !name.starts_with('.')
}

pub(super) fn check_name(key: &str, name: &str) -> Result<(), Fault> {
    if is_plain_name(name) {
        return Ok(());
    }
    let problem = Problem::OutOfRange { found: shown(name), suggestion: None };
    Err(Fault::new(key, problem, "letters, digits, `-`, `_` and `.`, not beginning with `.`"))
}

fn check_data(recipe: &RecipeFile) -> Result<(), Fault> {
    super::domains::check(recipe)?;
    let accepted = "either `vocab`, to train a tokenizer, or `tokenizer`, the path of one";
    match (&recipe.data.vocab, &recipe.data.tokenizer) {
        (None, None) => Err(Fault::new("data.vocab", Problem::Missing, accepted)),
        (Some(_), Some(_)) => Err(Fault::conflict("data.tokenizer", "cannot be combined with `vocab`", accepted)),
        _ if recipe.data.validation_tokens < u64::from(recipe.batch.context) => Err(Fault::conflict(
            "data.validation_tokens",
            format!("is less than one sequence of {} tokens", recipe.batch.context),
            format!("{} or more", recipe.batch.context),
        )),
        _ => Ok(()),
    }
}

fn check_shape(key: &str, recipe: &ShapeRecipe) -> Result<(), Fault> {
    check_name(&format!("{key}.name"), &recipe.name)?;
    if ladder::find(&recipe.name).is_some() {
        let problem = Problem::Duplicate { found: format!("the ladder's `{}`", recipe.name) };
        return Err(Fault::new(format!("{key}.name"), problem, "a name the ladder does not have"));
    }
    check_dimensions(key, &recipe.shape())
}

/// Checks that go beyond the limits of single dimensions.
pub(super) fn check_dimensions(key: &str, shape: &Shape) -> Result<(), Fault> {
    if !shape.head_dim.is_multiple_of(2) {
        let reason = format!("{} is odd, but rotary embeddings rotate pairs", shape.head_dim);
        return Err(Fault::conflict(format!("{key}.head_dim"), reason, "an even number"));
    }
    if !shape.n_heads.is_multiple_of(shape.n_kv_heads) {
        let reason = format!("{} does not divide the {} query heads", shape.n_kv_heads, shape.n_heads);
        return Err(Fault::conflict(format!("{key}.n_kv_heads"), reason, format!("a divisor of {}", shape.n_heads)));
    }
    if shape.non_embedding_params() > MAX_PARAMS {
        let reason = format!("the shape has {:e} parameters", shape.non_embedding_params() as f64);
        return Err(Fault::conflict(key, reason, format!("at most {:e}", MAX_PARAMS as f64)));
    }
    Ok(())
}

fn check_sizes(recipe: &RecipeFile) -> Result<(), Fault> {
    distinct("model.shapes", recipe.model.shapes.iter().map(|shape| &shape.name))?;
    distinct("model.sizes", recipe.model.sizes.iter())?;
    let own = || recipe.model.shapes.iter().map(|shape| shape.name.as_str());
    let mut seen: BTreeMap<[u32; 6], &str> = BTreeMap::new();
    for (index, name) in recipe.model.sizes.iter().enumerate() {
        let key = format!("model.sizes[{index}]");
        let Some(shape) = recipe.shape(name) else {
            let known: Vec<_> = ladder::all().map(|(name, _)| name).chain(own()).collect();
            let problem = Problem::OutOfRange { found: shown(name), suggestion: nearest(name, known.iter().copied()) };
            return Err(Fault::new(key, problem, format!("{}, or a name of [[model.shapes]]", known.join(", "))));
        };
        let dimensions = [shape.d_model, shape.d_ff, shape.head_dim, shape.n_heads, shape.n_kv_heads, shape.n_layers];
        if let Some(first) = seen.insert(dimensions, name) {
            // Two names for one model would give one set of stages two names.
            let problem = Problem::Duplicate { found: format!("the shape of `{first}`") };
            return Err(Fault::new(key, problem, "each shape once"));
        }
    }
    Ok(())
}

/// A recipe with a scaling and the parametrization `standard` contradicts itself.
fn check_parametrization(model: &ModelRecipe) -> Result<(), Fault> {
    if model.parametrization == Parametrization::TensorProgram {
        return Ok(());
    }
    let scalings = [
        ("model.scale_emb", model.scale_emb.is_some()),
        ("model.scale_depth", model.scale_depth.is_some()),
        ("model.d_base", model.d_base.is_some()),
    ];
    match scalings.into_iter().find(|(_, given)| *given) {
        Some((key, _)) => {
            let reason = "is a scaling, but the parametrization \"standard\" has none";
            Err(Fault::conflict(key, reason, "the parametrization \"tensor_program\", or leave it out"))
        }
        None => Ok(()),
    }
}

fn check_points(recipe: &RecipeFile) -> Result<(), Fault> {
    let accepted = "either `tokens`, or `times_n` for multiples of a model's parameters";
    match (&recipe.points.tokens, &recipe.points.times_n) {
        (None, None) => Err(Fault::new("points.tokens", Problem::Missing, accepted)),
        (Some(_), Some(_)) => Err(Fault::conflict("points.times_n", "cannot be combined with `tokens`", accepted)),
        (Some(tokens), None) => distinct("points.tokens", tokens.iter()),
        (None, Some(multiples)) => distinct("points.times_n", multiples.iter()),
    }
}

fn check_schedule(schedule: &ScheduleRecipe) -> Result<(), Fault> {
    let word = match schedule.kind {
        ScheduleKind::Wsd => "wsd",
        ScheduleKind::Cosine => "cosine",
        ScheduleKind::CosineLoop => "cosine_loop",
        ScheduleKind::Constant => "constant",
    };
    let takes_decay = schedule.kind == ScheduleKind::Wsd;
    let takes_period = matches!(schedule.kind, ScheduleKind::Cosine | ScheduleKind::CosineLoop);
    let not_constant = schedule.kind != ScheduleKind::Constant;
    let is_loop = schedule.kind == ScheduleKind::CosineLoop;
    // Each key: whether it is present, whether the kind accepts it, whether the kind needs it, and its accepted values.
    let keys = [
        ("schedule.floor", schedule.floor.is_some(), not_constant, not_constant, "a number from 0 to 1"),
        ("schedule.decay", schedule.decay.is_some(), takes_decay, takes_decay, "a table with shape, fraction, counted"),
        ("schedule.period_tokens", schedule.period_tokens.is_some(), takes_period, is_loop, "a number of tokens"),
    ];
    for (key, given, taken, needed, accepted) in keys {
        if given && !taken {
            let reason = format!("is not allowed with kind \"{word}\"");
            return Err(Fault::conflict(key, reason, "another kind, or leave it out"));
        }
        if needed && !given {
            let reason = format!("missing, but the kind \"{word}\" needs it");
            return Err(Fault::conflict(key, reason, accepted));
        }
    }
    let warmups = [
        ("schedule.warmup_steps", schedule.warmup_steps.is_some()),
        ("schedule.warmup_tokens", schedule.warmup_tokens.is_some()),
        ("schedule.warmup_fraction", schedule.warmup_fraction.is_some()),
    ];
    let accepted = "one of `warmup_steps`, `warmup_tokens` and `warmup_fraction`";
    let mut given = warmups.into_iter().filter(|(_, given)| *given).map(|(key, _)| key);
    match (given.next(), given.next()) {
        (None, _) => return Err(Fault::new("schedule.warmup_steps", Problem::Missing, accepted)),
        (Some(first), Some(second)) => {
            let first = first.trim_start_matches("schedule.");
            return Err(Fault::conflict(second, format!("cannot be combined with `{first}`"), accepted));
        }
        (Some(_), None) => {}
    }
    let Some(decay) = &schedule.decay else { return Ok(()) };
    match (decay.shape, decay.half_life_tokens) {
        (DecayKind::HalfLife, None) => {
            let reason = "missing, but the shape \"half_life\" needs it";
            Err(Fault::conflict("schedule.decay.half_life_tokens", reason, "a number of tokens"))
        }
        (DecayKind::HalfLife, Some(_)) | (_, None) => Ok(()),
        (_, Some(_)) => Err(Fault::conflict(
            "schedule.decay.half_life_tokens",
            "only applies to the shape \"half_life\"",
            "that shape, or leave it out",
        )),
    }?;
    if decay.shape == DecayKind::Exponential && schedule.floor == Some(0.0) {
        let reason = "0 is never reached by an exponential decay";
        return Err(Fault::conflict("schedule.floor", reason, "a number above 0"));
    }
    if decay.counted == Counted::Inside && decay.fraction >= 1.0 {
        let reason = "1 leaves no steps before the decay";
        return Err(Fault::conflict("schedule.decay.fraction", reason, "a number below 1"));
    }
    Ok(())
}

fn check_batch(recipe: &RecipeFile) -> Result<(), Fault> {
    let sequences = recipe.batch.sequences;
    if recipe.batch.micro_sequences.is_some() && recipe.batch.memory_gib.is_some() {
        let accepted = "either `micro_sequences`, or `memory_gib` to have them chosen";
        return Err(Fault::conflict("batch.memory_gib", "cannot be combined with `micro_sequences`", accepted));
    }
    match recipe.batch.micro_sequences {
        Some(micro) if !sequences.is_multiple_of(micro) => Err(Fault::conflict(
            "batch.micro_sequences",
            format!("{micro} does not divide the {sequences} sequences"),
            format!("a divisor of {sequences}"),
        )),
        _ => Ok(()),
    }?;
    let BatchRecipe { micro_sequences, memory_gib, lanes, .. } = recipe.batch;
    // With `memory_gib` the plan chooses passes enough.
    let passes = if memory_gib.is_some() { sequences } else { sequences / micro_sequences.unwrap_or(sequences) };
    match lanes {
        Some(lanes) if lanes > passes => Err(Fault::conflict(
            "batch.lanes",
            format!("{lanes} are more than the passes of a step"),
            format!("at most {passes}, or more passes with a smaller `micro_sequences`"),
        )),
        _ => Ok(()),
    }
}

/// Refuses a list with duplicates.
pub(super) fn distinct<T: PartialEq + std::fmt::Display>(
    key: &str,
    items: impl Iterator<Item = T>,
) -> Result<(), Fault> {
    let mut seen: Vec<T> = Vec::new();
    for (index, item) in items.enumerate() {
        if seen.contains(&item) {
            let problem = Problem::Duplicate { found: format!("`{}`", shown(&item.to_string())) };
            return Err(Fault::new(format!("{key}[{index}]"), problem, "each value once"));
        }
        seen.push(item);
    }
    Ok(())
}
