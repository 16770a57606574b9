//! When a worker that cannot log in stops trying.

use std::time::Duration;

use tokio::time::Instant;

/// Time for which logins must fail before a worker that was never welcome concludes that its token is wrong. While the
/// coordinator is away, another program may have its port for a moment.
const BEFORE_A_TOKEN_IS_WRONG: Duration = Duration::from_secs(20);

/// The logins that failed in a row.
#[derive(Debug, Default)]
pub(crate) struct FailedLogins {
    since: Option<Instant>,
}

impl FailedLogins {
    /// Records a failed connection. `is_login` says that the listener does not know the token. Returns whether logins have
    /// failed for so long that a worker that was never welcome should give up.
    pub(crate) fn note(&mut self, now: Instant, is_login: bool) -> bool {
        if !is_login {
            self.since = None;
            return false;
        }
        now.duration_since(*self.since.get_or_insert(now)) >= BEFORE_A_TOKEN_IS_WRONG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_wrong_if_nothing_else_was_said_for_a_while() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut failed = FailedLogins::default();
        assert!(!failed.note(at(0), true) && !failed.note(at(19), true));
        assert!(!failed.note(at(30), false), "nothing listens there");
        assert!(!failed.note(at(40), true), "it counts anew");
        assert!(failed.note(at(60), true));
    }
}
