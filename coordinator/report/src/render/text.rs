//! The text for a terminal, at most 80 columns wide where tables allow.

use std::collections::BTreeSet;
use std::fmt::Write;

use recipes::search::recipe_lines;
use scaling::{Analysis, Bootstrap, FitError, HeldOut, Interval, Intervals, Law, Objective, Parameter, Resample};
use vocabulary::numbers::{operations, percent, three_digits};
use vocabulary::text::{counted, wrapped};
use vocabulary::units::human_count;

use super::{cells, documents};
use crate::conclude::batches::BatchLaw;
use crate::conclude::campaign::StageEnd;
use crate::conclude::conclusion::Conclusion;
use crate::conclude::grid::Grid;
use crate::conclude::optimum_lr::{OptimumLr, optima as best_learning_rates};
use crate::conclude::points::Selection;
use crate::conclude::search::Searched;
use crate::conclude::source::{Column, Dropped, Source};
use crate::conclude::table_fit::TableFit;
use crate::words;

pub(super) fn of_campaign(conclusion: &Conclusion) -> String {
    let Conclusion { campaign, points, analysis, .. } = conclusion;
    let plan = &campaign.plan;
    let mut text = format!("{}  {}\n", plan.name, plan.campaign);
    if let Some(searched) = Searched::of(campaign) {
        search(&mut text, &searched);
        return text;
    }
    text.push_str(&wrapped(
        &format!(
            "{} of {} points, losses in {} at the end of {}",
            points.len(),
            plan.trials.len(),
            conclusion.measure.in_words(plan),
            if points.iter().all(|point| point.decayed) { "the decay" } else { "the run, decayed or not" }
        ),
        0,
    ));
    text.push('\n');
    losses(&mut text, conclusion);
    text.push_str(&documents::lines(conclusion));
    learning_rates(&mut text, conclusion);
    batch_sizes(&mut text, conclusion);
    envelope(&mut text, conclusion);
    held_out_sets(&mut text, conclusion);
    evaluated(&mut text, conclusion);
    match analysis {
        Ok(analysis) => {
            if let Some(arm) = &conclusion.arm {
                let _ = writeln!(text, "law of arm {arm}:");
            }
            law(&mut text, analysis);
            if conclusion.selection == Selection::BestLearningRate {
                text.push_str("the best peak learning rate is fitted for each size, seed and amount of data\n");
            }
            text.push('\n');
            text.push_str(&documents::law_lines(conclusion));
            quality(&mut text, analysis, conclusion.measure.unit.in_words());
            optima(&mut text, analysis);
            notes(&mut text, analysis);
        }
        Err(_) => {
            text.push_str(&wrapped(&no_law(conclusion), 0));
        }
    }
    text
}

/// Where the points of a table come from.
pub(super) fn of_source(source: &Source, points: usize) -> String {
    let Source { file, rows, columns, filters, dropped, .. } = source;
    let mut text = format!("{file}: {points} of {rows} rows\n");
    for Column { quantity, column, meaning } in columns {
        text.push_str(&wrapped(&format!("{quantity:<9} {column:?}: {meaning}"), 10));
    }
    for filter in filters {
        let _ = writeln!(text, "filter    {filter}");
    }
    for Dropped { reason, rows } in dropped {
        text.push_str(&wrapped(&format!("left out  {}: {reason}", counted(*rows, "row")), 10));
    }
    text
}

/// The fit of a table, for a terminal.
pub(super) fn of_table<L: Law>(fit: &TableFit<L>) -> String {
    let Source { trunks, decayed, notes: said, .. } = &fit.source;
    let mut text = of_source(&fit.source, fit.analysis.n_points);
    text.push_str(&wrapped(&format!("trunks    {trunks}"), 10));
    text.push_str(&wrapped(&format!("decay     {decayed}"), 10));
    text.push('\n');
    law(&mut text, &fit.analysis);
    text.push('\n');
    quality(&mut text, &fit.analysis, fit.source.unit());
    optima(&mut text, &fit.analysis);
    notes(&mut text, &fit.analysis);
    said.iter().for_each(|note| text.push_str(&wrapped(&format!("note: {note}"), 2)));
    text
}

fn notes<L: Law>(text: &mut String, analysis: &Analysis<L>) {
    analysis.warnings.iter().for_each(|warning| text.push_str(&wrapped(&format!("note: {warning}"), 2)));
}

/// Why there is no law, and what would make one possible.
pub(super) fn no_law(conclusion: &Conclusion) -> String {
    match conclusion.analysis() {
        Err(FitError::TooFewValues { quantity, found, needed })
            if conclusion.points.iter().any(|point| point.decayed) =>
        {
            let trials = &conclusion.campaign.plan.trials;
            let (what, key, planned) = match *quantity {
                "sizes (N)" => {
                    ("model sizes", "model.sizes", trials.iter().map(|trial| trial.n).collect::<BTreeSet<_>>().len())
                }
                _ => ("amounts of data", "points", trials.iter().map(|trial| trial.d.0).collect::<BTreeSet<_>>().len()),
            };
            let of_text = conclusion.repeated_data().filter(|_| conclusion.left_out > 0);
            let of_text = of_text.map(|repeated| format!(" {repeated}.")).unwrap_or_default();
            let diverged = conclusion.campaign.progress.count(StageEnd::Diverged);
            let remedy = match diverged {
                _ if conclusion.campaign.recipe_text.is_empty() => String::new(),
                _ if planned < *needed => format!(" Add some to `{key}`."),
                0 => String::new(),
                _ => format!(" {} diverged: lower `optimizer.peak_lr`.", counted(diverged, "stage")),
            };
            format!("No law: it needs {needed} {what}, and the decayed points have {found}.{remedy}{of_text}")
        }
        _ => format!("No law: {}.", conclusion.refusal().unwrap_or_default()),
    }
}

/// Number of trials shown in a terminal.
const BEST: usize = 10;

/// Width of the labels in front of measures of quality.
const LABEL: usize = 16;

fn search(text: &mut String, searched: &Searched<'_>) {
    text.push_str(&wrapped(&format!("{}; losses in nats a token on held-out text", searched.in_words()), 0));
    text.push('\n');
    let mut header = vec!["trial".to_owned()];
    header.extend(searched.space.iter().map(|dimension| dimension.parameter.to_string()));
    header.extend(["loss", "state"].map(str::to_owned));
    let mut lines = vec![header];
    lines.extend(searched.trials.iter().take(BEST).map(|trial| {
        let mut cells = vec![trial.number.to_string()];
        cells.extend(searched.values(trial));
        cells.push(trial.loss.map(|loss| format!("{loss:.4}")).unwrap_or_default());
        cells.push(trial.state());
        cells
    }));
    text.push_str(&lined_up(&lines));
    if let Some(more) = searched.trials.len().checked_sub(BEST).filter(|more| *more > 0) {
        let _ = writeln!(text, "and {more} more, in points.csv");
    }
    if let Some(parts) = searched.importance() {
        let parts: Vec<String> = parts.iter().map(|(key, part)| format!("{key} {:.0}%", 100.0 * part)).collect();
        let _ = writeln!(text, "\nwhat separates the best fifth from the rest: {}", parts.join(", "));
    }
    if let Some(best) = searched.best() {
        if let Some(by) = searched.ahead() {
            let verdict = if by.is_clear() { "" } else { ", which is not clearly better" };
            let by = documents::difference(by);
            text.push_str(&wrapped(
                &format!(
                    "\nthe best trial minus the next: {by} nats a token (standard error by document, paired){verdict}"
                ),
                0,
            ));
        }
        let _ = write!(text, "\nthe best trial, as lines for a recipe:\n\n{}", recipe_lines(best.settings));
    }
}

fn losses(text: &mut String, conclusion: &Conclusion) {
    let Conclusion { campaign, points, .. } = conclusion;
    let mut lines: Vec<Vec<String>> = Vec::new();
    if let Some(grid) = Grid::of(campaign, points) {
        lines.push(["size", "N"].map(str::to_owned).into_iter().chain(grid.columns).collect());
        for row in grid.rows {
            let cells = row.cells.iter().map(|cell| cell.map_or_else(|| "-".to_owned(), |cell| cell.to_string()));
            lines.push([row.label, human_count(row.n as f64)].into_iter().chain(cells).collect());
        }
    } else {
        lines.push(["size", "N", "D", "seed", "peak LR", "loss"].map(str::to_owned).into());
        for point in points {
            let (n, d) = (human_count(point.n as f64), human_count(point.d as f64));
            let loss = format!("{:.4}", point.loss);
            let label = format!("{} {}", point.arm.as_deref().unwrap_or_default(), point.size);
            lines.push(vec![label.trim().to_owned(), n, d, point.seed.to_string(), point.peak_lr.to_string(), loss]);
        }
    }
    text.push_str(&lined_up(&lines));
    text.push('\n');
}

/// The best peak learning rate per model, if the campaign tries several.
fn learning_rates(text: &mut String, conclusion: &Conclusion) {
    let found = best_learning_rates(&conclusion.campaign, &conclusion.points, conclusion.measure);
    if found.is_empty() {
        return;
    }
    text.push_str("best peak learning rate, from a parabola over its logarithm\n");
    let mut lines = vec![["model", "N", "tried", "best", "loss"].map(str::to_owned).to_vec()];
    for OptimumLr { arm, size, n, losses, best, .. } in &found {
        let label = format!("{} {size}", arm.as_deref().unwrap_or_default());
        let tried = format!("{} to {}", losses[0].0, losses[losses.len() - 1].0);
        let [lr, loss] = match best {
            Some((lr, loss)) => [three_digits(*lr), format!("{loss:.4}")],
            None => ["not bracketed".to_owned(), String::new()],
        };
        lines.push(vec![label.trim().to_owned(), human_count(*n as f64), tried, lr, loss]);
    }
    text.push_str(&lined_up(&lines));
    if let Some(rows) = documents::second_rates(&found) {
        let _ = writeln!(text, "{}", documents::SECOND_RATES);
        text.push_str(&lined_up(&rows));
    }
    text.push('\n');
}

/// The batch size that reaches each loss with the fewest tokens, if the campaign tries several.
fn batch_sizes(text: &mut String, conclusion: &Conclusion) {
    let Some(BatchLaw { fit, arms }) = &conclusion.batch_law else { return };
    match fit {
        Err(error) => {
            text.push_str(&wrapped(&format!("no batch-size law: {error}"), 0));
        }
        Ok(law) => {
            let of = if arms.is_empty() { String::new() } else { format!(", arms {}", arms.join(", ")) };
            text.push_str(&wrapped(&format!("batch size that reaches each loss with the fewest tokens{of}"), 0));
            let header = ["size", "loss", "batch", "tokens", ""].map(str::to_owned).to_vec();
            text.push_str(&lined_up(&std::iter::once(header).chain(cells::batches(law)).collect::<Vec<_>>()));
            text.push_str(&wrapped(&words::batch_law(law), 0));
        }
    }
    text.push('\n');
}

/// Two functional forms of the loss over the compute spent, if there is a single size.
fn envelope(text: &mut String, conclusion: &Conclusion) {
    let Some(compared) = &conclusion.envelope else { return };
    let of = conclusion.arm.as_ref().map(|arm| format!(" of arm {arm}")).unwrap_or_default();
    let heading = format!("loss{of} over x, the tokens relative to the smallest amount, better form first");
    text.push_str(&wrapped(&heading, 0));
    for line in words::envelope(compared, conclusion.measure.unit.in_words()) {
        let _ = writeln!(text, "{line}");
    }
    text.push('\n');
}

/// The losses of trials on each of several held-out sets, and the law of each.
fn held_out_sets(text: &mut String, conclusion: &Conclusion) {
    if conclusion.sets.is_empty() {
        return;
    }
    text.push_str("losses on the held-out sets, nats a byte\n");
    text.push_str(&lined_up(&cells::set_losses(&conclusion.campaign, &conclusion.points)));
    text.push('\n');
    if let Some(rows) = cells::set_laws(&conclusion.sets) {
        text.push_str("law of each held-out set, in nats a byte; D/N is at the largest measured budget\n(* by a model outside the measured range)\n");
        text.push_str(&lined_up(&rows));
        text.push('\n');
    }
}

/// The trials' losses on the texts that the campaign is evaluated on.
fn evaluated(text: &mut String, conclusion: &Conclusion) {
    if conclusion.campaign.plan.evaluations.is_empty() {
        return;
    }
    text.push_str("evaluations: losses on other held-out text, in nats\n");
    text.push_str(&lined_up(&cells::evaluations(&conclusion.campaign, &conclusion.points)));
    text.push('\n');
}

fn law<L: Law>(text: &mut String, analysis: &Analysis<L>) {
    if let Some(verdict) = &analysis.undetermined {
        text.push_str(&wrapped(&verdict.to_string(), 0));
        text.push('\n');
    }
    let _ = writeln!(text, "{}\n", L::FORM.text());
    let level = analysis.intervals.as_ref().map(|intervals| format!("{:.0}% interval", 100.0 * intervals.level));
    let draws = analysis.bootstrap.as_ref().map(|_| "bootstrap".to_owned());
    let mut lines = vec![vec![String::new(), "value".to_owned()]];
    lines[0].extend([level, draws].into_iter().flatten());
    for &parameter in L::PARAMETERS {
        let mut line = vec![parameter.to_string(), three_digits(analysis.fit.law.get(parameter))];
        line.extend(analysis.intervals.as_ref().map(|intervals| bounds(intervals, parameter)));
        line.extend(analysis.bootstrap.as_ref().map(|found| bounds(&found.intervals, parameter)));
        lines.push(line);
    }
    text.push_str(&lined_up(&lines));
    let mut fitted = format!("fitted to {} points of {}", analysis.n_points, units(analysis));
    if let Some(intervals) = &analysis.intervals {
        let _ = write!(fitted, "; intervals: {}", intervals.method.describe());
    }
    if let Some(Bootstrap { draws, .. }) = &analysis.bootstrap {
        let of = match analysis.settings.bootstrap.resample {
            Resample::Trunks => "whole trunks",
            Resample::Seeds => "whole trunks within each size",
            Resample::Points => "single points",
        };
        let _ = write!(fitted, "; bootstrap: percentiles of {} draws of {of}", draws.used);
    }
    text.push_str(&wrapped(&fitted, 2));
    let fit = &analysis.fit;
    let minimised = format!(
        "objective: {}; minimum {:.4e}, reached from {} of {} starts, relative gradient {:.0e}",
        objective(analysis.settings.objective),
        fit.objective,
        fit.starts_agreeing,
        fit.starts,
        fit.gradient
    );
    text.push_str(&wrapped(&minimised, 2));
}

/// A floor below this does not show: losses are known to four digits.
const L0_AT_ITS_BOUND: f64 = 1e-6;

/// The interval of a parameter in words.
pub(super) fn bounds(intervals: &Intervals, parameter: Parameter) -> String {
    match intervals.bounded(parameter) {
        None => "none".to_owned(),
        // Every draw ends where the search does.
        Some(interval) if parameter == Parameter::L0 && interval.high < L0_AT_ITS_BOUND => "at its bound".to_owned(),
        Some(interval) if interval.low == 0.0 && parameter == Parameter::L0 => {
            format!("below {}", three_digits(interval.high))
        }
        Some(interval) => range(interval),
    }
}

/// Points named in a terminal; the rest are counted.
const MOST_OUTLIERS: usize = 12;

/// The points far off the law.
fn outliers<L: Law>(text: &mut String, analysis: &Analysis<L>) {
    let found = &analysis.diagnostics.outliers;
    if found.is_empty() {
        return;
    }
    text.push_str("points far off the law, and how many typical residuals\n");
    let mut lines = vec![["size", "N", "D", "off", "times", ""].map(str::to_owned).to_vec()];
    for outlier in found.iter().take(MOST_OUTLIERS) {
        lines.push(vec![
            outlier.size.clone(),
            human_count(outlier.n),
            human_count(outlier.d),
            format!("{:+.4}", outlier.residual),
            format!("{:.0}", outlier.deviations),
            if outlier.is_misfit { "with its neighbours" } else { "alone" }.to_owned(),
        ]);
    }
    text.push_str(&lined_up(&lines));
    if let Some(more) = found.len().checked_sub(MOST_OUTLIERS).filter(|more| *more > 0) {
        let _ = writeln!(text, "and {more} more, in fit.json");
    }
    text.push('\n');
}

/// How well a law fits losses in this unit, which is empty where nobody said it.
fn quality<L: Law>(text: &mut String, analysis: &Analysis<L>, unit: &str) {
    let found = &analysis.diagnostics;
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    let _ = writeln!(
        text,
        "rmse            {:.4}{unit}, at worst {:.4}\nR^2             {:.4}",
        found.rmse, found.worst_residual, found.r_squared
    );
    if let Some(HeldOut { size, mean_error, max_error, .. }) = &found.held_out {
        let (mean, most) = (percent(*mean_error), percent(*max_error));
        text.push_str(&wrapped(
            &format!("held-out error  {mean}, at worst {most}: {size}, predicted from the smaller sizes"),
            LABEL,
        ));
    }
    let errors = found.left_out.iter().filter_map(|size| Some((size, size.mean_error?)));
    if let Some((size, most)) = errors.max_by(|a, b| a.1.total_cmp(&b.1)) {
        let count = found.left_out.iter().filter(|size| size.mean_error.is_some()).count();
        // Without some sizes there may be no law.
        let tried = match found.left_out.len() {
            all if all == count => format!("each of {count} sizes in turn"),
            all => format!("{count} of {all} sizes, each in turn"),
        };
        let (size, most) = (&size.size, percent(most));
        text.push_str(&wrapped(&format!("left out        {tried}: mean error at worst {most} ({size})"), LABEL));
    }
    if let Some(spread) = found.seed_spread {
        let _ = writeln!(text, "between seeds   {spread:.4}{unit}, standard deviation");
    }
    text.push('\n');
    outliers(text, analysis);
}

fn optima<L: Law>(text: &mut String, analysis: &Analysis<L>) {
    if analysis.optima.is_empty() {
        return;
    }
    let caption =
        format!("compute-optimal models, {} (* outside the measured range)", analysis.settings.cost.describe());
    text.push_str(&wrapped(&caption, 2));
    let mut lines = vec![["C", "N", "D", "D/N", "interval", "loss", "interval"].map(str::to_owned).to_vec()];
    for optimum in &analysis.optima {
        let best = optimum.best;
        lines.push(vec![
            format!("{}{}", operations(best.flops), if optimum.measured { "" } else { "*" }),
            human_count(best.n),
            human_count(best.d),
            three_digits(best.tokens_per_param),
            optimum.tokens_per_param.map(range).unwrap_or_default(),
            format!("{:.3}", best.loss),
            optimum.loss.map(|at| format!("{:.3} to {:.3}", at.low, at.high)).unwrap_or_default(),
        ]);
    }
    text.push_str(&lined_up(&lines));
    text.push('\n');
}

pub(super) fn range(interval: Interval) -> String {
    format!("{} to {}", three_digits(interval.low), three_digits(interval.high))
}

/// The units that are resampled.
fn units<L: Law>(analysis: &Analysis<L>) -> String {
    match analysis.settings.bootstrap.resample {
        Resample::Points => "no trunks, each taken by itself".to_owned(),
        Resample::Trunks | Resample::Seeds => format!("{} trunks", analysis.n_trunks),
    }
}

pub(super) fn objective(objective: Objective) -> String {
    match objective {
        Objective::Huber { delta } => format!("Huber loss of the residuals of log L, threshold {delta}"),
        Objective::LogLeastSquares => "half the squared residuals of log L".to_owned(),
        Objective::LeastSquares => "half the squared residuals of L".to_owned(),
    }
}

/// Lines up columns: the first to the left, the others to the right.
fn lined_up(lines: &[Vec<String>]) -> String {
    vocabulary::text::lined_up(lines, |column| column > 0)
}
