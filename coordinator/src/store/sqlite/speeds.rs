//! What the tables and the log say of stages that were trained without interruption.

use scheduler::Fact;

use super::error::cannot_read;
use super::number::from_column;
use super::open::SqliteStore;
use crate::store::{StoreError, WholeAttempt};

impl SqliteStore {
    pub(super) async fn read_whole_attempts(&self) -> Result<Vec<WholeAttempt>, StoreError> {
        let select = "SELECT stage, min(started_at_ms), max(ended_at_ms) FROM attempts \
                      GROUP BY stage HAVING count(*) = 1 AND max(outcome) = 'completed' ORDER BY stage";
        let rows = sqlx::query_as::<_, (String, i64, i64)>(select).fetch_all(&self.driver).await;
        let row = |(stage, started, ended): (String, i64, i64)| {
            let stage = stage.parse().map_err(|source| StoreError::Id { table: "attempts", source })?;
            Ok(WholeAttempt { stage, started_at_ms: from_column(started), ended_at_ms: from_column(ended) })
        };
        rows.map_err(cannot_read("attempts"))?.into_iter().map(row).collect()
    }

    pub(super) async fn read_campaign_facts(&self) -> Result<Vec<Fact>, StoreError> {
        let select = "SELECT sequence, fact FROM facts WHERE fact LIKE '{\"fact\":\"campaign_accepted\"%' \
                      OR fact LIKE '{\"fact\":\"campaign_grown\"%' ORDER BY sequence";
        let rows = sqlx::query_as::<_, (i64, String)>(select).fetch_all(&self.driver).await;
        let fact = |(sequence, text): (i64, String)| {
            serde_json::from_str(&text).map_err(|source| StoreError::LogRow { sequence, source })
        };
        rows.map_err(cannot_read("facts"))?.into_iter().map(fact).collect()
    }
}
