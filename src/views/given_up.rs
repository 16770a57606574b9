//! What a campaign went on without.

use client::GivenUp;

use crate::logging::say;

/// Stages that are told of one by one.
const TOLD: usize = 5;

/// Says which stages of the campaign of a name were given up, each with its last error.
pub(crate) fn say_what_was_given_up(name: &str, given_up: &[GivenUp]) {
    if given_up.is_empty() {
        return;
    }
    for GivenUp { name, reason } in given_up.iter().take(TOLD) {
        say(&format!("{name} was {reason}"));
    }
    let more = given_up.len().saturating_sub(TOLD);
    let more = if more > 0 { format!("; {more} more were given up") } else { String::new() };
    say(&format!(
        "the campaign went on without what was given up: `windtunnel show {name}` says why, `windtunnel retry {name}` has \
         it tried again{more}"
    ));
}
