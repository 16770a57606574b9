//! Expansion against plans worked out by hand.

use recipes::{Recipe, expand};
use vocabulary::passes::is_repeated;
use vocabulary::{
    CheckpointPolicy, Dataset, DatasetId, DecayShape, Keep, LrSchedule, Objective, Plan, Recording, Retries, Stage,
    StageKey, StageRole, StageSpec, TensorProgram, Term,
};

/// One size, batches of 1,000 tokens; the rest is the test's.
fn plan(points: &str, schedule: &str) -> Plan {
    plan_of_many(points, schedule, "seeds = [0]", "[0.01]")
}

fn plan_of_many(points: &str, schedule: &str, seeds: &str, peak_lr: &str) -> Plan {
    try_plan(points, schedule, seeds, peak_lr).unwrap_or_else(|error| panic!("{error}"))
}

fn try_plan(points: &str, schedule: &str, seeds: &str, peak_lr: &str) -> Result<Plan, String> {
    let text = format!(
        "name = \"by-hand\"\n{seeds}\n[data]\nsources = [\"x.txt\"]\nvocab = 300\nvalidation_tokens = 1000\n\
         [model]\nsizes = [\"tiny-32\"]\n[points]\n{points}\n[schedule]\n{schedule}\n\
         [batch]\nsequences = 10\ncontext = 100\n[optimizer]\npeak_lr = {peak_lr}\n"
    );
    let recipe = Recipe::parse("by-hand.toml", &text).map_err(|error| error.to_string())?;
    expand(&recipe, &dataset()).map_err(|error| error.to_string())
}

fn dataset() -> Dataset {
    Dataset {
        id: DatasetId::from_content(b"a text"),
        vocab: 300,
        train_tokens: 50_000,
        validation_tokens: 1_000,
        train_bytes: 100_000,
        validation_bytes: 2_000,
        sources: vec!["x.txt".to_owned()],
        domains: Vec::new(),
    }
}

const WSD: &str =
    "kind = \"wsd\"\nwarmup_steps = 2\nfloor = 0.1\n[schedule.decay]\nshape = \"linear\"\nfraction = 0.1\n";

/// The stages as `role start..end <- the parent's end`, in the plan's order.
fn outline(plan: &Plan) -> Vec<String> {
    let end = |key: &StageKey| plan.stage(key).expect("is there").spec.steps.end;
    let describe = |stage: &vocabulary::Stage| {
        let parent = stage.parent.as_ref().map_or_else(|| "root".to_owned(), |key| end(key).to_string());
        format!("{:?} {}..{} <- {parent}", stage.role, stage.spec.steps.start, stage.spec.steps.end)
    };
    plan.stages.iter().map(describe).collect()
}

#[test]
fn decay_inside_is_the_last_of_the_points_tokens() {
    let plan = plan("tokens = [20_000, 40_000]", &format!("{WSD}counted = \"inside\""));
    assert_eq!(
        outline(&plan),
        ["Trunk 0..18 <- root", "Decay 18..20 <- 18", "Trunk 18..36 <- 18", "Decay 36..40 <- 36"]
    );
    assert_eq!(plan.trials.iter().map(|trial| trial.d.0).collect::<Vec<_>>(), [20_000, 40_000]);
}

#[test]
fn decay_after_comes_on_top() {
    let plan = plan("tokens = [20_000, 40_000]", &format!("{WSD}counted = \"after\""));
    assert_eq!(
        outline(&plan),
        ["Trunk 0..20 <- root", "Decay 20..22 <- 20", "Trunk 20..40 <- 20", "Decay 40..44 <- 40"]
    );
    assert_eq!(plan.trials.iter().map(|trial| trial.d.0).collect::<Vec<_>>(), [22_000, 44_000]);
    assert_eq!(plan.trials.iter().map(|trial| trial.nominal.0).collect::<Vec<_>>(), [20_000, 40_000]);
}

#[test]
fn costs_are_those_of_the_hand_count() {
    let cost = plan("tokens = [20_000, 40_000]", &format!("{WSD}counted = \"inside\"")).cost();
    // 18 + 2 + 18 + 4 steps of 1,000 tokens, against 20 + 40.
    assert_eq!((cost.tokens.0, cost.tokens_unshared.0), (42_000, 60_000));
    // A token of tiny-32 over 300 entries and 100 tokens of context. Two blocks of four 32x32 and three 32x80 matrices,
    // and the head: 6 operations a parameter. Attention: 6 x 2 blocks x 32 x 100.
    let per_token = 6 * (2 * (4 * 32 * 32 + 3 * 32 * 80) + 300 * 32) + 6 * 2 * 32 * 100;
    assert_eq!(cost.flops.0, f64::from(per_token) * 42_000.0);
    assert_eq!(cost.flops_unshared.0, f64::from(per_token) * 60_000.0);
}

#[test]
fn the_order_of_the_points_does_not_matter_to_the_stages() {
    let schedule = format!("{WSD}counted = \"inside\"");
    let keys = |points: &str| {
        let plan = plan(points, &schedule);
        let mut keys: Vec<_> = plan.stages.iter().map(|stage| stage.key).collect();
        keys.sort_unstable();
        (keys, plan.campaign)
    };
    assert_eq!(keys("tokens = [20_000, 30_000, 40_000]"), keys("tokens = [40_000, 20_000, 30_000]"));
}

#[test]
fn more_points_at_the_end_keep_every_stage_there_was() {
    let schedule = format!("{WSD}counted = \"after\"");
    let before = plan("tokens = [20_000, 30_000]", &schedule);
    let after = plan("tokens = [20_000, 30_000, 60_000]", &schedule);
    assert!(before.stages.iter().all(|stage| after.stage(&stage.key).is_some()));
    assert_eq!(after.stages.len(), before.stages.len() + 2);
    assert_ne!(before.campaign, after.campaign);
}

#[test]
fn one_point_still_has_a_trunk_to_extend() {
    let plan = plan("tokens = [20_000]", &format!("{WSD}counted = \"inside\""));
    assert_eq!(outline(&plan), ["Trunk 0..18 <- root", "Decay 18..20 <- 18"]);
    assert_eq!(plan.stages[0].spec.schedule, LrSchedule::Constant { warmup_steps: 2 });
    let decay =
        LrSchedule::Wsd { warmup_steps: 0, decay_start: 18, decay_steps: 2, decay: DecayShape::Linear, floor: 0.1 };
    assert_eq!(plan.stages[1].spec.schedule, decay);
}

#[test]
fn cosines_to_their_own_ends_share_nothing() {
    let plan = plan("tokens = [20_000, 40_000]", "kind = \"cosine\"\nwarmup_steps = 2\nfloor = 0.1");
    assert_eq!(outline(&plan), ["Whole 0..20 <- root", "Whole 0..40 <- root"]);
    assert_eq!(plan.cost().tokens, plan.cost().tokens_unshared);
}

#[test]
fn runs_with_one_curve_are_one_run_with_stops() {
    for schedule in [
        "kind = \"constant\"\nwarmup_steps = 2",
        "kind = \"cosine_loop\"\nwarmup_steps = 2\nfloor = 0.1\nperiod_tokens = 10_000",
        "kind = \"cosine\"\nwarmup_steps = 2\nfloor = 0.1\nperiod_tokens = 30_000",
    ] {
        let plan = plan("tokens = [20_000, 40_000]", schedule);
        assert_eq!(outline(&plan), ["Trunk 0..20 <- root", "Trunk 20..40 <- 20"], "{schedule}");
        assert_eq!(plan.trials[1].path[..1], plan.trials[0].path[..]);
    }
    assert_eq!(plan("tokens = [20_000]", "kind = \"constant\"\nwarmup_steps = 2").stages[0].role, StageRole::Whole);
}

#[test]
fn seeds_and_learning_rates_multiply_the_grid_and_share_nothing() {
    let schedule = format!("{WSD}counted = \"inside\"");
    let plan = plan_of_many("tokens = [20_000, 40_000]", &schedule, "seeds = [7, 8]", "[0.01, 0.02]");
    assert_eq!((plan.trials.len(), plan.stages.len()), (8, 16));
    let settings: Vec<_> = plan
        .trials
        .iter()
        .map(|trial| plan.stage(trial.last_stage()).expect("is there"))
        .map(|stage| (stage.seed, stage.spec.start.init_seed, stage.spec.data.order_seed, stage.spec.peak_lr))
        .collect();
    let orders = [settings[0].2, settings[4].2];
    assert_ne!(orders[0], orders[1]);
    assert_eq!(settings[0], (7, 7, orders[0], 0.01));
    assert_eq!(settings[2], (7, 7, orders[0], 0.02));
    assert_eq!(settings[4], (8, 8, orders[1], 0.01));
}

#[test]
fn a_memory_chooses_the_sequences_of_a_pass_for_each_size() {
    let planned = |sizes: [&str; 2], memory_gib: &str| {
        let text = include_str!("../smoke.toml")
            .replace("micro_sequences = 4", &format!("memory_gib = {memory_gib}"))
            .replace("\"smoke-16\", \"smoke-32\"", &format!("\"{}\", \"{}\"", sizes[0], sizes[1]));
        let recipe = Recipe::parse("smoke.toml", &text).expect("is valid");
        expand(&recipe, &Dataset { validation_tokens: 5_000, ..dataset() }).map(|plan| {
            sizes.map(|size| {
                let mut stages = plan.stages.iter().filter(|stage| stage.size == size);
                let batch = stages.next().expect("has stages").spec.batch;
                assert!(stages.all(|stage| stage.spec.batch == batch), "all stages of a size have the same");
                assert_eq!((batch.sequences, batch.context), (8, 32));
                batch.micro_sequences
            })
        })
    };
    let chosen = |memory_gib| planned(["smoke-16", "smoke-32"], memory_gib).expect("fits");
    assert_eq!(chosen("1.0"), [8, 8], "all at once where there is room");
    // By hand: 125 + 500 + 998 kB and 327 + 999 + 1,075 kB at eight, and a fifth; 2,147 kB here.
    assert_eq!(chosen("0.002"), [8, 4]);
    assert_eq!(chosen("0.0011"), [4, 1]);

    let message = planned(["smoke-16", "9M"], "0.1").expect_err("is refused").to_string();
    assert!(message.contains("`batch.memory_gib`: 0.1 GiB are not enough for `9M`"), "{message}");
    // The least that is named is enough; all at once there is one gradient of the parameters, and not two.
    let least = message.rsplit("accepted: ").next().and_then(|accepted| accepted.split(' ').next());
    assert_eq!(planned(["smoke-16", "9M"], least.expect("is named")).expect("fits"), [8, 8]);
}

#[test]
fn every_step_has_the_learning_rate_of_the_run_trained_alone() {
    let half_life = "\"half_life\"\nhalf_life_tokens = 2_000";
    for shape in ["\"linear\"", "\"exponential\"", "\"cosine\"", "\"one_minus_sqrt\"", half_life] {
        let schedule = format!(
            "kind = \"wsd\"\nwarmup_steps = 4\nfloor = 0.05\n\
             [schedule.decay]\nfraction = 0.25\ncounted = \"inside\"\nshape = {shape}"
        );
        let together = plan("tokens = [20_000, 28_000, 40_000]", &schedule);
        for trial in &together.trials {
            let alone = plan(&format!("tokens = [{}]", trial.nominal.0), &schedule);
            assert_eq!(rates(&together, &trial.path), rates(&alone, &alone.trials[0].path));
        }
    }
}

fn rates(plan: &Plan, path: &[StageKey]) -> Vec<f64> {
    let stages = path.iter().map(|key| &plan.stage(key).expect("is there").spec);
    stages.flat_map(|spec| spec.steps.clone().map(|step| spec.learning_rate(step))).collect()
}

#[test]
fn data_that_does_not_suffice_is_refused() {
    let text = include_str!("../smoke.toml");
    let recipe = Recipe::parse("smoke.toml", text).expect("is valid");
    let refused = |dataset: &Dataset| expand(&recipe, dataset).expect_err("is refused").to_string();
    let message = refused(&Dataset { validation_tokens: 1_023, ..dataset() });
    assert!(
        message.contains("`data.validation_tokens`: 1024 tokens are more than the 1023 that are held out"),
        "{message}"
    );
    let message = refused(&Dataset { validation_tokens: 5_000, train_tokens: 32, ..dataset() });
    assert!(message.contains("`data.sources`: give 32 tokens to train on"), "{message}");
}

#[test]
fn patience_is_the_campaigns_and_changes_no_key() {
    let wsd = format!("{WSD}counted = \"inside\"\n");
    let plain = plan("tokens = [10_000]", &wsd);
    assert_eq!(plain.retries, Retries::DEFAULT);
    let table = "\n[retries]\nfailed = 7\nbackoff_seconds = 0.5\n";
    let patient = plan_of_many("tokens = [10_000]", &wsd, "seeds = [0]", &format!("[0.01]{table}"));
    assert_eq!(patient.retries, Retries { failed: 7, backoff_ms: 500, ..Retries::DEFAULT });
    assert_eq!(Plan { retries: Retries::DEFAULT, ..patient.clone() }, plain);
    assert!(recipes::show::table(&patient).contains("given up after more than 7 failures"));
    assert!(!recipes::show::table(&plain).contains("given up"));
}

#[test]
fn a_divergence_margin_is_above_the_loss_of_a_model_that_knows_nothing() {
    let wsd = format!("{WSD}counted = \"inside\"\n");
    let plain = plan("tokens = [10_000]", &wsd);
    assert!(plain.stages.iter().all(|stage| stage.spec.loss_limit.is_none()));
    let limited = plan_of_many("tokens = [10_000]", &wsd, "seeds = [0]", "[0.01]\ndivergence_margin = 2.5");
    assert!(limited.stages.iter().all(|stage| stage.spec.loss_limit == Some(300_f64.ln() + 2.5)));
    // Where a stage ends decides its numbers, so it is another one.
    assert!(limited.stages.iter().all(|stage| plain.stage(&stage.key).is_none()));
}

#[test]
fn what_becomes_of_checkpoints_is_in_the_plan_and_in_no_key() {
    let dataset = Dataset { validation_tokens: 4096, ..dataset() };
    let plan = |more: &str| {
        let text = include_str!("../smoke.toml").to_owned() + more;
        expand(&Recipe::parse("smoke.toml", &text).unwrap_or_else(|error| panic!("{error}")), &dataset)
            .unwrap_or_else(|error| panic!("{error}"))
    };
    let usual = plan("");
    assert_eq!(usual.checkpoints, CheckpointPolicy::default());
    let other = plan(
        "\n[checkpoints]\nquota_gib = 1.5\nkeep = \"best\"\nmin_interval_seconds = 900\nmax_interval_seconds = 60\n",
    );
    let expected = CheckpointPolicy {
        quota_bytes: Some(3 << 29),
        keep: Keep::Best,
        min_interval_seconds: 60,
        max_interval_seconds: 60,
    };
    assert_eq!(other.checkpoints, expected);
    assert_eq!((other.campaign, &other.stages), (usual.campaign, &usual.stages));
    let refused =
        Recipe::parse("x.toml", &(include_str!("../smoke.toml").to_owned() + "\n[checkpoints]\nkeep = \"all\"\n"));
    let message = refused.expect_err("not such a word").to_string();
    assert!(message.contains("checkpoints.keep"), "{message}");

    // A plan from before there was such a table.
    let mut json = serde_json::to_value(&usual).expect("it has a JSON form");
    json.as_object_mut().expect("it is one").remove("checkpoints");
    assert_eq!(serde_json::from_value::<Plan>(json).expect("it is read"), usual);
}

/// `plan`, with arms.
fn plan_of_arms(arms: &str) -> Plan {
    plan_of_model("", arms)
}

/// `plan`, with keys of the model, and with arms.
fn plan_of_model(model: &str, arms: &str) -> Plan {
    let text = format!(
        "name = \"arms\"\n[data]\nsources = [\"x.txt\"]\nvocab = 300\nvalidation_tokens = 1000\n\
         [model]\nsizes = [\"tiny-32\"]\n{model}\n[points]\ntokens = [20_000, 40_000]\n[schedule]\n{WSD}counted = \"after\"\n\
         [batch]\nsequences = 10\ncontext = 100\n[optimizer]\npeak_lr = [0.01]\n{arms}"
    );
    let recipe = Recipe::parse("arms.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    expand(&recipe, &dataset()).unwrap_or_else(|error| panic!("{error}"))
}

fn trials_of<'a>(plan: &'a Plan, arm: &str) -> Vec<&'a vocabulary::Trial> {
    plan.trials.iter().filter(|trial| trial.arm.as_deref() == Some(arm)).collect()
}

#[test]
fn arms_that_differ_in_the_decay_share_the_trunk() {
    let plan = plan_of_arms(
        "[[arms]]\nname = \"tenth\"\n[[arms]]\nname = \"twentieth\"\n[arms.schedule.decay]\nfraction = 0.05\n\
         [[arms]]\nname = \"stable\"\n[arms.schedule]\nkind = \"constant\"\nwarmup_steps = 2\n",
    );
    assert_eq!(
        outline(&plan),
        [
            "Trunk 0..20 <- root",
            "Decay 20..22 <- 20",
            "Trunk 20..40 <- 20",
            "Decay 40..44 <- 40",
            "Decay 20..21 <- 20",
            "Decay 40..42 <- 40"
        ]
    );
    let d = |arm| trials_of(&plan, arm).iter().map(|trial| trial.d.0).collect::<Vec<_>>();
    assert_eq!([d("tenth"), d("twentieth"), d("stable")], [[22_000, 44_000], [21_000, 42_000], [20_000, 40_000]]);
    assert_eq!(trials_of(&plan, "stable")[1].path.as_slice(), &trials_of(&plan, "tenth")[1].path[..2]);
}

#[test]
fn an_arm_may_differ_in_anything_but_the_data() {
    let plan = plan_of_arms(
        "[[arms]]\nname = \"same\"\n[[arms]]\nname = \"again\"\n[[arms]]\nname = \"other\"\nseeds = [7]\n\
         points = { times_n = [1.0] }\nbatch = { sequences = 5 }\nmodel = { d_base = 32 }\n\
         optimizer = { peak_lr = [0.1, 0.2] }\n",
    );
    let ids: std::collections::BTreeSet<_> = plan.trials.iter().map(|trial| trial.id).collect();
    assert_eq!(ids.len(), plan.trials.len(), "two arms that train the same are two sets of trials");
    assert_eq!(trials_of(&plan, "same")[1].path, trials_of(&plan, "again")[1].path);
    let other = trials_of(&plan, "other");
    let specs: Vec<_> =
        other.iter().map(|trial| plan.stage(trial.last_stage()).expect("is there").spec.clone()).collect();
    assert_eq!(specs.iter().map(|spec| spec.peak_lr).collect::<Vec<_>>(), [0.1, 0.2]);
    for (trial, spec) in other.iter().zip(specs) {
        assert_eq!((trial.seed, spec.batch.sequences, spec.batch.context), (7, 5, 100));
        assert_eq!((spec.model.tensor_program.d_base, spec.model.tensor_program.scale_emb), (32, 12.0));
        assert_eq!(trial.nominal.0, trial.n);
    }
}

#[test]
fn a_recipe_of_one_arm_trains_the_stages_of_the_recipe() {
    let plain = plan("tokens = [20_000, 40_000]", &format!("{WSD}counted = \"after\""));
    let arm = plan_of_arms("[[arms]]\nname = \"only\"\n");
    assert_eq!(plain.stages, arm.stages);
    assert_ne!(plain.trials[0].id, arm.trials[0].id);
}

#[test]
fn an_arm_without_scalings_takes_none_from_the_recipe() {
    let text = |arm: &str| {
        format!(
            "[[arms]]\nname = \"scaled\"\nmodel = {{ d_base = 16, init_std = 0.3 }}\n[[arms]]\nname = \"plain\"\n{arm}"
        )
    };
    let programs = |plan: &Plan| {
        ["scaled", "plain"]
            .map(|arm| plan.stage(trials_of(plan, arm)[0].last_stage()).expect("is there").spec.model.tensor_program)
    };
    let standard = |init_std| TensorProgram { scale_emb: 1.0, scale_depth: 2_f64.sqrt(), init_std, d_base: 32 };
    let scaled = TensorProgram { d_base: 16, init_std: 0.3, ..TensorProgram::PAPER };
    let plan = plan_of_arms(&text("model = { parametrization = \"standard\" }"));
    assert_eq!(programs(&plan), [scaled, standard(0.02)]);
    let plan = plan_of_arms(&text("model = { parametrization = \"standard\", init_std = 0.05 }"));
    assert_eq!(programs(&plan), [scaled, standard(0.05)]);
    // Said of the recipe it is a choice like any other, and to say what is so anyway changes nothing.
    let with = |model: &str, arm: &str| plan_of_model(model, &format!("[[arms]]\nname = \"only\"\n{arm}"));
    let only = |plan: &Plan| plan.stages[0].spec.model.tensor_program;
    let other = only(&with("d_base = 16\ninit_std = 0.3", "model = { parametrization = \"standard\" }"));
    assert_eq!(other, standard(0.02));
    let same = only(&with("d_base = 16\ninit_std = 0.3", "model = { parametrization = \"tensor_program\" }"));
    assert_eq!(same, scaled);
    let back = only(&with(
        "parametrization = \"standard\"\ninit_std = 0.05",
        "model = { parametrization = \"tensor_program\" }",
    ));
    assert_eq!(back, TensorProgram::PAPER);
}

#[test]
fn stages_that_record_are_others_and_the_trunk_of_recorded_decays_is_shared() {
    let wsd = format!("{WSD}counted = \"inside\"");
    let recorded = |stages: &str| {
        let record = format!("[0.01]\n[record]\ndynamics = \"{stages}\"");
        plan_of_many("tokens = [20_000, 40_000]", &wsd, "seeds = [0]", &record)
    };
    let plain = plan("tokens = [20_000, 40_000]", &wsd);
    assert_eq!(recorded("none"), plain);
    let (decay, all) = (recorded("decay"), recorded("all"));
    for (plan, records) in [(&decay, [false, true, false, true]), (&all, [true; 4])] {
        assert_eq!(outline(plan), outline(&plain));
        let recordings: Vec<_> = plan.stages.iter().map(|stage| stage.spec.recording).collect();
        assert_eq!(recordings, records.map(|records| records.then_some(Recording::Dynamics)));
        let is_shared: Vec<_> = plan.stages.iter().map(|stage| plain.stage(&stage.key).is_some()).collect();
        assert_eq!(is_shared, records.map(|records| !records));
        // Beside that they are the same.
        let without = |stage: &Stage| StageSpec { recording: None, ..stage.spec.clone() };
        assert!(plan.stages.iter().zip(&plain.stages).all(|(stage, plain)| without(stage) == plain.spec));
    }
}

#[test]
fn an_arm_may_record_what_others_do_not() {
    let plan = plan_of_arms(
        "[[arms]]\nname = \"plain\"\n[[arms]]\nname = \"recorded\"\n[arms.record]\ndynamics = \"decay\"\n\
         [[arms]]\nname = \"cosine\"\n[arms.schedule]\nkind = \"cosine\"\nwarmup_steps = 2\nfloor = 0.1\n\
         [arms.record]\ndynamics = \"all\"\n",
    );
    let records = |arm| {
        let paths = trials_of(&plan, arm).into_iter().map(|trial| &trial.path);
        let recorded = |key: &StageKey| plan.stage(key).expect("is there").spec.recording.is_some();
        paths.map(|path| path.iter().map(recorded).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    assert_eq!(records("plain"), [vec![false, false], vec![false, false, false]]);
    assert_eq!(records("recorded"), [vec![false, true], vec![false, false, true]]);
    assert_eq!(records("cosine"), [vec![true], vec![true]]);
    let (plain, recorded) = (trials_of(&plan, "plain"), trials_of(&plan, "recorded"));
    assert!(plain.iter().zip(&recorded).all(|(plain, recorded)| plain.path[0] == recorded.path[0]));
}

#[test]
fn an_objective_is_part_of_every_stage_and_shows_in_the_plan() {
    let wsd = format!("{WSD}counted = \"inside\"\n");
    let with =
        |objective: &str| plan_of_many("tokens = [10_000]", &wsd, &format!("seeds = [0]\n{objective}"), "[0.01]");
    let plain = with("");
    assert_eq!(with("objective = [{ next_token = {} }]"), plain, "it is what is minimised anyway");
    let both = with("objective = [{ z_loss = { weight = 1e-4 } }, { next_token = {} }]");
    let terms = vec![Term::NextToken, Term::ZLoss { weight: 1e-4 }];
    let objective = Objective::new(terms).expect("in order");
    assert!(both.stages.iter().all(|stage| stage.spec.objective == objective));
    assert!(both.stages.iter().all(|stage| plain.stage(&stage.key).is_none()));
    let [tree, table] = [recipes::show::tree(&both), recipes::show::table(&both)];
    assert!(tree.contains("  minimises next_token + 0.0001 z_loss\n"), "{tree}");
    assert!(table.contains("  next_token + 0.0001 z_loss\n"), "{table}");
    assert!(!recipes::show::tree(&plain).contains("minimises") && !recipes::show::table(&plain).contains("objective"));
}

#[test]
fn arms_may_minimise_other_things() {
    let wsd = format!("{WSD}counted = \"inside\"\n");
    let arms = "\n[[arms]]\nname = \"plain\"\n[[arms]]\nname = \"z\"\n\
                objective = [{ next_token = {} }, { z_loss = { weight = 1e-4 } }]\n";
    let plan = plan_of_many("tokens = [10_000]", &wsd, "seeds = [0]", &format!("[0.01]{arms}"));
    let objective = |arm: &str| {
        let trial = plan.trials.iter().find(|trial| trial.arm.as_deref() == Some(arm)).expect("has the arm");
        plan.stage(trial.last_stage()).expect("is in the plan").spec.objective.to_string()
    };
    assert_eq!([objective("plain"), objective("z")], ["next_token", "next_token + 0.0001 z_loss"]);
}

#[test]
fn a_warm_up_in_tokens_is_the_same_text_for_every_batch_and_in_steps_gives_the_same_stages() {
    let schedule = |warmup: &str| format!("{}counted = \"inside\"", WSD.replace("warmup_steps = 2", warmup));
    assert_ne!(schedule("warmup_tokens = 1024"), schedule("warmup_steps = 2"), "the recipe warms up over 2 steps");
    let keys = |warmup: &str| {
        let plan = plan("tokens = [20_000, 40_000]", &schedule(warmup));
        plan.stages.iter().map(|stage| stage.key).collect::<Vec<_>>()
    };
    let batch = plan("tokens = [20_000, 40_000]", &schedule("warmup_steps = 2")).stages[0].spec.batch.tokens();
    let in_steps = keys("warmup_steps = 2");
    assert_eq!(keys(&format!("warmup_tokens = {}", 2 * batch)), in_steps);
    assert_eq!(keys(&format!("warmup_tokens = {}", 2 * batch + batch / 3)), in_steps, "rounded to steps");
    // Of the shortest point, so that both share a trunk.
    let shortest = 20_000_f64 / batch as f64;
    assert_eq!(keys(&format!("warmup_fraction = {}", 2.0 / shortest.round())), in_steps);
    assert_ne!(keys("warmup_fraction = 0.5"), in_steps);
}

#[test]
fn a_schedule_has_one_warm_up() {
    let refused = |warmup: &str| {
        let schedule = format!("{}counted = \"inside\"", WSD.replace("warmup_steps = 2", warmup));
        try_plan("tokens = [20_000, 40_000]", &schedule, "seeds = [0]", "[0.01]").expect_err("is refused")
    };
    let both = refused("warmup_steps = 2\nwarmup_tokens = 1024");
    assert!(both.contains("schedule.warmup_tokens") && both.contains("cannot be combined"), "{both}");
    let none = refused("");
    assert!(none.contains("schedule.warmup_steps") && none.contains("missing"), "{none}");
    let long = refused("warmup_tokens = 1_000_000");
    assert!(long.contains("schedule.warmup_tokens") && long.contains("do not fit"), "{long}");
}

#[test]
fn passes_over_the_text_are_counted_and_points_beyond_the_first_are_named() {
    let plan = plan("tokens = [20_000, 50_000, 60_000]", &format!("{WSD}counted = \"inside\""));
    let passes: Vec<Vec<f64>> = plan.trials.iter().map(|trial| plan.passes(trial)).collect();
    assert_eq!(passes, [[0.4], [1.0], [1.2]]);
    assert_eq!(passes.iter().map(|passes| is_repeated(passes)).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(plan.passes_at(&plan.trials[2], 10), [0.2]);
    let shown = recipes::show::tree(&plan);
    assert!(shown.contains("the longest run sees them 1.20 times"), "{shown}");
    assert!(shown.contains("note: 1 of 3 points repeat training data"), "{shown}");
    let fresh = Plan { trials: plan.trials[..2].to_vec(), ..plan.clone() };
    assert!(!recipes::show::tree(&fresh).contains("note:"));
    assert!(Plan { dataset: None, ..plan.clone() }.passes(&plan.trials[0]).is_empty());
}
