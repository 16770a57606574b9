//! The text and tables of the page.

use std::collections::BTreeMap;
use std::fmt::Write;

use scaling::{Analysis, Cost, Form, Interval, Law, Parameter};
use vocabulary::Tokens;
use vocabulary::numbers::{operations, percent, three_digits};
use vocabulary::units::{human_count, human_duration, human_time};

use super::texts::texts;
use crate::conclude::campaign::{Campaign, StageEnd};
use crate::conclude::conclusion::Conclusion;
use crate::conclude::grid::Grid;
use crate::conclude::measure::Unit;
use crate::conclude::optimum_lr;
use crate::conclude::table_fit::TableFit;
use crate::escape::escape;
use crate::render::text::{bounds, no_law, objective};
use crate::render::{cells, documents};
use crate::words::{self, in_unit};

/// Limit on lines of the stage tree and rows of points.
const MAX_LINES: usize = 2_000;

pub(super) fn heading(conclusion: &Conclusion) -> String {
    let campaign = &conclusion.campaign;
    let plan = &campaign.plan;
    let mut html = format!("<header>\n<h1>{}</h1>\n", escape(&plan.name));
    if !plan.description.is_empty() {
        let _ = writeln!(html, "<p class=\"lead\">{}</p>", escape(&plan.description));
    }
    let mut facts = vec![escape(&plan.campaign.to_string()), measured(conclusion), trained(campaign)];
    facts.extend(worked(campaign));
    if let Some(dataset) = &plan.dataset {
        facts.push(format!("text: {}", escape(&texts(dataset))));
    }
    facts.push(escape(&campaign.program));
    let _ = writeln!(html, "<p class=\"where\">{}</p>\n</header>", facts.join(" &middot; "));
    html
}

/// How many points are measured, and what became of the others.
fn measured(conclusion: &Conclusion) -> String {
    let (plan, measured) = (&conclusion.campaign.plan, conclusion.points.len());
    let mut parts = vec![format!("{measured} of {} points measured", plan.trials.len())];
    let early = &conclusion.campaign.early;
    let diverged: Vec<_> =
        plan.trials.iter().filter(|trial| early.get(&trial.id).is_some_and(|end| end.result.is_none())).collect();
    if !diverged.is_empty() {
        let stages = plan.stages_by_key();
        let mut rates: BTreeMap<String, usize> = BTreeMap::new();
        for stage in diverged.iter().filter_map(|trial| stages.get(trial.last_stage())) {
            *rates.entry(format!("lr {}", stage.spec.peak_lr)).or_default() += 1;
        }
        let by_rate: Vec<String> = rates.iter().map(|(rate, count)| format!("{rate}: {count}")).collect();
        parts.push(format!("{} diverged ({})", diverged.len(), by_rate.join(", ")));
    }
    parts.join(", ")
}

/// How long workers had its stages and evaluations, and when; `None` where that was not recorded.
fn worked(campaign: &Campaign) -> Option<String> {
    let [from, to] = campaign.progress.worked_at_ms?.map(human_time);
    let device_time = human_duration(campaign.progress.device_ms as f64 / 1e3);
    Some(format!("{device_time} of device time, {from} to {to} UTC"))
}

/// What was trained, of what the plan asks for.
fn trained(campaign: &Campaign) -> String {
    let (plan, progress) = (&campaign.plan, &campaign.progress);
    let all = plan.cost().tokens;
    let whole = plan.stages.len() - progress.ended.len() - progress.open.len();
    if whole == plan.stages.len() {
        return format!("{all} tokens trained in {whole} stages");
    }
    let counts = [StageEnd::Diverged, StageEnd::GivenUp, StageEnd::NotRun].map(|end| (progress.count(end), end.name()));
    let counts = [(whole, "completed")].into_iter().chain(counts).chain([(progress.open.len(), "not finished")]);
    let counts: Vec<String> =
        counts.filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    format!(
        "{} of {all} tokens trained; of {} stages, {}",
        Tokens(progress.tokens_trained),
        plan.stages.len(),
        counts.join(", ")
    )
}

/// Where a table's points come from.
pub(super) fn table_heading<L: Law>(fit: &TableFit<L>) -> String {
    let source = &fit.source;
    let columns = source.columns.iter().map(|column| {
        format!("{} from {:?}: {}", escape(&column.quantity), escape(&column.column), escape(&column.meaning))
    });
    let facts: Vec<String> = [format!("{} of {} rows", fit.analysis.n_points, source.rows)]
        .into_iter()
        .chain(columns)
        .chain([escape(&source.trunks), escape(&fit.program)])
        .collect();
    format!(
        "<header>\n<h1>{}</h1>\n<p class=\"where\">{}</p>\n</header>",
        escape(&source.file),
        facts.join(" &middot; ")
    )
}

pub(super) fn table_law<L: Law>(fit: &TableFit<L>) -> String {
    let found = &fit.analysis.fit;
    let notes: String = fit.source.notes.iter().map(|note| format!("<li>{}</li>\n", escape(note))).collect();
    let notes = if notes.is_empty() { notes } else { format!("<ul class=\"notes\">\n{notes}</ul>\n") };
    format!(
        "<section>\n<h2>The scaling law</h2>\n{}{notes}<p class=\"where\">Minimised: {}; {:.6e}, reached from {} of {} starts.</p>\n\
         </section>\n",
        fitted(
            &fit.analysis,
            "The loss of a model with N parameters trained on D tokens, each as the table counts it.",
            &fit.source.points(),
            fit.source.unit(),
        ),
        escape(&objective(fit.analysis.settings.objective)),
        found.objective,
        found.starts_agreeing,
        found.starts
    )
}

pub(super) fn law(conclusion: &Conclusion) -> String {
    let body = match &conclusion.analysis {
        Ok(analysis) => {
            let unit = conclusion.measure.unit.in_words();
            let about = format!(
                "The final held-out loss, in {unit}, of a model with N non-embedding parameters trained on D tokens."
            );
            let mut points = conclusion.selection.describe().to_owned();
            points.extend(conclusion.arm.iter().map(|arm| format!(", of arm {arm} only")));
            format!("{}{}{}", of_which(conclusion), fitted(analysis, &about, &points, unit), of_documents(conclusion))
        }
        Err(_) => format!("<p class=\"refusal\">{} Points and curves are below.</p>\n", escape(&no_law(conclusion))),
    };
    let arm = conclusion.arm.as_ref().filter(|_| conclusion.analysis.is_ok());
    let of = arm.map(|arm| format!(" of arm {}", escape(arm))).unwrap_or_default();
    format!("<section>\n<h2>The scaling law{of}</h2>\n{body}</section>\n")
}

/// What the held-out documents leave uncertain of the law, and the passes over the training text.
fn of_documents(conclusion: &Conclusion) -> String {
    let said = [
        conclusion.passes().map(|passes| format!("Training text: {passes}.")),
        conclusion.repeated_data().map(|repeated| format!("{repeated}.")),
        Some(format!("{}.", documents::of_losses(conclusion))),
    ];
    let said: Vec<String> = said.into_iter().flatten().map(|sentence| escape(&sentence)).collect();
    let mut html = format!("<p class=\"about\">{}</p>\n", said.join(" "));
    if let Some(errors) = conclusion.documents.as_ref().and_then(|found| found.law.as_ref()) {
        html.push_str(&table(documents::of_law(errors), &documents::method(errors)));
    }
    html
}

/// Rows of cells, of which the first is the heading, with a sentence below.
fn table(rows: Vec<Vec<String>>, below: &str) -> String {
    let row = |(index, cells): (usize, Vec<String>)| {
        let tag = if index == 0 { "th" } else { "td" };
        let cells: String = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = rows.into_iter().enumerate().map(row).collect();
    format!("<div class=\"scroll\"><table>\n{rows}</table></div>\n<p class=\"where\">{}.</p>\n", escape(below))
}

/// How much better the best peak learning rates are than the next, if the campaign tries several.
pub(super) fn second_rates(conclusion: &Conclusion) -> String {
    // The trials of a search differ in more than the learning rate.
    if conclusion.campaign.plan.search.is_some() {
        return String::new();
    }
    let rates = optimum_lr::optima(&conclusion.campaign, &conclusion.points, conclusion.measure);
    let rows = documents::second_rates(&rates).map(|rows| table(rows, documents::SECOND_RATES));
    rows.map(|rows| format!("<section>\n<h2>The best peak learning rates</h2>\n{rows}</section>\n")).unwrap_or_default()
}

/// Which points the law is fitted to; empty if it is fitted to all measured points.
fn of_which(conclusion: &Conclusion) -> String {
    let (fitted, measured) = (conclusion.fitted, conclusion.points.len());
    match &conclusion.arm {
        Some(arm) => format!(
            "<p class=\"about\">The law is that of arm {}: {fitted} of the {measured} measured points are fitted.</p>\n",
            escape(arm)
        ),
        None if fitted < measured => {
            format!("<p class=\"about\">{fitted} of the {measured} measured points are fitted.</p>\n")
        }
        None => String::new(),
    }
}

/// Two functional forms of the loss over the compute spent, if there is a single size.
pub(super) fn envelope(conclusion: &Conclusion) -> String {
    let Some(compared) = &conclusion.envelope else { return String::new() };
    let of = conclusion.arm.as_ref().map(|arm| format!(" of arm {}", escape(arm))).unwrap_or_default();
    let lines: String = words::envelope(compared, conclusion.measure.unit.in_words())
        .iter()
        .map(|line| format!("<li>{}</li>\n", escape(line)))
        .collect();
    format!(
        "<section>\n<h2>The loss of one size</h2>\n<p class=\"about\">Two forms fitted to the final loss{of} over x, the \
         tokens relative to the smallest amount, the better one first.</p>\n<ul class=\"notes\">\n{lines}</ul>\n</section>\n"
    )
}

/// The law with its parameters; `quantities` describes N, D and the loss, `points` what the law was fitted to, and `unit` is
/// that of the loss, empty where nobody said it.
pub(super) fn fitted<L: Law>(analysis: &Analysis<L>, quantities: &str, points: &str, unit: &str) -> String {
    let verdict = analysis.undetermined.as_ref();
    let mut html = verdict
        .map(|verdict| format!("<p class=\"refusal\">{}</p>\n", escape(&verdict.to_string())))
        .unwrap_or_default();
    let _ = write!(
        html,
        "<p class=\"about\">{quantities} {}</p>\n<p class=\"formula\">{}</p>\n",
        about(L::FORM),
        formula(&analysis.fit.law)
    );
    let mut header = "<th>parameter</th><th>value</th>".to_owned();
    if let Some(intervals) = &analysis.intervals {
        let _ = write!(header, "<th>{:.0}% interval</th>", 100.0 * intervals.level);
    }
    if analysis.bootstrap.is_some() {
        header.push_str("<th>bootstrap</th>");
    }
    let rows: String = L::PARAMETERS.iter().map(|parameter| parameter_row(*parameter, analysis, unit)).collect();
    let _ = writeln!(html, "<div class=\"scroll\"><table>\n<tr>{header}<th></th></tr>\n{rows}</table></div>");
    html.push_str(&cards(analysis, unit));
    if !analysis.warnings.is_empty() {
        let notes: String =
            analysis.warnings.iter().map(|warning| format!("<li>{}</li>\n", escape(&warning.to_string()))).collect();
        let _ = writeln!(html, "<ul class=\"notes\">\n{notes}</ul>");
    }
    let _ = write!(
        html,
        "<p class=\"where\">Fitted to {}: {} points of {} trunks.",
        escape(points),
        analysis.n_points,
        analysis.n_trunks
    );
    if let Some(intervals) = &analysis.intervals {
        let _ = write!(html, " Intervals: {}.", escape(intervals.method.describe()));
    }
    if let Some(bootstrap) = &analysis.bootstrap {
        let _ = write!(
            html,
            " Bootstrap: percentiles of {} draws of {}.",
            bootstrap.draws.used,
            analysis.settings.bootstrap.resample.describe()
        );
    }
    html.push_str("</p>\n");
    html
}

fn about(form: Form) -> &'static str {
    match form {
        Form::Minicpm => {
            "The first term is what a larger model would remove, the second what more data would, and the last what \
             neither can remove on this text."
        }
        Form::Kaplan => "The form is that of Kaplan et al. (2020), without an irreducible loss.",
    }
}

fn formula<L: Law>(law: &L) -> String {
    let value = |parameter| three_digits(law.get(parameter));
    let left = "<i>L</i>(<i>N</i>, <i>D</i>)";
    match L::FORM {
        Form::Minicpm => {
            let [c_n, alpha, c_d, beta, l0] = Parameter::ALL.map(value);
            format!(
                "{left} = {c_n}&#8201;<i>N</i><sup>&minus;{alpha}</sup> + {c_d}&#8201;<i>D</i><sup>&minus;{beta}</sup> + {l0}"
            )
        }
        Form::Kaplan => {
            let [n_c, alpha_n, d_c, alpha_d] =
                [Parameter::Nc, Parameter::AlphaN, Parameter::Dc, Parameter::AlphaD].map(value);
            format!(
                "{left} = [({n_c} / <i>N</i>)<sup>{alpha_n} / {alpha_d}</sup> + {d_c} / <i>D</i>]<sup>{alpha_d}</sup>"
            )
        }
    }
}

fn parameter_row<L: Law>(parameter: Parameter, analysis: &Analysis<L>, unit: &str) -> String {
    let irreducible = in_unit("irreducible loss", unit);
    let (name, meaning) = match parameter {
        Parameter::CN => ("<i>C<sub>N</sub></i>", "coefficient of the model term"),
        Parameter::Alpha => ("<i>&alpha;</i>", "exponent of the model term"),
        Parameter::CD => ("<i>C<sub>D</sub></i>", "coefficient of the data term"),
        Parameter::Beta => ("<i>&beta;</i>", "exponent of the data term"),
        Parameter::L0 => ("<i>L</i><sub>0</sub>", irreducible.as_str()),
        Parameter::Nc => ("<i>N<sub>c</sub></i>", "N at which the model term alone is one"),
        Parameter::AlphaN => ("<i>&alpha;<sub>N</sub></i>", "exponent of the loss in N"),
        Parameter::Dc => ("<i>D<sub>c</sub></i>", "D at which the data term alone is one"),
        Parameter::AlphaD => ("<i>&alpha;<sub>D</sub></i>", "exponent of the loss in D"),
    };
    let both = [analysis.intervals.as_ref(), analysis.bootstrap.as_ref().map(|found| &found.intervals)];
    let intervals: String =
        both.into_iter().flatten().map(|of| format!("<td>{}</td>", escape(&bounds(of, parameter)))).collect();
    let value = three_digits(analysis.fit.law.get(parameter));
    format!("<tr><td>{name}</td><td>{value}</td>{intervals}<td class=\"outside words\">{meaning}</td></tr>\n")
}

fn cards<L: Law>(analysis: &Analysis<L>, unit: &str) -> String {
    let found = &analysis.diagnostics;
    let card = |value: String, about: String| format!("<div class=\"card\"><b>{value}</b><span>{about}</span></div>\n");
    let mut cards = card(
        format!("{:.4}", found.rmse),
        format!(
            "{}: the typical distance of a point from the law; at worst {:.4}",
            in_unit("RMSE", unit),
            found.worst_residual
        ),
    );
    if let Some(held) = &found.held_out {
        let about = format!(
            "held-out error: {} predicted from the smaller sizes, relative, mean; at worst {}",
            escape(&held.size),
            percent(held.max_error)
        );
        cards.push_str(&card(percent(held.mean_error), about));
    }
    if let Some(spread) = found.seed_spread {
        let about = format!("{}: noise that no law can explain", in_unit("between seeds", unit));
        cards.push_str(&card(format!("{spread:.4}"), about));
    }
    let about = "R&sup2;, the share of the variance that the law explains; close to one even for poor fits".to_owned();
    cards.push_str(&card(format!("{:.4}", found.r_squared), about));
    format!("<div class=\"cards\">\n{cards}</div>\n")
}

pub(super) fn optima<L: Law>(analysis: &Analysis<L>) -> String {
    if analysis.optima.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for optimum in &analysis.optima {
        let best = optimum.best;
        let cell = |value: String, interval: Option<Interval>, unit: fn(f64) -> String| {
            let interval = interval.map(|interval| format!("{} to {}", unit(interval.low), unit(interval.high)));
            format!("<td>{value}</td><td class=\"outside\">{}</td>", interval.unwrap_or_default())
        };
        let _ = writeln!(
            rows,
            "<tr{}><td>{}</td>{}{}{}{}</tr>",
            if optimum.measured { "" } else { " class=\"outside\"" },
            power_of_ten(best.flops),
            cell(human_count(best.n), optimum.n, human_count),
            cell(human_count(best.d), optimum.d, human_count),
            cell(three_digits(best.tokens_per_param), optimum.tokens_per_param, three_digits),
            cell(format!("{:.3}", best.loss), optimum.loss, |loss| format!("{loss:.3}"))
        );
    }
    let split = analysis.fit.law.split().filter(|_| analysis.settings.cost == Cost::SixNd).map_or_else(
        String::new,
        |(k, eta)| {
            format!(
                "<p class=\"where\"><i>N</i> / <i>D</i> = <i>K</i>&sup2; (<i>C</i>/6)<sup><i>&eta;</i></sup> with \
             <i>K</i>&sup2; = {} and <i>&eta;</i> = {}.</p>\n",
                three_digits(k * k),
                three_digits(eta)
            )
        },
    );
    let cost = match analysis.settings.cost {
        Cost::SixNd => "C = 6ND",
        Cost::Counted { .. } => "C",
    };
    format!(
        "<section>\n<h2>What to train at a budget</h2>\n<p class=\"about\">The N and D with the lowest predicted loss among \
         all with {cost} operations. Grey rows lie outside the measured N and D.</p>\n\
         <div class=\"scroll\"><table>\n<tr><th>C, operations</th><th>N</th><th>interval</th><th>D, tokens</th>\
         <th>interval</th><th>D/N</th><th>interval</th><th>loss</th><th>interval</th></tr>\n{rows}</table></div>\n{split}</section>\n"
    )
}

/// The losses of trials on each of several held-out sets, and the law of each, in the layout of the paper's table.
pub(super) fn sets(conclusion: &Conclusion) -> String {
    if conclusion.sets.is_empty() {
        return String::new();
    }
    let laws = match cells::set_laws(&conclusion.sets) {
        Some(rows) => format!(
            "<p class=\"about\">The law fitted to each set separately, and to their mean. D/N is that of the best model at \
             the largest measured budget C = 6ND, with a star if that model lies outside the measured range.</p>\n{}",
            rows_of(&rows)
        ),
        None => String::new(),
    };
    format!(
        "<section>\n<h2>The held-out sets</h2>\n<p class=\"about\">Losses in nats a byte on the held-out text of each \
         domain at the end of each trial, and their unweighted mean.</p>\n{}{laws}</section>\n",
        rows_of(&cells::set_losses(&conclusion.campaign, &conclusion.points))
    )
}

/// The trials' losses on the texts that the campaign is evaluated on.
pub(super) fn evaluations(conclusion: &Conclusion) -> String {
    if conclusion.campaign.plan.evaluations.is_empty() {
        return String::new();
    }
    format!(
        "<section>\n<h2>Evaluations</h2>\n<p class=\"about\">Losses in nats on other held-out text, of the model at the end of \
         each trial. Losses on different texts compare in nats a byte.</p>\n{}</section>\n",
        rows_of(&cells::evaluations(&conclusion.campaign, &conclusion.points))
    )
}

fn rows_of(rows: &[Vec<String>]) -> String {
    let row = |(number, cells): (usize, &Vec<String>)| {
        let tag = if number == 0 { "th" } else { "td" };
        let cells: String = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = rows.iter().enumerate().take(MAX_LINES).map(row).collect();
    format!("<div class=\"scroll\"><table>\n{rows}</table></div>\n")
}

pub(super) fn points(conclusion: &Conclusion) -> String {
    let (unit, other) = match conclusion.measure.unit {
        Unit::Token => (Unit::Token, Unit::Byte),
        Unit::Byte => (Unit::Byte, Unit::Token),
    };
    let about = format!(
        "Losses in {} on held-out text, at the end of each trial; a dash where the recipe asks for none. \
         <code>points.csv</code> has every digit, and losses in {}.",
        unit.in_words(),
        other.in_words()
    );
    let table = match Grid::of(&conclusion.campaign, &conclusion.points) {
        Some(grid) => {
            let columns: String = grid.columns.iter().map(|column| format!("<th>{column}</th>")).collect();
            let rows = grid.rows.iter().take(MAX_LINES).map(|row| {
                let cells = row.cells.iter().map(|cell| match cell {
                    Some(cell) => format!("<td>{cell}</td>"),
                    None => "<td>&ndash;</td>".to_owned(),
                });
                let cells: String = cells.collect();
                format!("<tr><td>{}</td><td>{}</td>{cells}</tr>\n", escape(&row.label), human_count(row.n as f64))
            });
            let model = if conclusion.campaign.plan.search.is_some() { "trial" } else { "size" };
            format!("<tr><th>{model}</th><th>N</th>{columns}</tr>\n{}", rows.collect::<String>())
        }
        None => {
            let rows = conclusion.points.iter().take(MAX_LINES).map(|point| {
                let (n, d) = (human_count(point.n as f64), human_count(point.d as f64));
                let (size, seed, lr, loss) = (escape(&point.size), point.seed, point.peak_lr, point.loss);
                let arm = point.arm.as_ref().map(|arm| format!("{} ", escape(arm))).unwrap_or_default();
                format!(
                    "<tr><td>{arm}{size}</td><td>{n}</td><td>{d}</td><td>{seed}</td><td>{lr}</td><td>{loss:.4}</td></tr>\n"
                )
            });
            let header = "<tr><th>size</th><th>N</th><th>D</th><th>seed</th><th>peak LR</th><th>loss</th></tr>\n";
            format!("{header}{}", rows.collect::<String>())
        }
    };
    format!(
        "<section>\n<h2>The points</h2>\n<p class=\"about\">{about}</p>\n<div class=\"scroll\"><table>\n{table}</table></div>\n\
         </section>\n"
    )
}

pub(super) fn settings(conclusion: &Conclusion) -> String {
    let campaign = &conclusion.campaign;
    let plan = &campaign.plan;
    let mut facts = vec![("program", escape(&campaign.program)), ("recipe", escape(&campaign.recipe_file))];
    if let Some(dataset) = &plan.dataset {
        let bytes_a_token = dataset.train_bytes as f64 / dataset.train_tokens.max(1) as f64;
        facts.push(("text", escape(&texts(dataset))));
        facts.push(("dataset", dataset.id.to_string()));
        facts.push((
            "tokens to train on",
            format!("{}, {bytes_a_token:.2} bytes each", human_count(dataset.train_tokens as f64)),
        ));
        facts.push(("tokens held out", human_count(dataset.validation_tokens as f64)));
        facts.push(("vocabulary", dataset.vocab.to_string()));
    }
    if let Ok(analysis) = &conclusion.analysis {
        let fit = &analysis.fit;
        facts.push(("objective", escape(&objective(analysis.settings.objective))));
        facts.push(("descents", format!("{} of {} starts reached this minimum", fit.starts_agreeing, fit.starts)));
        facts.push(("seed of the draws", analysis.settings.bootstrap.seed.to_string()));
    }
    let facts: String =
        facts.iter().map(|(name, value)| format!("<tr><th>{name}</th><td>{value}</td></tr>\n")).collect();
    let tree = recipes::show::tree(plan);
    let lines: Vec<&str> = tree.lines().take(MAX_LINES).collect();
    format!(
        "<section>\n<h2>Settings</h2>\n<p class=\"about\">How this report was made. The same recipe and text give the same \
         numbers on one kind of device.</p>\n<div class=\"scroll\"><table class=\"facts\">\n{facts}</table></div>\n\
         <details>\n<summary>The recipe</summary>\n<pre>{}</pre>\n</details>\n\
         <details>\n<summary>The stages, with their keys</summary>\n<pre>{}</pre>\n</details>\n</section>\n",
        escape(&campaign.recipe_text),
        escape(&lines.join("\n"))
    )
}

/// Operations as a power of ten.
fn power_of_ten(flops: f64) -> String {
    let text = operations(flops);
    match text.split_once('e') {
        Some(("1", power)) => format!("10<sup>{power}</sup>"),
        Some((mantissa, power)) => format!("{mantissa}&#8201;&times;&#8201;10<sup>{power}</sup>"),
        None => text,
    }
}
