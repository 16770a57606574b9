//! A price as a table for people.

use std::fmt::Write;

use vocabulary::Plan;
use vocabulary::text::{counted, lined_up};
use vocabulary::units::{human_bytes, human_count, human_duration};

use super::{EvaluationsPrice, Price, SizePrice, Speed};
use crate::show;

/// Number of columns.
const COLUMNS: usize = 10;

/// Renders a price: a line per size, the total, and the source of each figure.
#[must_use]
pub fn table(plan: &Plan, price: &Price) -> String {
    let mut text = show::heading(plan);
    text.push('\n');
    text.push_str(&sizes(price));
    text.push('\n');
    text.push_str(&show::costs(plan));
    if let Some(EvaluationsPrice { evaluations, tokens, flops, device_seconds }) = &price.evaluations {
        let time = device_seconds.map_or_else(|| "unknown".to_owned(), human_duration);
        let _ = writeln!(text, "{evaluations} evaluations besides: {tokens} tokens, {flops} FLOPs, device time {time}");
    }
    text.push_str(&hours_and_their_source(plan, price));
    text.push_str("memory: estimated, with activations kept / recomputed; checkpoint: 12 bytes a parameter\n");
    text.push_str(&checkpoints(plan, price));
    text
}

fn sizes(price: &Price) -> String {
    let header =
        ["size", "N", "stages", "tokens", "FLOPs", "6ND", "device time", "memory", "checkpoint", "of all stages"];
    let row = |size: &SizePrice| -> [String; COLUMNS] {
        [
            size.size.clone(),
            human_count(size.n as f64),
            size.stages.to_string(),
            size.tokens.to_string(),
            size.flops.to_string(),
            size.paper_flops.to_string(),
            size.device_seconds.map_or_else(|| "unknown".to_owned(), human_duration),
            format!("{} / {}", human_bytes(size.memory_bytes), human_bytes(size.memory_recomputed_bytes)),
            human_bytes(size.checkpoint_bytes),
            human_bytes(size.checkpoints_bytes),
        ]
    };
    let total = [
        "all".to_owned(),
        String::new(),
        price.sizes.iter().map(|size| size.stages).sum::<usize>().to_string(),
        price.cost.tokens.to_string(),
        price.cost.flops.to_string(),
        price.paper_flops.to_string(),
        price.device_seconds.map_or_else(|| "unknown".to_owned(), human_duration),
        String::new(),
        String::new(),
        human_bytes(price.sizes.iter().map(|size| size.checkpoints_bytes).fold(0, u64::saturating_add)),
    ];
    let rows: Vec<[String; COLUMNS]> = std::iter::once(header.map(str::to_owned))
        .chain(price.sizes.iter().map(row))
        .chain(std::iter::once(total))
        .collect();
    lined_up(&rows, |column| column > 0)
}

fn hours_and_their_source(plan: &Plan, price: &Price) -> String {
    let mut text = String::new();
    // Each source with the sizes it applies to, in the order of the sizes.
    let mut sources: Vec<(String, Vec<&str>)> = Vec::new();
    for size in &price.sizes {
        let said =
            if size.speeds.is_empty() { vec!["nobody".to_owned()] } else { size.speeds.iter().map(words).collect() };
        for words in said {
            match sources.iter_mut().find(|(known, _)| *known == words) {
                Some((_, sizes)) => sizes.push(&size.size),
                None => sources.push((words, vec![&size.size])),
            }
        }
    }
    let is_of_all = |sizes: &[&str]| sizes.len() == price.sizes.len() && sources.len() == 1;
    for (words, sizes) in &sources {
        let of = if is_of_all(sizes) { String::new() } else { format!(" of {}", sizes.join(", ")) };
        let _ = if words == "nobody" {
            writeln!(
                text,
                "time{of}: unknown, since nothing similar was trained here: name a device (--device) or a speed \
                 (--tokens-per-second)"
            )
        } else {
            writeln!(text, "time{of}: {words}")
        };
    }
    let Some(wall) = &price.wall else { return text };
    let stages = plan.stages_by_key();
    let end = wall.critical_path.iter().rev().find_map(|key| stages.get(key));
    let to = end.map(|stage| format!("to the last point of {} seed {}", stage.size, stage.seed)).unwrap_or_default();
    let _ = writeln!(
        text,
        "critical path: {}, {} {to}; no number of workers is faster",
        human_duration(wall.critical_path_seconds),
        counted(wall.critical_path.len(), "stage"),
    );
    if let Some(schedule) = &wall.schedule {
        let _ = writeln!(
            text,
            "{} worker{}: {} by list scheduling, busy {:.0}% of it; loading, transfers and lost workers not counted",
            schedule.workers,
            if schedule.workers == 1 { "" } else { "s" },
            human_duration(schedule.seconds),
            100.0 * schedule.busy,
        );
    }
    text
}

fn words(speed: &Speed) -> String {
    match speed {
        Speed::Stated { tokens_per_second } => format!("as stated, at {} tokens/s", human_count(*tokens_per_second)),
        Speed::Measured { tokens_per_second, stages } => format!(
            "measured on {stages} finished stage{} of this model and batch, {} tokens/s",
            if *stages == 1 { "" } else { "s" },
            human_count(*tokens_per_second)
        ),
        Speed::MeasuredOnAnotherSize { flops_per_second, n } => format!(
            "assumes {} FLOP/s, last measured here with a model of {} parameters",
            human_count(*flops_per_second),
            human_count(*n as f64)
        ),
        Speed::Assumed { device, peak_flops_per_second, mfu } => {
            format!("assumed, at an MFU of {mfu} of {device}'s {} FLOP/s", human_count(*peak_flops_per_second))
        }
    }
}

fn checkpoints(plan: &Plan, price: &Price) -> String {
    let checkpoints = &price.checkpoints;
    let mut text = format!(
        "checkpoints: {} are needed during training, {} are kept at the end",
        human_bytes(checkpoints.needed_bytes),
        human_bytes(checkpoints.kept_bytes)
    );
    if let Some(between) = checkpoints.between {
        let seconds = plan.checkpoints.max_interval_seconds;
        let _ = write!(text, "; {between} within stages, at one every {}", human_duration(seconds as f64));
    }
    let quota = checkpoints.quota_bytes.map(human_bytes);
    let _ = match (checkpoints.peak_bytes, quota) {
        (Some(peak), Some(quota)) => write!(text, "; {} at the peak, under a quota of {quota}", human_bytes(peak)),
        (Some(peak), None) => write!(text, "; {} at the peak, because the recipe has no quota", human_bytes(peak)),
        (None, _) => write!(text, "; the peak is unknown, because the recipe has no quota"),
    };
    text.push('\n');
    text
}
