//! Loss curves, in runs of bounded size.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;
use vocabulary::StageKey;

use super::requests::CurvesRequest;
use super::{Api, ApiError, READER_TIMEOUT};
use crate::driver::view::View;
use crate::store::{CurvePoint, Store};
use crate::tasks::caught;

/// Points in a run. Even with as many measurements as a point may have, under the longest names, they fit into one message.
const POINTS_A_RUN: usize = 512;

/// Consecutive points of a stage's curve.
#[derive(Debug)]
pub(crate) struct CurveRun {
    pub(crate) stage: StageKey,
    pub(crate) points: Vec<CurvePoint>,
}

impl Api {
    /// Sends curves until all are sent or nobody listens.
    pub(crate) async fn curves(
        &self,
        request: CurvesRequest,
        runs: mpsc::Sender<Result<CurveRun, ApiError>>,
    ) -> Result<(), ApiError> {
        let CurvesRequest { campaign, stages, from_step } = request;
        let find = move |view: &View| {
            let campaign = view.find(campaign.as_str())?;
            let selectors: Vec<_> = stages.iter().map(|selector| selector.as_str()).collect();
            view.find_stages(&campaign, &selectors)
        };
        let stages = self.look(find).await??;
        let (store, last) = (self.store.clone(), runs.clone());
        tokio::spawn(async move {
            if let Err(panicked) = caught("a reader of curves", send(store, stages, from_step, runs)).await {
                let _ = last.send(Err(panicked.into())).await;
            }
        });
        Ok(())
    }
}

/// Reads one run at a time, so little waits here however slow the reader is. A reader that stops is cut off, and can resume
/// after the last point it received.
async fn send(store: Arc<dyn Store>, stages: Vec<StageKey>, from: u64, runs: mpsc::Sender<Result<CurveRun, ApiError>>) {
    for stage in stages {
        let mut next = Some(from);
        while let Some(from) = next {
            let points = match store.curve(stage, from, POINTS_A_RUN).await {
                Ok(points) => points,
                Err(error) => {
                    let _ = runs.send(Err(ApiError::Store(error))).await;
                    return;
                }
            };
            let is_whole = points.len() < POINTS_A_RUN;
            next = points.last().filter(|_| !is_whole).and_then(|last| last.step.checked_add(1));
            if points.is_empty() {
                break;
            }
            match runs.send_timeout(Ok(CurveRun { stage, points }), READER_TIMEOUT).await {
                Ok(()) => {}
                Err(SendTimeoutError::Closed(_)) => return,
                Err(SendTimeoutError::Timeout(_)) => {
                    // It waits behind the runs that are not read, for as long again.
                    let _ = runs.send_timeout(Err(ApiError::ReaderTooSlow), READER_TIMEOUT).await;
                    return;
                }
            }
        }
    }
}
