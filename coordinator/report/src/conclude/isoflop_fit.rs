//! The compute-optimal frontier of a table, from its isoFLOP curves.

use scaling::isoflop::IsoFlop;
use serde::Serialize;

use super::source::Source;

/// The best size at each budget of a table, and N and D as powers of C.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IsoFlopFit {
    /// Where the points come from.
    pub table: Source,
    /// The budgets and the frontier through those that have a best size.
    #[serde(flatten)]
    pub found: IsoFlop,
    /// The program and its version.
    pub program: String,
}
