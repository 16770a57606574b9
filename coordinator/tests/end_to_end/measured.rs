//! A report's input, put together by the client from what a coordinator says.

use client::{CallError, Campaigns, Measured};
use dial::Credentials;
use report::{AnalysisOptions, Conclusion, draw, figures};

use crate::bench::Bench;
use crate::worker::{Worker, loss_at};

async fn measured(bench: &Bench) -> Measured {
    let mut campaigns = Campaigns::connect(bench.handle.url(), &Credentials::default()).await.expect("it listens");
    Measured::fetch(&mut campaigns, "smoke", "a test").await.expect("it is known")
}

#[tokio::test]
async fn a_campaign_becomes_its_points() {
    let mut bench = Bench::new().await;
    let submitted = bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "first").await;
    worker.work(submitted.stages as usize).await;
    worker.settle().await;

    let measured = measured(&bench).await;
    assert_eq!(measured.held_out.len(), submitted.stages as usize, "trunks are measured, too");
    let plan = measured.campaign.plan.clone();
    let csv = Conclusion::of(measured.campaign, &AnalysisOptions::default()).points_csv();
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), plan.trials.len());
    for (row, trial) in rows.iter().zip(&plan.trials) {
        let stage = plan.stage(trial.last_stage()).expect("it is in the plan");
        assert_eq!(row[3].parse(), Ok(loss_at(stage.spec.steps.end)));
        assert_eq!((row[13], row[14]), (stage.key.to_string().as_str(), trial.id.to_string().as_str()));
    }
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn a_campaign_that_runs_has_curves_to_draw_and_no_points() {
    let mut bench = Bench::new().await;
    bench.submit().await;
    let mut worker = Worker::join(&bench.handle, "first").await;
    let job = worker.next_job().await;
    worker.report_points(&job, 0..3).await;
    worker.settle().await;

    let campaign = measured(&bench).await.campaign;
    let (plan, runs) = (&campaign.plan, draw::runs(&campaign.plan));
    let curves = draw::curves(plan, &campaign.curves);
    let begun = plan.stages.iter().position(|stage| stage.key == job.stage.key).expect("it is in the plan");
    assert_eq!(curves[begun], [0, 1, 2].map(|step| (step, loss_at(step))));
    let palette = figures::Palette::of(&runs);
    let drawn = figures::curves(&runs, &curves, &[], draw::settled(plan), &palette).expect("it has a curve");
    let figures::Mark::Series(line) = &drawn.marks[0] else { panic!("{drawn:?}") };
    assert_eq!((line.name.as_str(), line.points.len()), (runs.runs[runs.stages[begun].run].label.as_str(), 3));

    let csv = Conclusion::of(campaign, &AnalysisOptions::default()).points_csv();
    assert_eq!(csv.lines().count(), 1, "{csv}");
    bench.handle.shutdown().await;
}

#[tokio::test]
async fn an_unknown_campaign_is_the_fault_of_who_asked() {
    let bench = Bench::new().await;
    let mut campaigns = Campaigns::connect(bench.handle.url(), &Credentials::default()).await.expect("it listens");
    let error = Measured::fetch(&mut campaigns, "smoke", "a test").await.expect_err("nothing was submitted");
    assert!(error.is_bad_input() && !error.is_retryable(), "{error}");
    let error = Campaigns::connect("gopher://host", &Credentials::default()).await.expect_err("no such address");
    assert!(matches!(error, CallError::Endpoint(_)) && error.is_bad_input(), "{error}");
    bench.handle.shutdown().await;
}
