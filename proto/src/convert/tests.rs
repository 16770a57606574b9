//! What goes out comes back, and what is not sound is refused by name.

use proptest::prelude::*;
use prost::Message;
use vocabulary::measure::{MAX_MEASUREMENTS, MAX_ROWS};
use vocabulary::metrics::VALIDATION_LOSS;
use vocabulary::search::{Asha, Dimension, Parameter, Sampler, Scale, Search, SearchBase, Settings, Values};
use vocabulary::{
    AdamW, Attempt, AttemptKey, Batch, CampaignId, CheckpointPolicy, DataSpec, Dataset, DecayShape, DocumentLoss,
    Domain, Evaluation, Keep, LrSchedule, Measured, Measurements, Mixture, ModelSpec, Plan, Precision, Recording,
    Retries, Rows, Shape, Stage, StageKey, StageRole, StageSpec, StartSpec, TensorProgram, Tokens, Trial, TrialId,
    Work, sample,
};

use super::{ConvertError, Problem, attempt, plan as read_plan, reason, sent_plan, work};
use crate::limits::MAX_REASON_BYTES;
use crate::v1;

fn spec(schedule: LrSchedule, floats: [f64; 6], precision: Precision) -> StageSpec {
    let [scale_emb, init_std, peak_lr, rope_theta, weight_decay, eps] = floats;
    let base = sample::stage();
    StageSpec {
        model: ModelSpec {
            shape: Shape { n_heads: 4, n_kv_heads: 2, ..base.model.shape },
            tensor_program: TensorProgram { scale_emb, init_std, ..base.model.tensor_program },
            rope_theta,
            ..base.model
        },
        start: StartSpec::of_seed(u64::MAX),
        data: DataSpec {
            order_seed: 3,
            mixture: Mixture::of(&[peak_lr, 1.0]).map(|mixture| mixture.switched([1, 9_999, 0, 0, 0, 0, 0, 0], 80)),
            ..base.data
        },
        steps: 10..100,
        schedule,
        peak_lr,
        batch: Batch { micro_sequences: 8, ..base.batch },
        optimizer: AdamW { eps, weight_decay, ..base.optimizer },
        precision,
        loss_limit: Some(peak_lr + 9.0),
        recording: (precision == Precision::Bf16).then_some(Recording::Dynamics),
        ..base
    }
}

fn plain_spec() -> StageSpec {
    spec(LrSchedule::Constant { warmup_steps: 3 }, [12.0, 0.1, 0.01, 1e4, 0.1, 1e-8], Precision::Fp32)
}

fn stage_of(spec: StageSpec) -> Stage {
    let parent = StageKey::from_content(b"its parent");
    Stage {
        key: spec.key(Some(&parent)),
        parent: Some(parent),
        spec,
        role: StageRole::Decay,
        size: "tiny".into(),
        seed: 1,
    }
}

fn evaluation_of(stage: &Stage) -> Evaluation {
    let (spec, name, size) = (sample::evaluation(), "news".to_owned(), stage.size.clone());
    Evaluation { key: spec.key(&stage.key), parent: stage.key, spec, name, size, seed: u64::MAX }
}

fn domain() -> Domain {
    Domain {
        name: "prose".into(),
        train_tokens: 1 << 40,
        validation_tokens: 3,
        train_bytes: 1 << 42,
        validation_bytes: 12,
    }
}

fn plan() -> Plan {
    let root = Stage {
        parent: None,
        key: plain_spec().key(None),
        spec: plain_spec(),
        role: StageRole::Whole,
        size: "tiny".into(),
        seed: 0,
    };
    Plan {
        campaign: CampaignId::from_content(b"a campaign"),
        name: "a campaign".into(),
        description: String::new(),
        dataset: Some(Dataset { train_tokens: 1 << 40, domains: vec![domain()], ..sample::dataset() }),
        trials: vec![Trial {
            id: TrialId::from_content(b"a trial"),
            size: "tiny".into(),
            seed: 0,
            n: 1000,
            d: Tokens(2000),
            nominal: Tokens(1999),
            arm: Some("an-arm".to_owned()),
            path: vec![root.key],
            settings: Settings::from([(Parameter::PeakLr, 0.01)]),
        }],
        evaluations: vec![evaluation_of(&root)],
        stages: vec![root],
        retries: Retries { failed: 7, backoff_ms: 1, ..Retries::DEFAULT },
        checkpoints: CheckpointPolicy { quota_bytes: Some(1 << 40), keep: Keep::Best, ..CheckpointPolicy::default() },
        search: Some(Box::new(search())),
    }
}

fn search() -> Search {
    let between = Values::Between { low: 0.001, high: 0.1, scale: Scale::Log };
    Search {
        sampler: Sampler::Tpe,
        trials: 48,
        seed: 3,
        parallel: 4,
        startup: 16,
        space: vec![
            Dimension { parameter: Parameter::PeakLr, values: between },
            Dimension { parameter: Parameter::ScaleEmb, values: Values::Levels { levels: vec![2.0, 12.0] } },
        ],
        pruner: Some(Asha { reduction: 3, rungs: vec![1, 9] }),
        base: SearchBase {
            size: "tiny".into(),
            seed: 0,
            n: 1000,
            nominal: Tokens(1999),
            whole: StageSpec { steps: 0..100, ..plain_spec() },
        },
    }
}

/// Through bytes and back, as if it had travelled.
fn travel<W: Message + Default>(message: &W) -> W {
    W::decode(message.encode_to_vec().as_slice()).expect("what was encoded decodes")
}

fn schedules() -> impl Strategy<Value = LrSchedule> {
    let decays = prop_oneof![
        Just(DecayShape::Linear),
        Just(DecayShape::Exponential),
        Just(DecayShape::Cosine),
        Just(DecayShape::OneMinusSqrt),
        (1..u64::MAX).prop_map(|half_life_steps| DecayShape::HalfLife { half_life_steps }),
    ];
    let periods = (0..u64::MAX / 2, 1..u64::MAX / 2, 0.0..1.0);
    prop_oneof![
        any::<u64>().prop_map(|warmup_steps| LrSchedule::Constant { warmup_steps }),
        (any::<u64>(), any::<u64>(), 1..u64::MAX, decays, 0.0..1.0).prop_map(
            |(warmup_steps, decay_start, decay_steps, decay, floor)| LrSchedule::Wsd {
                warmup_steps,
                decay_start,
                decay_steps,
                decay,
                floor,
            }
        ),
        periods.clone().prop_map(|(warmup_steps, more, floor)| LrSchedule::Cosine {
            warmup_steps,
            period_steps: warmup_steps + more,
            floor
        }),
        periods.prop_map(|(warmup_steps, more, floor)| LrSchedule::CosineLoop {
            warmup_steps,
            period_steps: warmup_steps + more,
            floor
        }),
    ]
}

proptest! {
    #[test]
    fn stages_survive_the_way_to_the_bit(
        schedule in schedules(),
        floats in prop::array::uniform6(1e-12_f64..1e12),
        half in any::<bool>(),
    ) {
        let precision = if half { Precision::Bf16 } else { Precision::Fp32 };
        let stage = stage_of(spec(schedule, floats, precision));
        // Reading derives the key again from the spec, so that equal keys say that every float kept its bits.
        let back = Stage::try_from(travel(&v1::Stage::from(&stage))).expect("a sound stage is accepted");
        prop_assert_eq!(back, stage);
    }
}

#[test]
fn plans_survive_the_way() {
    let sent = |plan: &Plan| read_plan("plan_json", &sent_plan(plan)).expect("a sound plan is accepted");
    assert_eq!(sent(&plan()), plan());
    let unprepared = Plan { dataset: None, ..plan() };
    assert_eq!(sent(&unprepared), unprepared);
}

#[test]
fn measurements_survive_the_way_to_the_bit_whatever_they_are_called() {
    let measured = [
        ("validation_loss", 0.1 + 0.2),
        ("validation_loss/0", f64::NEG_INFINITY),
        ("d2", 1e300),
        ("d1", f64::NAN),
        ("a-metric.of/tomorrow", -0.0),
    ];
    let measured: Measurements =
        measured.into_iter().map(|(name, value)| (name.parse().expect("a name"), value)).collect();
    let back = Measurements::try_from(travel(&v1::StageResult::from(&measured))).expect("is accepted");
    assert_eq!(back, measured);
    assert!(back.get("a-metric.of/tomorrow").expect("comes back").is_sign_negative());
}

#[test]
fn measurements_that_cannot_be_are_refused_by_name() {
    let refused = |names: Vec<String>| {
        let measurements = names.into_iter().map(|name| v1::Measurement { name, value: Some(1.0) }).collect();
        Measurements::try_from(v1::StageResult { measurements, rows: Vec::new() }).expect_err("is refused").to_string()
    };
    let unnamed = refused(vec!["validation_loss".to_owned(), "Not a name".to_owned()]);
    assert!(unnamed.starts_with("measurements[1].name: `Not a name` cannot name a measurement"), "{unnamed}");
    let many = (0..=MAX_MEASUREMENTS).map(|number| format!("a{number}")).collect();
    assert_eq!(refused(many), "measurements: has 257 entries, and 256 are accepted");
}

#[test]
fn what_is_assigned_is_a_stage_or_an_evaluation_and_survives_the_way() {
    let stage = stage_of(plain_spec());
    let evaluation = evaluation_of(&stage);
    let sent = travel(&v1::Evaluation::from(&evaluation));
    assert_eq!(work(None, Some(sent.clone())), Ok(Work::Evaluate(evaluation)));
    assert_eq!(work(Some((&stage).into()), None), Ok(Work::Train(stage.clone())));
    assert_eq!(work(None, None).expect_err("it is neither").to_string(), "stage: is missing");
    let both = work(Some((&stage).into()), Some(sent)).expect_err("it is both");
    assert_eq!(both.to_string(), "evaluation: stands beside a stage");
}

#[test]
fn evaluations_that_are_not_sound_are_refused_by_name() {
    let refused = |change: &dyn Fn(&mut v1::Evaluation)| {
        let mut sent = v1::Evaluation::from(&evaluation_of(&stage_of(plain_spec())));
        change(&mut sent);
        Evaluation::try_from(sent).expect_err("an unsound evaluation is refused").to_string()
    };
    assert_eq!(refused(&|sent| sent.parent.clear()), "parent: is missing");
    let other = StageKey::from_content(b"another").to_string();
    assert!(refused(&|sent| sent.parent = other.clone()).starts_with("key: the stage is named stage_"));
    assert!(
        refused(&|sent| sent.spec_json = "{}".to_owned()).contains("is not understood by this version: missing field")
    );
    let headless = refused(&|sent| sent.spec_json = sent.spec_json.replace("\"n_heads\":2", "\"n_heads\":0"));
    assert_eq!(headless, "spec_json: model.shape.n_heads: has to be above zero");
    let tokens = refused(&|sent| sent.spec_json = sent.spec_json.replace("\"tokens\":2048", "\"tokens\":0"));
    assert_eq!(tokens, "spec_json: task.tokens: has to be above zero");
    let more = refused(&|sent| sent.spec_json = sent.spec_json.replacen('{', "{\"sampler\":1,", 1));
    assert!(more.contains("unknown field `sampler`"), "{more}");
    assert_eq!(refused(&|sent| sent.name = "a\nb".to_owned()), "name: holds control characters");
    let in_plan = refusal(|plan| plan.evaluations[0].parent = StageKey::from_content(b"another")).to_string();
    assert!(in_plan.starts_with("plan_json.evaluations[0].key: the stage is named stage_"), "{in_plan}");
}

fn refusal(change: impl FnOnce(&mut Plan)) -> ConvertError {
    let mut changed = plan();
    change(&mut changed);
    read_plan("plan_json", &sent_plan(&changed)).expect_err("an unsound plan is refused")
}

fn refused_stage(change: impl FnOnce(&mut v1::Stage)) -> ConvertError {
    let mut message = v1::Stage::from(&stage_of(plain_spec()));
    change(&mut message);
    Stage::try_from(message).expect_err("an unsound stage is refused")
}

fn refused_spec(from: &str, to: &str) -> String {
    refused_stage(|stage| {
        assert!(stage.spec_json.contains(from), "{}", stage.spec_json);
        stage.spec_json = stage.spec_json.replacen(from, to, 1);
    })
    .to_string()
}

#[test]
fn a_refusal_names_the_path_of_the_field() {
    let bad_id = refused_stage(|stage| stage.parent = Some("stage_xyz".into()));
    assert_eq!(bad_id.field, "parent");
    assert!(matches!(bad_id.problem, Problem::Id(_)));
    assert_eq!(refused_stage(|stage| stage.key.clear()).to_string(), "key: is missing");
    assert_eq!(refused_stage(|stage| stage.spec_json.clear()).to_string(), "spec_json: is missing");
    assert_eq!(refused_stage(|stage| stage.role = 9).to_string(), "role: 9 is not a known value of StageRole");
    assert_eq!(refused_stage(|stage| stage.role = 0).to_string(), "role: is missing");

    assert_eq!(read_plan("plan_json", "").expect_err("is refused").to_string(), "plan_json: is missing");
    let no_text = read_plan("plan_json", "{").expect_err("is refused");
    assert!(matches!(no_text.problem, Problem::Json { .. }), "{no_text}");
    let pathless = refusal(|plan| plan.trials[0].path.clear());
    assert_eq!(pathless.to_string(), "plan_json.trials[0].path: is missing");
    let searchless = refusal(|plan| plan.search.as_mut().expect("it is a search").space.clear());
    assert_eq!(searchless.field, "plan_json.search");
}

#[test]
fn a_field_or_value_of_a_newer_version_is_named() {
    let said = refused_spec(r#""peak_lr""#, r#""ramp":{"kind":"linear"},"peak_lr""#);
    assert!(said.starts_with("spec_json: is not understood by this version: unknown field `ramp`"), "{said}");
    let said = refused_spec(r#""kind":"constant""#, r#""kind":"power""#);
    assert!(said.starts_with("spec_json: is not understood by this version: unknown variant `power`"), "{said}");
}

#[test]
fn numbers_that_nothing_can_be_trained_with_are_refused() {
    assert_eq!(refused_spec(r#""context":64"#, r#""context":0"#), "spec_json: batch.context: has to be above zero");
    assert_eq!(
        refused_spec(r#""end_step":100"#, r#""end_step":10"#),
        "spec_json: end_step: has to be above start_step"
    );
    let said = refusal(|plan| plan.stages[0].spec.steps = 10..10).to_string();
    assert!(said.contains("end_step: has to be above start_step"), "{said}");
}

#[test]
fn a_stage_under_the_key_of_another_is_refused() {
    let error = refusal(|plan| plan.stages[0].spec.peak_lr *= 2.0);
    assert_eq!(error.field, "plan_json.stages[0].key");
    assert!(matches!(error.problem, Problem::Key { .. }));
    let said = refused_spec(r#""peak_lr":0.01"#, r#""peak_lr":0.02"#);
    assert!(said.starts_with("key: the stage is named stage_"), "{said}");
}

#[test]
fn attempts_survive_the_way_and_count_from_one() {
    let key = AttemptKey { stage: StageKey::from_content(b"a stage"), attempt: Attempt(7) };
    assert_eq!(attempt("attempt", Some(key.into())), Ok(key));
    let refuse = |value| attempt("attempt", value).expect_err("it is refused").to_string();
    assert_eq!(refuse(None), "attempt: is missing");
    assert_eq!(refuse(Some(AttemptKey { attempt: Attempt(0), ..key }.into())), "attempt.attempt: has to be above zero");
}

#[test]
fn texts_for_people_are_lines_of_bounded_length() {
    let refused = |sources: Vec<String>| {
        let sent = v1::Dataset::from(&Dataset { sources: sources.clone(), ..sample::dataset() });
        let said = Dataset::try_from(sent).expect_err("is refused").to_string();
        let of_plan = refusal(|plan| plan.dataset.as_mut().expect("it has data").sources = sources).to_string();
        assert_eq!(of_plan, format!("plan_json.dataset.{said}"));
        said
    };
    assert_eq!(refused(vec!["a\u{1b}[2J".to_owned()]), "sources[0]: holds control characters");
    let long = "x".repeat((16 << 10) + 1);
    assert_eq!(refused(vec![long]), "sources[0]: has 16385 bytes, and 16384 are accepted");
    let many = vec![String::new(); 10_001];
    assert_eq!(refused(many), "sources: has 10001 entries, and 10000 are accepted");
    let armed = refusal(|plan| plan.trials[0].arm = Some("\n".to_owned()));
    assert_eq!(armed.to_string(), "plan_json.trials[0].arm: holds control characters");
}

#[test]
fn long_reasons_are_cut_between_characters() {
    let read = reason(&"é".repeat(MAX_REASON_BYTES));
    assert_eq!(read.len(), MAX_REASON_BYTES);
    assert_eq!(reason("one\r\n\u{1b}[31mtwo"), "one\n[31mtwo");
    assert_eq!(reason(&format!("x{}", "é".repeat(MAX_REASON_BYTES))).len(), MAX_REASON_BYTES - 1);
}

#[test]
fn rows_travel_and_are_bounded() {
    let row = |nats: f64| DocumentLoss { nats, tokens: 3, bytes: u64::MAX };
    let mut rows = Rows::new();
    rows.set(VALIDATION_LOSS.part(1), vec![row(0.1 + 0.2), row(f64::INFINITY)]);
    let measured = Measured { measurements: Measurements::new().with(VALIDATION_LOSS, 1.5), rows };
    let back = Measured::try_from(travel(&v1::StageResult::from(&measured))).expect("is accepted");
    assert_eq!(back, measured);

    let refusal = |count: usize, tokens: usize| {
        let (nats, tokens, bytes) = (vec![1.0; count], vec![1; tokens], vec![1; count]);
        let rows = vec![v1::MeasurementRows { name: "validation_loss".to_owned(), nats, tokens, bytes }];
        let sent = v1::StageResult { measurements: Vec::new(), rows };
        Measured::try_from(sent).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(refusal(MAX_ROWS, MAX_ROWS), Ok(()));
    let problem = refusal(MAX_ROWS + 1, MAX_ROWS + 1).expect_err("too many");
    assert!(problem.starts_with("rows[0].nats: "), "{problem}");
    let problem = refusal(2, 1).expect_err("one is missing");
    assert!(problem.starts_with("rows[0].tokens: "), "{problem}");
}
