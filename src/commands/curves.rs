//! `windtunnel curves`

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use proto::{ConvertError, v1};
use serde::Serialize;
use vocabulary::metrics::{D1, D2, GRADIENT_COSINE, GRADIENT_PRODUCT, LARGEST_GRADIENT, LARGEST_UPDATE};
use vocabulary::{Measurements, ParamKind, dynamics};

use crate::args::CoordinatorArgs;
use crate::args::Global;
use crate::exit::Exit;
use crate::local::reach::with_reader;
use crate::views::output::{self, View};

/// Print loss curves: loss, gradient norm, learning rate and any recorded dynamics per step
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel curves quickstart > curves.csv
  windtunnel curves quickstart --stage stage_1f2e3d4c --json")]
pub(crate) struct Args {
    /// Name or identifier of the campaign; a prefix is enough
    #[arg(value_parser = crate::args::campaign)]
    campaign: String,

    /// Only this stage (a key prefix is enough); repeatable [default: all stages]
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
    /// `null` if NaN.
    loss: f64,
    grad_norm: f64,
    learning_rate: f64,
    /// For stages that record.
    #[serde(skip_serializing_if = "Option::is_none")]
    dynamics: Option<Recorded>,
    /// What else was recorded; `null` where it is not a number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    measurements: BTreeMap<String, f64>,
}

/// The dynamics of a step; `null` where a value is not a number.
#[derive(Serialize)]
struct Recorded {
    largest_gradient: f64,
    /// `null` if the previous step was not recorded.
    consecutive: Option<Compared>,
    /// Over all weights.
    largest_update: f64,
    /// By kind of parameter, for the kinds present.
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
        let curves = with_reader(global, &self.coordinator, async |campaigns| {
            Ok(campaigns.curves(&self.campaign, &self.stage).await?)
        })?;
        let curve = |(stage, points): (String, Vec<v1::CurvePoint>)| {
            let points = points.into_iter().map(Point::try_from).collect::<Result<_, _>>();
            let points = points.with_context(|| format!("the coordinator's curve of {stage} cannot be read"))?;
            anyhow::Ok(Curve { stage, points })
        };
        let stages = curves.into_iter().map(curve).collect::<Result<_, _>>()?;
        output::print(&Curves { stages }, global.json)?;
        Ok(Exit::Done)
    }
}

impl TryFrom<v1::CurvePoint> for Point {
    type Error = ConvertError;

    fn try_from(point: v1::CurvePoint) -> Result<Self, ConvertError> {
        let v1::CurvePoint { step, loss, grad_norm, learning_rate, measurements } = point;
        let measured = proto::convert::measurements("measurements", measurements)?;
        let others = measured.besides(&dynamics::METRICS).map(|(name, value)| (name.to_string(), value));
        let (dynamics, measurements) = (Recorded::of(&measured), others.collect());
        Ok(Self { step, loss, grad_norm, learning_rate, dynamics, measurements })
    }
}

impl Recorded {
    /// `None` for a step whose dynamics were not recorded.
    fn of(measured: &Measurements) -> Option<Self> {
        let update = |kind: ParamKind| Some((kind.name(), measured.get(LARGEST_UPDATE.part(kind.name()))?));
        Some(Self {
            largest_gradient: measured.get(LARGEST_GRADIENT)?,
            consecutive: Compared::of(measured),
            largest_update: dynamics::largest_update(measured)?,
            largest_updates: ParamKind::ALL.into_iter().filter_map(update).collect(),
        })
    }
}

impl Compared {
    /// `None` where the step before was not recorded.
    fn of(measured: &Measurements) -> Option<Self> {
        Some(Self {
            gradient_product: measured.get(GRADIENT_PRODUCT)?,
            gradient_cosine: measured.get(GRADIENT_COSINE)?,
            d1: measured.get(D1)?,
            d2: measured.get(D2)?,
            curvature: dynamics::curvature(measured)?,
        })
    }
}

impl Recorded {
    /// The columns of the record, after those of every curve.
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
    /// CSV, readable by plotting programs. If any stage records, its columns are present, and empty for steps without a record.
    fn table(&self) -> String {
        let points = || self.stages.iter().flat_map(|curve| &curve.points);
        let header = if points().any(|point| point.dynamics.is_some()) { Recorded::header() } else { String::new() };
        let nothing = ",".repeat(header.matches(',').count());
        let others: BTreeSet<&String> = points().flat_map(|point| point.measurements.keys()).collect();
        let mut text = format!("stage,step,loss,grad_norm,learning_rate{header}");
        others.iter().for_each(|name| text.extend([",", name]));
        text.push('\n');
        for curve in &self.stages {
            for Point { step, loss, grad_norm, learning_rate, dynamics, measurements } in &curve.points {
                let recorded = dynamics.as_ref().map_or(nothing.clone(), Recorded::columns);
                let value =
                    |name: &&String| measurements.get(*name).map_or(",".to_owned(), |value| format!(",{value}"));
                let others: String = others.iter().map(value).collect();
                text.push_str(&format!(
                    "{},{step},{loss},{grad_norm},{learning_rate}{recorded}{others}\n",
                    curve.stage
                ));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_under_a_new_name_gets_a_column_and_a_field_of_its_own() {
        let point =
            |step, measurements| v1::CurvePoint { step, loss: 2.5, grad_norm: 0.5, learning_rate: 0.1, measurements };
        let sparsity = v1::Measurement { name: "sparsity/0".to_owned(), value: Some(0.25) };
        let points =
            [point(0, Vec::new()), point(1, vec![sparsity])].map(|point| Point::try_from(point).expect("is sound"));
        let curves = Curves { stages: vec![Curve { stage: "stage_1".to_owned(), points: points.into() }] };
        let table =
            "stage,step,loss,grad_norm,learning_rate,sparsity/0\nstage_1,0,2.5,0.5,0.1,\nstage_1,1,2.5,0.5,0.1,0.25\n";
        assert_eq!(curves.table(), table);
        let json = serde_json::to_value(&curves.stages[0].points).expect("serialises");
        let expected = serde_json::json!([
            { "step": 0, "loss": 2.5, "grad_norm": 0.5, "learning_rate": 0.1 },
            { "step": 1, "loss": 2.5, "grad_norm": 0.5, "learning_rate": 0.1, "measurements": { "sparsity/0": 0.25 } },
        ]);
        assert_eq!(json, expected);
    }
}
