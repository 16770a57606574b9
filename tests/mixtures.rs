//! A campaign over two domains: arms decay one trunk on different mixtures and are measured on both held-out sets.

mod support;

use serde_json::Value;
use support::{Place, smoke_recipe};

/// The smoke recipe over the place's stories and some code, with two arms of other weights in the decay.
fn two_domains() -> Place {
    let place = Place::new();
    for index in 0..40_u64 {
        let line = |number: u64| format!("let x{} = f({});\n", (number * number + index * 7) % 53, number % 11);
        let text: String = (0..200).map(line).collect();
        place.write(&format!("texts/{index:02}.rs"), &text);
    }
    let domains = "[[data.domains]]\nname = \"prose\"\nsources = [\"texts/*.txt\"]\n\
                   [[data.domains]]\nname = \"code\"\nsources = [\"texts/*.rs\"]\n\
                   [data.weights]\nprose = 0.9\ncode = 0.1\n";
    let arms =
        "[[arms]]\nname = \"A-1\"\n[[arms]]\nname = \"A-2\"\n[arms.data.decay_weights]\nprose = 0.2\ncode = 0.8\n";
    let recipe = smoke_recipe()
        .replacen("sources = [\"texts\"]", "", 1)
        .replacen("[model]", &format!("{domains}\n[model]"), 1)
        .replacen("\"smoke-16\", \"smoke-32\"", "\"smoke-32\"", 1);
    place.write("smoke.toml", &format!("{recipe}\n{arms}"));
    place
}

/// The numbers in a column of the points, by the arm and the step.
fn column(points: &str, name: &str) -> Vec<((String, String), f64)> {
    let mut rows = points.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = rows.next().expect("has a header");
    let at =
        |name: &str| header.iter().position(|known| *known == name).unwrap_or_else(|| panic!("no {name}: {header:?}"));
    let (arm, step, wanted) = (at("arm"), at("step"), at(name));
    rows.map(|row| ((row[arm].to_owned(), row[step].to_owned()), row[wanted].parse().expect("a number"))).collect()
}

#[test]
fn arms_with_other_weights_in_the_decay_share_a_trunk_and_differ_on_the_sets() {
    let place = two_domains();
    place.run(&["run", "smoke.toml"]).expect(0);
    let plan = place.run(&["plan", "smoke.toml"]).expect(0).stdout;
    assert!(plan.contains("code 80%"), "{plan}");
    let points = place.points("out/smoke");
    let trunks: std::collections::BTreeSet<&str> =
        points.lines().skip(1).filter_map(|line| line.split(',').find(|cell| cell.starts_with("stage_"))).collect();
    assert_eq!((points.lines().count() - 1, trunks.len()), (6, 1), "{points}");
    for (prose, code) in
        column(&points, "prose_loss_per_byte").chunks(3).zip(column(&points, "code_loss_per_byte").chunks(3))
    {
        assert!(prose.iter().chain(code).all(|(_, loss)| loss.is_finite()));
    }
    // The longest decay on code is better at code than that on the mix of before, and worse at prose.
    let last = |arm: &str, name: &str| {
        let column = column(&points, name);
        column.iter().rfind(|((of, _), _)| of == arm).expect("is there").1
    };
    assert!(last("A-2", "code_loss_per_byte") < last("A-1", "code_loss_per_byte"), "{points}");
    assert!(last("A-2", "prose_loss_per_byte") > last("A-1", "prose_loss_per_byte"), "{points}");
    let mean = (last("A-1", "prose_loss_per_byte") + last("A-1", "code_loss_per_byte")) / 2.0;
    assert_eq!(last("A-1", "loss_per_byte"), mean);
    let fit: Value = serde_json::from_str(
        &place.run(&["fit", "smoke", "--set", "code", "--per", "byte", "--json"]).expect(0).stdout,
    )
    .expect("is JSON");
    assert!(fit["fitted"]["loss"].as_str().expect("says what it is").contains("held-out text of code"), "{fit}");
    assert!(fit["sets"]["average"].is_object(), "{fit}");
    let refused = place.run(&["fit", "smoke", "--set", "poetry"]).expect(2).stderr;
    assert!(refused.contains("accepted: prose, code, average"), "{refused}");
    place.run(&["verify", "smoke"]).expect(0);
    // Another place, the same points to the bit.
    let other = two_domains();
    other.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(other.points("out/smoke"), points);
}
