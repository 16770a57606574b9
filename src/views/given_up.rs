//! Failed stages of a campaign.

use client::GivenUp;

use crate::logging::say;

/// Maximum number of stages listed individually.
const TOLD: usize = 5;

/// Prints the failed stages of a campaign, each with its last error.
pub(crate) fn say_what_was_given_up(name: &str, given_up: &[GivenUp]) {
    if given_up.is_empty() {
        return;
    }
    for GivenUp { name, reason } in given_up.iter().take(TOLD) {
        say(&format!("{name} was {reason}"));
    }
    let more = given_up.len().saturating_sub(TOLD);
    if more > 0 {
        say(&format!("{more} more stages were given up"));
    }
    say(&format!("`windtunnel show {name}` says why, and `windtunnel retry {name}` retries them"));
}
