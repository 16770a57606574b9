//! Writes the fuzzer's initial corpus: a few valid inputs of each kind.

use std::fs;
use std::path::Path;

use prost::Message;
use proto::convert::sent_plan;
use proto::manifest::{BlobEntry, CheckpointManifest};
use proto::v1::{self, WorkerMessage, worker_message::Body};
use recipes::{Recipe, sketch};
use vocabulary::{Attempt, AttemptKey, DatasetManifest, Evaluation, StageKey, WorkerId, sample};

const RECIPES: [&str; 4] = ["smoke", "quickstart", "paper/scaling-law", "cpu/schedules"];

fn main() -> std::io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let write = |target: &str, name: &str, content: &[u8]| {
        let dir = here.join("corpus").join(target);
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(name), content)
    };
    for name in RECIPES {
        write(
            "recipe",
            name.rsplit('/').next().unwrap_or(name),
            &fs::read(here.join(format!("../../recipes/{name}.toml")))?,
        )?;
    }

    let stage = StageKey::from_content(b"a stage");
    let blob = |name: &str| BlobEntry { name: name.to_owned(), bytes: 12, blake3: "0a".repeat(32) };
    let blobs = vec![blob("weights.safetensors"), blob("optimizer.safetensors")];
    write(
        "manifest",
        "two-blobs",
        &CheckpointManifest::new(AttemptKey { stage, attempt: Attempt(2) }, 140, blobs).to_json(),
    )?;
    write(
        "manifest",
        "none",
        &CheckpointManifest::new(AttemptKey { stage, attempt: Attempt(1) }, 0, Vec::new()).to_json(),
    )?;

    let text = fs::read_to_string(here.join("../../recipes/smoke.toml"))?;
    let plan = Recipe::parse("smoke.toml", &text).and_then(|recipe| sketch(&recipe)).map_err(std::io::Error::other)?;
    let kinds = [("plan", 0, sent_plan(&plan).into_bytes())];
    let stages = plan.stages.iter().take(2).enumerate().flat_map(|(index, stage)| {
        [(index, "stage", 1, v1::Stage::from(stage).encode_to_vec()), (index, "spec", 2, stage.spec.to_json())]
    });
    for (name, kind, bytes) in kinds {
        write("wire", name, &[&[kind], bytes.as_slice()].concat())?;
    }
    for (index, name, kind, bytes) in stages {
        write("wire", &format!("{name}-{index}"), &[&[kind], bytes.as_slice()].concat())?;
    }
    let spec = sample::evaluation();
    let evaluation = Evaluation {
        key: spec.key(&stage),
        parent: stage,
        spec: spec.clone(),
        name: "news".to_owned(),
        size: "tiny-16".to_owned(),
        seed: 0,
    };
    write("wire", "evaluation-spec", &[&[6], spec.to_json().as_slice()].concat())?;
    write("wire", "evaluation", &[&[7], v1::Evaluation::from(&evaluation).encode_to_vec().as_slice()].concat())?;
    let key = AttemptKey { stage, attempt: Attempt(3) };
    let attempt = Some(v1::AttemptRef::from(key));
    write("wire", "attempt", &[&[4], v1::AttemptRef::from(key).encode_to_vec().as_slice()].concat())?;

    let measurements = vec![v1::Measurement { name: "largest_update/qkv".to_owned(), value: Some(f64::NAN) }];
    let row =
        v1::MeasurementRows { name: "validation_loss".to_owned(), nats: vec![6.5], tokens: vec![2], bytes: vec![7] };
    let result = v1::StageResult { measurements: measurements.clone(), rows: vec![row] };
    let point = |step| v1::CurvePoint {
        step,
        loss: 6.5,
        grad_norm: 1.5,
        learning_rate: 0.01,
        measurements: measurements.clone(),
    };
    let points = v1::CurvePoints { attempt: attempt.clone(), points: (0..3).map(point).collect() };
    let bodies = [
        Body::CurvePoints(points),
        Body::AttemptReleased(v1::AttemptReleased { attempt: attempt.clone() }),
        Body::StageCompleted(v1::StageCompleted { attempt: attempt.clone(), result: Some(result) }),
        Body::StageDiverged(v1::StageDiverged { attempt, step: 3, loss: f64::INFINITY }),
    ];
    let (mut records, mut file) =
        (vec![1], [&[0], outbox::header(&WorkerId::from_bytes(*b"fuzzfuzz")).as_slice()].concat());
    for (index, body) in bodies.into_iter().enumerate() {
        let message = WorkerMessage { sequence: index as u64 + 1, body: Some(body) }.encode_to_vec();
        write("wire", &format!("worker-{index}"), &[&[5], message.as_slice()].concat())?;
        file.extend(outbox::record(&message));
        records.push(message.len() as u8);
        records.extend(message);
    }
    write("spool", "file", &file)?;
    write("spool", "records", &records)?;

    let shard = fuzz::seed::npy(&[0, 1, 2, 3, 0]);
    write("shard", "shard", &[&[1, 5], shard.as_slice()].concat())?;
    let manifest = fuzz::seed::manifest(5, shard.len());
    write("shard", "manifest", &[&[0], manifest.as_bytes()].concat())?;
    // One shard is both parts of that dataset, and nobody sends two files of a name.
    write("dataset", "twice", manifest.as_bytes())?;
    let apart = manifest.replacen("shard.npy", "train.npy", 1);
    let mut sound: DatasetManifest = serde_json::from_str(&apart).map_err(std::io::Error::other)?;
    sound.dataset.id = sound.content_id();
    write("dataset", "sound", &serde_json::to_vec(&sound).map_err(std::io::Error::other)?)?;
    sound.tokenizer.name = "../tokenizer.json".to_owned();
    sound.dataset.id = sound.content_id();
    write("dataset", "elsewhere", &serde_json::to_vec(&sound).map_err(std::io::Error::other)?)
}
