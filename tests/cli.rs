//! Output before any training: help, plans and error messages.

mod support;

use std::fs;

use support::{Place, Ran, smoke_recipe};
use trainer::snapshot::HostTensor;
use trainer::{Description, Snapshot};
use transformers::layout::parameters;
use vocabulary::{ModelSpec, Shape};

#[test]
fn help() {
    let place = Place::new();
    let commands: &[&[&str]] = &[
        &[],
        &["run"],
        &["plan"],
        &["train"],
        &["coord-check"],
        &["data"],
        &["data", "prepare"],
        &["data", "inspect"],
        &["serve"],
        &["worker"],
        &["submit"],
        &["list"],
        &["workers"],
        &["show"],
        &["show-model"],
        &["watch"],
        &["curves"],
        &["fit"],
        &["forecast"],
        &["report"],
        &["cancel"],
        &["forget"],
        &["retry"],
        &["recipe"],
        &["recipe", "schema"],
        &["recipe", "check"],
        &["bench"],
        &["bench", "train"],
        &["export"],
        &["import"],
        &["logits"],
        &["store"],
        &["store", "copy"],
        &["checkpoints"],
        &["checkpoints", "list"],
        &["checkpoints", "diff"],
        &["checkpoints", "gc"],
        &["doctor"],
        &["verify"],
        &["predict"],
        &["optimal"],
        &["extend"],
        &["branch"],
        &["evaluate"],
        &["pool"],
        &["pool", "add"],
        &["pool", "add", "slurm"],
        &["pool", "add", "kubernetes"],
        &["pool", "list"],
        &["pool", "show"],
        &["pool", "pause"],
        &["pool", "resume"],
        &["pool", "drain"],
        &["pool", "remove"],
        &["token"],
        &["token", "create"],
        &["token", "list"],
        &["token", "revoke"],
        &["completions"],
    ];
    let all = place.run(&["--help"]).expect(0).stdout;
    let all = all.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Further lines of a description are indented deeper.
    for line in all.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' ')) {
        let name = line.split_whitespace().next().expect("a command has a name");
        assert!(name == "help" || commands.contains(&[name].as_slice()), "{name} has no snapshot of its help");
    }
    for command in commands {
        let mut args = command.to_vec();
        args.push("--help");
        let ran = place.run(&args).expect(0);
        assert!(ran.stderr.is_empty(), "{}", ran.stderr);
        let name = if command.is_empty() { "windtunnel".to_owned() } else { command.join("-") };
        insta::assert_snapshot!(format!("help-{name}"), ran.stdout);
    }
}

#[test]
fn version() {
    let ran = Place::new().run(&["--version"]).expect(0);
    assert_eq!(ran.stdout, format!("windtunnel {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_are_a_script_of_the_shell() {
    let place = Place::new();
    for (shell, sign) in [("bash", "complete -F"), ("zsh", "#compdef windtunnel"), ("fish", "complete -c windtunnel")] {
        let script = place.run(&["completions", shell]).expect(0).stdout;
        assert!(script.contains(sign), "{shell}: {script}");
    }
}

#[test]
fn a_plan_is_printed_and_nothing_is_written() {
    let place = Place::new();
    let before = place.listing();
    let tree = place.run(&["plan", "smoke.toml"]).expect(0);
    insta::assert_snapshot!("plan-tree", tree.stdout);
    let points = place.run(&["plan", "smoke.toml", "--view", "points"]).expect(0);
    insta::assert_snapshot!("plan-points", points.stdout);
    let json = place.run(&["plan", "smoke.toml", "--json"]).expect(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("is JSON");
    assert_eq!(json["plan"]["trials"].as_array().map(Vec::len), Some(6));
    assert!(json["cost"]["flops"].as_f64() < json["cost"]["flops_unshared"].as_f64());
    assert_eq!(json["price"]["device_seconds"], serde_json::Value::Null, "nothing was measured");
    assert_eq!(place.listing(), before);
}

#[test]
fn a_plan_is_priced_and_nothing_is_written() {
    let place = Place::new();
    let before = place.listing();
    let speeds = ["--device", "a100", "--mfu", "0.01", "--tokens-per-second", "smoke-32=5000", "--workers", "2"];
    let price = place.run(&[&["plan", "smoke.toml"], speeds.as_slice()].concat()).expect(0);
    insta::assert_snapshot!("plan-price", price.stdout);
    let json = place.run(&[&["plan", "smoke.toml", "--json"], speeds.as_slice()].concat()).expect(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("is JSON");
    let sources: Vec<_> =
        (0..2).map(|size| json["price"]["sizes"][size]["speeds"][0]["source"].as_str().expect("a word")).collect();
    assert_eq!(sources, ["assumed", "stated"]);
    assert!(json["price"]["wall"]["schedule"]["seconds"].as_f64() < json["price"]["device_seconds"].as_f64());

    let mut messages = Vec::new();
    let refused: [&[&str]; 4] = [
        &["--device", "z80"],
        &["--device", "h100", "--mfu", "1.5"],
        &["--tokens-per-second", "smoke-17=100"],
        &["--tokens-per-second", "fast"],
    ];
    for args in refused {
        let ran = place.run(&[&["plan", "smoke.toml"], args].concat()).expect(2);
        messages.push(ran.stderr.lines().next().unwrap_or_default().to_owned());
    }
    insta::assert_snapshot!("refused-prices", messages.join("\n"));
    assert_eq!(place.listing(), before);
}

#[test]
fn a_model_is_shown_and_nothing_is_written() {
    let place = Place::new();
    let plain = smoke_recipe().replacen("d_base = 16", "parametrization = \"standard\"", 1);
    place.write("plain.toml", &plain);
    let before = place.listing();
    let cases: [(&str, &[&str]); 4] = [
        ("of-the-ladder", &["9M"]),
        ("without-scalings", &["9M", "--standard"]),
        ("of-a-recipe", &["smoke.toml", "--size", "smoke-32"]),
        ("of-dimensions", &["d_model=64,n_heads=4,n_kv_heads=2,n_layers=3", "--vocab", "300", "--untied"]),
    ];
    for (name, args) in cases {
        let shown = place.run(&[&["show-model"], args].concat()).expect(0);
        insta::assert_snapshot!(format!("show-model-{name}"), shown.stdout);
        let json = place.run(&[&["show-model", "--json"], args].concat()).expect(0);
        let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("is JSON");
        let rows = json["groups"].as_array().expect("a list");
        let sum = rows.iter().map(|row| row["params"].as_u64().expect("a count")).sum::<u64>();
        assert_eq!(json["params"], sum, "{name}");
    }

    let refused: [&[&str]; 5] = [
        &["smoke.toml"],
        &["smoke.toml", "--size", "smoke-33"],
        &["plain.toml", "--size", "smoke-32", "--d-base", "16"],
        &["0.5B", "--size", "smoke-32"],
        &["half-a-billion"],
    ];
    let mut messages = Vec::new();
    for args in refused {
        let ran = place.run(&[&["show-model"], args].concat()).expect(2);
        assert_eq!((ran.stdout.as_str(), ran.stderr.lines().count()), ("", 1), "{args:?}: {}", ran.stderr);
        messages.push(ran.stderr.replace(&place.path("").display().to_string(), "PLACE/"));
    }
    insta::assert_snapshot!("refused-models", messages.concat());
    assert_eq!(place.listing(), before);
}

#[test]
fn widths_are_compared_and_nothing_but_the_data_is_kept() {
    let place = Place::new();
    let arm = "[[arms]]\nname = \"plain\"\nmodel = { parametrization = \"standard\" }\n";
    place.write("arms.toml", &format!("{}\n[[arms]]\nname = \"scaled\"\n{arm}", smoke_recipe()));
    let widths = ["--sizes", "smoke-16", "--widths", "16,32,64", "--steps", "2", "--seeds", "3,4"];
    let json = place.run(&[&["coord-check", "arms.toml", "--json"], widths.as_slice()].concat()).expect(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("is JSON");
    let variants = json["variants"].as_array().expect("a list");
    let names: Vec<_> = variants.iter().map(|variant| (&variant["arm"], &variant["parametrization"])).collect();
    assert_eq!(serde_json::json!(names), serde_json::json!([["scaled", "tensor_program"], ["plain", "standard"]]));
    for variant in variants {
        assert_eq!(variant["models"].as_array().map(Vec::len), Some(6), "three widths and two seeds");
        // Sizes before and after each step, changes after each; of five quantities.
        assert_eq!(variant["exponents"].as_array().map(Vec::len), Some(5 * (3 + 2)));
    }
    let table = place.run(&[&["coord-check", "smoke.toml", "--steps", "1"], &[][..]].concat()).expect(0);
    assert!(table.stdout.contains("width 16   width 32   slope"), "{}", table.stdout);
    assert!(!place.path("data/store.sqlite").exists(), "no campaign");

    let mut messages = Vec::new();
    let refused: [&[&str]; 4] = [
        &["--sizes", "smoke-17"],
        &["--sizes", "smoke-16"],
        &["--widths", "16,20"],
        &["--sizes", "smoke-16,smoke-32", "--widths", "16"],
    ];
    for args in refused {
        let ran = place.run(&[&["coord-check", "smoke.toml"], args].concat()).expect(2);
        assert_eq!((ran.stdout.as_str(), ran.stderr.lines().count()), ("", 1), "{args:?}: {}", ran.stderr);
        messages.push(ran.stderr.replace(&place.path("").display().to_string(), "PLACE/"));
    }
    insta::assert_snapshot!("refused-widths", messages.concat());
}

#[test]
fn the_schema_is_json_and_recipes_are_checked() {
    let place = Place::new();
    let schema = place.run(&["recipe", "schema"]).expect(0);
    let schema: serde_json::Value = serde_json::from_str(&schema.stdout).expect("is JSON");
    assert!(schema["properties"]["schedule"].is_object());
    let good = place.run(&["recipe", "check", "smoke.toml"]).expect(0);
    insta::assert_snapshot!(good.stdout, @"smoke.toml: valid: smoke, 6 points in 12 stages, sizes smoke-16, smoke-32");
}

/// Each is refused by every command that reads a recipe, in one line, with code 2, and leaves nothing behind.
#[test]
fn bad_recipes_are_refused_in_one_line() {
    let place = Place::new();
    let good = smoke_recipe();
    place.write("misspelt.toml", &good.replace("d_model = 16", "d_modle = 16"));
    place.write("negative.toml", &good.replace("d_model = 16", "d_model = -16"));
    place.write("no-source.toml", &good.replace("\"texts\"", "\"no/such/text\""));
    place.write("no-variable.toml", &good.replace("\"texts\"", "\"$WINDTUNNEL_NO_SUCH_VARIABLE/a.txt\""));
    place.write("syntax.toml", "name = ");
    let before = place.listing();

    let mut messages = Vec::new();
    for file in ["misspelt", "negative", "no-source", "no-variable", "syntax", "missing"] {
        let file = format!("{file}.toml");
        for command in [&["run"][..], &["data", "prepare"]] {
            let ran = place.run(&[command, &[file.as_str()]].concat()).expect(2);
            assert_eq!(ran.stdout, "", "{file}");
            assert_eq!(ran.stderr.lines().count(), 1, "{file}: {}", ran.stderr);
            assert_eq!(place.listing(), before, "{command:?} {file} leaves nothing behind");
            if command == ["run"] {
                messages.push(ran.stderr.replace(&place.path("").display().to_string(), "PLACE/"));
            }
        }
    }
    insta::assert_snapshot!("refused-recipes", messages.concat());
}

#[test]
fn directories_that_cannot_be_written_are_refused_in_one_line() {
    let place = Place::new();
    // A file in the way stops the superuser, too.
    place.write("file", "");
    let before = place.listing();
    let cases: [&[&str]; 5] = [
        &["run", "smoke.toml", "--data-dir", "file/data"],
        &["run", "smoke.toml", "--out", "file/out"],
        &["data", "prepare", "smoke.toml", "--data-dir", "file/data"],
        &["serve", "--listen", "127.0.0.1:0", "--data-dir", "file/data"],
        &["train", "smoke.toml", "--stage", "stage_0", "--data-dir", "file/data"],
    ];
    let mut messages = Vec::new();
    for args in cases {
        let ran = place.run(args).expect(2);
        assert_eq!(ran.stderr.lines().count(), 1, "{args:?}: {}", ran.stderr);
        assert_eq!(place.listing(), before, "{args:?} leaves nothing behind");
        messages.push(ran.stderr.replace(&place.path("").display().to_string(), "PLACE/"));
    }
    insta::assert_snapshot!("refused-directories", messages.concat());
}

#[test]
fn devices_that_are_not_there_are_refused_in_one_line() {
    let place = Place::new();
    let before = place.listing();
    let ran = place.run(&["run", "smoke.toml", "--device", "abacus"]).expect(2);
    insta::assert_snapshot!(ran.stderr, @"error: `abacus` is not a device: expected auto, flex, cuda:INDEX or wgpu");
    assert_eq!(place.listing(), before);
}

#[test]
fn what_is_not_there_is_said_in_one_line() {
    let place = Place::new();
    let cases: [&[&str]; 9] = [
        &["list"],
        &["show", "smoke"],
        &["watch", "smoke"],
        &["fit", "smoke"],
        &["report", "smoke"],
        &["submit", "smoke.toml"],
        &["worker"],
        &["list", "--coordinator", "not an address"],
        &["list", "--log", "a=b=c"],
    ];
    let mut messages = Vec::new();
    for args in cases {
        // A supervisor starts a worker again, because its coordinator may be there later.
        let ran = place.run(args).expect(if args == ["worker"].as_slice() { 1 } else { 2 });
        assert_eq!(ran.stderr.lines().count(), 1, "{args:?}: {}", ran.stderr);
        messages.push(ran.stderr.replace(&place.path("").display().to_string(), "PLACE/"));
    }
    insta::assert_snapshot!("refused-questions", messages.concat());
    assert!(!place.path("data").exists());
    // Nobody listens on the port that nobody is given.
    let ran = place.run(&["list", "--coordinator", "http://127.0.0.1:1"]).expect(1);
    assert!(ran.stderr.starts_with("error: the coordinator at http://127.0.0.1:1 does not answer"), "{}", ran.stderr);
}

#[test]
fn models_that_cannot_be_exchanged_are_refused_in_one_line() {
    let place = Place::new();
    write_checkpoint(&place, "checkpoint");
    for (name, config) in [("foreign", r#"{"model_type": "qwen2"}"#), ("torn", "{}"), ("weightless", LLAMA)] {
        fs::create_dir(place.path(name)).expect("made");
        place.write(&format!("{name}/config.json"), config);
    }
    let before = place.listing();
    let cases: [&[&str]; 12] = [
        &["export", "nowhere", "--format", "granite", "--out", "out"],
        &["export", "texts", "--format", "granite", "--out", "out"],
        &["export", "smoke.toml", "--format", "granite", "--out", "out"],
        &["export", "checkpoint", "--format", "granite", "--out", "texts"],
        &["export", "checkpoint", "--format", "minicpm", "--out", "out"],
        &["import", "texts", "--out", "out"],
        &["import", "foreign", "--out", "out"],
        &["import", "torn", "--out", "out"],
        &["import", "weightless", "--out", "out"],
        &["import", "weightless", "--out", "texts"],
        &["logits", "checkpoint", "--tokens", "nowhere.npy", "--out", "logits.npy"],
        &["logits", "checkpoint", "--tokens", "smoke.toml", "--out", "logits.npy"],
    ];
    let mut messages = Vec::new();
    for args in cases {
        let ran = place.run(args).expect(2);
        assert_eq!(ran.stderr.lines().count(), 1, "{args:?}: {}", ran.stderr);
        assert_eq!(place.listing(), before, "{args:?} leaves nothing behind");
        messages.push(ran.stderr.replace(&place.path("").display().to_string(), "PLACE/"));
    }
    insta::assert_snapshot!("refused-exchanges", messages.concat());
}

#[test]
fn a_model_goes_out_and_comes_back() {
    let place = Place::new();
    write_checkpoint(&place, "checkpoint");
    let exported = place.run(&["export", "checkpoint", "--format", "granite", "--out", "model"]).expect(0);
    insta::assert_snapshot!("exported", exported.stdout);
    let imported = place.run(&["import", "model", "--out", "back"]).expect(0);
    insta::assert_snapshot!("imported", imported.stdout);
    let read = |dir: &str| fs::read(place.path(dir).join("weights.safetensors")).expect("is there");
    assert_eq!(read("back"), read("checkpoint"));
    // Again only if that is meant.
    place.run(&["export", "checkpoint", "--format", "granite", "--out", "model"]).expect(2);
    place.run(&["export", "checkpoint", "--format", "granite", "--out", "model", "--force"]).expect(0);
    place.run(&["import", "model", "--out", "back", "--force"]).expect(0);
}

/// A Llama of which there is no more than this.
const LLAMA: &str = r#"{
    "model_type": "llama", "vocab_size": 20, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1,
    "num_attention_heads": 2, "max_position_embeddings": 16
}"#;

/// A checkpoint of a model whose heads are wider together than it is.
fn write_checkpoint(place: &Place, dir: &str) {
    let shape = Shape { d_model: 8, d_ff: 12, head_dim: 6, n_heads: 2, n_kv_heads: 1, n_layers: 2 };
    let model = ModelSpec::paper(shape, 20);
    let weights = parameters(&model).into_iter().map(|(name, shape)| {
        let values = (0..shape.iter().product()).map(|index: usize| index as f32 / 3.0).collect();
        (name, HostTensor { shape, values })
    });
    let snapshot = Snapshot::of_weights(Description { model, dataset: None, context: 16 }, weights.collect());
    fs::create_dir(place.path(dir)).expect("made");
    for blob in snapshot.to_blobs().expect("encodes") {
        fs::write(place.path(dir).join(blob.name), blob.bytes).expect("written");
    }
}

#[test]
fn variables_that_are_set_and_empty_count_as_not_set() {
    let place = Place::new();
    let variables = [
        "WINDTUNNEL_COORDINATOR",
        "WINDTUNNEL_RENDEZVOUS",
        "WINDTUNNEL_TOKEN",
        "WINDTUNNEL_TOKEN_FILE",
        "WINDTUNNEL_TLS_CA",
        "WINDTUNNEL_TLS_CLIENT_CERT",
        "WINDTUNNEL_TLS_CLIENT_KEY",
        "WINDTUNNEL_STORE",
        "WINDTUNNEL_STORE_PASSWORD_FILE",
        "WINDTUNNEL_POOL",
        "WINDTUNNEL_ALLOCATION",
    ];
    for args in [["list"].as_slice(), &["worker"], &["watch", "smoke"], &["token", "list"], &["doctor"]] {
        let without = place.run(args);
        let mut command = place.command(args);
        command.envs(variables.map(|name| (name, "")));
        let with = Ran::of(command.output().expect("it starts"));
        assert_eq!((with.code, with.stdout, with.stderr), (without.code, without.stdout, without.stderr), "{args:?}");
    }
    let mut command = place.command(&["list"]);
    let output = command.env("WINDTUNNEL_DATA_DIR", "").env("HOME", place.path("home")).output().expect("it starts");
    let error = Ran::of(output).expect(2).stderr;
    assert!(error.contains("has no stored data and no running coordinator"), "{error}");
}

#[test]
fn an_address_in_place_of_a_directory_is_refused_and_not_repeated() {
    let place = Place::new();
    let before = place.listing();
    let address = "postgres://me:hunter2@db-1/windtunnel";
    let cases: [&[&str]; 4] = [
        &["serve", "--data-dir", address],
        &["list", "--data-dir", address],
        &["store", "copy", "mysql://me:hunter2@db-1/windtunnel", "copy"],
        &["doctor", "--store", address],
    ];
    for args in cases {
        let refused = place.run(args).expect(2).stderr;
        assert!(!refused.contains("hunter2"), "{args:?}: {refused}");
    }
    assert_eq!(place.listing(), before);
}

#[test]
fn an_address_to_listen_on_is_said_to_be_an_ip_and_a_port() {
    let place = Place::new();
    let refused = place.run(&["serve", "--listen", "localhost"]).expect(2).stderr;
    assert!(refused.contains("expected IP:PORT, for example 127.0.0.1:7450"), "{refused}");
}

#[test]
fn what_is_neither_a_table_nor_a_campaign_is_said_to_be_neither() {
    let place = Place::new();
    for args in [["fit", "x.csv"].as_slice(), &["optimal", "x.csv", "--flops", "1e18"]] {
        let refused = place.run(args).expect(2).stderr;
        assert!(refused.contains("there is no file x.csv, and no campaign of this name"), "{args:?}: {refused}");
    }
}

#[test]
fn usage_errors_have_code_2() {
    let place = Place::new();
    let cases: [&[&str]; 4] =
        [&["run"], &["run", "smoke.toml", "--workers", "0"], &["fly"], &["plan", "--view", "sky"]];
    for args in cases {
        let ran = place.run(args).expect(2);
        assert!(ran.stderr.starts_with("error: "), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn without_a_command_the_help_is_printed_as_a_usage_error() {
    let place = Place::new();
    let ran = place.run(&[]).expect(2);
    let help = place.run(&["--help"]).expect(0).stdout;
    assert_eq!((ran.stderr, ran.stdout), (help.clone(), String::new()));
    for group in
        ["\nRun:\n  run ", "\nLook:\n  list ", "\nFit:\n  fit ", "\nOperate:\n  serve ", "\nExchange:\n  export "]
    {
        assert!(help.contains(group), "{help}");
    }
}

#[test]
fn data_is_prepared_by_hand_and_looked_at() {
    let place = Place::new();
    let first = place.run(&["data", "prepare", "smoke.toml", "--json"]).expect(0);
    let first: serde_json::Value = serde_json::from_str(&first.stdout).expect("is JSON");
    let id = first["dataset"]["id"].as_str().expect("has an id");
    assert!(place.path("data/datasets").join(id).is_dir());
    assert_eq!(first["found"], false);
    let second = place.run(&["data", "prepare", "smoke.toml", "--json"]).expect(0);
    let second: serde_json::Value = serde_json::from_str(&second.stdout).expect("is JSON");
    assert_eq!((&second["dataset"], &second["found"]), (&first["dataset"], &true.into()));
    let inspected = place.run(&["data", "inspect", "smoke.toml"]).expect(0);
    assert!(inspected.stdout.contains(id), "{}", inspected.stdout);

    // The plan of prepared data has the keys that will be trained.
    let plan = place.run(&["plan", "smoke.toml", "--json"]).expect(0);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).expect("is JSON");
    assert_eq!(plan["plan"]["dataset"]["id"], id);
    // Other text is another dataset.
    fs::write(place.path("texts/00.txt"), "Another story.").expect("written");
    let other = place.run(&["data", "prepare", "smoke.toml", "--json"]).expect(0);
    let other: serde_json::Value = serde_json::from_str(&other.stdout).expect("is JSON");
    assert_ne!(other["dataset"]["id"], id);
}

#[test]
fn the_benchmark_measures_this_program_alone() {
    let place = Place::new();
    let shown = place.run(&["bench", "train", "--quick", "--no-peer", "--shape", "tiny-32", "--json"]).expect(0);
    let report: serde_json::Value = serde_json::from_str(&shown.stdout).expect("JSON");
    let entries = report["shapes"][0]["entries"].as_array().expect("entries");
    let who = |entry: &serde_json::Value| (entry["side"].clone(), entry["processes"].clone(), entry["threads"].clone());
    let who: Vec<_> = entries.iter().map(who).collect();
    let expected = [("windtunnel", 1, 1), ("windtunnel", 1, 2), ("windtunnel bf16", 1, 1), ("windtunnel", 2, 1)];
    assert_eq!(who, expected.map(|(side, processes, threads)| (side.into(), processes.into(), threads.into())));
    assert!(entries.iter().all(|entry| entry["tokens_per_second"]["median"].as_f64() > Some(0.0)), "{entries:?}");
    let verdicts = report["verdicts"].as_array().expect("verdicts");
    assert!(verdicts.iter().all(|verdict| verdict["reached"].is_null()), "nothing is said of a peer: {verdicts:?}");

    let refused = place.run(&["bench", "train", "--shape", "tiny-33"]).expect(2);
    assert!(refused.stderr.contains("no shape is called `tiny-33`"), "{}", refused.stderr);
}
