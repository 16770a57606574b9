//! What is behind results: the losses of single documents.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;
use vocabulary::{Rows, StageKey};

use super::requests::Selector;
use super::{Api, ApiError, READER_TIMEOUT};
use crate::driver::view::View;
use crate::store::Store;
use crate::tasks::caught;

impl Api {
    /// Sends the rows of each stage of a campaign that has some, until all are sent or nobody listens.
    pub(crate) async fn rows(
        &self,
        campaign: Selector,
        found: mpsc::Sender<Result<(StageKey, Rows), ApiError>>,
    ) -> Result<(), ApiError> {
        let find = move |view: &View| {
            let campaign = view.find(campaign.as_str())?;
            view.find_stages(&campaign, &[])
        };
        let stages = self.look(find).await??;
        let (store, last) = (self.store.clone(), found.clone());
        tokio::spawn(async move {
            if let Err(panicked) = caught("a reader of rows", send(store, stages, found)).await {
                let _ = last.send(Err(panicked.into())).await;
            }
        });
        Ok(())
    }
}

/// Reads the rows of one stage at a time, so little waits here however slow the reader is. A reader that stops is cut off.
async fn send(store: Arc<dyn Store>, stages: Vec<StageKey>, found: mpsc::Sender<Result<(StageKey, Rows), ApiError>>) {
    for stage in stages {
        let rows = match store.rows(stage).await {
            Ok(rows) if rows.is_empty() => continue,
            Ok(rows) => rows,
            Err(error) => {
                let _ = found.send(Err(ApiError::Store(error))).await;
                return;
            }
        };
        match found.send_timeout(Ok((stage, rows)), READER_TIMEOUT).await {
            Ok(()) => {}
            Err(SendTimeoutError::Closed(_)) => return,
            Err(SendTimeoutError::Timeout(_)) => {
                let _ = found.send_timeout(Err(ApiError::ReaderTooSlow), READER_TIMEOUT).await;
                return;
            }
        }
    }
}
