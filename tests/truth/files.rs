//! The files of a report against the store: `points.csv`, `fit.json`, the page.

use std::collections::{BTreeMap, BTreeSet};

use scaling::Law;
use serde_json::Value;
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::units::{human_count, human_duration, human_time};

use crate::store::Truth;
use crate::{ORDER, counted, fixed, numbers, search, summary};

pub(crate) fn points_csv(truth: &Truth, text: &str) {
    let mut lines = text.lines();
    let titles: Vec<&str> = lines.next().expect("has a header").split(',').collect();
    let plan = &truth.plan;
    let stages = plan.stages_by_key();
    for trial in &plan.trials {
        let last = stages[trial.last_stage()];
        // Where it ended, and what the model was trained on by then.
        let step = truth.trial_step(trial);
        let d = step * last.spec.batch.tokens();
        let completed = truth.trial_state(trial) == "completed";
        let result = |name: &str| truth.result(&last.key, name).map(|value| value.to_string()).unwrap_or_default();
        let errors = truth.errors(&last.key);
        let error = |at: usize| errors.map(|errors| errors[at].to_string()).unwrap_or_default();
        let evaluated = |name: &str| {
            let evaluation = plan.evaluations.iter().find(|evaluation| evaluation.parent == last.key);
            evaluation.and_then(|it| truth.result(&it.key, name)).map(|value| value.to_string()).unwrap_or_default()
        };
        let train_tokens = plan.dataset.as_ref().expect("is prepared").train_tokens;
        let cell = |title: &str| match title {
            "size" => trial.size.clone(),
            "n" => last.spec.model.shape.non_embedding_params().to_string(),
            "d" => d.to_string(),
            "loss" => result(VALIDATION_LOSS.name),
            "loss_per_byte" => result(VALIDATION_LOSS_PER_BYTE.name),
            "seed" => trial.seed.to_string(),
            "peak_lr" => last.spec.peak_lr.to_string(),
            "nominal_tokens" => trial.nominal.0.to_string(),
            "step" => step.to_string(),
            "batch_tokens" => last.spec.batch.tokens().to_string(),
            "arm" => String::new(),
            "decayed" => completed.to_string(),
            "trunk" => plan.root_of(&last.key).expect("has a root").to_string(),
            "stage" => last.key.to_string(),
            "trial" => trial.id.to_string(),
            "state" => truth.trial_state(trial).to_owned(),
            "loss_se" => error(0),
            "loss_per_byte_se" => error(1),
            "documents" => error(2),
            "passes" => passes(last, train_tokens, d).to_string(),
            "scale_emb" => {
                trial.settings.iter().find(|(key, _)| key.name() == "scale_emb").expect("searched").1.to_string()
            }
            "news_loss" => evaluated(VALIDATION_LOSS.name),
            "news_loss_per_byte" => evaluated(VALIDATION_LOSS_PER_BYTE.name),
            title => panic!("column `{title}` has no query"),
        };
        let expected: Vec<String> = titles.iter().map(|title| cell(title)).collect();
        let found: Vec<&str> = lines.next().expect("has a row").split(',').collect();
        assert_eq!(found, expected, "{titles:?}");
    }
    assert_eq!(lines.next(), None);
}

/// Passes over the text by the time so many tokens were trained on: a pass is over when each window was seen once.
fn passes(stage: &vocabulary::Stage, train_tokens: u64, trained: u64) -> f64 {
    let context = u64::from(stage.spec.batch.context);
    (trained / context) as f64 / (train_tokens / context) as f64
}

pub(crate) fn fit_json(truth: &Truth, fit: &Value) {
    let plan = &truth.plan;
    let dataset = plan.dataset.as_ref().expect("is prepared");
    let state = |word: &str| plan.trials.iter().filter(|trial| truth.trial_state(trial) == word).count() as f64;
    assert!(fit.get("parameters").is_none(), "these campaigns have no law");
    let measured: Vec<_> =
        plan.evaluations.iter().filter(|it| truth.result(&it.key, VALIDATION_LOSS.name).is_some()).collect();
    let evaluated = |at: &str, field: &str| {
        let evaluation = measured.get(at.parse::<usize>().ok()?)?;
        let spec = &plan.stages_by_key().get(&evaluation.parent)?.spec;
        match field {
            "seed" => Some(evaluation.seed as f64),
            "n" => Some(spec.model.shape.non_embedding_params() as f64),
            "d" => Some((spec.steps.end * spec.batch.tokens()) as f64),
            "tokens" => Some(evaluation.spec.task.tokens as f64),
            "loss" => truth.result(&evaluation.key, VALIDATION_LOSS.name),
            "loss_per_byte" => truth.result(&evaluation.key, VALIDATION_LOSS_PER_BYTE.name),
            _ => None,
        }
    };
    numbers(fit, "", &|path| match path {
        ["evaluations", at, field] => evaluated(at, field),
        // Of the trials of one model on as much data, the best is fitted.
        ["n_points"] => {
            let completed = plan.trials.iter().filter(|trial| truth.trial_state(trial) == "completed");
            Some(completed.map(|trial| (trial.n, trial.d, trial.seed)).collect::<BTreeSet<_>>().len() as f64)
        }
        ["n_points_planned"] => Some(plan.trials.len() as f64),
        ["fitted", "validation_tokens"] => Some(plan.stages[0].spec.validation_tokens as f64),
        ["text", "train_tokens"] => Some(dataset.train_tokens as f64),
        ["text", "most_passes", "0"] => {
            let completed = plan.trials.iter().filter(|trial| truth.trial_state(trial) == "completed");
            Some(passes(&plan.stages[0], dataset.train_tokens, completed.map(|trial| trial.d.0).max()?))
        }
        ["text", "repeated_points" | "left_out"] => Some(0.0),
        ["search", "trials"] => Some(f64::from(plan.search.as_ref()?.trials)),
        ["search", state_of @ ("completed" | "pruned" | "diverged")] => Some(state(state_of)),
        ["search", "best", "trial"] => truth.best_trial().map(|best| best as f64),
        ["search", "best", "loss"] => {
            truth.result(plan.trials[truth.best_trial()? - 1].last_stage(), VALIDATION_LOSS.name)
        }
        ["search", "best", "settings", name] => {
            search(truth, &["trials", &(truth.best_trial()? - 1).to_string(), "settings", name])
        }
        _ => None,
    });
}

pub(crate) fn report_html(truth: &Truth, html: &str) {
    let plan = &truth.plan;
    let between = |from: &str, to: &str| {
        let (_, rest) = html.split_once(from).unwrap_or_else(|| panic!("the page has no {from:?}"));
        rest.split_once(to).expect("it ends").0
    };
    // The heading.
    let measured = plan.trials.iter().filter(|trial| truth.trial_state(trial) == "completed").count();
    let mut points = format!("{measured} of {} points measured", plan.trials.len());
    let stages = plan.stages_by_key();
    let mut rates: BTreeMap<String, usize> = BTreeMap::new();
    for trial in plan.trials.iter().filter(|trial| truth.trial_state(trial) == "diverged") {
        *rates.entry(format!("lr {}", stages[trial.last_stage()].spec.peak_lr)).or_default() += 1;
    }
    if !rates.is_empty() {
        let by_rate: Vec<String> = rates.iter().map(|(rate, count)| format!("{rate}: {count}")).collect();
        points.push_str(&format!(", {} diverged ({})", rates.values().sum::<usize>(), by_rate.join(", ")));
    }
    let [done, all] = ["tokens_done", "tokens"].map(|name| human_count(summary(truth, &[name]).expect("is known")));
    let states: Vec<&'static str> = truth.stages().iter().map(|key| truth.state(key).word()).collect();
    let is_whole = states.iter().all(|state| *state == "completed");
    let trained = match is_whole {
        true => format!("{all} tokens trained in {} stages", states.len()),
        false => format!("{done} of {all} tokens trained; of {} stages, {}", states.len(), counted(&states, &ORDER)),
    };
    let program = concat!("windtunnel ", env!("CARGO_PKG_VERSION"));
    let attempts = || truth.attempts.values().flatten();
    let from = attempts().map(|attempt| attempt.started_at_ms).min().expect("something was trained");
    let to = attempts().filter_map(|attempt| attempt.ended_at_ms).max().expect("everything is over");
    let device_ms: u64 = attempts().map(|attempt| attempt.device_ms()).sum();
    let device_time = human_duration(device_ms as f64 / 1e3);
    let worked = format!("{device_time} of device time, {} to {} UTC", human_time(from), human_time(to));
    let heading = [&plan.campaign.to_string(), &points, &trained, &worked, "text: texts", program].join(" &middot; ");
    assert_eq!(between("<p class=\"where\">", "</p>"), heading);

    // The tree, drawn and in text.
    let tree = between("<h2>The stage tree</h2>\n<p class=\"about\">", "</p>");
    let cost = plan.cost();
    let saved =
        format!("sharing saves {:.0}% of the operations.", 100.0 * (1.0 - cost.flops.0 / cost.flops_unshared.0));
    assert!(tree.contains(&saved), "{tree}");
    let mut sentences = vec![format!("The whole plan has {all} tokens and {} operations.", cost.flops)];
    sentences.push(format!("Without sharing, the points would take {} tokens; {saved}", cost.tokens_unshared));
    if !is_whole {
        let lost: Vec<&'static str> = states.iter().copied().filter(|state| *state != "completed").collect();
        let lost = counted(&lost, &ORDER);
        sentences.push(format!("{done} of {all} tokens are trained; of {} stages, {lost}.", states.len()));
    }
    let mut rest = tree.to_owned();
    for sentence in &sentences {
        assert!(rest.contains(sentence.as_str()), "{rest}\nhas no {sentence:?}");
        rest = rest.replace(sentence.as_str(), "");
    }
    let left = rest.replace(&format!("{all} tokens are trained"), "");
    assert!(!left.contains(|letter: char| letter.is_ascii_digit()), "a number without a query: {left}");
    let lines = between("<summary>The stages, with their keys</summary>\n<pre>", "</pre>");
    assert_eq!(lines.trim(), recipes::show::tree(plan).trim());

    // The table of points.
    let table = between("<h2>The points</h2>", "</table>").split_once("<table>\n").expect("is a table").1;
    let mut cells = Vec::new();
    for row in table.lines().skip(1) {
        let row = row.replace("</td>", "").replace("</tr>", "");
        cells.extend(row.split("<td>").skip(3).map(str::to_owned).filter(|cell| cell != "&ndash;"));
    }
    let cell = |trial: &vocabulary::Trial| match truth.trial_state(trial) {
        "completed" => truth.result(trial.last_stage(), VALIDATION_LOSS.name).map(fixed).expect("has a loss"),
        state => state.to_owned(),
    };
    // Trials of a search that have no loss have no row.
    let shown = plan.trials.iter().filter(|trial| plan.search.is_none() || truth.trial_state(trial) == "completed");
    assert_eq!(cells, shown.map(cell).collect::<Vec<_>>());
}

/// Compares a law with that of the points of the store, fitted here: what `fit.json` has of it, and the row of each parameter in
/// the table that people read.
pub(crate) fn law(truth: &Truth, fit: &Value, said: &str) {
    let stages = truth.plan.stages_by_key();
    let row = |trial: &vocabulary::Trial| {
        let last = stages[trial.last_stage()];
        scaling::Point {
            size: trial.size.clone(),
            n: last.spec.model.shape.non_embedding_params() as f64,
            d: trial.d.0 as f64,
            loss: truth.result(&last.key, VALIDATION_LOSS.name).expect("is measured"),
            trunk: truth.plan.root_of(&last.key).expect("has a root").to_string(),
            order: last.spec.data.order_seed.to_string(),
            seed: trial.seed.to_string(),
            setting: format!("{} {}", last.spec.peak_lr, last.spec.batch.tokens()),
        }
    };
    let points: Vec<scaling::Point> = truth.plan.trials.iter().map(row).collect();
    let analysis = scaling::analyse(&points, &scaling::AnalysisOptions::default()).expect("a law");
    let json = |value: serde_json::Result<Value>| value.expect("it has a JSON form");
    let diagnostics = json(serde_json::to_value(&analysis.diagnostics));
    for (found, expected) in [
        (&fit["parameters"], json(serde_json::to_value(analysis.fit.law))),
        (&fit["intervals"], json(serde_json::to_value(&analysis.intervals))),
        (&fit["objective"], analysis.fit.objective.into()),
        (&fit["rmse"], diagnostics["rmse"].clone()),
        (&fit["r_squared"], diagnostics["r_squared"].clone()),
        (&fit["diagnostics"]["residuals"], diagnostics["residuals"].clone()),
        (&fit["n_points"], points.len().into()),
        (&fit["n_trunks"], analysis.n_trunks.into()),
    ] {
        assert!(!found.is_null(), "{expected} is not in fit.json");
        assert_eq!(*found, expected);
    }
    let intervals = analysis.intervals.expect("two seeds give intervals");
    for &parameter in scaling::ScalingLaw::PARAMETERS {
        let value = analysis.fit.law.get(parameter);
        let line = said.lines().find(|line| line.trim_start().starts_with(&format!("{parameter} ")));
        let line = line.unwrap_or_else(|| panic!("{parameter} is not said in {said}"));
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(cells[1], vocabulary::numbers::three_digits(value), "{line}");
        let ends = intervals.get(parameter);
        assert!(ends.low <= value && value <= ends.high, "{line}");
    }
}
