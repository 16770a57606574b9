//! Campaigns that search.

use recipes::Recipe;
use recipes::search::{Outcome, TrialEnd, grow};
use report::{Campaign, EarlyEnd};
use vocabulary::Measurements;
use vocabulary::metrics::VALIDATION_LOSS;

use crate::{conclude, recipe, synthetic};

/// A search of twelve trials over two keys, played to its end: better the nearer the learning rate is to 0.01, whatever
/// scale_emb is. One trial diverges.
fn searched() -> Campaign {
    let search = "[search]\nsampler = \"random\"\ntrials = 12\n[search.space]\n\
                  peak_lr = { low = 0.001, high = 0.1, scale = \"log\" }\nscale_emb = { values = [4, 8, 12] }\n\
                  [search.pruner]\nkind = \"asha\"\nrungs = [0.3]\n";
    let text = format!("{}{search}", recipe("[\"tiny-32\"]", "tokens = [20_000]", "").text().replace(", 0.02]", "]"));
    let recipe = Recipe::parse("search.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    let mut campaign = synthetic::campaign(&recipe, &[]);
    campaign.curves.clear();
    let search = campaign.plan.search.clone().expect("is a search");
    let loss = |spec: &vocabulary::StageSpec| 3.0 + (spec.peak_lr / 0.01).log10().abs() + 1.0 / spec.steps.end as f64;
    let outcome = |campaign: &Campaign, key: &vocabulary::StageKey| {
        let spec = campaign.plan.stage(key)?.spec.clone();
        let diverges = spec.peak_lr > 0.06;
        Some(if diverges { Outcome::Diverged } else { Outcome::Completed { loss: Some(loss(&spec)) } })
    };
    loop {
        let progress = grow(&search, &campaign.plan.trials, |key| outcome(&campaign, key));
        let is_over = progress.stages.is_empty();
        campaign.plan.trials = progress.trials;
        campaign.plan.stages.extend(progress.stages);
        if is_over {
            for (trial, standing) in campaign.plan.trials.iter().zip(progress.standings) {
                let loss = standing.losses.last().copied().filter(|loss| loss.is_finite());
                let result = loss.map(|loss| Measurements::new().with(VALIDATION_LOSS, loss));
                match standing.end.expect("it is over") {
                    TrialEnd::Completed => campaign.results.extend([trial.id].into_iter().zip(result)),
                    TrialEnd::Pruned { step } => drop(campaign.early.insert(trial.id, EarlyEnd { step, result })),
                    TrialEnd::Diverged => drop(campaign.early.insert(trial.id, EarlyEnd { step: 3, result: None })),
                    TrialEnd::Failed => {}
                }
            }
            return campaign;
        }
    }
}

#[test]
fn a_search_as_people_read_it() {
    let conclusion = conclude(searched());
    insta::assert_snapshot!("search_table", conclusion.table());
    insta::assert_snapshot!("search_points", conclusion.points_csv());
    let html = conclusion.html();
    for part in
        ["The search", "As lines for a recipe", "id=\"slices\"", "id=\"importance\"", "pruned at 6", "diverged at 3"]
    {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("The scaling law"));
    assert!(!html.contains("id=\"peak-lr\""), "its trials differ in more than the rate");
    assert!(html.contains("<td>trial 7</td>") && !html.contains("<td>trial 3</td>"), "which has no loss");
}
