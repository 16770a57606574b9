//! What a stage records of its steps: against the formulas, without a trace in its numbers, and across a resume.

mod toy;

use minicpm::Compute;
use trainer::snapshot::DYNAMICS;
use trainer::{Origin, Snapshot, StageRun, StepReport};
use vocabulary::dynamics::{curvature, largest_update};
use vocabulary::metrics::{D1, D2, GRADIENT_COSINE, GRADIENT_PRODUCT, LARGEST_GRADIENT, LARGEST_UPDATE};
use vocabulary::{Measurements, Metric, ParamKind, Recording, StageSpec};

fn recording() -> StageSpec {
    StageSpec { recording: Some(Recording::Dynamics), ..toy::spec() }
}

fn start(spec: &StageSpec, from: Origin<'_>, threads: usize) -> StageRun {
    let compute = Compute::parse("flex", threads).expect("the CPU is always there");
    StageRun::new(spec, toy::dataset(), &compute, from).expect("starts")
}

fn finish(run: &mut StageRun) -> Vec<StepReport> {
    std::iter::from_fn(|| (!run.is_finished()).then(|| run.next_step().expect("steps"))).collect()
}

/// A checkpoint as it comes back from a disk.
fn stored(snapshot: &Snapshot) -> Snapshot {
    Snapshot::from_blobs(snapshot.step, &snapshot.to_blobs().expect("encodes")).expect("decodes")
}

/// What compares a step with the one before it.
const COMPARED: [Metric; 4] = [GRADIENT_PRODUCT, GRADIENT_COSINE, D1, D2];

/// The same without what compares it with the step before.
fn alone(step: &StepReport) -> Measurements {
    let is_compared = |name: &str| COMPARED.iter().any(|metric| metric.name == name);
    let rest = step.measurements.iter().filter(|(name, _)| !is_compared(name.as_str()));
    rest.map(|(name, value)| (name.clone(), value)).collect()
}

/// All weights before a step and its gradient, in 64 bits.
fn position(run: &StageRun) -> (Vec<f64>, Vec<f64>) {
    let weights = run.snapshot().weights().values().flat_map(|tensor| tensor.values.clone()).map(f64::from).collect();
    let gradient = run.gradients().expect("has a step").into_values().flat_map(|tensor| tensor.values).map(f64::from);
    (weights, gradient.collect())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| value.abs().max(largest))
}

#[test]
fn what_is_recorded_follows_the_formulas() {
    let spec = recording();
    let mut run = start(&spec, Origin::Initial, 2);
    let (mut x_before, mut g_before) = position(&run);
    let first = run.next_step().expect("steps");
    assert_eq!(COMPARED.map(|metric| first.measurements.get(metric)), [None; 4], "there is nothing before it");
    assert_eq!(first.measurements.get(LARGEST_GRADIENT), Some(largest(&g_before)));
    while !run.is_finished() {
        let (x, g) = position(&run);
        let step = run.next_step().expect("steps");
        let (found, v) = (&step.measurements, minus(&x, &x_before));
        let [product, cosine, d1, d2] = COMPARED.map(|metric| found.get(metric).expect("it is compared"));
        let norm = dot(&g, &g).sqrt();
        let close = |found: f64, expected: f64, scale: f64| {
            assert!((found - expected).abs() <= 1e-12 * scale, "{found} against {expected} at step {}", step.step);
        };
        close(product, dot(&g, &g_before), norm * dot(&g_before, &g_before).sqrt());
        close(cosine, dot(&g, &g_before) / (norm * dot(&g_before, &g_before).sqrt()), 1.0);
        close(d1, dot(&g, &v) / dot(&v, &v).sqrt(), norm);
        close(d2, dot(&minus(&g, &g_before), &v) / dot(&v, &v), d2.abs().max(1.0) * 10.0);
        let expected = d2.abs() / (1.0 + d1 * d1).powf(1.5);
        close(curvature(found).expect("it is compared"), expected, expected);
        // The norm that training clips by is summed up in 32 bits.
        close(step.grad_norm / norm, 1.0, 1e7);
        assert_eq!(found.get(LARGEST_GRADIENT), Some(largest(&g)));
        (x_before, g_before) = (x, g);
    }
}

#[test]
fn the_largest_update_is_found_for_each_kind_of_parameter() {
    let mut spec = recording();
    for tied in [true, false] {
        spec.model.tied = tied;
        let mut run = start(&spec, Origin::Initial, 1);
        for _ in 0..3 {
            let before = run.snapshot();
            let recorded = run.next_step().expect("steps").measurements;
            let update = |kind: ParamKind| recorded.get(LARGEST_UPDATE.part(kind.name()));
            let after = run.snapshot();
            let mut all = 0.0_f64;
            for kind in ParamKind::ALL {
                let of_kind = after.weights().iter().filter(|(name, _)| ParamKind::of(name) == Some(kind));
                let changes: Vec<f64> = of_kind
                    .flat_map(|(name, after)| after.values.iter().zip(&before.weights()[name].values))
                    .map(|(after, before)| f64::from(*after) - f64::from(*before))
                    .collect();
                let expected = (!changes.is_empty()).then(|| largest(&changes));
                assert_eq!(update(kind), expected, "{kind:?}");
                all = all.max(expected.unwrap_or_default());
            }
            assert!(all > 0.0 && largest_update(&recorded) == Some(all));
            assert_eq!(update(ParamKind::Head).is_some(), !tied);
        }
    }
}

#[test]
fn recording_leaves_no_trace_in_the_numbers() {
    for threads in [1, 3] {
        let (mut plain, mut recorded) =
            (start(&toy::spec(), Origin::Initial, 1), start(&recording(), Origin::Initial, threads));
        let (expected, found) = (finish(&mut plain), finish(&mut recorded));
        let without: Vec<StepReport> =
            found.iter().map(|step| StepReport { measurements: Measurements::new(), ..step.clone() }).collect();
        assert_eq!(without, expected);
        assert!(found.iter().all(|step| !step.measurements.is_empty()));
        assert!(expected.iter().all(|step| step.measurements.is_empty()));
        assert_eq!(recorded.validate().expect("validates"), plain.validate().expect("validates"));
        let (plain, recorded) = (plain.snapshot().to_blobs(), recorded.snapshot().to_blobs());
        let (plain, recorded) = (plain.expect("encodes"), recorded.expect("encodes"));
        assert_eq!(recorded[..2], plain);
        assert_eq!(recorded[2].name, DYNAMICS);
    }
}

#[test]
fn the_number_of_threads_changes_nothing_of_the_record() {
    let run = |threads| finish(&mut start(&recording(), Origin::Initial, threads));
    assert_eq!(run(3), run(1));
}

#[test]
fn a_run_that_was_cut_records_the_same() {
    let spec = recording();
    let mut whole = start(&spec, Origin::Initial, 1);
    let expected = finish(&mut whole);
    for cut in [0, 1, 7, spec.steps.end as usize] {
        let mut first = start(&spec, Origin::Initial, 1);
        let mut steps: Vec<_> = (0..cut).map(|_| first.next_step().expect("steps")).collect();
        let mut second = start(&spec, Origin::Own(&stored(&first.snapshot())), 2);
        steps.extend(finish(&mut second));
        assert_eq!(steps, expected, "cut after {cut} steps");
        assert_eq!(second.snapshot(), whole.snapshot(), "cut after {cut} steps");
    }
}

#[test]
fn a_stage_compares_its_first_step_where_the_one_before_recorded() {
    let whole = recording();
    let expected = finish(&mut start(&whole, Origin::Initial, 1));
    for recording in [None, whole.recording] {
        let mut trunk = start(&StageSpec { steps: 0..10, recording, ..whole.clone() }, Origin::Initial, 1);
        finish(&mut trunk);
        let branch = StageSpec { steps: 10..16, ..whole.clone() };
        let steps = finish(&mut start(&branch, Origin::Parent(&stored(&trunk.snapshot())), 1));
        assert_eq!(steps[1..], expected[11..]);
        let first = if recording.is_some() { expected[10].measurements.clone() } else { alone(&expected[10]) };
        assert_eq!(steps[0].measurements, first);
    }
}
