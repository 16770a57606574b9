//! What the tables and the log say of attempts: when they started and ended, and on whom.

use scheduler::Fact;
use vocabulary::CampaignId;

use super::error::cannot_read;
use super::open::PostgresStore;
use crate::store::columns::{self, AttemptColumns};
use crate::store::{AttemptRow, StoreError, WholeAttempt};

impl PostgresStore {
    pub(super) async fn read_whole_attempts(&self) -> Result<Vec<WholeAttempt>, StoreError> {
        let select = "SELECT stage, min(started_at_ms), max(ended_at_ms) FROM attempts \
                      GROUP BY stage HAVING count(*) = 1 AND max(outcome) = 'completed' ORDER BY stage";
        let rows = sqlx::query_as::<_, (String, i64, i64)>(select).fetch_all(&self.people).await;
        rows.map_err(cannot_read("attempts"))?.into_iter().map(columns::whole_attempt).collect()
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
        let select = sqlx::query_as::<_, AttemptColumns>(select);
        let rows = select.bind(campaign.to_string()).fetch_all(&self.people).await;
        rows.map_err(cannot_read("attempts"))?.into_iter().map(columns::attempt_row).collect()
    }

    pub(super) async fn read_campaign_facts(&self) -> Result<Vec<Fact>, StoreError> {
        let select = "SELECT sequence, fact FROM facts WHERE fact LIKE '{\"fact\":\"campaign_accepted\"%' \
                      OR fact LIKE '{\"fact\":\"campaign_grown\"%' ORDER BY sequence";
        let rows = sqlx::query_as::<_, (i64, String)>(select).fetch_all(&self.reads).await;
        rows.map_err(cannot_read("facts"))?.into_iter().map(columns::fact).collect()
    }
}
