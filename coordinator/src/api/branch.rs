//! Campaigns that start from the end of a trained stage. Which are refused is the scheduler's decision.

use scheduler::PlannedBranch;

use super::requests::BranchRequest;
use super::{Api, ApiError};
use crate::driver::input::Submission;
use crate::driver::request_error::RequestError;

impl Api {
    /// Plans a branch and, unless it is a dry run, accepts it.
    pub(crate) async fn branch(&self, request: BranchRequest) -> Result<PlannedBranch, ApiError> {
        let BranchRequest { stage, terms, dry_run } = request;
        if let Some(dataset) = terms.dataset.as_ref().filter(|_| !dry_run) {
            self.check_dataset(dataset).await?;
        }
        let stage = self.find_stage(stage).await?;
        let plan = self.look(move |view| view.scheduler.ledger().branch(stage, &terms, &view.submitted())).await?;
        let mut planned = plan.map_err(RequestError::Branch)?;
        if !dry_run {
            let plan = planned.plan.clone();
            let submission = Submission { plan, weight: None, recipe_file: String::new(), recipe_text: String::new() };
            planned.stages_done = self.driver.submit(submission).await?.stages_done;
        }
        Ok(planned)
    }
}
