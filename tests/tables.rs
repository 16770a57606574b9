//! Fits of user-provided tables, end to end.

mod support;

use std::fs;

use serde_json::Value;
use support::Place;

const LAW: [f64; 5] = [40.0, 0.4, 900.0, 0.5, 1.7];

/// Five sizes of five amounts of data, each with a little noise of its own.
fn rows() -> Vec<(f64, f64, f64)> {
    let [c_n, alpha, c_d, beta, l0] = LAW;
    let mut rows = Vec::new();
    for (i, n) in [2e4, 4e4, 8e4, 1.6e5, 3.2e5].into_iter().enumerate() {
        for (j, d) in [5e5, 1e6, 2e6, 4e6, 8e6].into_iter().enumerate() {
            let noise = 1.0 + 1e-3 * ((i * 7 + j * 3 + i * j) % 5) as f64 - 2e-3;
            rows.push((n, d, noise * (c_n * f64::powf(n, -alpha) + c_d * f64::powf(d, -beta) + l0)));
        }
    }
    rows
}

fn csv(rows: &[(f64, f64, f64)]) -> String {
    let lines = rows.iter().map(|(n, d, loss)| format!("{n},{d},{loss}\n"));
    format!("params,tokens,loss\n{}", lines.collect::<String>())
}

#[test]
fn a_table_is_fitted_and_its_law_is_asked() {
    let place = Place::new();
    let (table, out) = (place.path("table.csv"), place.path("out"));
    fs::write(&table, csv(&rows())).expect("written");
    let [table, out] = [table, out].map(|path| path.to_str().expect("UTF-8").to_owned());
    let ran = place.run(&["fit", &table, "--huber", "1e-3", "--draws", "50", "--out", &out, "--json"]).expect(0);
    let fit: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert!((fit["parameters"]["alpha"].as_f64().expect("a number") - LAW[1]).abs() < 0.05, "{}", ran.stdout);
    assert_eq!(fit["table"]["rows"], 25);
    assert!(fs::read_to_string(format!("{out}/report.html")).expect("written").contains("The scaling law"));

    let file = format!("{out}/fit.json");
    let ran = place.run(&["predict", &file, "--n", "2.4b", "--d", "1.1t", "--json"]).expect(0);
    let said: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let predicted = &said["predictions"][0];
    assert!(predicted["beyond_n"].as_f64().expect("a number") > 1000.0);
    assert!(predicted["interval"][0].as_f64() < predicted["loss"].as_f64(), "{}", ran.stdout);
    assert!(said["warnings"][0].as_str().expect("a warning").contains("beyond the measured range"));

    let ran = place.run(&["optimal", &file, "--flops", "1e12", "1e21"]).expect(0);
    assert!(ran.stdout.contains("1e21*"), "{}", ran.stdout);
    let ran = place.run(&["fit", &table, "--flops-as", "exact"]).expect(2);
    assert!(ran.stderr.contains("--flops-as exact needs the shapes of the models"), "{}", ran.stderr);
    let ran = place.run(&["optimal", &table, "--n-as", "total", "--flops", "1e12"]).expect(2);
    assert!(ran.stderr.contains("name the one that counts what you want"), "{}", ran.stderr);
    let ran = place.run(&["optimal", &file, "--flops-as", "exact", "--flops", "1e12"]).expect(2);
    assert!(ran.stderr.contains("already fitted"), "{}", ran.stderr);
    let ran = place.run(&["predict", &file, "--per", "byte", "--n", "1m", "--d", "1m"]).expect(2);
    assert!(ran.stderr.contains("--per applies to campaigns"), "{}", ran.stderr);
    let ran = place.run(&["fit", &table, "--form", "kaplan", "--draws", "0"]).expect(0);
    assert!(ran.stdout.contains("alpha_D"), "{}", ran.stdout);
}

#[test]
fn isoflop_curves_have_a_frontier() {
    let [c_n, alpha, c_d, beta, l0] = LAW;
    let mut text = "params,flops,loss\n".to_owned();
    let budgets: [f64; 5] = [1e12, 4e12, 1.6e13, 6.4e13, 2.56e14];
    for (k, flops) in budgets.into_iter().enumerate() {
        // The law's own optimum.
        let best = (alpha * c_n / (beta * c_d)).powf(1.0 / (alpha + beta)) * (flops / 6.0).powf(beta / (alpha + beta));
        // Five sizes around it and, at the largest budget, only three.
        for j in if k < 4 { -2..=2 } else { 0..=2 } {
            let n = (best * 1.7_f64.powi(j) * 1.1).round();
            let loss = c_n * n.powf(-alpha) + c_d * (flops / (6.0 * n)).powf(-beta) + l0;
            text.push_str(&format!("{n},{flops},{loss}\n"));
        }
    }
    let place = Place::new();
    let table = place.path("budgets.csv");
    fs::write(&table, text).expect("written");
    let table = table.to_str().expect("UTF-8");
    for curve in ["--isoflop", "--isoflop=spline"] {
        let ran = place.run(&["fit", curve, table, "--flops", "flops", "--json"]).expect(0);
        let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let exponent = |of: &str| found["frontier"][of]["line"]["exponent"].as_f64().expect("a number");
        assert!((exponent("n") - beta / (alpha + beta)).abs() < 0.02, "{}", ran.stdout);
        assert!((exponent("n") + exponent("d") - 1.0).abs() < 1e-6, "{}", ran.stdout);
        assert_eq!(found["budgets"].as_array().map(Vec::len), Some(5));
        assert_eq!(found["frontier"]["best"].as_array().map(Vec::len), Some(4));
        assert_eq!(found["table"]["rows"], 23);
    }
    let ran = place.run(&["fit", table, "--isoflop", "--flops", "flops"]).expect(0);
    assert!(ran.stdout.contains("N = ") && ran.stdout.contains("only 3 settings"), "{}", ran.stdout);
    for (option, value) in [("--huber", "1e-3"), ("--per", "byte"), ("--out", "out")] {
        let ran = place.run(&["fit", table, "--isoflop", option, value]).expect(2);
        assert!(ran.stderr.contains(&format!("{option} applies to laws of N and D")), "{}", ran.stderr);
    }
    let law = place.path("law.csv");
    fs::write(&law, csv(&rows())).expect("written");
    let ran = place.run(&["fit", law.to_str().expect("UTF-8"), "--isoflop"]).expect(0);
    assert!(ran.stdout.contains("best size at each budget"), "{}", ran.stdout);
}

#[test]
fn tables_that_determine_no_law_are_refused() {
    let good = rows();
    let with = |loss: f64| {
        let mut rows = good.clone();
        rows[24].2 = loss;
        csv(&rows)
    };
    let equal: Vec<(f64, f64, f64)> = good.iter().map(|row| (row.0, row.1, 3.0)).collect();
    let together: Vec<(f64, f64, f64)> =
        (0..8).map(|i| (1e4 * f64::from(1 << i), 2e5 * f64::from(1 << i), 9.0 - f64::from(i))).collect();
    let tables = [
        ("one-size.csv", csv(&good[..5]), "1 distinct sizes"),
        ("three-points.csv", csv(&[good[0], good[6], good[12]]), "3 distinct points"),
        ("zero.csv", with(0.0), "row 25 has loss = \"0\""),
        ("nan.csv", with(f64::NAN), "row 25 has loss = \"NaN\""),
        ("infinite.csv", with(f64::INFINITY), "row 25 has loss = \"inf\""),
        ("equal.csv", csv(&equal), "all losses are equal"),
        ("together.csv", csv(&together), "correlate"),
        ("empty.csv", csv(&[]), "none of the 0 rows"),
        ("names.csv", "a,b,c\n1,2,3\n".to_owned(), "its columns are a, b, c"),
    ];
    let place = Place::new();
    for (name, text, reason) in tables {
        let table = place.path(name);
        fs::write(&table, text).expect("written");
        let ran = place.run(&["fit", table.to_str().expect("UTF-8")]).expect(2);
        assert!(ran.stderr.contains(reason), "{name}: {}", ran.stderr);
    }
    let ran = place.run(&["fit", "nowhere.parquet"]).expect(2);
    assert!(ran.stderr.contains("nowhere.parquet"), "{}", ran.stderr);
}

#[test]
fn what_says_nothing_about_a_table_or_a_fit_is_refused() {
    let place = Place::new();
    let (table, out) = (place.path("table.csv"), place.path("out"));
    fs::write(&table, csv(&rows())).expect("written");
    let [table, out] = [table, out].map(|path| path.to_str().expect("UTF-8").to_owned());
    let file = format!("{out}/fit.json");
    place.run(&["fit", &table, "--draws", "0", "--out", &out]).expect(0);
    place.write("smoke.toml", "");
    let refused = |args: &[&str], reason: &str| {
        let ran = place.run(args).expect(2);
        assert!(ran.stderr.contains(reason), "{args:?}: {}", ran.stderr);
    };
    refused(&["fit", &table, "--set", "code"], "name its loss column with --loss COLUMN");
    refused(&["fit", &table, "--per", "token"], "--per applies to campaigns");
    refused(&["fit", &table, "--where", "C=>1e20"], "has > after its comparison");
    for option in [&["--form", "kaplan"][..], &["--huber", "1e-2"], &["--least-squares"], &["--resample", "points"]] {
        let predict = [&["predict", &file, "--n", "1b", "--d", "1t"], option].concat();
        refused(&predict, &format!("is already fitted: {} applies only to tables", option[0]));
    }
    refused(&["optimal", &file, "--flops", "1e20", "--draws", "1000"], "is already fitted: --draws");
    refused(&["fit", &file], "is already fitted: use `predict` or `optimal`");
    refused(&["fit", "smoke.toml"], "is a recipe and has no losses. Give a campaign");
    refused(&["predict", "smoke.toml", "--n", "1b", "--d", "1t"], "give a fit.json");
}

#[test]
fn several_arms_of_a_campaign_are_not_fitted_together_without_a_word() {
    let place = Place::new();
    let lines: String = rows()
        .iter()
        .enumerate()
        .map(|(i, (n, d, loss))| {
            let arm = if i % 3 == 0 { "mixed" } else { "plain" };
            format!("{n},{d},{loss},{arm},completed\n")
        })
        .collect();
    let table = place.path("points.csv");
    let pruned = "320000,16000000,9,plain,pruned\n";
    fs::write(&table, format!("n,d,loss,arm,state\n{lines}{pruned}")).expect("written");
    let table = table.to_str().expect("UTF-8");
    let ran = place.run(&["fit", table, "--draws", "0"]).expect(0);
    let note = "note: one law is fitted to points with 2 different values of arm (mixed, plain): choose one with `fit \
                --where 'arm=VALUE'`";
    let words: Vec<&str> = ran.stdout.split_whitespace().collect();
    assert!(words.join(" ").contains(note), "{}", ran.stdout);
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
    assert!(ran.stdout.contains("left out  1 row: state = pruned"), "{}", ran.stdout);
    let json = |args: &[&str]| -> Value {
        serde_json::from_str(&place.run(&[args, &["--draws", "0", "--json"]].concat()).expect(0).stdout).expect("JSON")
    };
    let said = json(&["fit", table]);
    assert!(said["notes"][0].as_str().expect("a note").contains("different values of arm"), "{said}");
    assert!(said["table"]["notes"][0].as_str().expect("words").contains("different values of arm"), "{said}");
    let asked = json(&["predict", table, "--n", "1m", "--d", "10m"]);
    assert!(asked["warnings"].to_string().contains("different values of arm"), "{asked}");
    let chosen = json(&["fit", table, "--where", "arm=plain", "--where", "d>1e5"]);
    assert_eq!(chosen["notes"], Value::Null);
    assert_eq!(chosen["table"]["filters"][1], "d>1e5");
}

/// The words of an output, whatever its line breaks.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_file_of_another_kind_is_named_and_not_taken_for_a_campaign() {
    let place = Place::new();
    let (table, out) = (place.path("table.csv"), place.path("out"));
    fs::write(&table, csv(&rows())).expect("written");
    let [table, out] = [table, out].map(|path| path.to_str().expect("UTF-8").to_owned());
    place.run(&["fit", &table, "--draws", "0", "--out", &out]).expect(0);
    for name in ["a.txt", "b.xlsx", "c.csv.bz2", "plain"] {
        fs::write(place.path(name), csv(&rows())).expect("written");
        let path = place.path(name).to_str().expect("UTF-8").to_owned();
        for command in
            [&["fit", &path][..], &["predict", &path, "--n", "1b", "--d", "1t"], &["optimal", &path, "--flops", "1e20"]]
        {
            let ran = place.run(command).expect(2);
            assert!(ran.stderr.contains(".csv, .tsv") && !ran.stderr.contains("stored"), "{command:?}: {}", ran.stderr);
        }
    }
    let refused = |args: &[&str], reason: &str| {
        let ran = place.run(args).expect(2);
        assert!(ran.stderr.contains(reason), "{args:?}: {}", ran.stderr);
    };
    refused(&["fit", &out], "is a folder");
    refused(&["report", &table], "`windtunnel fit` reads tables");
    refused(&["show", &format!("{out}/fit.json")], "read a fit.json");
    refused(&["fit", &format!("{out}/none.txt")], "there is no file");
    // A fit is known by its content, and so is a list of records.
    let renamed = place.path("law.txt");
    fs::copy(format!("{out}/fit.json"), &renamed).expect("copied");
    let renamed = renamed.to_str().expect("UTF-8");
    place.run(&["predict", renamed, "--n", "1b", "--d", "1t"]).expect(0);
    refused(&["fit", renamed], "already fitted");
    let records = rows()
        .iter()
        .map(|(n, d, loss)| format!("{{\"params\": {n}, \"tokens\": {d}, \"loss\": {loss}}}"))
        .collect::<Vec<_>>();
    fs::write(place.path("results.json"), format!("[{}]", records.join(","))).expect("written");
    let results = place.path("results.json").to_str().expect("UTF-8").to_owned();
    place.run(&["fit", &results, "--draws", "0"]).expect(0);
    place.run(&["predict", &results, "--n", "1m", "--d", "10m", "--draws", "0"]).expect(0);
}

#[test]
fn advice_names_options_that_the_command_has() {
    let place = Place::new();
    let table = place.path("named.csv");
    fs::write(&table, csv(&rows()).replacen("loss", "final", 1)).expect("written");
    let table = table.to_str().expect("UTF-8");
    let ran = place.run(&["fit", table]).expect(2);
    assert!(ran.stderr.contains("name it with --loss"), "{}", ran.stderr);
    for command in [&["predict", table, "--n", "1m", "--d", "10m"][..], &["optimal", table, "--flops", "1e12"]] {
        let ran = place.run(command).expect(2);
        let remedy = format!("run `windtunnel fit {table} --out DIR` with them, then give DIR/fit.json");
        assert!(ran.stderr.contains(&remedy), "{}", ran.stderr);
    }
}

#[test]
fn numbers_are_read_as_people_write_them_on_the_command_line_too() {
    let place = Place::new();
    let (table, out) = (place.path("table.csv"), place.path("out"));
    fs::write(&table, csv(&rows())).expect("written");
    let [table, out] = [table, out].map(|path| path.to_str().expect("UTF-8").to_owned());
    place.run(&["fit", &table, "--draws", "0", "--out", &out]).expect(0);
    let file = format!("{out}/fit.json");
    let ran =
        place.run(&["predict", &file, "--n", "1_000_000", "7bn", "1,000,000", "--d", "2b,3b", "--json"]).expect(0);
    let said: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let asked = |index: usize| said["predictions"][index]["n"].as_f64().expect("a number");
    assert_eq!([0, 2, 4].map(asked), [1e6, 7e9, 1e6]);
    let ran = place.run(&["predict", &file, "--n", "1,500", "--d", "1b"]).expect(2);
    assert!(ran.stderr.contains("two readings"), "{}", ran.stderr);
}

#[test]
fn a_loss_is_printed_in_its_own_unit() {
    let place = Place::new();
    let out = place.path("out").to_str().expect("UTF-8").to_owned();
    for (name, unit) in [("val_bpb", Some("bits a byte")), ("val_loss", None)] {
        let table = place.path("t.csv");
        fs::write(&table, csv(&rows()).replacen("loss", name, 1)).expect("written");
        let table = table.to_str().expect("UTF-8");
        let ran = place.run(&["fit", table, "--draws", "0", "--out", &out]).expect(0);
        let page = fs::read_to_string(format!("{out}/report.html")).expect("written");
        // The axes are named in the script.
        assert!(!page.contains("nats a"), "{name}");
        let fit: Value =
            serde_json::from_str(&fs::read_to_string(format!("{out}/fit.json")).expect("written")).expect("JSON");
        for text in [&ran.stdout, &fit.to_string()] {
            assert!(!text.contains("nats") && !text.contains("a token"), "{name}: {text}");
            assert_eq!(text.contains("bits a byte"), unit.is_some(), "{name}: {text}");
        }
        assert_eq!(page.contains("bits a byte"), unit.is_some(), "{name}");
        assert_eq!(fit["fitted"]["unit"].as_str(), unit);
        let ran_predict = place.run(&["predict", &format!("{out}/fit.json"), "--n", "1m", "--d", "10m"]).expect(0);
        assert_eq!(ran_predict.stdout.contains("losses in bits a byte"), unit.is_some(), "{}", ran_predict.stdout);
        let rmse = ran.stdout.lines().find(|line| line.starts_with("rmse")).expect("a line").to_owned();
        assert!(rmse.contains(unit.map_or(", at worst", |_| " bits a byte, at worst")), "{rmse}");
    }
}

#[test]
fn a_sweep_is_noticed_and_its_best_is_fitted_when_asked_for() {
    let place = Place::new();
    let table = place.path("sweep.csv");
    let mut text = "params,tokens,lr,bs,loss\n".to_owned();
    for (n, d, loss) in rows() {
        for (index, lr) in [1e-4, 1e-3, 1e-2].into_iter().enumerate() {
            for (other, bs) in [64, 128].into_iter().enumerate() {
                let loss = loss + 0.03 * (index as f64 - 1.0).abs() + 0.01 * other as f64;
                text.push_str(&format!("{n},{d},{lr},{bs},{loss}\n"));
            }
        }
    }
    fs::write(&table, text).expect("written");
    let table = table.to_str().expect("UTF-8");
    let ran = place.run(&["fit", table, "--draws", "0"]).expect(0);
    let note = "each (N, D) has up to 6 rows, which differ in lr and bs: one law is fitted to all of them. Take the best of \
                each with `fit --best-per-cell`";
    assert!(words(&ran.stdout).contains(note), "{}", ran.stdout);
    let json = |args: &[&str]| -> Value {
        serde_json::from_str(&place.run(&[args, &["--draws", "0", "--json"]].concat()).expect(0).stdout).expect("JSON")
    };
    let plain = place.path("plain.csv");
    fs::write(&plain, csv(&rows())).expect("written");
    let best = json(&["fit", table, "--best-per-cell"]);
    assert_eq!(best["n_points"], 25);
    assert_eq!(best["parameters"], json(&["fit", plain.to_str().expect("UTF-8")])["parameters"]);
    let asked = json(&["predict", table, "--n", "1m", "--d", "10m"]);
    assert!(asked["warnings"].to_string().contains("differ in lr and bs"), "{asked}");
}

#[test]
fn a_campaign_with_the_name_of_a_table_is_fitted_where_there_is_no_such_file() {
    let place = Place::new();
    let recipe = support::smoke_recipe().replace("name = \"smoke\"", "name = \"smoke.csv\"");
    place.write("smoke.toml", &recipe);
    place.run(&["run", "smoke.toml"]).expect(0);
    let of_campaign = place.run(&["fit", "smoke.csv"]);
    // Six points may or may not make a law, but they are those of the campaign.
    assert!(!of_campaign.stderr.contains("there is no file"), "{}", of_campaign.stderr);
    assert_eq!(of_campaign.code, place.run(&["report", "smoke.csv"]).code, "{}", of_campaign.stderr);
    let refused = place.run(&["fit", "./smoke.csv"]).expect(2).stderr;
    assert!(
        refused.contains("smoke.csv") && !refused.contains("campaign of this name"),
        "a path is one of a file: {refused}"
    );
    place.write("smoke.csv", "a,b\n1,2\n");
    let of_file = place.run(&["fit", "smoke.csv"]).expect(2).stderr;
    assert_ne!(of_file, of_campaign.stderr, "a file that is there counts before a campaign");
}
