//! `windtunnel forecast`, end to end.

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
    assert!(
        table.contains("smoke-32, seed 0") && table.contains("3 finished, each forecast without its own data"),
        "{table}"
    );

    // What one size shows of decays, carried over to the other and to itself.
    let carried = place.run(&["forecast", "smoke", "--from", "smoke/smoke-16"]).expect(0).stdout;
    assert!(
        carried.starts_with("decay term of smoke/smoke-16\nRMSE ") && carried.contains(" at 3 branches of other sizes"),
        "{carried}"
    );
    let wrong = place.run(&["forecast", "smoke", "--from", "smoke/smoke-64"]).expect(2);
    assert!(wrong.stderr.contains("unknown size `smoke-64`; accepted: smoke-16, smoke-32"), "{}", wrong.stderr);
    let wrong = place.run(&["forecast", "smoke", "--from", "smoke"]).expect(2);
    assert!(wrong.stderr.contains("expected CAMPAIGN/SIZE"), "{}", wrong.stderr);
    let short = place.run(&["forecast", "smoke", "--point", "1000"]).expect(2);
    assert!(short.stderr.contains("too few for 5 steps of warm-up and a decay"), "{}", short.stderr);
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

#[test]
fn branches_say_their_arm_and_an_only_decay_is_no_forecast() {
    let _turn = one_at_a_time();
    let place = Place::new();
    let recipe = smoke_recipe().replacen("\"smoke-16\", \"smoke-32\"", "\"smoke-32\"", 1).replacen(
        "tokens = [5_120, 10_240, 20_480]",
        "tokens = [51_200]",
        1,
    );
    place.write("one.toml", &recipe.replacen("name = \"smoke\"", "name = \"one\"", 1));
    place.run(&["run", "one.toml"]).expect(0);
    let table = place.run(&["forecast", "one"]).expect(0).stdout;
    let row: Vec<&str> = table.lines().nth(2).expect("a branch").split_whitespace().collect();
    assert_eq!((row.len(), &row[1..4], row[5]), (6, &["-", "-", "-"][..], "-"), "{table}");
    assert!(table.contains("no finished branch could be forecast without its own data"), "{table}");
    let found = json(&place.run(&["forecast", "one", "--json"]).expect(0).stdout);
    let branch = &found["trees"][0]["branches"][0];
    assert!(branch["forecast"].is_null() && branch["measured"].is_f64(), "{found}");

    // Decays of two shapes on the same text: one tree, and each branch says whose it is.
    let arms = "[[arms]]\nname = \"even\"\n[[arms]]\nname = \"curved\"\n[arms.schedule.decay]\nshape = \"cosine\"\n";
    place.write("two.toml", &format!("{}\n{arms}", recipe.replacen("name = \"smoke\"", "name = \"two\"", 1)));
    place.run(&["run", "two.toml"]).expect(0);
    let table = place.run(&["forecast", "two"]).expect(0).stdout;
    assert!(table.starts_with("smoke-32, seed 0") && table.contains(" arm "), "{table}");
    let found = json(&place.run(&["forecast", "two", "--json"]).expect(0).stdout);
    let trees = found["trees"].as_array().expect("a list");
    let branches = trees[0]["branches"].as_array().expect("a list");
    let arms: Vec<&str> = branches.iter().map(|branch| branch["arm"].as_str().expect("an arm")).collect();
    assert_eq!((trees.len(), &arms[..]), (1, &["even", "curved"][..]), "{table}");
}
