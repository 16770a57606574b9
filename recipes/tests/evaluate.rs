//! Evaluations of a campaign's stages on a text.

use recipes::evaluate::ends_of_trials;
use recipes::price::Speeds;
use recipes::{EvaluateError, EvaluationText, Recipe, evaluations, expand, price};
use vocabulary::{Dataset, DatasetId, Domain, EvaluationKind, EvaluationTask, Plan, StageKey, Tokens};

const RECIPE: &str = "name = \"evaluated\"\nseeds = [0]\n\
    [data]\nsources = [\"x.txt\"]\nvocab = 512\nvalidation_tokens = 1000\n\
    [model]\nsizes = [\"tiny-32\", \"tiny-64\"]\n[points]\ntokens = [200_000, 400_000]\n\
    [schedule]\nkind = \"wsd\"\nwarmup_steps = 2\nfloor = 0.1\n[schedule.decay]\nshape = \"linear\"\nfraction = 0.1\ncounted = \"inside\"\n\
    [batch]\nsequences = 16\ncontext = 64\n[optimizer]\npeak_lr = [0.01]\n";

fn dataset(name: &str, validation_tokens: u64) -> Dataset {
    Dataset {
        id: DatasetId::from_content(name.as_bytes()),
        vocab: 512,
        train_tokens: 1_000_000,
        validation_tokens,
        train_bytes: 4_000_000,
        validation_bytes: 4 * validation_tokens,
        sources: vec![name.to_owned()],
        domains: Vec::new(),
    }
}

fn plan() -> Plan {
    let recipe = Recipe::parse("evaluated.toml", RECIPE).unwrap_or_else(|error| panic!("{error}"));
    expand(&recipe, &dataset("text", 10_000)).unwrap_or_else(|error| panic!("{error}"))
}

fn of<'a>(name: &'a str, dataset: &'a Dataset, tokens: Option<u64>) -> EvaluationText<'a> {
    EvaluationText { name, kind: EvaluationKind::HeldOutLoss, dataset, tokens }
}

#[test]
fn every_trial_is_evaluated_once_and_a_second_time_there_is_nothing_new() {
    let (mut plan, news) = (plan(), dataset("news", 5_000));
    let ends = ends_of_trials(&plan);
    assert_eq!(ends.len(), plan.trials.len());
    let growth = evaluations(&plan, &ends, &of("news", &news, None)).expect("it is sound");
    assert_eq!(growth.evaluations.len(), 4);
    for (evaluation, trial) in growth.evaluations.iter().zip(&plan.trials) {
        assert_eq!((evaluation.parent, &evaluation.size), (*trial.last_stage(), &trial.size));
        assert_eq!(evaluation.key, evaluation.spec.key(&evaluation.parent));
        let task = EvaluationTask { kind: EvaluationKind::HeldOutLoss, dataset: news.id, tokens: 5_000, context: 64 };
        assert_eq!(evaluation.spec.task, task);
    }
    plan.grow(&growth);
    let again = evaluations(&plan, &ends, &of("news", &news, None)).expect("it is sound").beyond(&plan);
    assert!(again.is_empty());
    let twice: Vec<StageKey> = ends.iter().chain(&ends).copied().collect();
    let shorter = evaluations(&plan, &twice, &of("start-of-news", &news, Some(100))).expect("it is sound");
    assert_eq!(shorter.evaluations.len(), 4);
}

#[test]
fn what_cannot_be_evaluated_is_refused_by_name() {
    let (mut plan, news) = (plan(), dataset("news", 5_000));
    let ends = ends_of_trials(&plan);
    let refusal = |plan: &Plan, stages: &[StageKey], text: EvaluationText<'_>| {
        evaluations(plan, stages, &text).expect_err("it is refused")
    };
    assert!(matches!(refusal(&plan, &ends, of("../news", &news, None)), EvaluateError::Name { .. }));
    assert!(matches!(refusal(&plan, &ends, of("average", &news, None)), EvaluateError::NameOfData { .. }));
    for tokens in [0, 5_001] {
        let refused = refusal(&plan, &ends, of("news", &news, Some(tokens)));
        assert_eq!(refused, EvaluateError::Tokens { held_out: 5_000, asked: tokens });
    }
    let other = Dataset { vocab: 300, ..news.clone() };
    let vocabulary = EvaluateError::Vocabulary { stage: ends[0], text: 300, model: 512 };
    assert_eq!(refusal(&plan, &ends, of("news", &other, None)), vocabulary);
    let stranger = StageKey::from_bytes([7; 32]);
    let refused = refusal(&plan, &[stranger], of("news", &news, None));
    assert_eq!(refused, EvaluateError::NoStage { stage: stranger });
    plan.grow(&evaluations(&plan, &ends, &of("news", &news, None)).expect("it is sound"));
    let shorter = refusal(&plan, &ends[..1], of("news", &news, Some(100)));
    assert!(matches!(shorter, EvaluateError::NameTaken { .. }), "{shorter}");
    let again = refusal(&plan, &ends[..1], of("papers", &news, None));
    assert_eq!(again, EvaluateError::NamedAlready { campaign: plan.campaign, known: "news".to_owned() });
    let domain = |name: &str| Domain {
        name: name.to_owned(),
        train_tokens: 1,
        validation_tokens: 300,
        train_bytes: 1,
        validation_bytes: 1,
    };
    plan.dataset.as_mut().expect("it has data").domains = vec![domain("code")];
    assert!(matches!(refusal(&plan, &ends, of("code", &news, None)), EvaluateError::NameOfData { .. }));
}

#[test]
fn of_text_with_domains_as_much_is_measured_as_the_shortest_has() {
    let plan = plan();
    let domain = |name: &str, validation_tokens| Domain {
        name: name.to_owned(),
        train_tokens: 1,
        validation_tokens,
        train_bytes: 1,
        validation_bytes: 1,
    };
    let domains = vec![domain("prose", 700), domain("code", 300)];
    let text = Dataset { domains, ..dataset("both", 1_000) };
    let growth = evaluations(&plan, &ends_of_trials(&plan), &of("both", &text, None)).expect("it is sound");
    assert_eq!(growth.evaluations[0].spec.tokens(), Tokens(300));
}

#[test]
fn evaluations_are_priced_beside_what_is_trained() {
    let (mut plan, news) = (plan(), dataset("news", 3_000));
    let speeds = Speeds { stated: Some(1000.0), ..Speeds::default() };
    let before = price(&plan, &speeds, Some(1));
    assert_eq!(before.evaluations, None);
    plan.grow(&evaluations(&plan, &ends_of_trials(&plan), &of("news", &news, None)).expect("it is sound"));
    let after = price(&plan, &speeds, Some(1));
    let evaluated = after.evaluations.expect("there are some");
    assert_eq!((evaluated.evaluations, evaluated.tokens), (4, Tokens(12_000)));
    assert_eq!(evaluated.device_seconds, Some(4.0), "a forward pass is a third of a step");
    assert_eq!(before.cost, after.cost);
    let [before, after] = [before.wall, after.wall].map(|wall| wall.expect("speeds are known"));
    assert_eq!(after.critical_path_seconds, before.critical_path_seconds + 1.0);
}
