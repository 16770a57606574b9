//! Plans over data of several domains: what is shared, and what the decay's weights change.

use recipes::{Recipe, expand, growth, show};
use vocabulary::{Dataset, DatasetId, Domain, LrSchedule, Plan, StageRole};

const RECIPE: &str = "name = \"two-stage\"\n\
     [data]\nvocab = 300\nvalidation_tokens = 1000\n\
     [[data.domains]]\nname = \"prose\"\nsources = [\"p.txt\"]\n\
     [[data.domains]]\nname = \"code\"\nsources = [\"c.rs\"]\n\
     [[data.domains]]\nname = \"held-out\"\nsources = [\"h.txt\"]\n\
     [data.weights]\nprose = 3\ncode = 1\n\
     [model]\nsizes = [\"tiny-32\"]\n[points]\ntokens = [10_000, 20_000]\n\
     [schedule]\nkind = \"wsd\"\nwarmup_steps = 2\nfloor = 0.1\n\
     [schedule.decay]\nshape = \"linear\"\nfraction = 0.1\ncounted = \"inside\"\n\
     [batch]\nsequences = 10\ncontext = 100\n[optimizer]\npeak_lr = [0.01]\n";

const ARMS: &str =
    "[[arms]]\nname = \"A-1\"\n[[arms]]\nname = \"A-2\"\n[arms.data.decay_weights]\ncode = 1\nprose = 1\n";

fn dataset() -> Dataset {
    let domain = |name: &str| Domain {
        name: name.to_owned(),
        train_tokens: 50_000,
        validation_tokens: 1_000,
        train_bytes: 100_000,
        validation_bytes: 2_000,
    };
    Dataset {
        id: DatasetId::from_content(b"three texts"),
        vocab: 300,
        train_tokens: 150_000,
        validation_tokens: 3_000,
        train_bytes: 300_000,
        validation_bytes: 6_000,
        sources: vec!["prose: p.txt".to_owned(), "code: c.rs".to_owned(), "held-out: h.txt".to_owned()],
        domains: ["prose", "code", "held-out"].map(domain).to_vec(),
    }
}

fn recipe(text: &str) -> Recipe {
    Recipe::parse("mix.toml", text).unwrap_or_else(|error| panic!("{error}"))
}

fn plan(text: &str) -> Plan {
    expand(&recipe(text), &dataset()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn arms_that_decay_on_other_text_share_the_trunk() {
    let plan = plan(&[RECIPE, ARMS].concat());
    let trunks = plan.stages.iter().filter(|stage| stage.role == StageRole::Trunk).count();
    let decays: Vec<_> = plan.stages.iter().filter(|stage| stage.role == StageRole::Decay).collect();
    assert_eq!((trunks, decays.len(), plan.trials.len()), (2, 4, 4), "{}", show::tree(&plan));
    for stage in &plan.stages {
        let mixture = stage.spec.data.mixture.expect("there are domains");
        let switched = mixture.weights == [5_000, 5_000, 0, 0, 0, 0, 0, 0];
        assert!(switched || mixture.weights == [7_500, 2_500, 0, 0, 0, 0, 0, 0]);
        // Ten sequences a step, of which each domain had its share until the decay began.
        let before = stage.spec.steps.start * 10;
        let from = if switched { before } else { 0 };
        assert_eq!((mixture.from_sequence, mixture.taken.iter().sum::<u64>()), (from, from));
        assert!((mixture.taken[0] as f64 - from as f64 * 0.75).abs() < 1.0, "{mixture:?}");
        assert!(!switched || matches!(stage.spec.schedule, LrSchedule::Wsd { .. }));
    }
    insta::assert_snapshot!(show::tree(&plan));
}

#[test]
fn weights_that_say_the_same_are_the_same_campaign() {
    let of = |weights: &str, decay: &str| {
        plan(&RECIPE.replacen("[data.weights]\nprose = 3\ncode = 1\n", &format!("[data.weights]\n{weights}{decay}"), 1))
    };
    let plain = of("prose = 3\ncode = 1\n", "");
    assert_eq!(of("code = 0.25\nprose = 0.75\nheld-out = 0\n", ""), plain);
    assert_eq!(of("prose = 3\ncode = 1\n", "[data.decay_weights]\nprose = 75\ncode = 25\n"), plain);
    let other = of("prose = 3\ncode = 1\n", "[data.decay_weights]\ncode = 1\n");
    let roots = |plan: &Plan| plan.stages[0].key;
    assert_eq!(roots(&other), roots(&plain));
    assert_ne!(other.campaign, plain.campaign);
}

#[test]
fn an_arm_can_be_added_to_a_finished_campaign_and_trains_its_decays() {
    let before = plan(&[RECIPE, ARMS].concat());
    let more = [RECIPE, ARMS, "[[arms]]\nname = \"A-3\"\n[arms.data.decay_weights]\nheld-out = 1\n"].concat();
    let growth = growth(&before, &recipe(&more)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((growth.trials.len(), growth.stages.len()), (2, 2));
    assert!(growth.stages.iter().all(|stage| stage.role == StageRole::Decay || stage.parent.is_some()));
}

#[test]
fn data_of_other_domains_is_refused() {
    let refused = |dataset: &Dataset| expand(&recipe(RECIPE), dataset).expect_err("is refused").to_string();
    let plain = refused(&Dataset { domains: Vec::new(), ..dataset() });
    assert!(plain.contains("[prose, code, held-out] are not the [] of the data"), "{plain}");
    let mut short = dataset();
    short.domains[2].validation_tokens = 999;
    let message = refused(&short);
    assert!(message.contains("1000 tokens are more than the 999 of `held-out` that are held out"), "{message}");
    short = dataset();
    short.domains[1].train_tokens = 100;
    let message = refused(&short);
    assert!(message.contains("`data.domains[1].sources`: give 100 tokens to train on"), "{message}");
}
