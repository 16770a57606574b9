//! A campaign's status, as it changes.

use std::time::Duration;

use proto::v1::{self, CampaignUpdate};
use scheduler::CampaignPhase;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use vocabulary::CampaignId;

use super::{encode, status};
use crate::driver::DriverHandle;
use crate::driver::input::RequestError;
use crate::driver::view::View;

/// How often an update is sent while nothing but progress changes.
const INTERVAL: Duration = Duration::from_millis(500);

/// The least time between two updates, however much changes.
const LEAST_INTERVAL: Duration = Duration::from_millis(50);

/// How long an update waits for its reader.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends updates until the campaign ends, nobody listens, or the coordinator stops. The last one says how it ended.
pub(crate) async fn watch(
    driver: DriverHandle,
    campaign: CampaignId,
    updates: mpsc::Sender<Result<CampaignUpdate, Status>>,
    stop: CancellationToken,
) {
    let mut changes = driver.changes();
    loop {
        // Seen before the look: a change after it rings again.
        changes.borrow_and_update();
        let (update, is_over) = match driver.look(move |view| update(view, &campaign)).await {
            Ok(Some(update)) => update,
            Ok(None) | Err(_) => {
                let _ = updates.send(Err(status::from_request(RequestError::Stopping))).await;
                return;
            }
        };
        // Who does not read is cut off; a new watch begins with all there is to know.
        if updates.send_timeout(Ok(update), PATIENCE).await.is_err() || is_over {
            return;
        }
        let interval = tokio::time::sleep(INTERVAL);
        tokio::time::sleep(LEAST_INTERVAL).await;
        tokio::select! {
            () = interval => {}
            _ = changes.changed() => {}
            () = updates.closed() => return,
            () = stop.cancelled() => {
                let _ = updates.send(Err(status::from_request(RequestError::Stopping))).await;
                return;
            }
        }
    }
}

fn update(view: &View<'_>, campaign: &CampaignId) -> Option<(CampaignUpdate, bool)> {
    let shown = view.campaign(campaign)?;
    let update = v1::CampaignUpdate {
        summary: Some(encode::campaign(&shown)),
        workers: view.workers().iter().map(encode::worker).collect(),
    };
    Some((update, shown.status.phase != CampaignPhase::Open))
}
