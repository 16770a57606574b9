//! Everything that can be asked of a store, as text that compares: NaN equals itself there.

use coordinator::store::{Differences, Store};
use vocabulary::{CampaignId, StageKey, WorkerId};

/// The answers to every question about these stages, campaigns and workers.
pub(crate) async fn observe(
    store: &dyn Store,
    stages: &[StageKey],
    campaigns: &[CampaignId],
    workers: &[WorkerId],
) -> Vec<String> {
    let mut seen = Vec::new();
    let mut see = |what: &str, answer: &dyn std::fmt::Debug| seen.push(format!("{what}: {answer:?}"));
    see("facts", &store.facts().await.expect("the log is sound"));
    see("log", &store.check_log().await.expect("the log is sound"));
    see("derived", &store.check_derived(Differences::Leave).await.expect("they can be read"));
    see("engine", &store.check_engine().await.expect("it can be read"));
    see("campaigns", &store.campaign_rows().await.expect("they can be read"));
    see("checkpoints", &store.checkpoints().await.expect("they can be read"));
    see("campaign facts", &store.campaign_facts().await.expect("they can be read"));
    see("whole attempts", &store.whole_attempts().await.expect("they can be read"));
    see("deletions", &store.deletions().await.expect("they can be read"));
    see("tokens", &store.tokens().await.expect("they can be read"));
    see("pools", &store.pools().await.expect("they can be read"));
    see("allocations", &store.allocations().await.expect("they can be read"));
    for (position, snapshot) in store.snapshots().await.expect("they can be read") {
        let ledger = snapshot.map(|snapshot| serde_json::to_string(&snapshot).expect("it has a JSON form"));
        see("snapshot", &(position, ledger.map_err(|error| error.to_string())));
        see("facts after it", &store.facts_after(position).await.expect("the log is sound"));
    }
    for stage in stages {
        see("curve", &store.curve(*stage, 0, usize::MAX).await.expect("it can be read"));
        see("a part of it", &store.curve(*stage, 3, 2).await.expect("it can be read"));
        see("last checkpoint", &store.last_checkpoint(*stage).await.expect("it can be read"));
        see("checkpoint", &store.checkpoint(*stage, 4).await.expect("it can be read"));
    }
    for campaign in campaigns {
        see("attempts", &store.attempts(*campaign).await.expect("they can be read"));
        see("recipe", &store.recipe(*campaign).await.expect("it can be read"));
    }
    for worker in workers {
        see("sequence", &store.last_sequence(*worker).await.expect("it can be read"));
        see("speaker", &store.speaker(*worker).await.expect("it can be read"));
    }
    seen
}
