//! The files and the table of campaigns that nobody trained.

mod arms;
mod documents;
mod search;
mod sets;
#[path = "../synthetic/mod.rs"]
mod synthetic;

use recipes::Recipe;
use report::{
    AnalysisOptions, AnyFit, Campaign, Conclusion, CountedFlops, CountedN, Counting, DynamicsPoint, EarlyEnd, Measure,
    Repeated, Selection, StageEnd,
};
use serde_json::Value;
use vocabulary::metrics::{
    D1, D2, GRADIENT_COSINE, GRADIENT_PRODUCT, LARGEST_GRADIENT, LARGEST_UPDATE, VALIDATION_LOSS,
    VALIDATION_LOSS_PER_BYTE,
};
use vocabulary::{MeasurementName, Measurements, ParamKind, StageRole};

fn conclude(campaign: Campaign) -> Conclusion {
    Conclusion::of(campaign, &AnalysisOptions::default())
}

fn json(conclusion: &Conclusion) -> Value {
    serde_json::to_value(conclusion.fit_file()).expect("serialises")
}

/// A recipe of two learning rates and sizes of the given names.
fn recipe(sizes: &str, points: &str, description: &str) -> Recipe {
    let text = format!(
        "name = \"other\"\ndescription = {description:?}\n[data]\nsources = [\"<x>.txt\"]\nvocab = 300\nvalidation_tokens = 1000\n\
         [model]\nsizes = {sizes}\n[points]\n{points}\n[schedule]\nkind = \"wsd\"\nwarmup_steps = 2\nfloor = 0.1\n\
         [schedule.decay]\nshape = \"linear\"\nfraction = 0.1\ncounted = \"inside\"\n\
         [batch]\nsequences = 10\ncontext = 100\n[optimizer]\npeak_lr = [0.01, 0.02]\n"
    );
    Recipe::parse("<other>.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

/// Numbers of a JSON text cut to what does not depend on the last bits of a machine's arithmetic.
fn rounded(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let short = format!("{:.2e}", number.as_f64().unwrap_or_default());
            *value = short.parse::<f64>().map_or(Value::Null, Value::from);
        }
        Value::Array(items) => items.iter_mut().for_each(rounded),
        Value::Object(fields) => fields.values_mut().for_each(rounded),
        _ => {}
    }
}

#[test]
fn a_campaign_as_people_read_it() {
    insta::assert_snapshot!("table", conclude(synthetic::quickstart()).table());
}

#[test]
fn a_fit_as_programs_read_it() {
    let mut fit = json(&conclude(synthetic::quickstart()));
    for key in ["form", "parameters", "intervals", "r_squared", "rmse", "held_out_error", "objective", "n_points"] {
        assert!(!fit[key].is_null(), "{key}");
    }
    assert!((fit["parameters"]["alpha"].as_f64().expect("a number") - 0.398).abs() < 0.005);
    let residuals = fit["diagnostics"]["residuals"].as_array_mut().expect("a list");
    assert_eq!(residuals.len(), 35);
    residuals.truncate(1);
    rounded(&mut fit);
    // What is zero but for rounding differs from machine to machine.
    fit["search"]["starts_agreeing"].take();
    fit["search"]["relative_gradient"].take();
    let laws = fit["bootstrap"]["laws"].as_array_mut().expect("a list");
    assert!(laws.len() > 50);
    laws.truncate(1);
    insta::assert_snapshot!("fit", serde_json::to_string_pretty(&fit).expect("serialises"));
}

#[test]
fn points_are_in_the_plans_order_and_read_back_exactly() {
    let campaign = synthetic::quickstart();
    let plan = campaign.plan.clone();
    let results = campaign.results.clone();
    let csv = conclude(campaign).points_csv();
    let mut lines = csv.lines();
    let header = lines.next().expect("a header");
    assert!(header.starts_with("size,n,d,loss,loss_per_byte,"), "{header}");
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), plan.trials.len());
    for (row, trial) in rows.iter().zip(&plan.trials) {
        assert_eq!(row.len(), header.split(',').count());
        assert_eq!((row[0], row[1].parse(), row[2].parse()), (trial.size.as_str(), Ok(trial.n), Ok(trial.d.0)));
        assert_eq!(row[3].parse().ok(), results[&trial.id].get(VALIDATION_LOSS));
        assert_eq!(row[4].parse().ok(), results[&trial.id].get(VALIDATION_LOSS_PER_BYTE));
        assert_eq!(row[14], trial.id.to_string());
    }
    let trunks: std::collections::BTreeSet<&str> = rows.iter().map(|row| row[12]).collect();
    assert_eq!(trunks.len(), 5, "the branches of a size share its trunk");
}

#[test]
fn whatever_else_was_measured_has_a_column_of_its_name() {
    let mut campaign = synthetic::smoke();
    let before = conclude(campaign.clone()).points_csv();
    let first = campaign.plan.trials[0].id;
    let result = campaign.results.get_mut(&first).expect("is measured");
    result.set("accuracy/easy".parse::<MeasurementName>().expect("a name"), 0.25);
    let after = conclude(campaign).points_csv();
    let expected = before.lines().zip(0..).map(|(line, row)| match row {
        0 => format!("{line},accuracy/easy\n"),
        1 => format!("{line},0.25\n"),
        _ => format!("{line},\n"),
    });
    assert_eq!(after, expected.collect::<String>());
}

#[test]
fn two_sizes_have_points_and_a_report_and_no_law() {
    let conclusion = conclude(synthetic::smoke());
    assert!(conclusion.analysis().is_err());
    assert_eq!(conclusion.points_csv().lines().count(), 7);
    let fit = json(&conclusion);
    assert!(fit["error"].as_str().expect("says why").contains("2 distinct sizes"), "{fit}");
    assert!(fit.get("parameters").is_none() && fit["n_points"] == 6);
    assert!(conclusion.html().contains("No law: "));
    insta::assert_snapshot!("table_without_a_law", conclusion.table());
}

#[test]
fn nothing_measured_is_a_report_too() {
    let mut campaign = synthetic::quickstart();
    campaign.results.clear();
    campaign.curves.clear();
    let conclusion = conclude(campaign);
    assert_eq!(conclusion.points_csv().lines().count(), 1);
    assert!(conclusion.table().contains("0 of 35 points"));
    assert!(conclusion.html().contains("id=\"tree\"") && !conclusion.html().contains("id=\"curves\""));
}

#[test]
fn what_diverged_or_was_not_trained_is_said_on_the_page() {
    let mut campaign = synthetic::smoke();
    let (plan, mut curve) = (campaign.plan.clone(), campaign.curves.clone());
    // The second size's trunk diverged at its sixth step: nothing of it was trained after that.
    let stages = plan.stages_by_key();
    let size = |trial: &vocabulary::Trial| stages[trial.last_stage()].size.clone();
    let lost_size = size(plan.trials.last().expect("has trials"));
    for trial in plan.trials.iter().filter(|trial| size(trial) == lost_size) {
        campaign.results.remove(&trial.id);
        campaign.early.insert(trial.id, EarlyEnd { step: 6, result: None });
    }
    let mut lost = plan.stages.iter().filter(|stage| stage.size == lost_size);
    let root = lost.next().expect("has a trunk");
    campaign.progress.ended.insert(root.key, StageEnd::Diverged);
    campaign.progress.ended.extend(lost.clone().map(|stage| (stage.key, StageEnd::NotRun)));
    campaign.progress.tokens_trained = 1_040_000;
    let trunk = curve.get_mut(&root.key).expect("has a curve");
    trunk.truncate(6);
    trunk[5].loss = f64::NAN;
    for stage in lost {
        curve.remove(&stage.key);
    }
    campaign.curves = curve;

    campaign.progress.device_ms = 3_723_000;
    campaign.progress.worked_at_ms = Some([1_796_113_725_000, 1_796_117_448_000]);
    let conclusion = conclude(campaign);
    let table = conclusion.table();
    assert_eq!(table.matches("diverged").count(), 3, "each cell says why it has no loss: {table}");
    let page = conclusion.html();
    for said in [
        "1h 02m of device time, 2026-12-01 08:28 to 2026-12-01 09:30 UTC",
        "<td>diverged</td>",
        "3 of 6 points measured, 3 diverged (lr ",
        "1.04M of ",
        "1 diverged, 5 not run",
        "Red triangles at the top mark losses that are NaN or infinite.",
        "diverged, trained to step 6",
        "not run, trained to step ",
    ] {
        assert!(page.contains(said), "{said}");
    }
    let mut open = synthetic::smoke();
    let trial = open.plan.trials[0].clone();
    open.results.remove(&trial.id);
    open.progress.open.insert(*trial.last_stage());
    let open = conclude(open);
    assert!(open.table().contains(" pending ") && open.html().contains("<td>pending</td>"), "{}", open.table());
    let whole = conclude(synthetic::smoke()).html();
    assert!(!whole.contains("diverged") && !whole.contains("not run"), "nothing of the kind");
    assert!(whole.contains("tokens trained in"));
}

#[test]
fn what_was_recorded_is_drawn_over_the_steps_and_nothing_where_nothing_was() {
    let mut campaign = synthetic::quickstart();
    assert!(!conclude(campaign.clone()).html().contains("id=\"dynamics\""));
    let stage = campaign.plan.stages.iter().find(|stage| stage.role == StageRole::Decay).expect("has a decay").clone();
    let point = |step| {
        let first = step == stage.spec.steps.start;
        let mut measurements: Measurements =
            ParamKind::ALL.into_iter().map(|kind| (LARGEST_UPDATE.part(kind.name()), 0.0625)).collect();
        measurements.set(LARGEST_GRADIENT, 1.0);
        if !first {
            for (metric, value) in [(GRADIENT_PRODUCT, 1.0), (GRADIENT_COSINE, 0.5), (D1, -0.25), (D2, -3.0)] {
                measurements.set(metric, value);
            }
        }
        DynamicsPoint { step, learning_rate: stage.spec.learning_rate(step), grad_norm: 0.75, measurements }
    };
    campaign.dynamics.insert(stage.key, stage.spec.steps.clone().map(point).collect());
    let html = conclude(campaign).html();
    assert!(html.contains("id=\"dynamics\"") && html.contains("Decay dynamics"));
    // The slope without its sign, and on a scale that shows small ones.
    let before = &html[..html.find("\"id\":\"dynamics\"").expect("is drawn")];
    let drawn = &before[before.rfind("{\"data\":[").expect("has data")..];
    assert!(drawn.contains("0.25,0.25") && !drawn.contains("-0.25"));
}

#[test]
fn losses_of_trunks_are_listed_and_not_fitted() {
    let recipe = synthetic::quickstart().recipe_text;
    let start = recipe.find("[schedule.decay]").expect("has a decay");
    let end = recipe.find("[batch]").expect("has a batch");
    let text = [&recipe[..start], &recipe[end..]].concat().replace("kind = \"wsd\"", "kind = \"constant\"");
    let text: String = text.lines().filter(|line| !line.starts_with("floor")).map(|line| format!("{line}\n")).collect();
    let recipe = Recipe::parse("constant.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    let conclusion = conclude(synthetic::campaign(&recipe, &[3.0; 35]));
    assert_eq!(conclusion.points().len(), 35);
    assert!(conclusion.points().iter().all(|point| !point.decayed));
    assert!(conclusion.analysis().is_err());
    let why = "none of the points is from the end of a decay";
    assert_eq!(json(&conclusion)["error"], why);
    assert!(conclusion.table().contains(why) && conclusion.html().contains(why));
}

#[test]
fn of_two_learning_rates_the_better_is_fitted_and_both_are_listed() {
    let recipe = recipe("[\"tiny-32\", \"tiny-48\", \"tiny-64\"]", "times_n = [0.5, 1, 2, 4]", "");
    let mut campaign = synthetic::campaign(&recipe, &[]);
    for (index, trial) in campaign.plan.trials.iter().enumerate() {
        let worse = 0.1 * ((index / 4) % 2) as f64;
        let loss = 47.2 * (trial.n as f64).powf(-0.398) + 947.0 * (trial.d.0 as f64).powf(-0.535) + 1.758 + worse;
        campaign.results.insert(trial.id, Measurements::new().with(VALIDATION_LOSS, loss));
    }
    let conclusion = conclude(campaign);
    let fit = json(&conclusion);
    assert_eq!((conclusion.points().len(), &fit["n_points"]), (24, &Value::from(12)));
    assert!(fit["fitted"]["points"].as_str().expect("says which").contains("lowest loss"));
    assert!(conclusion.table().contains("4N"), "columns are multiples of N: {}", conclusion.table());
    assert_ne!(Selection::All, Selection::BestLearningRate);
}

#[test]
fn the_page_loads_nothing_and_trusts_no_recipe() {
    let hostile = "</script><script src=http://example.org/x.js>alert('1')</script>";
    let recipe = recipe("[\"tiny-32\", \"tiny-48\", \"tiny-64\"]", "tokens = [10_000, 20_000]", hostile);
    let html = conclude(synthetic::campaign(&recipe, &[3.0, 2.9, 3.1, 3.0, 2.8, 2.7])).html();
    let outside: String = html
        .split("<script>")
        .enumerate()
        .map(|(index, part)| match index {
            0 => part,
            _ => part.split_once("</script>").expect("each script ends").1,
        })
        .collect();
    assert!(
        !outside.contains("<script") && !outside.contains("src=http://example.org/x.js>a"),
        "a recipe's text is escaped"
    );
    for loading in ["<link", "<img", "<iframe", " src=\"", " href=\"", "@import", "url("] {
        assert!(!outside.contains(loading), "{loading}");
    }
    assert_eq!(html.matches("<script").count(), 2, "the library and the figures");
    assert_eq!(html.matches("plotly.js v").count(), 1, "one copy of the library");
    assert!(html.contains("default-src 'none'"), "and the browser is told to load nothing");
}

#[test]
fn files_are_written_whole_and_the_same_each_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = || {
        let files = conclude(synthetic::quickstart()).write(dir.path()).expect("written");
        [files.points, files.fit, files.report].map(|path| std::fs::read(path).expect("read"))
    };
    let first = write();
    assert!(first == write(), "nothing in them depends on when they are made");
    assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 3);
    assert!(first[2].len() < 6_000_000, "{} bytes", first[2].len());
}

#[test]
fn budgets_may_pay_for_every_operation_and_n_may_count_everything() {
    let of = |n, flops| {
        let options = AnalysisOptions { budgets: vec![1e12], ..AnalysisOptions::default() };
        Conclusion::with(
            synthetic::quickstart(),
            &options,
            Measure::default(),
            Counting { n, flops },
            Repeated::default(),
        )
    };
    let six = of(CountedN::NonEmbedding, CountedFlops::SixNd);
    let exact = of(CountedN::NonEmbedding, CountedFlops::Exact);
    let best = |conclusion: &Conclusion| {
        let optimum = conclusion.fit_file().optimum.expect("the law is determined");
        (optimum.budgets[0].n, optimum.budgets[0].d)
    };
    // The same law; but attention and the output layer are paid for, so that the budget buys less.
    assert_eq!(six.fit_file().parameters, exact.fit_file().parameters);
    let ((n, d), (paid_n, paid_d)) = (best(&six), best(&exact));
    assert!(paid_d < 0.95 * d && paid_n * paid_d < 0.9 * n * d, "{n} {d} {paid_n} {paid_d}");
    assert!(six.table().contains("compute-optimal models, C = 6ND (* outside"), "{}", six.table());
    assert!(exact.table().contains("C with attention and the output layer counted"), "{}", exact.table());
    assert!(exact.html().contains("<h2>What to train at a budget</h2>"));
    // A fit.json remembers what its budgets pay for.
    let text = serde_json::to_string(&exact.fit_file()).expect("serialises");
    let AnyFit::Minicpm(read) = AnyFit::parse(&text).expect("parses") else { panic!("another form") };
    let again = read.predictor().expect("has a law").optimum(1e12).expect("falls in both").best;
    assert!((again.n / paid_n - 1.0).abs() < 1e-6 && (again.d / paid_d - 1.0).abs() < 1e-6, "{again:?}");

    let total = of(CountedN::Total, CountedFlops::SixNd).fit_file();
    assert!(total.fitted.n.starts_with("all parameters"), "{}", total.fitted.n);
    let sizes = |fit: &report::FitFile| fit.diagnostics.as_ref().map(|found| found.residuals[0].n);
    assert!(sizes(&total) > sizes(&six.fit_file()));
}

#[test]
fn points_that_repeat_data_are_marked_and_left_out_unless_they_are_asked_for() {
    let mut campaign = synthetic::quickstart();
    campaign.plan.dataset.as_mut().expect("it is prepared").train_tokens = 2_500_000;
    let of = |repeated| {
        Conclusion::with(
            campaign.clone(),
            &AnalysisOptions::default(),
            Measure::default(),
            Counting::default(),
            repeated,
        )
    };
    let (fresh, all) = (of(Repeated::LeftOut), of(Repeated::Fitted));
    let repeating = fresh.points().iter().filter(|point| point.is_repeated()).count();
    assert!(repeating > 0 && repeating < fresh.points().len(), "{repeating}");
    let (fit, with_all) = (json(&fresh), json(&all));
    let number = |value: &serde_json::Value| value.as_u64().expect("a number") as usize;
    assert_eq!(number(&fit["n_points"]) + repeating, number(&with_all["n_points"]));
    assert_eq!((number(&fit["text"]["left_out"]), number(&fit["text"]["repeated_points"])), (repeating, repeating));
    assert_eq!((number(&with_all["text"]["left_out"]), number(&fit["text"]["train_tokens"])), (0, 2_500_000));
    let table = fresh.table();
    assert!(table.contains(&format!("{repeating} of {} points repeat", fresh.points().len())), "{table}");
    assert!(fresh.html().contains("points repeat training data"));

    // Too few fresh points have no law, and the verdict says how to get one.
    campaign.plan.dataset.as_mut().expect("it is prepared").train_tokens = 100_000;
    let none = Conclusion::with(
        campaign.clone(),
        &AnalysisOptions::default(),
        Measure::default(),
        Counting::default(),
        Repeated::LeftOut,
    );
    assert!(none.analysis().is_err());
    let (table, fit) = (none.table(), json(&none));
    for text in [table.as_str(), fit["error"].as_str().expect("says why")] {
        assert!(text.contains("--repeated"), "{text}");
    }
}

#[test]
fn the_measured_budgets_are_drawn_and_not_the_extrapolation_alone() {
    let campaign = synthetic::quickstart();
    let point = |trial: &vocabulary::Trial| scaling::Point {
        n: trial.n as f64,
        d: trial.d.0 as f64,
        loss: campaign.results[&trial.id].get(VALIDATION_LOSS).expect("a loss"),
        trunk: trial.path[0].to_string(),
        ..scaling::Point::default()
    };
    let points: Vec<scaling::Point> = campaign.plan.trials.iter().map(point).collect();
    let smallest = points.iter().map(|point| 6.0 * point.n * point.d).fold(f64::INFINITY, f64::min);
    let analysis = scaling::analyse(&points, &AnalysisOptions::default()).expect("a law");
    let drawn = report::figures::optimum(&analysis).expect("an optimum");
    let lines = drawn.marks.iter().filter_map(|mark| match mark {
        report::figures::Mark::Series(series) if series.in_legend => Some(series),
        _ => None,
    });
    for line in lines {
        let first = line.points.first().expect("has points").0;
        assert!(first <= smallest * 1.001, "{}: from {first:e}", line.name);
    }
}
