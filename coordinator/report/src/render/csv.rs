//! `points.csv`

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use vocabulary::metrics::{HELD_OUT_LOSSES, VALIDATION_LOSS_PER_BYTE};
use vocabulary::search::Parameter;
use vocabulary::{MeasurementName, Measurements, StageKey, TrialId};

use crate::conclude::campaign::Campaign;
use crate::conclude::documents;
use crate::conclude::evaluations;
use crate::conclude::measure::{self, Measure, Unit};
use crate::conclude::points::{MeasuredPoint, early};

/// `points.csv`: floats in the shortest form that reads back to the same bits, and nothing that depends on when or where. All
/// trials that have ended, in the plan's order; of those that diverged there is no loss. Of several held-out sets the losses
/// on each stand behind these columns, and their means in the columns that a campaign of one set has. Whatever else was
/// measured has a column of its name behind them, and the losses on the texts that the campaign is evaluated on stand at the
/// end of a row. The standard errors of the losses are by held-out document, and empty where those were not kept.
pub(super) fn points(campaign: &Campaign, points: &[MeasuredPoint]) -> String {
    // The learning rate always has its own column.
    let searched: Vec<Parameter> =
        campaign.plan.searched().filter(|parameter| *parameter != Parameter::PeakLr).collect();
    let columns =
        "size,n,d,loss,loss_per_byte,seed,peak_lr,nominal_tokens,step,batch_tokens,arm,decayed,trunk,stage,trial,state";
    let mut text = columns.to_owned();
    let sets = measure::names(&campaign.plan);
    text.push_str(",loss_se,loss_per_byte_se,documents");
    match sets.as_slice() {
        [] => text.push_str(",passes"),
        sets => sets.iter().copied().map(quoted).for_each(|name| text.push_str(&format!(",{name}_passes"))),
    }
    searched.iter().for_each(|parameter| text.push_str(&format!(",{parameter}")));
    for name in sets.iter().copied().map(quoted) {
        let _ = write!(text, ",{name}_loss,{name}_loss_per_byte");
    }
    let results = campaign.results.values().chain(campaign.early.values().filter_map(|end| end.result.as_ref()));
    let others: BTreeSet<&MeasurementName> =
        results.flat_map(|result| result.besides(&HELD_OUT_LOSSES)).map(|(name, _)| name).collect();
    others.iter().for_each(|name| text.extend([",", name.as_str()]));
    let texts = evaluations::names(&campaign.plan);
    for name in texts.iter().copied().map(quoted) {
        let _ = write!(text, ",{name}_loss,{name}_loss_per_byte");
    }
    text.push('\n');

    let measured: BTreeMap<TrialId, &MeasuredPoint> = points.iter().map(|point| (point.trial, point)).collect();
    let stages = campaign.plan.stages_by_key();
    for trial in &campaign.plan.trials {
        let (line, result, passes) = match measured.get(&trial.id) {
            Some(point) => (line(point, Some(point.loss), "completed"), point.result.clone(), point.passes.clone()),
            None => match early(campaign, &stages, trial) {
                Some((point, loss, state)) => (line(&point, loss, state), point.result, point.passes),
                None => continue,
            },
        };
        text.push_str(&line);
        text.push_str(&errors(campaign, trial.last_stage()));
        text.extend((0..sets.len().max(1)).map(|set| cell(passes.get(set).copied())));
        for parameter in &searched {
            let value = trial.settings.get(parameter).map(f64::to_string).unwrap_or_default();
            let _ = write!(text, ",{value}");
        }
        text.extend((0..sets.len()).map(|set| of_set(&result, set)));
        text.extend(others.iter().map(|name| cell(result.get(name))));
        for name in &texts {
            let evaluated = evaluations::result(campaign, trial.last_stage(), name);
            text.extend(HELD_OUT_LOSSES.map(|metric| cell(evaluated.and_then(|result| result.get(metric)))));
        }
        text.push('\n');
    }
    text
}

/// The standard errors of a stage's losses, and the number of documents behind them, as three more cells.
fn errors(campaign: &Campaign, stage: &StageKey) -> String {
    let of = |unit| documents::of(campaign, stage, Measure { set: None, unit });
    let [by_token, by_byte] = [Unit::Token, Unit::Byte].map(of);
    let count = by_token.as_ref().map(|documents| documents.count() as f64);
    let [by_token, by_byte] =
        [by_token, by_byte].map(|documents| documents.map(|documents| documents.standard_error()));
    [by_token, by_byte, count].map(cell).concat()
}

/// The loss on a held-out set, in both units, as two more cells.
fn of_set(result: &Measurements, set: usize) -> String {
    HELD_OUT_LOSSES.map(|metric| cell(result.get(metric.part(set)))).concat()
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| ",".to_owned(), |value| format!(",{value}"))
}

fn line(point: &MeasuredPoint, loss: Option<f64>, state: &str) -> String {
    let MeasuredPoint { n, d, seed, peak_lr, nominal, step, batch_tokens, decayed, .. } = point;
    let MeasuredPoint { trunk, stage, trial, .. } = point;
    let [size, arm] = [point.size.as_str(), point.arm.as_deref().unwrap_or_default()].map(quoted);
    let [loss, per_byte] = [loss, point.result.get(VALIDATION_LOSS_PER_BYTE)]
        .map(|loss| loss.map(|loss| loss.to_string()).unwrap_or_default());
    format!(
        "{size},{n},{d},{loss},{per_byte},{seed},{peak_lr},{nominal},{step},{batch_tokens},{arm},{decayed},{trunk},{stage},\
         {trial},{state}"
    )
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use vocabulary::metrics::VALIDATION_LOSS;

    use super::*;
    use crate::conclude::points::testing::point;

    #[test]
    fn each_set_has_its_cells_and_empty_ones_where_it_was_not_measured() {
        let mut result = Measurements::new();
        for (set, (per_token, per_byte)) in [(2.5, 0.5), (3.5, 1.5)].into_iter().enumerate() {
            result.set(VALIDATION_LOSS.part(set), per_token);
            result.set(VALIDATION_LOSS_PER_BYTE.part(set), per_byte);
        }
        assert_eq!([0, 1, 2].map(|set| of_set(&result, set)), [",2.5,0.5", ",3.5,1.5", ",,"]);
    }

    #[test]
    fn cells_with_commas_are_quoted_and_floats_keep_their_bits() {
        let row = line(&point(0, 0.01, 3.0), Some(0.1 + 0.2), "completed");
        assert!(
            row.starts_with("\"a,\"\"b\"\"\",100,2000,0.30000000000000004,,0,0.01,2000,20,100,,true,stage_"),
            "{row}"
        );
        assert!(line(&point(0, 0.01, 3.0), None, "diverged").starts_with("\"a,\"\"b\"\"\",100,2000,,,0,"));
    }
}
