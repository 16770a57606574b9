//! What the tables and the log say of attempts: when they started and ended, and on whom.

use scheduler::Fact;
use vocabulary::{AttemptKey, CampaignId};

use super::error::cannot_read;
use super::number::{attempt as attempt_of, from_column};
use super::open::PostgresStore;
use crate::store::{AttemptRow, StoreError, WholeAttempt};

impl PostgresStore {
    pub(super) async fn read_whole_attempts(&self) -> Result<Vec<WholeAttempt>, StoreError> {
        let select = "SELECT stage, min(started_at_ms), max(ended_at_ms) FROM attempts \
                      GROUP BY stage HAVING count(*) = 1 AND max(outcome) = 'completed' ORDER BY stage";
        let rows = sqlx::query_as::<_, (String, i64, i64)>(select).fetch_all(&self.people).await;
        let row = |(stage, started, ended): (String, i64, i64)| {
            let stage = stage.parse().map_err(|source| StoreError::Id { table: "attempts", source })?;
            Ok(WholeAttempt { stage, started_at_ms: from_column(started), ended_at_ms: from_column(ended) })
        };
        rows.map_err(cannot_read("attempts"))?.into_iter().map(row).collect()
    }

    pub(super) async fn read_attempts(&self, campaign: CampaignId) -> Result<Vec<AttemptRow>, StoreError> {
        // A forgotten campaign leaves its facts in the log, so that an attempt may have started twice there.
        let select = "SELECT attempts.stage, attempts.attempt, named.name, started_at_ms, ended_at_ms \
                      FROM campaign_stages JOIN attempts USING (stage) LEFT JOIN \
                      (SELECT DISTINCT ON (1, 2) fact::json ->> 'stage' AS stage, \
                              (fact::json ->> 'attempt')::bigint AS attempt, fact::json ->> 'name' AS name \
                       FROM facts WHERE fact LIKE '{\"fact\":\"attempt_started\"%' ORDER BY 1, 2, sequence DESC) AS named \
                      ON named.stage = attempts.stage AND named.attempt = attempts.attempt \
                      WHERE campaign_stages.campaign = $1 ORDER BY 1, 2";
        let select = sqlx::query_as::<_, (String, i64, Option<String>, i64, Option<i64>)>(select);
        let rows = select.bind(campaign.to_string()).fetch_all(&self.people).await;
        let row = |(stage, attempt, name, started, ended): (String, i64, Option<String>, i64, Option<i64>)| {
            let stage = stage.parse().map_err(|source| StoreError::Id { table: "attempts", source })?;
            let attempt = attempt_of(attempt).map_err(cannot_read("attempts"))?;
            Ok(AttemptRow {
                key: AttemptKey { stage, attempt },
                worker_name: name.unwrap_or_default(),
                started_at_ms: from_column(started),
                ended_at_ms: ended.map(from_column),
            })
        };
        rows.map_err(cannot_read("attempts"))?.into_iter().map(row).collect()
    }

    pub(super) async fn read_campaign_facts(&self) -> Result<Vec<Fact>, StoreError> {
        let select = "SELECT sequence, fact FROM facts WHERE fact LIKE '{\"fact\":\"campaign_accepted\"%' \
                      OR fact LIKE '{\"fact\":\"campaign_grown\"%' ORDER BY sequence";
        let rows = sqlx::query_as::<_, (i64, String)>(select).fetch_all(&self.reads).await;
        let fact = |(sequence, text): (i64, String)| {
            serde_json::from_str(&text).map_err(|source| StoreError::LogRow { sequence, source })
        };
        rows.map_err(cannot_read("facts"))?.into_iter().map(fact).collect()
    }
}
