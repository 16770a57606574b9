//! What the held-out documents and the training text leave uncertain, in words and tables.

use scaling::{Difference, DocumentErrors};
use vocabulary::Tokens;
use vocabulary::numbers::three_digits;
use vocabulary::text::{lined_up, wrapped};

use super::text::range;
use crate::conclude::conclusion::Conclusion;
use crate::conclude::documents::{self, ArmsCompared, HeldOutErrors};
use crate::conclude::measure::HeldOut;
use crate::conclude::optimum_lr::OptimumLr;

/// Rows of a comparison in a terminal.
const MOST_ROWS: usize = 20;

/// The standard error of a loss, in a sentence.
pub(super) fn of_losses(conclusion: &Conclusion) -> String {
    let rows = &conclusion.campaign.rows;
    match &conclusion.documents {
        None if matches!(conclusion.measure.set, Some(HeldOut::Evaluated(_))) => {
            "The losses of evaluations are given without a standard error".to_owned()
        }
        None if conclusion.points.iter().all(|point| rows.contains_key(&point.stage)) => {
            "The losses have no standard error: they are measured on a single document; raise `validation_tokens`"
                .to_owned()
        }
        None => "The losses have no standard error: the documents behind them were not kept, as by earlier versions"
            .to_owned(),
        Some(HeldOutErrors { documents, standard_error, .. }) => {
            let [least, most] = standard_error.map(|error| format!("{error:.4}"));
            let errors = if least == most { least } else { format!("{least} to {most}") };
            let unit = conclusion.measure.unit.in_words();
            let common = if conclusion.points.len() > 1 { "; most of it is common to all points" } else { "" };
            format!(
                "Standard error of the losses: {errors} {unit}, by document over {documents} held-out documents{common}"
            )
        }
    }
}

/// The intervals from documents alone, and from runs and documents together: a row for each parameter, below a heading.
pub(super) fn of_law(errors: &DocumentErrors) -> Vec<Vec<String>> {
    let heading = ["", "documents alone", "runs and documents"].map(str::to_owned).to_vec();
    let rows = errors.intervals.iter().map(|(parameter, alone)| {
        let together = errors.with_runs.get(parameter).copied().map(range).unwrap_or_default();
        vec![parameter.to_string(), range(*alone), together]
    });
    std::iter::once(heading).chain(rows).collect()
}

/// How the intervals of [`of_law`] are made.
pub(super) fn method(errors: &DocumentErrors) -> String {
    let DocumentErrors { documents, draws, level, .. } = errors;
    format!(
        "{:.0}% intervals; {draws} draws of {documents} documents, the same for all points, and the law refitted; beside the \
         luck of the runs, half-widths add as squares (of logarithms, but for exponents)",
        100.0 * level
    )
}

/// What a terminal says of the text: passes, errors, and arms beside each other.
pub(super) fn lines(conclusion: &Conclusion) -> String {
    let mut text = String::new();
    if let Some(passes) = conclusion.passes() {
        text.push_str(&wrapped(&format!("training text: {passes}"), 2));
    }
    if let Some(repeated) = conclusion.repeated_data() {
        text.push_str(&wrapped(&format!("note: {repeated}"), 2));
    }
    if !conclusion.points.is_empty() {
        text.push_str(&wrapped(&of_losses(conclusion), 2));
    }
    text.push('\n');
    text.push_str(&arms(conclusion));
    text
}

/// The intervals for a terminal; empty without them.
pub(super) fn law_lines(conclusion: &Conclusion) -> String {
    let Some(errors) = conclusion.documents.as_ref().and_then(|found| found.law.as_ref()) else { return String::new() };
    let table = lined_up(&of_law(errors), |column| column > 0);
    format!("what the held-out documents leave uncertain\n{table}{}\n", wrapped(&method(errors), 2))
}

/// A difference with its error: `-0.0123 +- 0.0045`.
pub(super) fn difference(Difference { difference, standard_error }: Difference) -> String {
    format!("{difference:+.4} \u{b1} {standard_error:.4}")
}

/// What [`second_rates`] are.
pub(super) const SECOND_RATES: &str = "second best of the rates tried, with the standard error by document (paired)";

/// Of each model, the learning rate with the second lowest loss: by how much it is worse than the best one tried, and whether
/// that is more than twice its error. A row for each, below a heading; `None` without any.
pub(super) fn second_rates(found: &[OptimumLr]) -> Option<Vec<Vec<String>>> {
    let row = |OptimumLr { arm, size, second, .. }: &OptimumLr| {
        let (lr, by) = (*second)?;
        let label = format!("{} {size}", arm.as_deref().unwrap_or_default());
        let verdict = if by.is_clear() { "clearly worse" } else { "not clearly worse" };
        Some(vec![label.trim().to_owned(), three_digits(lr), difference(by), verdict.to_owned()])
    };
    let rows: Vec<Vec<String>> = found.iter().filter_map(row).collect();
    let heading = ["model", "second best", "minus the best", ""].map(str::to_owned).to_vec();
    (!rows.is_empty()).then(|| std::iter::once(heading).chain(rows).collect())
}

fn arms(conclusion: &Conclusion) -> String {
    let compared = documents::arms(&conclusion.campaign, &conclusion.points, conclusion.measure);
    if compared.is_empty() {
        return String::new();
    }
    let mut rows = vec![["arms", "size", "seed", "tokens", "difference"].map(str::to_owned).to_vec()];
    rows.extend(compared.iter().take(MOST_ROWS).map(|found| {
        let ArmsCompared { arm, other, size, seed, nominal, difference: by } = *found;
        vec![format!("{arm} - {other}"), size.to_owned(), seed.to_string(), Tokens(nominal).to_string(), difference(by)]
    }));
    let more = compared.len().saturating_sub(MOST_ROWS);
    let more = if more > 0 { format!("and {more} more\n") } else { String::new() };
    format!(
        "differences between arms, with the standard error by document (paired)\n{}{more}\n",
        lined_up(&rows, |column| column > 1)
    )
}
