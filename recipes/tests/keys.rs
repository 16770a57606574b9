//! A stage's key: the same for the same numbers, another one for any other.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;
use vocabulary::{
    AdamW, Batch, DataSpec, DatasetId, DecayShape, LrSchedule, Mixture, ModelSpec, Objective, Precision, Recording,
    Shape, StageKey, StageSpec, StartSpec, TensorProgram,
};

prop_compose! {
    fn shapes()(d_model in 1_u32..4096, d_ff in 1_u32..8192, head_dim in 2_u32..128, heads in 1_u32..64, n_layers in 1_u32..64)
        -> Shape
    {
        Shape { d_model, d_ff, head_dim, n_heads: heads, n_kv_heads: heads, n_layers }
    }
}

fn schedules() -> impl Strategy<Value = LrSchedule> {
    let decays = prop_oneof![
        Just(DecayShape::Linear),
        Just(DecayShape::Exponential),
        (1_u64..1000).prop_map(|half_life_steps| DecayShape::HalfLife { half_life_steps }),
    ];
    (0_u64..100, 100_u64..1000, 1_u64..1000, decays, 0.0..1.0_f64).prop_map(
        |(warmup_steps, decay_start, decay_steps, decay, floor)| LrSchedule::Wsd {
            warmup_steps,
            decay_start,
            decay_steps,
            decay,
            floor,
        },
    )
}

prop_compose! {
    fn specs()(
        shape in shapes(),
        schedule in schedules(),
        vocab in 257_u32..100_000,
        tied in any::<bool>(),
        d_base in 1_u32..1024,
        floats in prop::array::uniform10(1e-9..10.0_f64),
        seeds in any::<[u32; 2]>(),
        start_step in 0_u64..10_000,
        steps in 1_u64..10_000,
        sequences in 1_u32..1024,
        context in 2_u32..8192,
        validation_tokens in 1_u64..1_000_000,
        loss_limit in prop::option::of(1.0..20.0_f64),
        recording in prop::option::of(Just(Recording::Dynamics)),
        weights in prop::option::of(prop::array::uniform3(0.001..1.0_f64)),
    ) -> StageSpec {
        let [scale_emb, scale_depth, init_std, rope_theta, norm_eps, peak_lr, beta, eps, weight_decay, clip_norm] = floats;
        StageSpec {
            model: ModelSpec {
                shape,
                vocab,
                tied,
                tensor_program: TensorProgram { scale_emb, scale_depth, init_std, d_base },
                rope_theta,
                norm_eps,
            },
            start: StartSpec::of_seed(u64::from(seeds[0])),
            data: DataSpec {
                dataset: DatasetId::from_content(&seeds[1].to_le_bytes()),
                order_seed: u64::from(seeds[1]),
                mixture: weights.and_then(|weights| Mixture::of(&weights)),
            },
            objective: Objective::default(),
            steps: start_step..start_step + steps,
            schedule,
            peak_lr,
            batch: Batch { sequences, context, micro_sequences: sequences, lanes: 1 },
            optimizer: AdamW { beta1: beta, beta2: beta / 2.0, eps, weight_decay, clip_norm },
            precision: Precision::Fp32,
            validation_tokens,
            loss_limit,
            recording,
            numerics_version: 1,
        }
    }
}

/// The fields that cannot be changed alone.
const STRICT: [&str; 4] = ["batch.micro_sequences:", "model.shape.n_kv_heads:", "end_step:", "mixture.weights:"];

/// Every way to change one number, text or choice of a JSON value by the smallest amount.
fn nudged(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, field)| {
                nudged(field).into_iter().map(move |field| {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), field);
                    Value::Object(fields)
                })
            })
            .collect(),
        Value::Array(items) => (0..items.len())
            .flat_map(|index| {
                nudged(&items[index]).into_iter().map(move |item| {
                    let mut items = items.clone();
                    items[index] = item;
                    Value::Array(items)
                })
            })
            .collect(),
        Value::Bool(value) => vec![Value::Bool(!value)],
        Value::Number(number) => vec![match number.as_u64() {
            Some(integer) => Value::from(integer + 1),
            None => Value::from(number.as_f64().expect("is a number").next_up()),
        }],
        Value::String(text) => match text.as_str() {
            "fp32" => vec![Value::from("bf16")],
            text if text.starts_with("data_") => {
                vec![Value::from(DatasetId::from_content(text.as_bytes()).to_string())]
            }
            // The tags of schedules and decays: another tag has other fields, so it is another text in any case.
            _ => vec![],
        },
        other => panic!("a stage spec holds no {other}"),
    }
}

fn leaves(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.values().map(leaves).sum(),
        Value::Array(items) => items.iter().map(leaves).sum(),
        _ => 1,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_field_is_in_the_key(spec in specs()) {
        let json = serde_json::to_value(&spec).expect("has a JSON form");
        let changed = nudged(&json);
        // All but the two tags, of the schedule and of its decay, and the one thing there is to record.
        prop_assert_eq!(changed.len(), leaves(&json) - 2 - usize::from(spec.recording.is_some()));
        let mut keys: BTreeSet<StageKey> = BTreeSet::from([spec.key(None)]);
        let recording = if spec.recording.is_some() { None } else { Some(Recording::Dynamics) };
        prop_assert!(keys.insert(StageSpec { recording, ..spec.clone() }.key(None)), "the key does not depend on the recording");
        for value in changed {
            match serde_json::from_value::<StageSpec>(value.clone()) {
                Ok(other) => prop_assert!(keys.insert(other.key(None)), "the key does not depend on a field of {}", value),
                // It no longer fits its neighbours, so no stage has it: those are changed below.
                Err(refused) => prop_assert!(STRICT.iter().any(|field| refused.to_string().starts_with(field)), "{refused}"),
            }
        }
        for change in [
            (|spec| spec.batch.micro_sequences += 1) as fn(&mut StageSpec),
            |spec| spec.batch.lanes += 1,
            |spec| spec.model.shape.n_heads += 2,
            |spec| spec.model.shape.n_kv_heads += 1,
            |spec| spec.steps.start += spec.steps.end,
            |spec| spec.data.mixture.iter_mut().for_each(|mixture| mixture.weights[7] += 1),
        ] {
            let mut other = spec.clone();
            change(&mut other);
            prop_assert!(other == spec || keys.insert(other.key(None)), "the key does not depend on a field of {other:?}");
        }
    }

    #[test]
    fn keys_survive_the_journey_through_json(spec in specs(), parent in any::<[u8; 32]>()) {
        let json = serde_json::to_string(&spec).expect("has a JSON form");
        let back: StageSpec = serde_json::from_str(&json).expect("is a spec");
        let parent = StageKey::from_bytes(parent);
        prop_assert_eq!(back.key(Some(&parent)), spec.key(Some(&parent)));
        prop_assert_ne!(spec.key(Some(&parent)), spec.key(None));
    }
}
