//! Limits how often an address may present invalid tokens.
//!
//! Guessing is hopeless anyway; the limit keeps the log readable and slows down whoever tries. A valid token is never
//! refused for the invalid ones from its address: behind a NAT, that address is everybody's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Tries allowed at once, and the time after which one more is allowed.
const BURST: u32 = 10;
const REFILL: Duration = Duration::from_secs(6);

/// Addresses that are remembered. Beyond that all are forgotten: this does not stop anyone who has so many.
const MOST_ADDRESSES: usize = 10_000;

/// The invalid tokens of each address.
#[derive(Debug, Default)]
pub(super) struct BadLogins {
    tries: HashMap<IpAddr, (u32, Instant)>,
}

impl BadLogins {
    /// Counts one, and returns whether it is one too many.
    pub(super) fn note(&mut self, from: IpAddr, now: Instant) -> bool {
        if self.tries.len() >= MOST_ADDRESSES && !self.tries.contains_key(&from) {
            self.tries.clear();
        }
        let (tries, since) = self.tries.entry(from).or_insert((0, now));
        let refilled =
            (now.saturating_duration_since(*since).as_nanos() / REFILL.as_nanos()).min(u128::from(BURST)) as u32;
        if refilled > 0 {
            *tries = tries.saturating_sub(refilled);
            *since = now;
        }
        let is_too_many = *tries >= BURST;
        *tries = (*tries + 1).min(BURST);
        is_too_many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_one_at_a_time() {
        let mut bad = BadLogins::default();
        let (one, other): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let start = Instant::now();
        let refused = (0..30).filter(|_| bad.note(one, start)).count();
        assert_eq!(refused, 20);
        assert!(!bad.note(other, start), "each address has its own");
        assert!(!bad.note(one, start + REFILL), "one more after a while");
        assert!(bad.note(one, start + REFILL));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut bad = BadLogins::default();
        for number in 0..3 * MOST_ADDRESSES as u32 {
            bad.note(IpAddr::from(number.to_be_bytes()), Instant::now());
        }
        assert!(bad.tries.len() <= MOST_ADDRESSES);
    }
}
