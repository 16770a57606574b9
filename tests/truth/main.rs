//! Every number that `show`, `list`, the report and its files print is what the store has: each is compared with a query of
//! the log and the tables. A number, a column or a sentence without a query fails, so that none is added without one.

mod files;
mod store;
#[path = "../support/mod.rs"]
mod support;

use files::{fit_json, points_csv, report_html};
use serde_json::Value;
use store::{State, Truth};
use support::{Place, one_at_a_time, smoke_recipe};
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::units::{human_count, human_duration, human_time};
use vocabulary::{Plan, StageKey};

#[test]
fn a_plain_campaign_is_told_as_the_store_has_it() {
    let _turn = one_at_a_time();
    let place = Place::new();
    place.run(&["run", "smoke.toml", "--workers", "2"]).expect(0);
    check(&place, "smoke");

    // What cannot be said is said to be so.
    let unknown = place.run(&["show", "smok"]).expect(2).stderr;
    assert!(unknown.contains("no campaign `smok`; did you mean `smoke`?"), "{unknown}");
    let no_law = place.run(&["predict", "smoke", "--n", "1M", "--d", "10M"]).expect(2).stderr;
    assert!(no_law.contains("smoke has no law to predict from: "), "{no_law}");
}

#[test]
fn diverged_runs_and_what_was_not_run_are_told_as_the_store_has_them() {
    let _turn = one_at_a_time();
    let place = Place::new();
    let hot = smoke_recipe().replace("peak_lr = [0.01]", "peak_lr = [0.01, 9.0]\ndivergence_margin = 2.0");
    place.write("smoke.toml", &hot);
    place.run(&["run", "smoke.toml", "--workers", "2"]).expect(0);
    let truth = check(&place, "smoke");
    let ended = |state| truth.plan.stages.iter().filter(|stage| truth.state(&stage.key) == state).count();
    assert_eq!([State::Completed, State::Diverged, State::NotRun].map(ended), [12, 2, 10], "it tests something");
}

#[test]
fn a_search_and_its_evaluations_are_told_as_the_store_has_them() {
    let _turn = one_at_a_time();
    let place = Place::new();
    let search = smoke_recipe()
        .replace("sizes = [\"smoke-16\", \"smoke-32\"]", "sizes = [\"smoke-16\"]")
        .replace("tokens = [5_120, 10_240, 20_480]", "tokens = [20_480]");
    let search = format!(
        "{search}\n[search]\nsampler = \"random\"\ntrials = 4\nparallel = 2\n\
         [search.space]\npeak_lr = {{ low = 1e-3, high = 1e-1, scale = \"log\" }}\nscale_emb = {{ values = [2, 4, 8] }}\n\
         [search.pruner]\nkind = \"asha\"\nreduction = 2\nrungs = [0.3]\n"
    );
    place.write("smoke.toml", &search);
    place.run(&["run", "smoke.toml", "--workers", "2"]).expect(0);
    std::fs::create_dir(place.path("news")).expect("made");
    for index in 0..12 {
        let text = format!("News {index}. The slow wind holds a quick river under the small light. ").repeat(40);
        place.write(&format!("news/{index}.md"), &text);
    }
    place.run(&["evaluate", "smoke", "--text", "news"]).expect(0);
    let truth = check(&place, "smoke");
    assert!(!truth.plan.evaluations.is_empty() && truth.plan.trials.len() == 4, "it tests something");
}

#[test]
fn a_law_is_the_one_that_the_points_of_the_store_give() {
    let _turn = one_at_a_time();
    let place = Place::new();
    let third = "\n[[model.shapes]]\nname = \"smoke-48\"\nd_model = 48\nd_ff = 120\nhead_dim = 8\nn_heads = 6\n\
                 n_layers = 1\n\n[points]";
    let recipe = smoke_recipe()
        .replace("sizes = [\"smoke-16\", \"smoke-32\"]", "sizes = [\"smoke-16\", \"smoke-32\", \"smoke-48\"]")
        .replace("seeds = [0]", "seeds = [0, 1]")
        .replacen("\n[points]", third, 1);
    place.write("smoke.toml", &recipe);
    let said = place.run(&["run", "smoke.toml", "--workers", "2"]).expect(0).stdout;
    let truth = Truth::read(&place.path("data"));
    let fit = std::fs::read_to_string(place.path("out/smoke/fit.json")).expect("was written");
    files::law(&truth, &serde_json::from_str(&fit).expect("is JSON"), &said);
}

/// Compares all that is printed of a campaign with the store.
fn check(place: &Place, campaign: &str) -> Truth {
    let truth = Truth::read(&place.path("data"));
    let output = |args: &[&str]| place.run(args).expect(0).stdout;
    let json = |args: &[&str]| serde_json::from_str::<Value>(&output(args)).expect("is JSON");
    place.run(&["report", campaign]).expect(0);
    let file = |name: &str| std::fs::read_to_string(place.path("out").join(campaign).join(name)).expect("was written");
    show_json(&truth, json(&["show", campaign, "--json"]));
    show_text(&truth, &output(&["show", campaign]));
    list_json(&truth, &json(&["list", "--json"]));
    list_text(&truth, &output(&["list"]));
    points_csv(&truth, &file("points.csv"));
    fit_json(&truth, &serde_json::from_str(&file("fit.json")).expect("is JSON"));
    report_html(&truth, &file("report.html"));
    truth
}

/// Compares each number of a JSON value with the query of its path; `query` says which number belongs there.
fn numbers(value: &Value, path: &str, query: &dyn Fn(&[&str]) -> Option<f64>) {
    match value {
        Value::Number(number) => {
            let parts: Vec<&str> = path.split('/').skip(1).collect();
            let expected = query(&parts).unwrap_or_else(|| panic!("{path}: {number} has no query"));
            assert_eq!(number.as_f64(), Some(expected), "{path}");
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, it)| numbers(it, &format!("{path}/{at}"), query))
        }
        Value::Object(fields) => fields.iter().for_each(|(name, it)| numbers(it, &format!("{path}/{name}"), query)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn show_json(truth: &Truth, mut shown: Value) {
    let plan = shown.as_object_mut().and_then(|shown| shown.remove("plan")).expect("has a plan");
    assert_eq!(serde_json::from_value::<Plan>(plan).expect("is a plan"), truth.plan);
    for (of, keys) in [("stages", truth.stages()), ("evaluations", truth.evaluations())] {
        let shown = shown[of].as_array().map_or(&[][..], Vec::as_slice);
        let states: Vec<&str> = shown.iter().filter_map(|it| it["phase"].as_str()).collect();
        assert_eq!(states, keys.iter().map(|key| truth.state(key).word()).collect::<Vec<_>>());
    }
    numbers(&shown, "", &|path| match path {
        ["campaign", rest @ ..] => summary(truth, rest),
        ["device_seconds"] => {
            Some(truth.attempts.values().flatten().map(|it| it.device_ms()).sum::<u64>() as f64 / 1e3)
        }
        ["stages", at, rest @ ..] => stage(truth, at.parse().ok()?, rest),
        ["evaluations", at, rest @ ..] => evaluation(truth, at.parse().ok()?, rest),
        ["search", rest @ ..] => search(truth, rest),
        _ => None,
    });
}

/// A number in the summary of a campaign.
fn summary(truth: &Truth, path: &[&str]) -> Option<f64> {
    let count = |keys: Vec<StageKey>, state: &str| {
        let word = state.replace('_', " ").replace("failed", "given up");
        Some(keys.iter().filter(|key| truth.state(key).word() == word).count() as f64)
    };
    match path {
        ["submitted_at_ms"] => Some(truth.submitted_at_ms as f64),
        ["tokens"] => Some(truth.plan.stages.iter().map(|stage| stage.spec.tokens().0).sum::<u64>() as f64),
        ["tokens_done"] => Some(truth.tokens_trained() as f64),
        ["damaged_checkpoints"] => Some(0.0),
        ["stages", state] => count(truth.stages(), state),
        ["evaluations", state] => count(truth.evaluations(), state),
        ["trials", state] => {
            let word = state.replace("failed", "given up");
            Some(truth.plan.trials.iter().filter(|trial| truth.trial_state(trial) == word).count() as f64)
        }
        _ => None,
    }
}

/// A number of a stage or an evaluation that is of its attempts and its result.
fn work(truth: &Truth, key: &StageKey, path: &[&str]) -> Option<f64> {
    let attempts = truth.attempts.get(key);
    match path {
        ["attempt"] => attempts.map(|attempts| attempts.len() as f64),
        ["started_at_ms"] => attempts.map(|attempts| attempts[0].started_at_ms as f64),
        ["ended_at_ms"] => attempts?.last()?.ended_at_ms.map(|at_ms| at_ms as f64),
        ["device_seconds"] => Some(truth.device_ms(key) as f64 / 1e3),
        ["committed_step" | "step"] => truth.committed(key).map(|step| step as f64),
        ["validation_loss"] => truth.result(key, VALIDATION_LOSS.name),
        ["validation_loss_per_byte"] => truth.result(key, VALIDATION_LOSS_PER_BYTE.name),
        ["measurements", name] => truth.result(key, name),
        _ => None,
    }
}

fn stage(truth: &Truth, at: usize, path: &[&str]) -> Option<f64> {
    let stage = truth.plan.stages.get(at)?;
    let trials = truth.trials_of(&stage.key);
    match path {
        ["seed"] => Some(stage.seed as f64),
        ["peak_lr"] => Some(stage.spec.peak_lr),
        ["batch_tokens"] => Some(stage.spec.batch.tokens() as f64),
        ["start_step"] => Some(stage.spec.steps.start as f64),
        ["end_step"] => Some(stage.spec.steps.end as f64),
        ["trials", at] => Some(trials.get(at.parse::<usize>().ok()?)?.0 as f64),
        ["settings", name] => trials[0].1.settings.iter().find(|(key, _)| key.name() == *name).map(|(_, value)| *value),
        rest => work(truth, &stage.key, rest),
    }
}

fn evaluation(truth: &Truth, at: usize, path: &[&str]) -> Option<f64> {
    let evaluation = truth.plan.evaluations.get(at)?;
    match path {
        ["seed"] => Some(evaluation.seed as f64),
        ["tokens"] => Some(evaluation.spec.task.tokens as f64),
        rest => work(truth, &evaluation.key, rest),
    }
}

fn search(truth: &Truth, path: &[&str]) -> Option<f64> {
    let trial = |at: &str| truth.plan.trials.get(at.parse::<usize>().ok()?);
    match path {
        ["in_the_end"] => Some(f64::from(truth.plan.search.as_ref()?.trials)),
        ["best"] => Some(truth.best_trial()? as f64),
        ["trials", at, "trial"] => Some(at.parse::<f64>().ok()? + 1.0),
        ["trials", at, "loss"] => truth.result(trial(at)?.last_stage(), VALIDATION_LOSS.name),
        ["trials", at, "settings", name] => {
            trial(at)?.settings.iter().find(|(key, _)| key.name() == *name).map(|(_, value)| *value)
        }
        _ => None,
    }
}

fn list_json(truth: &Truth, list: &Value) {
    numbers(list, "", &|path| match path {
        ["campaigns", "0", rest @ ..] => summary(truth, rest),
        _ => None,
    });
}

/// The counts of states in words, those of nothing left out.
fn counted(states: &[&'static str], order: &[&str]) -> String {
    let count = |word: &str| states.iter().filter(|state| **state == word).count();
    let counts = order.iter().map(|word| (count(word), word)).filter(|(count, _)| *count > 0);
    counts.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

const ORDER: [&str; 6] = ["completed", "running", "waiting", "diverged", "given up", "not run"];

fn counts(truth: &Truth, keys: &[StageKey], what: &str) -> String {
    let states: Vec<&'static str> = keys.iter().map(|key| truth.state(key).word()).collect();
    format!("{} {what}: {}", keys.len(), counted(&states, &ORDER))
}

fn show_text(truth: &Truth, text: &str) {
    let plan = &truth.plan;
    let mut expected = vec![format!("{}  {}  ended", plan.name, plan.campaign), plan.description.clone()];
    let trials: Vec<&'static str> = plan.trials.iter().map(|trial| truth.trial_state(trial)).collect();
    if trials.contains(&"pruned") {
        let order = ["completed", "pruned", "diverged", "given up", "open"];
        expected.push(format!("{} trials: {}", trials.len(), counted(&trials, &order)));
    }
    let [done, all] = ["tokens_done", "tokens"].map(|name| human_count(summary(truth, &[name]).expect("is known")));
    expected.push(format!("{}; {done} of {all} tokens trained", counts(truth, &truth.stages(), "stages")));
    if !plan.evaluations.is_empty() {
        expected.push(counts(truth, &truth.evaluations(), "evaluations"));
    }
    expected.push(format!("submitted {} UTC", human_time(truth.submitted_at_ms)));
    let device_ms: u64 = truth.attempts.values().flatten().map(|it| it.device_ms()).sum();
    expected.push(format!("{} of device time", human_duration(device_ms as f64 / 1e3)));
    let mut parts = text.split("\n\n");
    assert_eq!(parts.next().expect("has a heading").lines().collect::<Vec<_>>(), expected);

    let stages = parts.next().expect("has stages");
    let (same, table) = match stages.strip_prefix("all stages: ") {
        Some(stages) => {
            stages.split_once("\nstage ").map(|(same, rest)| (same, format!("stage {rest}"))).expect("a table")
        }
        None => ("", stages.to_owned()),
    };
    let first = &plan.stages[0];
    for fact in same.split(", ").filter(|fact| !fact.is_empty()) {
        let words: Vec<&str> = fact.split_whitespace().collect();
        let expected = match words.as_slice() {
            ["size", _] => format!("size {}", first.size),
            ["seed", _] => format!("seed {}", first.seed),
            ["peak", "LR", _] => format!("peak LR {}", first.spec.peak_lr),
            [_, "tokens", "a", "step"] => format!("{} tokens a step", human_count(first.spec.batch.tokens() as f64)),
            _ => panic!("`{fact}` has no query"),
        };
        assert_eq!(words.join(" "), expected);
    }
    let rest = table_of(&table, plan.stages.len(), |title, row| {
        let stage = &plan.stages[row];
        match title {
            "size" => stage.size.clone(),
            "lr" => stage.spec.peak_lr.to_string(),
            "part" => stage.role.name().to_owned(),
            "steps" => format!("{}..{}", stage.spec.steps.start, stage.spec.steps.end),
            "remark" => truth.diverged.get(&stage.key).map_or_else(String::new, |(step, loss)| {
                format!("the loss was {:.4} at step {step}", loss.expect("is finite"))
            }),
            "trial" => {
                truth.trials_of(&stage.key).iter().map(|(number, _)| number.to_string()).collect::<Vec<_>>().join(",")
            }
            "peak_lr" | "scale_emb" => self::stage(truth, row, &["settings", title]).expect("is searched").to_string(),
            title => work_cell(truth, &stage.key, title),
        }
    });
    let mut notes: Vec<String> = Vec::new();
    let not_run = truth.stages().iter().filter(|key| truth.state(key) == State::NotRun).count();
    if not_run > 0 {
        notes.push(format!("{not_run} not run: below a stage that diverged"));
    }
    let mut said: Vec<String> = rest.replace("\n  ", " ").lines().map(str::to_owned).collect();
    said.sort();
    notes.sort();
    assert_eq!(said, notes);

    if !plan.evaluations.is_empty() {
        let rest = table_of(parts.next().expect("has evaluations"), plan.evaluations.len(), |title, row| {
            let evaluation = &plan.evaluations[row];
            match title {
                "evaluation" => evaluation.key.short(),
                "of stage" => evaluation.parent.short(),
                "size" => evaluation.size.clone(),
                "text" => evaluation.name.clone(),
                title => work_cell(truth, &evaluation.key, title),
            }
        });
        assert_eq!(rest, "");
    }
    if plan.search.is_some() {
        let rest = table_of(parts.next().expect("has trials"), plan.trials.len(), |title, row| {
            let (trial, at) = (&plan.trials[row], row.to_string());
            match title {
                "trial" => (row + 1).to_string(),
                "loss" => truth.result(trial.last_stage(), VALIDATION_LOSS.name).map(fixed).unwrap_or_default(),
                "state" => truth.trial_end(trial),
                title => search(truth, &["trials", &at, "settings", title]).expect("is searched").to_string(),
            }
        });
        assert_eq!(rest, "");
        let best = truth.best_trial().expect("one completed");
        let heading = format!("the best is trial {best}, as lines for a recipe:");
        assert_eq!(parts.next(), Some(heading.as_str()));
        let lines = recipes::search::recipe_lines(&plan.trials[best - 1].settings);
        assert_eq!(parts.collect::<Vec<_>>().join("\n\n").trim(), lines.trim());
    } else {
        assert_eq!(parts.next(), None);
    }
}

/// A cell that stages and evaluations have alike.
fn work_cell(truth: &Truth, key: &StageKey, title: &str) -> String {
    let first = || truth.attempts.get(key).map(|attempts| &attempts[0]);
    match title {
        "stage" => key.short(),
        "state" => truth.state(key).word().to_owned(),
        "loss" => truth.result(key, VALIDATION_LOSS.name).map(fixed).unwrap_or_default(),
        "took" => first().map(|_| human_duration(truth.device_ms(key) as f64 / 1e3)).unwrap_or_default(),
        "started (UTC)" => first().map(|first| human_time(first.started_at_ms)).unwrap_or_default(),
        "worker" => truth.attempts.get(key).and_then(|all| Some(all.last()?.worker.clone())).unwrap_or_default(),
        title => panic!("column `{title}` has no query"),
    }
}

fn fixed(loss: f64) -> String {
    format!("{loss:.4}")
}

/// Compares the cells of a table with queries by the titles of its columns, and returns what is beneath.
fn table_of(table: &str, rows: usize, cell: impl Fn(&str, usize) -> String) -> String {
    let mut lines = table.lines();
    let header = lines.next().expect("has a header");
    let titles: Vec<&str> = header.split("  ").map(str::trim).filter(|title| !title.is_empty()).collect();
    for row in 0..rows {
        let found: Vec<&str> = lines.next().expect("has a row").split_whitespace().collect();
        let cells: Vec<String> = titles.iter().map(|title| cell(title, row)).collect();
        let expected: Vec<&str> = cells.iter().flat_map(|cell| cell.split_whitespace()).collect();
        assert_eq!(found, expected, "row {row} below {titles:?}");
    }
    lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn list_text(truth: &Truth, text: &str) {
    let number = |path: &[&str]| summary(truth, path).expect("is known");
    let rest = table_of(text, 1, |title, _| match title {
        "campaign" => truth.plan.campaign.to_string().chars().take("campaign_".len() + 8).collect(),
        "name" => truth.plan.name.clone(),
        "phase" => "ended".to_owned(),
        "stages" => format!("{}/{}", number(&["stages", "completed"]), truth.plan.stages.len()),
        "points" => {
            format!("{}/{}", number(&["trials", "completed"]) + number(&["trials", "pruned"]), truth.plan.trials.len())
        }
        "diverged" => number(&["trials", "diverged"]).to_string(),
        "tokens" => format!("{}/{}", human_count(number(&["tokens_done"])), human_count(number(&["tokens"]))),
        "submitted (UTC)" => human_time(truth.submitted_at_ms),
        title => panic!("column `{title}` has no query"),
    });
    let evaluations = truth.evaluations();
    let expected = match evaluations.as_slice() {
        [] => String::new(),
        some => format!("{}: {}", truth.plan.name, counts(truth, some, "evaluations")),
    };
    assert_eq!(rest, expected);
}
