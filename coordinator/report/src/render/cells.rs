//! Tables shared by the terminal and the page, as rows of cells.

use scaling::batch::{BatchFit, IsoLoss};
use vocabulary::metrics::HELD_OUT_LOSSES;
use vocabulary::numbers::three_digits;
use vocabulary::units::human_count;

use crate::conclude::campaign::Campaign;
use crate::conclude::evaluations;
use crate::conclude::measure::{AVERAGE, HeldOut, Measure, Unit, names};
use crate::conclude::points::MeasuredPoint;
use crate::conclude::sets::SetFit;
use crate::render::text::range;

/// The batch-size law as rows: size, loss, best batch, tokens needed, and the reason if there is no best batch.
pub(super) fn batches(law: &BatchFit) -> Vec<Vec<String>> {
    let row = |iso: &IsoLoss| {
        let [batch, tokens, why_not] = match iso.best() {
            Some((batch, tokens)) => [human_count(batch), human_count(tokens), String::new()],
            None => ["-".to_owned(), "-".to_owned(), iso.valley.why_not().unwrap_or_default()],
        };
        vec![iso.size.clone(), format!("{:.3}", iso.loss), batch, tokens, why_not]
    };
    law.iso_losses.iter().map(row).collect()
}

/// The laws as rows in the layout of the paper's table, header first. `None` if no set has a law.
pub(super) fn set_laws(fits: &[(String, SetFit)]) -> Option<Vec<Vec<String>>> {
    let header = ["set", "C_N", "alpha", "C_D", "beta", "L0", "K^2", "eta", "rmse", "D/N", "interval of D/N"];
    let row = |(name, of): &(String, SetFit)| {
        let law = of.parameters;
        let law = [
            law.map(|law| law.c_n),
            law.map(|law| law.alpha),
            law.map(|law| law.c_d),
            law.map(|law| law.beta),
            law.map(|law| law.l0),
        ];
        let rest = [of.k_squared, of.eta, of.rmse];
        let cells = law.into_iter().chain(rest).map(|value| value.map_or_else(|| "-".to_owned(), three_digits));
        let mark = if of.measured == Some(false) { "*" } else { "" };
        let ratio =
            of.tokens_per_param.map_or_else(|| "-".to_owned(), |ratio| format!("{}{mark}", three_digits(ratio)));
        let interval = match (&of.undetermined, of.tokens_per_param_interval) {
            (Some(_), _) => "not determined".to_owned(),
            (None, Some(interval)) => range(interval),
            (None, None) => "-".to_owned(),
        };
        std::iter::once(name.clone()).chain(cells).chain([ratio, interval]).collect()
    };
    let any = fits.iter().any(|(_, of)| of.parameters.is_some());
    any.then(|| std::iter::once(header.map(str::to_owned).to_vec()).chain(fits.iter().map(row)).collect())
}

/// The losses of every trial on each set in nats a byte, as rows, header first.
pub(super) fn set_losses(campaign: &Campaign, points: &[MeasuredPoint]) -> Vec<Vec<String>> {
    let names = names(&campaign.plan);
    let header = ["model", "N", "D", "seed", "peak LR"].into_iter().chain(names.iter().copied()).chain([AVERAGE]);
    let row = |point: &MeasuredPoint| {
        let label = format!("{} {}", point.arm.as_deref().unwrap_or_default(), point.size);
        let (n, d) = (human_count(point.n as f64), human_count(point.d as f64));
        let trial = campaign.plan.trials.iter().find(|trial| trial.id == point.trial);
        let sets = (0..names.len()).map(HeldOut::Domain).map(Some).chain([None]);
        let losses = sets.map(|set| Measure { set, unit: Unit::Byte }).map(|measure| {
            let loss = trial.and_then(|trial| measure.of(campaign, trial));
            loss.map_or_else(|| "-".to_owned(), |loss| format!("{loss:.4}"))
        });
        [label.trim().to_owned(), n, d, point.seed.to_string(), point.peak_lr.to_string()]
            .into_iter()
            .chain(losses)
            .collect()
    };
    std::iter::once(header.map(str::to_owned).collect()).chain(points.iter().map(row)).collect()
}

/// Every trial's loss on each text, in nats a token and a byte, as rows; the first is the header.
pub(super) fn evaluations(campaign: &Campaign, points: &[MeasuredPoint]) -> Vec<Vec<String>> {
    let names = evaluations::names(&campaign.plan);
    let units = |name: &&str| [format!("{name}, a token"), format!("{name}, a byte")];
    let header = ["model", "N", "D", "seed", "peak LR"].map(str::to_owned);
    let header = header.into_iter().chain(names.iter().flat_map(units)).collect();
    let row = |point: &MeasuredPoint| {
        let label = format!("{} {}", point.arm.as_deref().unwrap_or_default(), point.size);
        let (n, d) = (human_count(point.n as f64), human_count(point.d as f64));
        let cells = |name: &&str| {
            let result = evaluations::result(campaign, &point.stage, name);
            HELD_OUT_LOSSES.map(|metric| {
                let loss = result.and_then(|result| result.get(metric));
                loss.map_or_else(|| "-".to_owned(), |loss| format!("{loss:.4}"))
            })
        };
        let of_point = [label.trim().to_owned(), n, d, point.seed.to_string(), point.peak_lr.to_string()];
        of_point.into_iter().chain(names.iter().flat_map(cells)).collect()
    };
    std::iter::once(header).chain(points.iter().map(row)).collect()
}
