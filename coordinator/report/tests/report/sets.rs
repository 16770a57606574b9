//! Several held-out sets, and evaluations on other text.

use recipes::{EvaluationText, Recipe};
use report::{AnalysisOptions, Campaign, Conclusion, Measure, Unit};
use serde_json::Value;
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Dataset, DatasetId, Evaluation, EvaluationKind, Measurements};

use crate::{conclude, json, synthetic};

/// A campaign of two sets with laws of their own, in nats a byte, and the law of each; the loss a token is three of a byte.
fn two_sets() -> Campaign {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes/quickstart.toml"));
    let text = text.expect("is there");
    let domains = "[[data.domains]]\nname = \"prose\"\nsources = [\"a\"]\n[[data.domains]]\nname = \"code\"\n\
                   sources = [\"b\"]\n[data.weights]\nprose = 1\n[model]";
    let line = text.lines().find(|line| line.starts_with("sources = ")).expect("is of one text");
    let text = text.replacen(line, "", 1).replacen("[model]", domains, 1);
    let recipe = Recipe::parse("two-sets.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    let mut campaign = synthetic::campaign(&recipe, &[]);
    for trial in &campaign.plan.trials {
        let [n, d] = [trial.n as f64, trial.d.0 as f64];
        let [prose, code] =
            [40.0 * n.powf(-0.5) + 300.0 * d.powf(-0.45) + 0.5, 9.0 * n.powf(-0.35) + 80.0 * d.powf(-0.4) + 0.2];
        let mut result = Measurements::new();
        for (metric, of_a_byte) in [(VALIDATION_LOSS, 3.0), (VALIDATION_LOSS_PER_BYTE, 1.0)] {
            result.set(metric, of_a_byte * (prose + code) / 2.0);
            result.set(metric.part(0), of_a_byte * prose);
            result.set(metric.part(1), of_a_byte * code);
        }
        campaign.results.insert(trial.id, result);
    }
    campaign
}

#[test]
fn every_held_out_set_has_a_law_of_its_own() {
    let conclusion = conclude(two_sets());
    let fit = json(&conclusion);
    let of = |set: &str, key: &str| fit["sets"][set]["parameters"][key].as_f64().expect("a number");
    for (found, expected) in [
        (of("prose", "alpha"), 0.5),
        (of("prose", "beta"), 0.45),
        (of("prose", "L0"), 0.5),
        (of("code", "alpha"), 0.35),
        (of("code", "beta"), 0.4),
        (of("code", "L0"), 0.2),
    ] {
        assert!((found - expected).abs() < 0.01, "{found} is not {expected}");
    }
    assert!(fit["sets"]["average"]["parameters"].is_object());
    let table = conclusion.table();
    assert!(table.contains("losses in nats a token on held-out text, the mean over 2 sets"), "{table}");
    assert!(table.contains("interval of D/N") && !table.contains("1e21"), "{table}");
    assert!(conclusion.html().contains("The held-out sets"));
    let header = conclusion.points_csv().lines().next().map(str::to_owned).expect("a header");
    assert!(header.ends_with(",prose_loss,prose_loss_per_byte,code_loss,code_loss_per_byte"), "{header}");
}

/// The quickstart's campaign, with all trials but the first evaluated on another text of which the law is known.
fn evaluated() -> Campaign {
    let mut campaign = synthetic::quickstart();
    let news = Dataset { id: DatasetId::from_content(b"news"), ..campaign.plan.dataset.clone().expect("it has data") };
    let text = EvaluationText { name: "news", kind: EvaluationKind::HeldOutLoss, dataset: &news, tokens: None };
    let ends = recipes::evaluate::ends_of_trials(&campaign.plan);
    let growth = recipes::evaluations(&campaign.plan, &ends, &text).expect("it is sound");
    campaign.plan.grow(&growth);
    let of = |evaluation: &Evaluation| {
        let trial = campaign.plan.trials.iter().find(|trial| *trial.last_stage() == evaluation.parent)?;
        let [n, d] = [trial.n as f64, trial.d.0 as f64];
        let per_token = 40.0 * n.powf(-0.5) + 300.0 * d.powf(-0.45) + 0.5;
        let result = Measurements::new().with(VALIDATION_LOSS, per_token);
        Some((evaluation.key, result.with(VALIDATION_LOSS_PER_BYTE, per_token / 4.0)))
    };
    campaign.evaluations = campaign.plan.evaluations.iter().skip(1).filter_map(of).collect();
    campaign
}

#[test]
fn evaluations_stand_beside_the_losses_and_change_nothing_else() {
    let (plain, conclusion) = (conclude(synthetic::quickstart()), conclude(evaluated()));
    let (before, after) = (plain.points_csv(), conclusion.points_csv());
    for (number, (before, after)) in before.lines().zip(after.lines()).enumerate() {
        let added = after.strip_prefix(before).expect("what was there stays to the byte");
        match number {
            0 => assert_eq!(added, ",news_loss,news_loss_per_byte"),
            1 => assert_eq!(added, ",,", "it was not measured"),
            _ => assert_eq!(added.split(',').filter(|cell| cell.parse::<f64>().is_ok()).count(), 2, "{added}"),
        }
    }
    let mut fit = json(&conclusion);
    let results = fit.as_object_mut().expect("an object").remove("evaluations").expect("there are some");
    assert_eq!(json(&plain), fit, "the law is that of the trials' own losses");
    let results = results.as_array().expect("a list");
    assert_eq!(results.len() + 1, conclusion.points().len(), "one was not measured");
    for result in results {
        let [n, d, loss] = ["n", "d", "loss"].map(|key| result[key].as_f64().expect("a number"));
        assert!((loss - (40.0 * n.powf(-0.5) + 300.0 * d.powf(-0.45) + 0.5)).abs() < 1e-9, "{result}");
        assert_eq!(result["loss_per_byte"].as_f64(), Some(loss / 4.0));
        assert_eq!((&result["name"], &result["seed"]), (&Value::from("news"), &Value::from(0)));
    }
    assert!(conclusion.table().contains("news, a token"), "{}", conclusion.table());
    assert!(conclusion.html().contains("<h2>Evaluations</h2>"));
    assert!(!plain.table().contains("evaluations") && !plain.html().contains("<h2>Evaluations</h2>"));
}

#[test]
fn the_law_can_be_fitted_to_what_trials_came_to_on_another_text() {
    let campaign = evaluated();
    let measure = Measure::named(&campaign.plan, "news", Unit::Token).expect("is there");
    let points = campaign.plan.trials.len();
    let conclusion = Conclusion::about(campaign, &AnalysisOptions::default(), measure);
    let fit = json(&conclusion);
    for (parameter, expected) in [("alpha", 0.5), ("beta", 0.45), ("L0", 0.5)] {
        let found = fit["parameters"][parameter].as_f64().expect("a number");
        assert!((found - expected).abs() < 0.01, "{parameter} is {found}");
    }
    let table = conclusion.table();
    assert!(
        table.contains(&format!(
            "{} of {points} points, losses in nats a token on the held-out text of news",
            points - 1
        )),
        "{table}"
    );
    let unknown = Measure::named(&synthetic::quickstart().plan, "news", Unit::Token).expect_err("nobody evaluated it");
    assert_eq!(unknown.accepted, ["average"]);
}

#[test]
fn one_set_can_be_fitted_in_the_place_of_the_mean() {
    let campaign = two_sets();
    let measure = Measure::named(&campaign.plan, "code", Unit::Byte).expect("is there");
    let conclusion = Conclusion::about(campaign.clone(), &AnalysisOptions::default(), measure);
    let law = conclusion.analysis().expect("fits").fit.law;
    assert!((law.l0 - 0.2).abs() < 0.01 && (law.alpha - 0.35).abs() < 0.01, "{law:?}");
    assert!(conclusion.table().contains("losses in nats a byte on the held-out text of code"));
    let unknown = Measure::named(&campaign.plan, "poetry", Unit::Byte).expect_err("is not there").to_string();
    assert_eq!(unknown, "the campaign has no held-out set `poetry`; accepted: prose, code, average");
}
