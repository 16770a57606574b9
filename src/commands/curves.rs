//! `windtunnel curves`

use proto::v1;
use serde::Serialize;

use crate::cli::Global;
use crate::client::{CoordinatorArgs, with_coordinator};
use crate::exit::Exit;
use crate::output::{self, View};

/// Print loss curves: loss, gradient norm and learning rate of every step
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel curves quickstart > curves.csv
  windtunnel curves quickstart --stage stage_1f2e3d4c --json")]
pub(crate) struct Args {
    /// The campaign's name, its identifier, or the beginning of it
    campaign: String,

    /// Only this stage: its key, or the beginning of it. May be given more than once [default: all stages]
    #[arg(long, value_name = "KEY")]
    stage: Vec<String>,

    #[command(flatten)]
    coordinator: CoordinatorArgs,
}

#[derive(Serialize)]
struct Curves {
    stages: Vec<Curve>,
}

#[derive(Serialize)]
struct Curve {
    stage: String,
    points: Vec<Point>,
}

#[derive(Serialize)]
struct Point {
    step: u64,
    /// `null` where it is not a number.
    loss: f64,
    grad_norm: f64,
    learning_rate: f64,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let curves = with_coordinator(global, &self.coordinator, async |campaigns| {
            Ok(campaigns.curves(&self.campaign, &self.stage).await?)
        })?;
        let stages = curves
            .into_iter()
            .map(|(stage, points)| Curve { stage, points: points.into_iter().map(Point::from).collect() });
        output::print(&Curves { stages: stages.collect() }, global.json)?;
        Ok(Exit::Done)
    }
}

impl From<v1::CurvePoint> for Point {
    fn from(point: v1::CurvePoint) -> Self {
        let v1::CurvePoint { step, loss, grad_norm, learning_rate } = point;
        Self { step, loss, grad_norm, learning_rate }
    }
}

impl View for Curves {
    /// Comma-separated, so that a plotting program can read it as it is.
    fn table(&self) -> String {
        let mut text = "stage,step,loss,grad_norm,learning_rate\n".to_owned();
        for curve in &self.stages {
            for Point { step, loss, grad_norm, learning_rate } in &curve.points {
                text.push_str(&format!("{},{step},{loss},{grad_norm},{learning_rate}\n", curve.stage));
            }
        }
        text
    }
}
