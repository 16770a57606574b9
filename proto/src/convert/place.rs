//! Where a worker runs.

use vocabulary::place::{InvalidLabel, Label, Place};

use super::{ConvertError, Problem};
use crate::v1;

impl From<&Place> for v1::Place {
    fn from(place: &Place) -> Self {
        let Place { pool, allocation, job, restart, node, until_ms } = place;
        let text = |label: &Option<Label>| label.as_ref().map(ToString::to_string).unwrap_or_default();
        Self {
            pool: text(pool),
            allocation: text(allocation),
            job: text(job),
            restart: *restart,
            node: text(node),
            until_unix_ms: *until_ms,
        }
    }
}

impl TryFrom<v1::Place> for Place {
    type Error = ConvertError;

    fn try_from(place: v1::Place) -> Result<Self, ConvertError> {
        let v1::Place { pool, allocation, job, restart, node, until_unix_ms } = place;
        Ok(Self {
            pool: label("pool", &pool)?,
            allocation: label("allocation", &allocation)?,
            job: label("job", &job)?,
            restart,
            node: label("node", &node)?,
            until_ms: until_unix_ms,
        })
    }
}

/// Reads a label; `None` if it is empty, and so absent.
fn label(field: &str, text: &str) -> Result<Option<Label>, ConvertError> {
    let read = (!text.is_empty()).then(|| text.parse());
    read.transpose().map_err(|why: InvalidLabel| ConvertError::new(field, Problem::Label(why)))
}
