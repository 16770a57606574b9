//! Errors of losses from the documents behind them.

use report::Campaign;
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::{DocumentLoss, Rows};

use crate::{conclude, json, synthetic};

/// The quick start's losses with the documents behind them: of two hundred, each harder or easier for every model alike.
fn with_documents() -> Campaign {
    let mut campaign = synthetic::quickstart();
    for trial in campaign.plan.trials.clone() {
        let loss = campaign.results[&trial.id].get(VALIDATION_LOSS).expect("is measured");
        let row = |document: u64| {
            let tokens = 200 + 37 * (document * document % 23);
            let harder = (document * 7919 % 101) as f64 / 100.0 - 0.5;
            let own = 0.1 * ((document * trial.d.0 % 53) as f64 / 52.0 - 0.5);
            DocumentLoss { nats: tokens as f64 * (loss + harder + own), tokens, bytes: 2 * tokens }
        };
        let mut rows = Rows::new();
        rows.set(VALIDATION_LOSS, (0..200).map(row).collect());
        campaign.rows.insert(*trial.last_stage(), rows);
    }
    campaign
}

#[test]
fn errors_from_the_documents_stand_beside_the_points_and_the_law() {
    let conclusion = conclude(with_documents());
    let csv = conclusion.points_csv();
    let mut rows = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = rows.next().expect("there is a header");
    let place = |name: &str| header.iter().position(|column| *column == name).expect("there is such a column");
    for row in rows {
        let error: f64 = row[place("loss_se")].parse().expect("a number");
        assert!((0.015..0.03).contains(&error), "{error}");
        let per_byte: f64 = row[place("loss_per_byte_se")].parse().expect("a number");
        assert!((per_byte - error / 2.0).abs() < 1e-12);
        assert_eq!(row[place("documents")], "200");
    }
    let fit = json(&conclusion);
    let documents = &fit["documents"];
    assert_eq!(documents["documents"], 200);
    let width =
        |interval: &serde_json::Value| interval[1].as_f64().expect("an end") - interval[0].as_f64().expect("an end");
    let (alone, together) = (&documents["law"]["intervals"]["L0"], &documents["law"]["with_runs"]["L0"]);
    // A shift of all losses is one of L0.
    assert!((0.05..0.2).contains(&width(alone)), "{alone}");
    assert!(width(together) > width(alone) && width(together) > width(&fit["intervals"]["L0"]));
    assert!(conclusion.table().contains("documents alone"), "{}", conclusion.table());
    assert!(conclusion.html().contains("<th>documents alone</th>"));
    let without = conclude(synthetic::quickstart());
    assert!(json(&without).get("documents").is_none());
    assert!(without.table().contains("no standard error"), "{}", without.table());
}
