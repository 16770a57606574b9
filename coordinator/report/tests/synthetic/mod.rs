//! A campaign that nobody trained: losses that were measured once, and curves made to fit.

use std::collections::BTreeMap;
use std::path::Path;

use recipes::{Recipe, expand};
use report::{Campaign, CurvePoint, Progress};
use vocabulary::metrics::{VALIDATION_LOSS, VALIDATION_LOSS_PER_BYTE};
use vocabulary::{Dataset, DatasetId, Domain, Measurements, Plan, StageKey};

/// Five sizes by seven amounts of data.
const FIVE_BY_SEVEN: &str = r#"
name = "quickstart"
description = "A scaling law on the documentation of the Rust toolchain: 5 sizes by 7 amounts of data."
seeds = [0]

[data]
sources = ["toolchain-docs"]
vocab = 512
validation_fraction = 0.06
validation_tokens = 131_072

[model]
sizes = ["tiny-32", "tiny-48", "tiny-64", "tiny-96", "tiny-128"]
d_base = 32

[points]
tokens = [500_000, 700_000, 1_000_000, 1_400_000, 2_000_000, 2_800_000, 4_000_000]

[schedule]
kind = "wsd"
warmup_steps = 50
floor = 0.1

[schedule.decay]
shape = "linear"
fraction = 0.1
counted = "inside"

[batch]
sequences = 16
context = 64

[optimizer]
peak_lr = [0.01]
"#;

/// Its decayed losses, from a PyTorch trainer.
const LOSSES: [[f64; 7]; 5] = [
    [3.4258, 3.2878, 3.1869, 3.0960, 3.0214, 2.9643, 2.9107],
    [3.2144, 3.0723, 2.9527, 2.8619, 2.7859, 2.7089, 2.6530],
    [3.1014, 2.9560, 2.8311, 2.7363, 2.6582, 2.5880, 2.5281],
    [2.9581, 2.8108, 2.6873, 2.5901, 2.5117, 2.4406, 2.3749],
    [2.9276, 2.7720, 2.6374, 2.5356, 2.4436, 2.3740, 2.3057],
];
const BYTES_A_TOKEN: f64 = 2.02;

/// A recipe that comes with Windtunnel, under a name that is the same on every machine.
fn recipe(name: &str) -> Recipe {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../recipes")).join(name);
    let text = std::fs::read_to_string(path).expect("is there");
    Recipe::parse(&format!("recipes/{name}"), &text).unwrap_or_else(|error| panic!("{error}"))
}

/// A campaign of a recipe's text, with the given final losses in the plan's order.
pub(crate) fn campaign(recipe: &Recipe, losses: &[f64]) -> Campaign {
    let held_out = recipe.data().validation_tokens;
    let domain = |name: &str| Domain {
        name: name.to_owned(),
        train_tokens: 4_000_000,
        validation_tokens: held_out,
        train_bytes: 12_000_000,
        validation_bytes: 3 * held_out,
    };
    let dataset = Dataset {
        id: DatasetId::from_content(b"a text"),
        vocab: recipe.data().vocab.expect("it trains its tokenizer"),
        train_tokens: 4_000_000,
        validation_tokens: held_out,
        train_bytes: (4_000_000.0 * BYTES_A_TOKEN) as u64,
        validation_bytes: (held_out as f64 * BYTES_A_TOKEN) as u64,
        sources: recipe.data().all_sources(),
        domains: recipe.data().domain_names().into_iter().map(domain).collect(),
    };
    let plan = expand(recipe, &dataset).expect("expands");
    let result = |loss: &f64| {
        Measurements::new().with(VALIDATION_LOSS, *loss).with(VALIDATION_LOSS_PER_BYTE, loss / BYTES_A_TOKEN)
    };
    Campaign {
        results: plan.trials.iter().map(|trial| trial.id).zip(losses.iter().map(result)).collect(),
        rows: BTreeMap::new(),
        early: BTreeMap::new(),
        evaluations: BTreeMap::new(),
        progress: Progress { tokens_trained: plan.cost().tokens.0, ..Progress::default() },
        curves: curves(&plan),
        dynamics: BTreeMap::new(),
        recipe_file: recipe.file().to_owned(),
        recipe_text: recipe.text().to_owned(),
        program: "windtunnel 0.0.0".to_owned(),
        plan,
    }
}

/// Five sizes by seven amounts of data, all points measured.
pub(crate) fn quickstart() -> Campaign {
    let recipe = Recipe::parse("recipes/quickstart.toml", FIVE_BY_SEVEN).unwrap_or_else(|error| panic!("{error}"));
    campaign(&recipe, LOSSES.as_flattened())
}

/// The recipe `smoke`, whose two sizes determine no law.
pub(crate) fn smoke() -> Campaign {
    campaign(&recipe("smoke.toml"), &[5.1, 4.9, 4.7, 5.0, 4.7, 4.4])
}

/// Training losses that fall with the tokens, and by up to 0.2 more as the learning rate decays, with the noise of a batch.
fn curves(plan: &Plan) -> BTreeMap<StageKey, Vec<CurvePoint>> {
    let curve = |stage: &vocabulary::Stage| {
        let n = stage.spec.model.shape.non_embedding_params() as f64;
        let steps = stage.spec.steps.clone();
        let points = steps.map(|step| {
            let tokens = (step + 1) as f64 * stage.spec.batch.tokens() as f64;
            let law = 47.2 * n.powf(-0.398) + 947.0 * tokens.powf(-0.535) + 1.9;
            let start = 6.24 / (1.0 + step as f64 / 8.0);
            let decay = 0.2 * (1.0 - stage.spec.schedule.factor(step).powf(0.7)) * f64::from(u8::from(step > 60));
            let noise = 0.05 * ((step * 7919 % 101) as f64 / 50.0 - 1.0);
            CurvePoint { step, loss: law.min(6.24).max(start) + noise - decay }
        });
        (stage.key, points.collect())
    };
    plan.stages.iter().map(curve).collect()
}
