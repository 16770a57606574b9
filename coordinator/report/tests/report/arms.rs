//! What the arms of a comparison are judged by.

use recipes::Recipe;
use report::Conclusion;
use serde_json::Value;
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{DocumentLoss, Measurements, Rows};

use crate::{conclude, json, recipe, synthetic};

/// A recipe of one size and arms, whose losses a function of the arm's name, the batch and the tokens makes.
fn arms(arms: &str, loss: impl Fn(&str, f64, f64) -> f64) -> Conclusion {
    let text = format!(
        "name = \"arms\"\n[data]\nsources = [\"x.txt\"]\nvocab = 300\nvalidation_tokens = 1000\n[model]\nsizes = [\"tiny-32\"]\n\
         [points]\ntokens = [200_000, 300_000, 450_000, 700_000, 1_000_000, 1_500_000]\n[schedule]\nkind = \"wsd\"\n\
         warmup_steps = 2\nfloor = 0.1\n[schedule.decay]\nshape = \"linear\"\nfraction = 0.1\ncounted = \"inside\"\n\
         [batch]\nsequences = 10\ncontext = 100\n[optimizer]\npeak_lr = [0.01]\n{arms}"
    );
    let recipe = Recipe::parse("arms.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    let mut campaign = synthetic::campaign(&recipe, &[]);
    let stages = campaign.plan.stages_by_key();
    let losses = campaign.plan.trials.iter().map(|trial| {
        let batch = stages[trial.last_stage()].spec.batch.tokens() as f64;
        let per_token = loss(trial.arm.as_deref().unwrap_or_default(), batch, trial.d.0 as f64);
        (trial.id, Measurements::new().with(VALIDATION_LOSS, per_token))
    });
    campaign.results = losses.collect();
    conclude(campaign)
}

#[test]
fn arms_are_compared_and_the_first_decayed_one_is_judged_by_itself() {
    let conclusion = arms(
        "[[arms]]\nname = \"stable\"\nschedule = { kind = \"constant\", warmup_steps = 2 }\n[[arms]]\nname = \"decayed\"\n\
         [[arms]]\nname = \"short\"\nschedule = { decay = { fraction = 0.02 } }\n",
        |arm, _, d| 500.0 * d.powf(-0.5) + 2.0 + if arm == "decayed" { 0.0 } else { 0.1 },
    );
    let csv = conclusion.points_csv();
    assert_eq!(csv.lines().filter(|line| line.contains(",stable,false,")).count(), 6, "{csv}");
    assert_eq!(csv.lines().filter(|line| line.contains(",short,true,")).count(), 6);
    let fit = json(&conclusion);
    assert_eq!((&fit["fitted"]["arm"], &fit["n_points"]), (&Value::from("decayed"), &Value::from(6)));
    // The truth is a power law with an exponent of a half and a floor of two.
    let best = &fit["envelope"]["fits"][0];
    assert_eq!(best["law"]["form"], "power_floor");
    assert!((best["law"]["b"].as_f64().expect("a number") - 0.5).abs() < 1e-3, "{best}");
    assert!((best["law"]["c"].as_f64().expect("a number") - 2.0).abs() < 1e-3, "{best}");
    let html = conclusion.html();
    assert!(html.contains("id=\"arms\"") && !html.contains("each branch decays from it"));
    assert!(html.contains("The loss of one size") && html.contains("a x^-b + c: "));
    assert!(conclusion.table().contains("a x^-b + c: "), "{}", conclusion.table());
}

#[test]
fn the_law_says_of_which_arm_it_is_and_of_how_many_points() {
    let recipe = recipe("[\"tiny-32\", \"tiny-48\", \"tiny-64\"]", "tokens = [10_000, 20_000, 40_000, 80_000]", "");
    let text = recipe.text().replace("[0.01, 0.02]", "[0.01]")
        + "[[arms]]\nname = \"a\"\n[[arms]]\nname = \"b\"\nbatch = { sequences = 5 }\n";
    let recipe = Recipe::parse("arms.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    let mut campaign = synthetic::campaign(&recipe, &[]);
    for trial in &campaign.plan.trials {
        let loss = 47.2 * (trial.n as f64).powf(-0.398) + 947.0 * (trial.d.0 as f64).powf(-0.535) + 1.758;
        campaign.results.insert(trial.id, Measurements::new().with(VALIDATION_LOSS, loss));
    }
    let html = conclude(campaign).html();
    assert!(html.contains("<h2>The scaling law of arm a</h2>"));
    assert!(html.contains("The law is that of arm a: 12 of the 24 measured points are fitted."));
}

#[test]
fn the_law_of_the_batch_size_is_found_again() {
    let sizes = [2_u32, 4, 8, 16, 32, 64];
    let text: String =
        sizes.iter().map(|size| format!("[[arms]]\nname = \"b{size}\"\nbatch = {{ sequences = {size} }}\n")).collect();
    // Tokens to a loss: as for an endless batch of the best size, B = 7e3 / L^3, times a parabola of log B.
    let conclusion = arms(&text, |_, batch, d| {
        let tokens =
            |loss: f64| ((loss - 1.0) / 600.0).powf(-2.0) * (0.15 * (batch / (7e3 / loss.powi(3))).ln().powi(2)).exp();
        let (mut low, mut high) = (1.01, 8.0);
        for _ in 0..80 {
            let middle = 0.5 * (low + high);
            if tokens(middle) > d { low = middle } else { high = middle }
        }
        low
    });
    let law = &json(&conclusion)["batch_law"];
    assert!((law["p"].as_f64().expect("a number") / 3.0 - 1.0).abs() < 0.1, "{}", conclusion.table());
    assert!(conclusion.table().contains("batch = ") && conclusion.html().contains("id=\"batches\""));
}

#[test]
fn the_best_learning_rate_is_stated_for_each_arm() {
    let text = "[[arms]]\nname = \"low\"\noptimizer = { peak_lr = [0.001, 0.003, 0.01, 0.03] }\n\
                [[arms]]\nname = \"high\"\noptimizer = { peak_lr = [0.02, 0.04, 0.08] }\n";
    let mut conclusion = arms(text, |_, _, _| 3.0).table();
    assert!(!conclusion.contains("best peak learning rate") || conclusion.contains("not bracketed"), "{conclusion}");
    let recipe = recipe("[\"tiny-32\"]", "tokens = [10_000]", "");
    let text = recipe.text().replace("[0.01, 0.02]", "[0.005, 0.01, 0.02, 0.04]");
    let recipe = Recipe::parse("lrs.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    let losses = [0.005_f64, 0.01, 0.02, 0.04].map(|lr| 3.0 + 0.1 * (lr / 0.013).ln().powi(2));
    let campaign = synthetic::campaign(&recipe, &losses);
    conclusion = conclude(campaign.clone()).table();
    assert!(conclusion.contains("0.0130"), "{conclusion}");
    assert!(!conclusion.contains("second best"), "the paired error needs the losses of documents");
    assert!(conclude(campaign.clone()).html().contains("id=\"peak-lr\""));

    // 0.02 is 0.0117 nats worse than 0.01: clearly so if the documents agree, and not if they differ.
    for (own, verdict) in [(0.05, "clearly worse"), (2.0, "not clearly worse")] {
        let mut campaign = campaign.clone();
        let ends: Vec<_> = campaign.plan.trials.iter().map(|trial| (*trial.last_stage(), trial.id)).collect();
        for (number, (stage, trial)) in ends.into_iter().enumerate() {
            let loss = campaign.results[&trial].get(VALIDATION_LOSS).expect("is measured");
            // The mean over the documents is the loss itself.
            let row = |document: u64| {
                let side = if document.is_multiple_of(2) { 1.0 } else { -1.0 };
                let nats = 100.0 * (loss + side * own * (1.0 + number as f64));
                DocumentLoss { nats, tokens: 100, bytes: 200 }
            };
            let mut rows = Rows::new();
            rows.set(VALIDATION_LOSS, (0..200).map(row).collect());
            campaign.rows.insert(stage, rows);
        }
        let conclusion = conclude(campaign);
        let table = conclusion.table();
        let line = table.lines().find(|line| line.contains("+0.0117 \u{b1}")).expect(&table);
        assert!(line.contains("0.0200") && line.contains(&format!("  {verdict}")), "{line}");
        assert!(conclusion.html().contains("<th>second best</th>"));
    }
}
