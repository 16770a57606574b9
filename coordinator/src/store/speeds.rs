//! How fast stages were trained that are done, from a file that is only looked at: nothing is written to it, whether a
//! coordinator has it or not.

use std::collections::BTreeMap;
use std::path::Path;

use recipes::price::Measurement;
use scheduler::Fact;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use vocabulary::StageSpec;

use super::error::StoreError;
use crate::STORE_FILE;

/// Stages that one attempt trained from beginning to end, and how long it had them.
const WHOLE: &str = "SELECT stage, min(started_at_ms), max(ended_at_ms) FROM attempts \
                     GROUP BY stage HAVING count(*) = 1 AND max(outcome) = 'completed'";

/// Where campaigns say which stages they want. The log's other rows are not read.
const WANTED: &str = "SELECT sequence, fact FROM facts WHERE fact LIKE '{\"fact\":\"campaign_%' ORDER BY sequence";

/// What was measured of the stages of a data directory that were trained without interruption, by model, batch and number
/// format. Nothing where there is no store.
///
/// # Errors
/// If the store cannot be read.
pub async fn measured_speeds(data_dir: &Path) -> Result<Vec<Measurement>, StoreError> {
    let path = data_dir.join(STORE_FILE);
    if !path.is_file() {
        return Ok(Vec::new());
    }
    // With no log beside it nobody has it open, and it can be read without files beside it.
    let is_at_rest = !data_dir.join(format!("{STORE_FILE}-wal")).exists();
    let options = SqliteConnectOptions::new().filename(&path).read_only(true).immutable(is_at_rest);
    let mut connection = options.connect().await.map_err(StoreError::Open)?;
    let whole = sqlx::query_as::<_, (String, i64, i64)>(WHOLE).fetch_all(&mut connection).await;
    let wanted = sqlx::query_as::<_, (i64, String)>(WANTED).fetch_all(&mut connection).await;
    let _ = connection.close().await;
    let whole = whole.map_err(|source| StoreError::Read { table: "attempts", source })?;
    let wanted = wanted.map_err(|source| StoreError::Read { table: "facts", source })?;

    let mut specs: BTreeMap<String, StageSpec> = BTreeMap::new();
    for (sequence, text) in wanted {
        let fact = serde_json::from_str(&text).map_err(|source| StoreError::LogRow { sequence, source })?;
        let stages = match fact {
            Fact::CampaignAccepted { plan } => plan.stages,
            Fact::CampaignGrown { growth } => growth.stages,
            _ => continue,
        };
        specs.extend(stages.into_iter().map(|stage| (stage.key.to_string(), stage.spec)));
    }
    let mut measured: Vec<Measurement> = Vec::new();
    for (stage, started_at_ms, ended_at_ms) in whole {
        let Some(spec) = specs.get(&stage) else { continue };
        // A clock that was set back measures nothing.
        let milliseconds = ended_at_ms.saturating_sub(started_at_ms);
        if milliseconds <= 0 {
            continue;
        }
        let place = measured.iter().position(|measurement| measurement.is_of(spec)).unwrap_or_else(|| {
            measured.push(Measurement::nothing_of(spec));
            measured.len() - 1
        });
        measured[place].add(spec, milliseconds as f64 / 1e3);
    }
    Ok(measured)
}
