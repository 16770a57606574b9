//! Forecasts of a campaign's branches, by the binary.

mod support;

use serde_json::Value;
use support::{Place, one_at_a_time, smoke_recipe};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_finished_campaign_says_how_its_branches_would_have_been_forecast() {
    let _turn = one_at_a_time();
    let place = Place::with_much_to_train();
    place.run(&["run", "smoke.toml"]).expect(0);
    let asked = ["forecast", "smoke", "--point", "0.4096m"];
    let found = json(&place.run(&[&asked[..], &["--json"]].concat()).expect(0).stdout);
    let trees = found["trees"].as_array().expect("a list");
    assert_eq!(trees.len(), 2);
    for tree in trees {
        assert_eq!(tree["refused"], Value::Null);
        assert_eq!(tree["unseen"]["branches"], 3);
        let branches = tree["branches"].as_array().expect("a list");
        let d: Vec<u64> = branches.iter().map(|branch| branch["d"].as_u64().expect("tokens")).collect();
        assert_eq!(d, [51_200, 102_400, 204_800, 409_600]);
        for branch in &branches[..3] {
            let [forecast, measured] = ["forecast", "measured"].map(|key| branch[key].as_f64().expect(key));
            assert!((forecast - measured).abs() < 0.25, "{tree}");
        }
        assert_eq!(branches[3]["measured"], Value::Null, "it was not trained");
        let [low, loss, high] = ["low", "forecast", "high"].map(|key| branches[3][key].as_f64().expect(key));
        assert!(low < loss && loss < high && 0.0 < loss && loss < 5.7, "{tree}");
    }
    let table = place.run(&asked).expect(0).stdout;
    assert!(table.contains("smoke-32, seed 0") && table.contains("3 finished, forecast without themselves"), "{table}");

    // What one size shows of decays, carried over to the other and to itself.
    let carried = place.run(&["forecast", "smoke", "--from", "smoke/smoke-16"]).expect(0).stdout;
    assert!(carried.starts_with("decay term of smoke/smoke-16; at 3 branches of other sizes"), "{carried}");
    let wrong = place.run(&["forecast", "smoke", "--from", "smoke/smoke-64"]).expect(2);
    assert!(wrong.stderr.contains("it has no size `smoke-64`: it has smoke-16, smoke-32"), "{}", wrong.stderr);
    let wrong = place.run(&["forecast", "smoke", "--from", "smoke"]).expect(2);
    assert!(wrong.stderr.contains("accepted is CAMPAIGN/SIZE"), "{}", wrong.stderr);
    let short = place.run(&["forecast", "smoke", "--point", "1000"]).expect(2);
    assert!(short.stderr.contains("no room for 5 of warm-up and a decay"), "{}", short.stderr);
}

#[test]
fn a_trunk_without_decays_is_refused() {
    let _turn = one_at_a_time();
    let place = Place::new();
    let recipe = smoke_recipe();
    let (before, decay) = recipe.split_once("floor = 0.1\n").expect("the smoke recipe has a floor");
    let after = &decay[decay.find("[batch]").expect("the smoke recipe has a batch")..];
    place.write("flat.toml", &format!("{before}{after}").replace("kind = \"wsd\"", "kind = \"constant\""));
    place.run(&["run", "flat.toml"]).expect(0);
    let refused = place.run(&["forecast", "smoke"]).expect(2);
    assert!(refused.stderr.contains("cannot be forecast: no decay branches off its trunk"), "{}", refused.stderr);
    assert!(refused.stdout.is_empty());
}
