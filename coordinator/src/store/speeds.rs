//! How fast finished stages were trained.

use std::collections::BTreeMap;
use std::path::Path;

use recipes::price::Measurement;
use scheduler::Fact;
use vocabulary::{StageKey, StageSpec};

use super::contract::Store;
use super::error::StoreError;
use super::open;

/// Measured speeds of the stages of a data directory that were trained without interruption, by model, batch and number
/// format. Empty where there is no store. Writes nothing, whether a coordinator uses the directory or not.
///
/// # Errors
/// If the store cannot be read.
pub async fn measured_speeds(data_dir: &Path) -> Result<Vec<Measurement>, StoreError> {
    if !open::is_in(data_dir) {
        return Ok(Vec::new());
    }
    let store = open::open_to_read(data_dir).await?;
    let measured = measure(store.as_ref()).await;
    store.close().await;
    measured
}

async fn measure(store: &dyn Store) -> Result<Vec<Measurement>, StoreError> {
    let mut specs: BTreeMap<StageKey, StageSpec> = BTreeMap::new();
    for fact in store.campaign_facts().await? {
        let stages = match fact {
            Fact::CampaignAccepted { plan } => plan.stages,
            Fact::CampaignGrown { growth } => growth.stages,
            _ => continue,
        };
        specs.extend(stages.into_iter().map(|stage| (stage.key, stage.spec)));
    }
    let mut measured: Vec<Measurement> = Vec::new();
    for attempt in store.whole_attempts().await? {
        let Some(spec) = specs.get(&attempt.stage) else { continue };
        // A clock that was set back measures nothing.
        let milliseconds = attempt.ended_at_ms.saturating_sub(attempt.started_at_ms);
        if milliseconds == 0 {
            continue;
        }
        Measurement::add_to(&mut measured, spec, milliseconds as f64 / 1e3);
    }
    Ok(measured)
}
