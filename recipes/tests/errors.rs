//! The messages for wrong recipes: one line with the file, the line, the key and what is accepted.

use recipes::{Recipe, RecipeError};

const SMOKE: &str = include_str!("../smoke.toml");

/// The message for the smoke recipe with one part of its text replaced.
fn refused(from: &str, to: &str) -> String {
    assert!(SMOKE.contains(from), "the smoke recipe has `{from}`");
    let error = Recipe::parse("smoke.toml", &SMOKE.replacen(from, to, 1)).expect_err("is refused");
    let message = error.to_string();
    assert!(!message.contains('\n'), "one line: {message}");
    message
}

#[test]
fn messages() {
    let slips = [
        ("d_model = 16", "d_modle = 16"),
        ("[optimizer]", "[optimiser]"),
        ("sequences = 8", "sequences = 8\nlearning_rate = 1"),
        ("d_model = 16", "d_model = -16"),
        ("d_model = 16", "d_model = 99999999999999999999999"),
        ("d_model = 16", "d_model = \"wide\""),
        ("d_model = 16", "d_model = 16.0"),
        ("floor = 0.1", "floor = nan"),
        ("floor = 0.1", ""),
        ("kind = \"wsd\"", "kind = \"wsdd\""),
        ("kind = \"wsd\"", "kind = \"cosine\""),
        ("[schedule.decay]\n", "[schedule.decay]\nhalf_life_tokens = 100\n"),
        ("shape = \"linear\"", "shape = \"half_life\""),
        ("\nfraction = 0.2", "\nfraction = 1.0"),
        ("\nfraction = 0.2", "\nfraction = 0.02"),
        ("peak_lr = [0.01]", "peak_lr = 0.01"),
        ("sources = [\"toolchain-docs\"]", "sources = \"toolchain-docs\""),
        ("tokens = [5_120,", "tokens = [100,"),
        ("tokens = [5_120,", "tokens = [0,"),
        ("tokens = [5_120,", "tokens = [10_200,"),
        ("tokens = [5_120, 10_240, 20_480]", "tokens = []"),
        ("tokens = [5_120, 10_240, 20_480]", ""),
        ("tokens = [5_120, 10_240, 20_480]", "tokens = [5_120]\ntimes_n = [10]"),
        ("warmup_steps = 5", "warmup_steps = 17"),
        ("\"smoke-16\", \"smoke-32\"", "\"smoke-16\", \"smoke-23\""),
        ("\"smoke-16\", \"smoke-32\"", "\"smoke-16\", \"smoke-16\""),
        ("\"smoke-16\", \"smoke-32\"", "\"smoke-32\", \"tiny-32\", \"tiny32\""),
        ("name = \"smoke-32\"", "name = \"tiny-32\""),
        ("head_dim = 8", "head_dim = 7"),
        ("n_kv_heads = 2", "n_kv_heads = 3"),
        ("seeds = [0]", "seeds = [0, 1, 0]"),
        ("micro_sequences = 4", "micro_sequences = 3"),
        ("micro_sequences = 4", "micro_sequences = 4\nmemory_gib = 1"),
        ("micro_sequences = 4", "memory_gib = 0"),
        ("micro_sequences = 4", "micro_sequences = 4\nlanes = 3"),
        ("micro_sequences = 4", "lanes = 2"),
        ("d_base = 16", "parametrization = \"mup\""),
        ("d_base = 16", "d_base = 16\nparametrization = \"standard\""),
        ("d_base = 16", "scale_emb = 12.0\nparametrization = \"standard\""),
        (
            "[optimizer]",
            "[[arms]]\nname = \"sp\"\nmodel = { parametrization = \"standard\", scale_depth = 1 }\n[optimizer]",
        ),
        ("validation_tokens = 1_024", "validation_tokens = 31"),
        ("vocab = 300", "vocab = 300\ntokenizer = \"t.json\""),
        ("vocab = 300", ""),
        ("peak_lr = [0.01]", "peak_lr = [0.01]\ndivergence_margin = 0"),
        ("[optimizer]", "[retries]\nfailed = -1\n[optimizer]"),
        ("[optimizer]", "[retries]\nattempts = 3\n[optimizer]"),
        ("[optimizer]", "[retries]\nbackoff_seconds = 30\nlongest_backoff_seconds = 10\n[optimizer]"),
        ("[optimizer]", "[record]\ndynamics = \"trunk\"\n[optimizer]"),
        ("[optimizer]", "[[arms]]\nname = \"a\"\n[arms.data]\nvocab = 400\n[optimizer]"),
        ("[optimizer]", "[[arms]]\nname = \"a\"\n[arms.schedule]\nfloor = 2\n[optimizer]"),
        ("[optimizer]", "[[arms]]\nname = \"a\"\n[arms.schedule]\nkind = \"cosine\"\n[optimizer]"),
        ("[optimizer]", "[[arms]]\nname = \"a\"\n[arms.schedule]\nwarmup_steps = 17\n[optimizer]"),
        ("[optimizer]", "[[arms]]\nname = \"a\"\n[[arms]]\nname = \"a\"\n[optimizer]"),
        ("[optimizer]", "[[arms]]\nname = \"a\"\n[arms.batch]\nsequences = 6\n[optimizer]"),
        ("[optimizer]", "[[arms]]\n[optimizer]"),
        ("[optimizer]", "[[arms]]\nname = \"a/b\"\n[optimizer]"),
        ("[optimizer]", "[[objective]]\nnext_token = {}\n[[objective]]\nzloss = {}\n[optimizer]"),
        ("[optimizer]", "[[objective]]\nnext_token = {}\n[[objective]]\nz_loss = { weight = 0 }\n[optimizer]"),
        ("[optimizer]", "[[objective]]\nnext_token = {}\n[[objective]]\nz_loss = {}\n[optimizer]"),
        ("[optimizer]", "[[objective]]\nnext_token = { weight = 2 }\n[optimizer]"),
        ("[optimizer]", "[[objective]]\nnext_token = {}\n[[objective]]\nnext_token = {}\n[optimizer]"),
        ("[optimizer]", "[[objective]]\nnext_token = {}\nz_loss = { weight = 1e-4 }\n[optimizer]"),
        ("[optimizer]", "[[objective]]\n[optimizer]"),
        ("[optimizer]", "[[objective]]\nz_loss = { weight = 1e-4 }\n[optimizer]"),
        ("seeds = [0]", "seeds = [0]\nobjective = []"),
        ("seeds = [0]", "seeds = [0]\nobjective = \"next_token\""),
        ("name = \"smoke\"", "name = \"../smoke\""),
        ("name = \"smoke\"", "name = \"smoke"),
        ("name = \"smoke\"", "name = \"smoke\"\nname = \"smoke\""),
        ("name = \"smoke\"", ""),
    ];
    let messages: Vec<_> = slips.iter().map(|(from, to)| refused(from, to)).collect();
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn recording_decays_where_there_are_none_is_refused() {
    let constant = "[[arms]]\nname = \"a\"\n[arms.schedule]\nkind = \"constant\"\nwarmup_steps = 2\n";
    let message = refused("[optimizer]", &format!("{constant}[record]\ndynamics = \"decay\"\n[optimizer]"));
    assert!(message.contains("key `arms[0].record.dynamics`: \"decay\" records nothing"), "{message}");
}

#[test]
fn messages_about_domains() {
    let domains = |rest: &str| {
        let of = |name: &str| format!("[[data.domains]]\nname = \"{name}\"\nsources = [\"{name}/*.md\"]\n");
        format!("{}{}{rest}\n[model]", of("prose"), of("code"))
    };
    let smoke = SMOKE.replacen("sources = [\"toolchain-docs\"]", "", 1);
    let weights = "[data.weights]\nprose = 1\n";
    let texts = [
        smoke.clone(),
        SMOKE.replacen("[model]", &domains(weights), 1),
        SMOKE.replacen("[model]", "[data.weights]\nprose = 1\n[model]", 1),
        smoke.replacen("[model]", &domains(""), 1),
        smoke.replacen("[model]", &domains("[data.weights]\nprose = 0\n"), 1),
        smoke.replacen("[model]", &domains("[data.weights]\nprose = -1\n"), 1),
        smoke.replacen("[model]", &domains("[data.weights]\nprose = \"half\"\n"), 1),
        smoke.replacen("[model]", &domains("[data]\nweights = 1\n"), 1),
        smoke.replacen("[model]", &domains("[data.weights]\nprosa = 1\n"), 1),
        smoke.replacen("[model]", &domains("[data.weights]\nprose = 1\n[data.decay_weights]\ncoda = 1\n"), 1),
        smoke.replacen("[model]", &domains(weights), 1).replacen("name = \"code\"", "name = \"Prose\"", 1),
        smoke.replacen("[model]", &domains(weights), 1).replacen("name = \"code\"", "name = \"average\"", 1),
        smoke.replacen("[model]", &domains(weights), 1).replacen("name = \"code\"", "name = \"../code\"", 1),
        smoke
            .replacen("[model]", &domains("[data.weights]\nprose = 1\n[data.decay_weights]\ncode = 1\n"), 1)
            .replacen("kind = \"wsd\"", "kind = \"cosine\"", 1)
            .replacen("[schedule.decay]\nshape = \"linear\"\nfraction = 0.2\ncounted = \"inside\"\n", "", 1),
        smoke.replacen("[model]", &domains(weights), 1).replacen(
            "[optimizer]",
            "[[arms]]\nname = \"a\"\ndata.weights = { prosa = 1 }\n[optimizer]",
            1,
        ),
    ];
    let messages = texts.map(|text| {
        let message = Recipe::parse("smoke.toml", &text).expect_err("is refused").to_string();
        assert!(!message.contains('\n'), "one line: {message}");
        message
    });
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn a_slip_in_a_key_is_named_before_the_key_that_it_leaves_missing() {
    let message = refused("d_model = 16", "d_modle = 16");
    assert!(message.starts_with("smoke.toml:"), "{message}");
    assert!(message.contains("`model.shapes[0].d_modle`: unknown, did you mean `d_model`?; accepted: "), "{message}");
}

#[test]
fn the_line_is_that_of_the_key() {
    let Err(RecipeError::Key { line, key, .. }) =
        Recipe::parse("smoke.toml", &SMOKE.replacen("floor = 0.1", "floor = 2", 1))
    else {
        panic!("is refused")
    };
    let at = SMOKE.lines().position(|text| text.starts_with("floor")).expect("is there") + 1;
    assert_eq!((key.as_str(), line), ("schedule.floor", at));
}

#[test]
fn files_that_are_missing_or_endless_are_refused() {
    let missing = Recipe::load("no/such/recipe.toml").expect_err("is refused");
    assert_eq!(
        missing.to_string(),
        "no file `no/such/recipe.toml`: give the path of a recipe, for example `recipes/quickstart.toml`"
    );
    let endless = "#".repeat(2 << 20);
    assert!(matches!(Recipe::parse("endless.toml", &endless), Err(RecipeError::TooLarge { .. })));
}

#[test]
fn other_encodings_than_utf_8_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let load = |name: &str, bytes: Vec<u8>| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        Recipe::load(&path).map_err(|error| vocabulary::text::one_line(&error))
    };
    let utf16 = |mark: u16| std::iter::once(mark).chain(SMOKE.encode_utf16());
    for bytes in
        [utf16(0xfeff).flat_map(u16::to_le_bytes).collect(), utf16(0xfeff).flat_map(u16::to_be_bytes).collect()]
    {
        let message = load("utf16.toml", bytes).expect_err("is refused");
        assert!(message.contains("UTF-16: save it as UTF-8"), "{message}");
    }
    let latin = load("latin.toml", [b"# caf\xe9\n", SMOKE.as_bytes()].concat()).expect_err("is refused");
    assert!(latin.contains("line 1 is not UTF-8"), "{latin}");
    let windows = format!("\u{feff}{}", SMOKE.replace('\n', "\r\n"));
    assert!(load("windows.toml", windows.into_bytes()).is_ok(), "a mark and CRLF are read");
}

#[test]
fn nested_nonsense_is_refused_without_a_panic() {
    let deep = format!("name = {}1{}", "[".repeat(10_000), "]".repeat(10_000));
    for text in
        ["", "\0", "a.b.c.d = 1", "[[name]]", "name = { a = 1 }", "points = 2024-01-01", deep.as_str(), "\u{feff}"]
    {
        let message = Recipe::parse("odd.toml", text).expect_err("is refused").to_string();
        assert!(message.starts_with("odd.toml:") && !message.contains('\n'), "{message}");
    }
}

#[test]
fn a_plan_whose_paths_grow_with_the_square_of_its_points_is_refused() {
    let points = |count: u64| {
        let tokens: Vec<_> = (1..=count).map(|point| (point * 5120).to_string()).collect();
        format!("tokens = [{}]", tokens.join(", "))
    };
    let message = refused("tokens = [5_120, 10_240, 20_480]", &points(500));
    assert!(message.contains("make up to 250500 stages along the paths of 1000 runs"), "{message}");
    let fewer = SMOKE.replacen("tokens = [5_120, 10_240, 20_480]", &points(100), 1);
    Recipe::parse("smoke.toml", &fewer).expect("is accepted");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let long = "x".repeat(101);
    for name in ["", ".", "..", "../smoke", "a/b", "/etc", "a b", "\u{e9}", &long] {
        assert!(!recipes::recipe::is_plain_name(name), "{name:?}");
        refused("name = \"smoke\"", &format!("name = \"{name}\""));
    }
    assert!(recipes::recipe::is_plain_name("smoke-16_b.2"));
}
