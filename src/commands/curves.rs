//! `windtunnel curves`

use std::collections::BTreeMap;

use proto::v1;
use serde::Serialize;
use vocabulary::{Consecutive, Dynamics, ParamKind};

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::Exit;
use crate::local::reach::with_coordinator;
use crate::views::output::{self, View};

/// Print loss curves: loss, gradient norm and learning rate of every step, and the dynamics where they were recorded
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
    /// Of stages that record.
    #[serde(skip_serializing_if = "Option::is_none")]
    dynamics: Option<Recorded>,
}

/// What was recorded of a step; `null` where a value is not a number.
#[derive(Serialize)]
struct Recorded {
    largest_gradient: f64,
    /// `null` where the step before was not recorded.
    consecutive: Option<Compared>,
    /// Of all weights.
    largest_update: f64,
    /// By kind of parameter, for the kinds that there are.
    largest_updates: BTreeMap<&'static str, f64>,
}

#[derive(Serialize)]
struct Compared {
    gradient_product: f64,
    gradient_cosine: f64,
    d1: f64,
    d2: f64,
    curvature: f64,
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
        let v1::CurvePoint { step, loss, grad_norm, learning_rate, dynamics } = point;
        let dynamics = dynamics.map(|dynamics| Recorded::from(Dynamics::from(&dynamics)));
        Self { step, loss, grad_norm, learning_rate, dynamics }
    }
}

impl From<Dynamics> for Recorded {
    fn from(dynamics: Dynamics) -> Self {
        let consecutive = dynamics.consecutive.map(|consecutive| {
            let Consecutive { product, cosine, d1, d2 } = consecutive;
            Compared { gradient_product: product, gradient_cosine: cosine, d1, d2, curvature: consecutive.curvature() }
        });
        let updates = ParamKind::ALL.into_iter().filter_map(|kind| Some((kind.name(), dynamics.updates.of(kind)?)));
        Self {
            largest_gradient: dynamics.largest_gradient,
            consecutive,
            largest_update: dynamics.updates.largest(),
            largest_updates: updates.collect(),
        }
    }
}

impl Recorded {
    /// The columns of what was recorded, behind those of every curve.
    fn header() -> String {
        let kinds = ParamKind::ALL.map(|kind| format!(",largest_update_{}", kind.name())).concat();
        format!(",largest_gradient,gradient_product,gradient_cosine,d1,d2,curvature,largest_update{kinds}")
    }

    fn columns(&self) -> String {
        let compared = self.consecutive.as_ref();
        let compared = compared.map(|at| [at.gradient_product, at.gradient_cosine, at.d1, at.d2, at.curvature]);
        let kinds = ParamKind::ALL.map(|kind| self.largest_updates.get(kind.name()).copied());
        let values = [Some(self.largest_gradient)]
            .into_iter()
            .chain(compared.map_or([None; 5], |values| values.map(Some)))
            .chain([Some(self.largest_update)])
            .chain(kinds);
        values.map(|value| value.map_or(",".to_owned(), |value| format!(",{value}"))).collect()
    }
}

impl View for Curves {
    /// Comma-separated, so that a plotting program can read it as it is. Where something was recorded there are columns for
    /// it, which are empty at the steps where it was not.
    fn table(&self) -> String {
        let is_recorded = self.stages.iter().flat_map(|curve| &curve.points).any(|point| point.dynamics.is_some());
        let header = if is_recorded { Recorded::header() } else { String::new() };
        let nothing = ",".repeat(header.matches(',').count());
        let mut text = format!("stage,step,loss,grad_norm,learning_rate{header}\n");
        for curve in &self.stages {
            for Point { step, loss, grad_norm, learning_rate, dynamics } in &curve.points {
                let recorded = dynamics.as_ref().map_or(nothing.clone(), Recorded::columns);
                text.push_str(&format!("{},{step},{loss},{grad_norm},{learning_rate}{recorded}\n", curve.stage));
            }
        }
        text
    }
}
