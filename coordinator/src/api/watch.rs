//! A campaign's status, as it changes.

use std::time::Duration;

use scheduler::CampaignPhase;
use tokio::sync::mpsc;
use vocabulary::CampaignId;

use super::left::time_left;
use super::views::{CampaignUpdate, Watched};
use super::{Api, ApiError, READER_TIMEOUT};
use crate::driver::request_error::RequestError;
use crate::driver::view::View;

/// How often an update is sent while nothing but progress changes.
const INTERVAL: Duration = Duration::from_millis(500);

/// The least time between two updates, however much changes.
const LEAST_INTERVAL: Duration = Duration::from_millis(50);

impl Api {
    /// Sends updates until the campaign ends, nobody listens, or the coordinator stops. The last one says how it ended.
    pub(crate) async fn watch(self, campaign: CampaignId, updates: mpsc::Sender<Result<CampaignUpdate, ApiError>>) {
        let mut changes = self.driver.changes();
        let mut watched = Watched::new(campaign);
        loop {
            // Marked as seen before the look: a change after it is noticed below.
            changes.borrow_and_update();
            let look = move |view: &View| {
                let update = watched.update(view);
                (watched, update)
            };
            let update = match self.look(look).await {
                Ok((again, Some(mut update))) => {
                    watched = again;
                    // If the estimate fails, the watch continues without one.
                    let left = self.times_left().await.unwrap_or_default();
                    update.campaign.left = time_left(&left, &update.campaign.status);
                    update
                }
                // It has not stopped, and there is nothing new to see until it continues.
                Err(ApiError::Request(RequestError::Stalled { .. })) => {
                    watched = Watched::new(campaign);
                    tokio::select! {
                        () = tokio::time::sleep(INTERVAL) => continue,
                        () = updates.closed() => return,
                    }
                }
                Ok((_, None)) => {
                    let gone = RequestError::UnknownCampaign { selector: campaign.to_string(), similar: None };
                    let _ = updates.send(Err(gone.into())).await;
                    return;
                }
                Err(error) => {
                    let _ = updates.send(Err(error)).await;
                    return;
                }
            };
            let is_over = update.campaign.status.phase != CampaignPhase::Open;
            // A reader that stops is cut off; a new watch begins with all there is to know.
            if updates.send_timeout(Ok(update), READER_TIMEOUT).await.is_err() || is_over {
                return;
            }
            let interval = tokio::time::sleep(INTERVAL);
            tokio::time::sleep(LEAST_INTERVAL).await;
            tokio::select! {
                () = interval => {}
                _ = changes.changed() => {}
                () = updates.closed() => return,
                () = self.stop.cancelled() => {
                    let _ = updates.send(Err(RequestError::Stopping.into())).await;
                    return;
                }
            }
        }
    }
}
