//! Handing a recipe and its data to a coordinator.

use corpus::Prepared;
use proto::v1;
use recipes::Recipe;

use crate::client::Campaigns;
use crate::uploading::upload_dataset;

/// Submits a recipe, after its data is where the coordinator keeps data.
pub(crate) async fn submit(
    campaigns: &mut Campaigns,
    recipe: &Recipe,
    prepared: &Prepared,
) -> anyhow::Result<v1::SubmitResponse> {
    let storage = campaigns.info().await?.storage;
    // Where the storage is the data directory itself, the data is there already.
    upload_dataset(&prepared.dataset.id, &prepared.dir, &storage).await?;
    Ok(campaigns.submit(recipe, &prepared.dataset).await?)
}
