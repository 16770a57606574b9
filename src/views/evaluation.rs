//! The evaluations of a campaign.

use std::collections::BTreeMap;

use proto::v1;
use serde::Serialize;
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::text::{listed, wrapped};
use vocabulary::{Evaluation, Measurements, StageKey};

use super::stage::{TimesView, phase, words};
use super::stages::{loss, short, times};
use super::table::{Column, KEPT, fitted};

/// An evaluation and how it is doing.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct EvaluationView {
    pub(crate) key: String,
    pub(crate) stage: StageKey,
    pub(crate) name: String,
    pub(crate) size: String,
    pub(crate) seed: u64,
    /// Of the text, of each of its domains where it has several.
    pub(crate) tokens: u64,
    pub(crate) phase: &'static str,
    pub(crate) attempt: Option<u32>,
    pub(crate) worker: Option<String>,
    #[serde(flatten)]
    pub(crate) times: TimesView,
    pub(crate) validation_loss: Option<f64>,
    pub(crate) validation_loss_per_byte: Option<f64>,
    pub(crate) reason: String,
}

impl EvaluationView {
    pub(crate) fn new(evaluation: &Evaluation, status: &v1::StageStatus) -> Self {
        // A result that this version cannot read is shown as none.
        let result = status.result.clone().and_then(|result| Measurements::try_from(result).ok()).unwrap_or_default();
        Self {
            key: evaluation.key.to_string(),
            stage: evaluation.parent,
            name: evaluation.name.clone(),
            size: evaluation.size.clone(),
            seed: evaluation.seed,
            tokens: evaluation.spec.task.tokens,
            phase: phase(status.phase()),
            attempt: status.attempt,
            worker: status.worker.clone(),
            times: status.into(),
            validation_loss: result.get(VALIDATION_LOSS),
            validation_loss_per_byte: result.get(VALIDATION_LOSS_PER_BYTE),
            reason: status.reason.clone(),
        }
    }
}

/// The evaluations of a campaign as a table, with what is said of them beneath.
pub(crate) fn table(evaluations: &[EvaluationView], width: Option<usize>) -> String {
    let column = |title: &str, rank, cell: &dyn Fn(&EvaluationView) -> String| {
        Column::new(title, rank, evaluations.iter().map(cell))
    };
    let has_seeds = evaluations.iter().any(|evaluation| evaluation.seed != evaluations[0].seed);
    let mut columns = vec![
        column("evaluation", KEPT, &|it| short(&it.key)),
        column("of stage", 9, &|it| it.stage.short()),
        column("size", KEPT, &|it| it.size.clone()),
        column(" seed", 9, &|it| if has_seeds { it.seed.to_string() } else { String::new() }),
        column("text", KEPT, &|it| it.name.clone()),
        column("state", KEPT, &|it| it.phase.to_owned()),
        column(" loss", KEPT, &|it| loss(it.validation_loss)),
    ];
    let rows: Vec<(Option<u32>, &TimesView)> = evaluations.iter().map(|it| (it.attempt, &it.times)).collect();
    columns.extend(times(&rows));
    let mut text = fitted(columns, width);
    let mut said: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for evaluation in evaluations.iter().filter(|it| !it.reason.is_empty()) {
        // Which stage an evaluation waits for is in its row.
        let waits = evaluation.phase == words::WAITING && evaluation.attempt.is_none();
        let reason = if waits && evaluation.reason.contains(&evaluation.stage.short()) {
            "the stage is not completed"
        } else {
            &evaluation.reason
        };
        said.entry(reason).or_default().push(short(&evaluation.key));
    }
    for (reason, keys) in said {
        let of = if keys.len() < 3 { listed(&keys) } else { format!("{} evaluations", keys.len()) };
        text.push_str(&wrapped(&format!("{of}: {reason}"), 2));
    }
    text
}
