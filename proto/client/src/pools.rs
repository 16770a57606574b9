//! The calls of the pool service.

use proto::v1;

use crate::{CallError, Campaigns};

impl Campaigns {
    /// Adds a pool, once its batch system has accepted one of its jobs, which is not submitted.
    ///
    /// # Errors
    /// The coordinator does not answer, or refuses the pool.
    pub async fn add_pool(&mut self, request: v1::AddPoolRequest) -> Result<v1::AddPoolResponse, CallError> {
        let answer = self.pools.add_pool(request).await;
        self.received(answer)
    }

    /// All pools, by name.
    ///
    /// # Errors
    /// The coordinator does not answer.
    pub async fn list_pools(&mut self) -> Result<Vec<v1::Pool>, CallError> {
        let answer = self.pools.list_pools(v1::ListPoolsRequest {}).await;
        Ok(self.received(answer)?.pools)
    }

    /// Pauses, resumes, drains or removes a pool.
    ///
    /// # Errors
    /// The coordinator does not answer, or has no such pool.
    pub async fn change_pool(&mut self, name: &str, change: v1::PoolChange) -> Result<v1::Pool, CallError> {
        let answer =
            self.pools.change_pool(v1::ChangePoolRequest { name: name.to_owned(), change: change.into() }).await;
        self.received(answer)
    }
}
