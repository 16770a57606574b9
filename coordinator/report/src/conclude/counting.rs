//! What N and C count.

use scaling::Cost;
use vocabulary::Plan;

use super::points::MeasuredPoint;

/// What N counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CountedN {
    /// Parameters without the embedding and the output layer.
    #[default]
    NonEmbedding,
    /// All parameters.
    Total,
}

/// What C counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CountedFlops {
    /// 6ND.
    #[default]
    SixNd,
    /// The operations of the trained models, attention and output layer included; between the sizes, a power of N.
    Exact,
}

/// What N and C count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counting {
    pub n: CountedN,
    pub flops: CountedFlops,
}

impl Counting {
    /// N of a point, as a number of this plan's parameters.
    pub(crate) fn n(self, plan: &Plan, point: &MeasuredPoint) -> f64 {
        match (self.n, plan.stage(&point.stage)) {
            (CountedN::Total, Some(stage)) => {
                let model = &stage.spec.model;
                model.shape.total_params(model.vocab, model.tied) as f64
            }
            _ => point.n as f64,
        }
    }

    /// What a budget pays for: 6ND if the points have fewer than two sizes, since no law is fitted then.
    pub(crate) fn cost(self, plan: &Plan, points: &[&MeasuredPoint]) -> Cost {
        let per_token = |point: &&MeasuredPoint| {
            let spec = &plan.stage(&point.stage)?.spec;
            let flops = spec.model.shape.training_flops_per_token(spec.model.vocab, spec.batch.context).0;
            Some((self.n(plan, point), flops))
        };
        match self.flops {
            CountedFlops::SixNd => Cost::SixNd,
            CountedFlops::Exact => {
                let mut models: Vec<(f64, f64)> = points.iter().filter_map(per_token).collect();
                models.sort_by(|a, b| a.0.total_cmp(&b.0));
                models.dedup();
                Cost::through(&models).unwrap_or_default()
            }
        }
    }

    /// What N counts, in words.
    pub(crate) fn meaning_of_n(self) -> &'static str {
        match self.n {
            CountedN::NonEmbedding => "parameters without the embedding and the output layer, gains of RMSNorm counted",
            CountedN::Total => "all parameters, the embedding and the output layer counted",
        }
    }
}
