//! What goes out comes back, and what is not sound is refused by name.

use proptest::prelude::*;
use prost::Message;
use vocabulary::search::{Asha, Dimension, Parameter, Sampler, Scale, Search, SearchBase, Settings, Values};
use vocabulary::{
    AdamW, Attempt, Batch, CampaignId, CheckpointPolicy, Consecutive, DataSpec, Dataset, DecayShape, Domain, Dynamics,
    Keep, LargestUpdates, LrSchedule, Mixture, ModelSpec, Plan, Precision, Recording, Retries, SetLoss, SetLosses,
    Shape, Stage, StageKey, StageRole, StageSpec, StartSpec, TensorProgram, Tokens, Trial, TrialId, sample,
};

use super::{ConvertError, Problem, attempt_ref, sent_sets};
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
    assert_eq!(Plan::try_from(travel(&v1::Plan::from(&plan()))).expect("a sound plan is accepted"), plan());
    let unprepared = Plan { dataset: None, ..plan() };
    assert_eq!(Plan::try_from(v1::Plan::from(&unprepared)).expect("it may be without data"), unprepared);
}

#[test]
fn what_is_recorded_survives_the_way_to_the_bit() {
    let consecutive = Consecutive { product: 0.0, cosine: -0.5, d1: f64::NEG_INFINITY, d2: 1e300 };
    for (consecutive, head) in [(None, None), (Some(consecutive), Some(0.0))] {
        let updates = [Some(1.0), Some(2.0), Some(3.0), Some(4.0), Some(5.0), Some(6.0), head];
        let dynamics = Dynamics { largest_gradient: 0.1 + 0.2, consecutive, updates: LargestUpdates::new(updates) };
        assert_eq!(Dynamics::from(&travel(&v1::Dynamics::from(&dynamics))), dynamics);
    }
    let unknown = refused_spec(|spec| spec.recording = Some(9));
    assert_eq!(unknown.to_string(), "stages[0].spec.recording: 9 is not a known value of Recording");
}

fn refusal(change: impl FnOnce(&mut v1::Plan)) -> ConvertError {
    let mut message = v1::Plan::from(&plan());
    change(&mut message);
    Plan::try_from(message).expect_err("an unsound plan is refused")
}

fn refused_spec(change: impl FnOnce(&mut v1::StageSpec)) -> ConvertError {
    refusal(|plan| change(plan.stages[0].spec.as_mut().expect("the stage has a spec")))
}

#[test]
fn a_refusal_names_the_path_of_the_field() {
    let missing = refused_spec(|spec| spec.model.as_mut().expect("it has a model").shape = None);
    assert_eq!(missing.to_string(), "stages[0].spec.model.shape: is missing");

    let bad_id = refusal(|plan| plan.trials[0].path[0] = "stage_xyz".into());
    assert_eq!(bad_id.field, "trials[0].path[0]");
    assert!(matches!(bad_id.problem, Problem::Id(_)));

    let no_id = refusal(|plan| plan.dataset.as_mut().expect("it has data").id.clear());
    assert_eq!(no_id.to_string(), "dataset.id: is missing");

    let bad_enum = refused_spec(|spec| spec.precision = 9);
    assert_eq!(bad_enum.to_string(), "stages[0].spec.precision: 9 is not a known value of Precision");

    let unset_enum = refusal(|plan| plan.stages[0].role = 0);
    assert_eq!(unset_enum.to_string(), "stages[0].role: is missing");
}

#[test]
fn numbers_that_nothing_can_be_trained_with_are_refused() {
    let nan = refused_spec(|spec| spec.peak_lr = f64::NAN);
    assert_eq!((nan.field.as_str(), nan.problem), ("stages[0].spec.peak_lr", Problem::NotFinite));

    let zero = refused_spec(|spec| spec.batch.as_mut().expect("it has a batch").context = 0);
    assert_eq!((zero.field.as_str(), zero.problem), ("stages[0].spec.batch.context", Problem::NotPositive));

    let backwards = refused_spec(|spec| spec.end_step = spec.start_step);
    assert_eq!(backwards.to_string(), "stages[0].spec.end_step: has to be above start_step");

    let text = |json: &str| refused_spec(|spec| spec.schedule = Some(v1::LrSchedule { json: json.to_owned() }));
    assert!(matches!(text("{").problem, Problem::Schedule { .. }));
    let short = text(r#"{"kind":"cosine","warmup_steps":5,"period_steps":5,"floor":0.1}"#);
    assert_eq!(short.field, "stages[0].spec.schedule.json.period_steps");
}

#[test]
fn a_stage_under_the_key_of_another_is_refused() {
    let error = refused_spec(|spec| spec.peak_lr *= 2.0);
    assert_eq!(error.field, "stages[0].key");
    assert!(matches!(error.problem, Problem::Key { .. }));
}

#[test]
fn attempts_survive_the_way_and_count_from_one() {
    let attempt = (StageKey::from_content(b"a stage"), Attempt(7));
    assert_eq!(attempt_ref("attempt", Some(attempt.into())), Ok(attempt));
    let refuse = |value| attempt_ref("attempt", value).expect_err("it is refused").to_string();
    assert_eq!(refuse(None), "attempt: is missing");
    assert_eq!(refuse(Some((attempt.0, Attempt(0)).into())), "attempt.attempt: has to be above zero");
}

#[test]
fn texts_for_people_are_lines_of_bounded_length() {
    let sources = |sources: Vec<String>| {
        refusal(|plan| plan.dataset.as_mut().expect("it has data").sources = sources).to_string()
    };
    assert_eq!(sources(vec!["a\u{1b}[2J".to_owned()]), "dataset.sources[0]: holds control characters");
    let long = "x".repeat((16 << 10) + 1);
    assert_eq!(sources(vec![long]), "dataset.sources[0]: has 16385 bytes, and 16384 are accepted");
    let many = vec![String::new(); 10_001];
    assert_eq!(sources(many), "dataset.sources: has 10001 entries, and 10000 are accepted");
}

#[test]
fn steps_whose_tokens_cannot_be_counted_are_refused() {
    let error = refusal(|plan| {
        plan.stages[0].spec.as_mut().expect("it has a spec").end_step = u64::MAX;
    });
    assert!(matches!(error.problem, Problem::Range { .. }), "{error}");
    assert_eq!(error.field, "stages[0].spec.end_step");
}

#[test]
fn a_mixture_that_no_data_can_serve_is_refused() {
    let refused = |change: fn(&mut v1::Mixture)| {
        let mut spec = v1::StageSpec::from(&plain_spec());
        change(spec.mixture.as_mut().expect("it has one"));
        StageSpec::try_from(spec).expect_err("is refused").to_string()
    };
    assert_eq!(refused(|mixture| mixture.weights[1] -= 1), "mixture.weights: do not add up to the whole");
    assert_eq!(refused(|mixture| mixture.weights[0] = u32::MAX), "mixture.weights: do not add up to the whole");
    assert_eq!(refused(|mixture| mixture.taken = vec![0; 9]), "mixture.taken: has 9 entries, and 8 are accepted");
}

#[test]
fn the_losses_on_the_held_out_sets_come_back_and_are_no_more_than_there_can_be() {
    let sets = SetLosses::of(&[SetLoss { per_token: 3.0, per_byte: 0.75 }, SetLoss { per_token: 2.0, per_byte: 0.1 }]);
    let sets = sets.expect("two fit");
    assert_eq!(super::sets(&sent_sets(&sets)).expect("comes back"), sets);
    let many = vec![v1::SetLoss { per_token: 1.0, per_byte: 1.0 }; 9];
    assert_eq!(super::sets(&many).expect_err("is refused").to_string(), "sets: has 9 entries, and 8 are accepted");
}
