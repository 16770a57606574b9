//! The form never changes, what goes out comes back, and what is not sound is refused by name.

use serde_json::{Value, json};

use super::*;
use crate::mixture::Mixture;
use crate::objective::Term;
use crate::sample;
use crate::sample::stage as spec;
use crate::schedule::DecayShape;
use crate::surgery::Surgery;

fn with_mixture(weights: &[f64]) -> StageSpec {
    StageSpec { data: DataSpec { mixture: Mixture::of(weights), ..spec().data }, ..spec() }
}

fn with_z_loss(weight: f64) -> StageSpec {
    let objective = Objective::new(vec![Term::NextToken, Term::ZLoss { weight }]).expect("two terms");
    StageSpec { objective, ..spec() }
}

fn untied() -> StageSpec {
    StageSpec {
        model: ModelSpec { tied: false, ..sample::model() },
        start: StartSpec { surgery: vec![Surgery::Untie], ..spec().start },
        steps: 50..100,
        ..spec()
    }
}

#[test]
fn keys_depend_on_the_spec_and_on_the_parent() {
    let root = spec().key(None);
    assert_eq!(root, spec().key(None));
    assert_ne!(root, spec().key(Some(&root)));
    assert_ne!(root, StageSpec { peak_lr: 0.01 + 1e-18_f64.max(f64::EPSILON), ..spec() }.key(None));
}

#[test]
fn the_key_of_a_known_spec_never_changes() {
    // A change here means that every result in every store is orphaned. Raise NUMERICS_VERSION rather than edit this
    // line, unless the form of the spec itself had to change.
    assert_eq!(spec().key(None).short(), "stage_a2850851");
}

#[test]
fn a_loss_diverges_above_the_limit_and_where_it_is_no_number() {
    let limited = StageSpec { loss_limit: Some(9.5), ..spec() };
    assert_eq!([9.5, 9.5_f64.next_up(), f64::NAN].map(|loss| limited.diverges_with(loss)), [false, true, true]);
    assert_eq!([1e9, f64::INFINITY].map(|loss| spec().diverges_with(loss)), [false, true]);
    assert_ne!(limited.key(None), spec().key(None));
}

#[test]
fn a_mixture_is_part_of_the_key() {
    let of = |weights: &[f64]| with_mixture(weights).key(None);
    assert_ne!(of(&[1.0, 1.0]), spec().key(None));
    assert_ne!(of(&[1.0, 1.0]), of(&[1.0, 2.0]));
    assert_eq!(of(&[1.0, 1.0]), of(&[0.5, 0.5]));
}

#[test]
fn an_objective_and_a_surgery_are_part_of_the_key() {
    let keys = [spec(), with_z_loss(1e-4), with_z_loss(1e-3), untied()].map(|spec| spec.key(None));
    for (index, key) in keys.iter().enumerate() {
        assert!(!keys[..index].contains(key));
    }
    let plain = StageSpec { start: StartSpec::of_seed(0), ..untied() };
    assert_ne!(plain.key(None), untied().key(None));
}

#[test]
fn specs_survive_json() {
    for spec in [spec(), with_mixture(&[0.3, 0.7]), with_z_loss(1e-4), untied()] {
        assert_eq!(StageSpec::from_json(&spec.to_json()), Ok(spec.clone()));
        let json = serde_json::to_string(&spec).expect("serialises");
        assert_eq!(serde_json::from_str::<StageSpec>(&json).expect("parses"), spec);
    }
}

/// The bytes of commit f53a51d, whose struct was the form: field by field in the order of its declaration.
#[test]
fn the_bytes_of_known_specs_never_change() {
    let data = sample::dataset().id;
    let model = r#""model":{"shape":{"d_model":32,"d_ff":80,"head_dim":16,"n_heads":2,"n_kv_heads":2,"n_layers":2},"vocab":512,"tied":true,"tensor_program":{"scale_emb":12.0,"scale_depth":1.4,"init_std":0.1,"d_base":256},"rope_theta":10000.0,"norm_eps":0.00001}"#;
    let between = r#""batch":{"sequences":16,"context":64,"micro_sequences":16},"optimizer":{"beta1":0.9,"beta2":0.95,"eps":1e-8,"weight_decay":0.1,"clip_norm":1.0},"precision":"fp32","validation_tokens":1024"#;
    let json = |spec: &StageSpec| String::from_utf8(spec.to_json()).expect("JSON is text");

    let trunk = r#""start_step":0,"end_step":100,"schedule":{"kind":"constant","warmup_steps":10},"peak_lr":0.01"#;
    let plain =
        format!(r#"{{{model},"init_seed":0,"data":"{data}","order_seed":0,{trunk},{between},"numerics_version":2}}"#);
    assert_eq!(json(&spec()), plain);

    let everything = StageSpec {
        start: StartSpec::of_seed(7),
        steps: 90..100,
        schedule: LrSchedule::Wsd {
            warmup_steps: 0,
            decay_start: 90,
            decay_steps: 10,
            decay: DecayShape::HalfLife { half_life_steps: 3 },
            floor: 0.1,
        },
        peak_lr: 3e-3,
        loss_limit: Some(9.5),
        recording: Some(Recording::Dynamics),
        ..with_mixture(&[0.3, 0.7])
    };
    let decay = r#""start_step":90,"end_step":100,"schedule":{"kind":"wsd","warmup_steps":0,"decay_start":90,"decay_steps":10,"decay":{"shape":"half_life","half_life_steps":3},"floor":0.1},"peak_lr":0.003"#;
    let optional = r#""loss_limit":9.5,"recording":"dynamics","mixture":{"weights":[3000,7000,0,0,0,0,0,0],"from_sequence":0,"taken":[0,0,0,0,0,0,0,0]}"#;
    let full = format!(
        r#"{{{model},"init_seed":7,"data":"{data}","order_seed":0,{decay},{between},{optional},"numerics_version":2}}"#
    );
    assert_eq!(json(&everything), full);
    assert_eq!(StageSpec::from_json(full.as_bytes()), Ok(everything));
}

#[test]
fn what_is_not_the_default_is_written_above_the_numerics_version() {
    let tail = |spec: StageSpec| {
        let json = String::from_utf8(spec.to_json()).expect("JSON is text");
        json.split_once(r#""validation_tokens":1024,"#).expect("it has that field").1.to_owned()
    };
    assert_eq!(tail(spec()), r#""numerics_version":2}"#);
    assert_eq!(
        tail(with_z_loss(1e-4)),
        r#""objective":[{"kind":"next_token"},{"kind":"z_loss","weight":0.0001}],"numerics_version":2}"#
    );
    assert_eq!(tail(untied()), r#""surgery":[{"kind":"untie"}],"numerics_version":2}"#);
}

/// What is said about the sample after a change of its JSON.
fn refused(change: impl FnOnce(&mut Value)) -> String {
    let mut json: Value = serde_json::from_slice(&spec().to_json()).expect("it is JSON");
    change(&mut json);
    StageSpec::from_json(json.to_string().as_bytes()).expect_err("it is refused").to_string()
}

#[test]
fn fields_that_this_version_does_not_know_are_named() {
    let said = refused(|spec| spec["distillation"] = json!({}));
    assert!(said.starts_with("unknown field `distillation`, expected one of `model`"), "{said}");
    let said = refused(|spec| spec["model"]["experts"] = json!(8));
    assert!(said.starts_with("unknown field `experts`"), "{said}");
    let said = refused(|spec| spec["schedule"]["phase"] = json!(8));
    assert!(said.starts_with("unknown field `phase`"), "{said}");
    let said = refused(|spec| spec["surgery"] = json!([{ "kind": "rope" }]));
    assert!(said.starts_with("unknown variant `rope`, expected `untie`"), "{said}");
    let said = refused(|spec| spec["objective"] = json!([{ "kind": "preference" }]));
    assert!(said.starts_with("unknown variant `preference`, expected `next_token` or `z_loss`"), "{said}");
}

#[test]
fn numbers_that_nothing_can_be_trained_with_are_refused() {
    let said = refused(|spec| _ = spec.as_object_mut().expect("an object").remove("peak_lr"));
    assert!(said.starts_with("missing field `peak_lr`"), "{said}");
    let said = refused(|spec| spec["peak_lr"] = Value::Null);
    assert!(said.starts_with("invalid type: null, expected f64"), "{said}");
    assert_eq!(refused(|spec| spec["peak_lr"] = json!(0.0)), "peak_lr: has to be above zero");
    assert_eq!(refused(|spec| spec["loss_limit"] = json!(-1.0)), "loss_limit: has to be above zero");
    assert_eq!(refused(|spec| spec["batch"]["context"] = json!(0)), "batch.context: has to be above zero");
    let said = refused(|spec| spec["batch"]["micro_sequences"] = json!(3));
    assert_eq!(said, "batch.micro_sequences: has to divide sequences");
    let said = refused(|spec| spec["model"]["shape"]["n_kv_heads"] = json!(4));
    assert_eq!(said, "model.shape.n_kv_heads: has to divide n_heads");
    assert_eq!(refused(|spec| spec["end_step"] = json!(0)), "end_step: has to be above start_step");
    let said = refused(|spec| spec["end_step"] = json!(u64::MAX));
    assert_eq!(said, "end_step: is so many steps that their tokens cannot be counted");
    let said = refused(|spec| {
        spec["schedule"] = json!({ "kind": "cosine", "warmup_steps": 5, "period_steps": 5, "floor": 0.1 });
    });
    assert_eq!(said, "schedule.period_steps: has to be above warmup_steps");
    let infinite = StageSpec { optimizer: AdamW { eps: f64::INFINITY, ..spec().optimizer }, ..spec() };
    let problem = SpecProblem::NotFinite;
    assert_eq!(infinite.check(), Err(SpecError::Field { field: "optimizer.eps", problem }));
}

#[test]
fn a_mixture_that_no_data_can_serve_is_refused() {
    let mixture = |weights: [u32; 8]| json!({ "weights": weights, "from_sequence": 0, "taken": vec![0; 8] });
    let said = |weights| refused(|spec| spec["mixture"] = mixture(weights));
    assert_eq!(said([5000, 4999, 0, 0, 0, 0, 0, 0]), "mixture.weights: do not add up to the whole");
    assert_eq!(said([u32::MAX, 10_001, 0, 0, 0, 0, 0, 0]), "mixture.weights: do not add up to the whole");
}

#[test]
fn a_surgery_needs_a_parent_and_leads_to_the_model() {
    let untie = json!([{ "kind": "untie" }]);
    let said = refused(|spec| spec["surgery"] = untie.clone());
    assert_eq!(said, "surgery: needs a parent's checkpoint, and the stage has no parent");
    let said = refused(|spec| {
        spec["surgery"] = untie.clone();
        spec["start_step"] = json!(50);
    });
    assert_eq!(said, "surgery: unties the head of a model whose head is tied");
    let twice = StartSpec { surgery: vec![Surgery::Untie; 2], ..untied().start };
    let problem = SpecProblem::Conflict("unties a head that is untied already");
    assert_eq!(StageSpec { start: twice, ..untied() }.check(), Err(SpecError::Field { field: "surgery", problem }));
}
