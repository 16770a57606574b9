//! Where a worker runs, and for how long.

use std::fmt;
use std::str::FromStr;

/// The longest label, in bytes.
pub const MAX_LABEL_BYTES: usize = 128;

/// A name that a scheduler gives: of a pool, an allocation, a job or a machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

/// Why a text cannot be a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("accepted: 1 to {MAX_LABEL_BYTES} letters, digits and characters of `._-/:@+`")]
pub struct InvalidLabel;

impl Label {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        // Labels are printed in tables and logs, and handed to a scheduler's commands.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@+".contains(&byte);
        let is_label = (1..=MAX_LABEL_BYTES).contains(&text.len()) && text.bytes().all(allowed);
        if is_label { Ok(Self(text.to_owned())) } else { Err(InvalidLabel) }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where a worker runs, as far as it says. Display only, except that a pool recognises its allocations by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The pool that asked for its machine.
    pub pool: Option<Label>,
    /// What the pool calls that request.
    pub allocation: Option<Label>,
    /// The job of the cluster's scheduler, for example `1234_5` for a task of a job array.
    pub job: Option<Label>,
    /// How often that job was requeued; `None` outside a job.
    pub restart: Option<u32>,
    /// The machine.
    pub node: Option<Label>,
    /// When the machine is taken away, in milliseconds since 1970.
    pub until_ms: Option<u64>,
}

/// `job 1234_5 (restart 1) on n1, pool gpu`; empty if nothing is known.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, job, restart, node, .. } = self;
        let restart = restart.filter(|restart| *restart > 0).map(|restart| format!(" (restart {restart})"));
        let job = job.as_ref().map(|job| format!("job {job}{}", restart.unwrap_or_default()));
        let node = node.as_ref().map(|node| format!("on {node}"));
        let parts: Vec<String> = [job, node].into_iter().flatten().collect();
        let pool = pool.as_ref().map(|pool| format!("pool {pool}"));
        let parts: Vec<String> = [parts.join(" ")].into_iter().filter(|part| !part.is_empty()).chain(pool).collect();
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Option<Label> {
        Some(text.parse().expect("a label"))
    }

    #[test]
    fn a_label_can_be_printed_anywhere() {
        for text in ["n1", "1234_5", "gpu-a100.eu/zone:1", "a@b+c", &"x".repeat(MAX_LABEL_BYTES)] {
            assert_eq!(text.parse::<Label>().map(|label| label.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "a b", "a\n", "\u{1b}[2J", "é", "a,b", "%i", "$(x)", &"x".repeat(MAX_LABEL_BYTES + 1)] {
            assert_eq!(text.parse::<Label>(), Err(InvalidLabel), "{text:?}");
        }
    }

    #[test]
    fn a_place_is_said_as_far_as_it_is_known() {
        assert_eq!(Place::default().to_string(), "");
        let place = Place { node: label("n1"), ..Place::default() };
        assert_eq!(place.to_string(), "on n1");
        let place = Place { job: label("7_1"), restart: Some(0), ..place };
        assert_eq!(place.to_string(), "job 7_1 on n1");
        let place = Place { restart: Some(2), pool: label("gpu"), until_ms: Some(1), ..place };
        assert_eq!(place.to_string(), "job 7_1 (restart 2) on n1, pool gpu");
        let place = Place { job: None, node: None, ..place };
        assert_eq!(place.to_string(), "pool gpu");
    }
}
