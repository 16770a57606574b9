//! What people and their tools may ask of a coordinator, whatever they ask over.
//!
//! ```text
//! grpc --decode--> requests --Api--> driver, stores --> views, words --encode--> grpc
//! ```
//!
//! [`requests`] are typed and checked. [`views`] are owned data on how things stand, built from one look at the driver's
//! state. [`words`] are the sentences in them. [`Api`] has a method for each request; [`ApiError`] says why one is not met.
//!
//! Knows neither tonic nor the wire format.

mod branch;
mod campaigns;
mod checkpoints;
mod curves;
mod error;
mod evaluate;
mod figures;
mod forget;
mod left;
pub(crate) mod limit;
pub(crate) mod requests;
mod rows;
mod uploads;
pub(crate) mod views;
mod watch;
pub(crate) mod words;

use std::sync::Arc;

use storage::{Storage, StorageId};
use tokio_util::sync::CancellationToken;
use vocabulary::{CampaignId, StageKey};

pub(crate) use checkpoints::Collection;
pub(crate) use curves::CurveRun;
pub(crate) use error::ApiError;
pub(crate) use evaluate::Evaluated;
pub(crate) use figures::{Figures, WorkerState};
pub(crate) use forget::Forgotten;
pub(crate) use left::Estimates;

use crate::driver::DriverHandle;
use crate::driver::request_error::RequestError;
use crate::driver::view::View;
use crate::store::Store;
use crate::uploads::Uploads;
use requests::Selector;

/// How long a stream waits for its reader before it is cut off.
const READER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// All that answers requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) driver: DriverHandle,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) storage: Storage,
    pub(crate) storage_url: String,
    /// What the marker at the root of the storage says.
    pub(crate) storage_id: StorageId,
    /// Datasets that clients are sending. None where it only reads.
    pub(crate) uploads: Option<Arc<Uploads>>,
    /// How long campaigns still take, as computed last.
    pub(crate) estimates: Arc<Estimates>,
    /// Cancelled when the coordinator stops.
    pub(crate) stop: CancellationToken,
}

impl Api {
    /// Reads something of the driver's state.
    async fn look<T: Send + 'static>(&self, look: impl FnOnce(&View) -> T + Send + 'static) -> Result<T, ApiError> {
        Ok(self.driver.look(look).await?)
    }

    /// Computes something large for a reader, beside everything else.
    pub(crate) async fn beside<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        Ok(self.driver.beside(compute).await?)
    }

    /// Reads something of the campaign that a selector means.
    async fn look_at<T: Send + 'static>(
        &self,
        selector: Selector,
        look: impl FnOnce(&View, &CampaignId) -> Option<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let find = move |view: &View| {
            let campaign = view.find(selector.as_str())?;
            look(view, &campaign)
                .ok_or_else(|| RequestError::UnknownCampaign { selector: selector.into_string(), similar: None })
        };
        Ok(self.driver.look(find).await??)
    }

    /// The campaign that a selector means.
    pub(crate) async fn find(&self, selector: Selector) -> Result<CampaignId, ApiError> {
        self.look_at(selector, |_, campaign| Some(*campaign)).await
    }

    /// What keeps all work from being done that somebody has to see to, a sentence each.
    pub(crate) async fn troubles(&self) -> Result<Vec<String>, ApiError> {
        self.look(|view| view.pools_gone().to_vec()).await
    }

    async fn find_stage(&self, selector: Selector) -> Result<StageKey, ApiError> {
        Ok(self.driver.look(move |view| view.find_stage(selector.as_str())).await??)
    }
}
