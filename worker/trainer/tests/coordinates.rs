//! The coordinate check: what it finds with the scalings and without them, and that it changes nothing.

mod toy;

use minicpm::Compute;
use trainer::coordinates::{Exponent, Measure, Observed, Quantity, Verdict, observe, slopes};
use trainer::{Interrupter, Origin, StageRun};
use vocabulary::{LrSchedule, ModelSpec, StageSpec, TensorProgram, ladder};

const STEPS: u64 = 10;

fn compute() -> Compute {
    Compute::parse("flex", 1).expect("the CPU is always there")
}

fn spec(d_model: u32, program: impl Fn(&vocabulary::Shape) -> TensorProgram) -> StageSpec {
    let shape = ladder::find("tiny-32").and_then(|shape| shape.at_width(d_model)).expect("so many heads of 16");
    let model = ModelSpec { tensor_program: program(&shape), ..toy::spec().model };
    let schedule = LrSchedule::Constant { warmup_steps: 0 };
    StageSpec { model: ModelSpec { shape, ..model }, steps: 0..STEPS, schedule, ..toy::spec() }
}

fn observed(spec: &StageSpec) -> Vec<Observed> {
    observe(spec, &toy::dataset(), &compute(), &Interrupter::new()).expect("trains").expect("is not stopped")
}

/// How far the last step of each width is from the first, as an exponent of the width.
fn change(program: impl Fn(&vocabulary::Shape) -> TensorProgram) -> impl Fn(Quantity) -> Exponent {
    let models = [32, 64, 128, 256].map(|width| (width, observed(&spec(width, &program))));
    let exponents = slopes(&models.each_ref().map(|(width, observed)| (*width, observed.as_slice())));
    move |quantity| {
        let is_last = |exponent: &&Exponent| {
            (exponent.step, exponent.quantity, exponent.measure) == (STEPS, quantity, Measure::Change)
        };
        *exponents.iter().find(is_last).expect("it is there")
    }
}

#[test]
fn with_the_scalings_widths_move_alike() {
    let change = change(|_| TensorProgram { d_base: 32, ..TensorProgram::PAPER });
    // Slopes of 0.00, 0.05, -0.07, 0.00 and 0.04 were seen (a CPU with AVX-512, 2026-11-25).
    for quantity in [Quantity::Embedding, Quantity::Attention, Quantity::Mlp, Quantity::Stream, Quantity::Logits] {
        let found = change(quantity);
        assert_eq!(found.verdict, Verdict::Stable, "{found:?}");
        assert!(found.slope.is_some_and(|slope| slope.abs() < 0.15), "{found:?}");
    }
}

#[test]
fn without_them_wider_models_move_further() {
    let change = change(|shape| TensorProgram::standard(shape, TensorProgram::STANDARD_INIT_STD));
    // Slopes of 1.53, 2.63, 2.20 and 0.51 were seen, likewise.
    for quantity in [Quantity::Attention, Quantity::Mlp, Quantity::Stream, Quantity::Logits] {
        let found = change(quantity);
        assert_eq!(found.verdict, Verdict::Grows, "{found:?}");
    }
    let stream = change(Quantity::Stream);
    assert!(stream.slope.is_some_and(|slope| slope > 1.0), "{stream:?}");
}

#[test]
fn a_model_that_is_watched_trains_as_one_that_is_not() {
    let spec = spec(32, |_| TensorProgram::PAPER);
    let mut run = StageRun::new(&spec, toy::dataset(), &compute(), Origin::Initial).expect("starts");
    let alone: Vec<_> = std::iter::from_fn(|| run.next_step().ok()).map(|step| Some(step.loss.to_bits())).collect();
    let watched = observed(&spec);
    assert_eq!(watched[0].loss, None);
    assert!(watched[0].sizes.values().all(|size| size.size > 0.0 && size.change == 0.0));
    assert_eq!(watched[1..].iter().map(|step| step.loss.map(f64::to_bits)).collect::<Vec<_>>(), alone);
    assert_eq!(watched, observed(&spec), "the same again");
}

#[test]
fn it_stops_when_it_is_told_to() {
    let interrupter = Interrupter::new();
    interrupter.stop(None);
    let stopped = observe(&spec(32, |_| TensorProgram::PAPER), &toy::dataset(), &compute(), &interrupter);
    assert!(stopped.expect("no fault").is_none());
}
