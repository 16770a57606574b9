//! Decides whether one call is let in.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dial::{AUTHORIZATION, BEARER, Secret};
use http::HeaderMap;
use tokio::sync::Semaphore;
use tonic::Status;
use tracing::{debug, warn};

use super::bad_logins::BadLogins;
use super::methods::{Need, need};
use super::token::{Scope, Shown, TokenId, fresh, read};
use crate::store::{Store, TokenRow, TokenState};

/// How long the answer is held back after too many invalid tokens, and how many answers are held back at a time; the rest
/// are sent at once.
const HELD_BACK: Duration = Duration::from_secs(1);
const MOST_HELD_BACK: usize = 100;

/// How often the token of an open stream is checked again.
const BETWEEN_CHECKS: Duration = Duration::from_secs(5);

/// Why an open stream ends whose token is no longer valid.
pub(crate) const REVOKED: &str = "the token expired or was revoked";

/// Who made a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// `None` if no token is needed.
    pub(crate) token: Option<TokenId>,
}

/// Tokens for this coordinator's own use, valid until its process ends.
#[derive(Debug, Clone)]
pub(crate) struct LocalTokens {
    /// For the tools of whoever may read the data directory.
    pub(crate) admin: Secret,
    /// For the workers that the coordinator starts.
    pub(crate) worker: Secret,
}

/// See the [module's page](super).
#[derive(Debug)]
pub(crate) struct Guard {
    store: Arc<dyn Store>,
    /// `None` if anyone may do anything.
    local: Option<[(Shown, Scope); 2]>,
    bad_logins: Mutex<BadLogins>,
    held_back: Semaphore,
}

impl Guard {
    /// A guard that lets everybody in.
    pub(crate) fn open(store: Arc<dyn Store>) -> Self {
        Self { store, local: None, bad_logins: Mutex::default(), held_back: Semaphore::new(MOST_HELD_BACK) }
    }

    /// A guard that asks for tokens, and the tokens for the coordinator's own use.
    pub(crate) fn closed(store: Arc<dyn Store>) -> (Self, LocalTokens) {
        let (admin, shown_admin) = fresh(Some(TokenId::local()));
        let (worker, shown_worker) = fresh(Some(TokenId::local()));
        let local = Some([(shown_admin, Scope::Admin), (shown_worker, Scope::Worker)]);
        (
            Self { store, local, bad_logins: Mutex::default(), held_back: Semaphore::new(MOST_HELD_BACK) },
            LocalTokens { admin, worker },
        )
    }

    /// Lets a call in, or says why not. The reason a token is invalid is logged, not sent.
    pub(crate) async fn admit(&self, path: &str, headers: &HeaderMap, from: Option<IpAddr>) -> Result<Caller, Status> {
        let Some(local) = &self.local else { return Ok(Caller { token: None }) };
        let Need::Scope(needed) = need(path) else { return Ok(Caller { token: None }) };
        let Some(text) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix(BEARER)) else {
            return Err(Status::unauthenticated(
                "a token is needed: set WINDTUNNEL_TOKEN or pass --token-file (whoever runs the coordinator creates one \
                 with `windtunnel token create`)",
            ));
        };
        let shown = read(text);
        let own = shown.as_ref().and_then(|shown| local.iter().find(|(own, _)| own.hash == shown.hash));
        let scope = match (own, &shown) {
            (Some((_, scope)), _) => Ok(*scope),
            (None, Some(shown)) => self.look_up(shown).await?,
            (None, None) => Err("it is malformed"),
        };
        match (scope, shown) {
            (Ok(scope), Some(shown)) if scope.allows(needed) => Ok(Caller { token: Some(shown.id) }),
            (Ok(scope), _) => Err(Status::permission_denied(format!(
                "this needs a token with scope `{needed}`, and this one has scope `{scope}`"
            ))),
            (Err(why), shown) => Err(self.refuse(why, shown.map(|shown| shown.id), from).await),
        }
    }

    /// The scope of a token, or why it is invalid.
    async fn look_up(&self, shown: &Shown) -> Result<Result<Scope, &'static str>, Status> {
        let row = self.store.token(shown.id.as_str()).await;
        let row = row.map_err(|error| {
            warn!(error = &error as &dyn std::error::Error, "cannot look up tokens");
            Status::unavailable("cannot look up tokens")
        })?;
        let Some(row) = row else { return Ok(Err("it is unknown")) };
        // `Hash` compares in constant time; its text would not.
        let is_it = blake3::Hash::from_hex(&row.hash).is_ok_and(|hash| hash == shown.hash);
        Ok(if is_it { valid_scope(&row) } else { Err("its secret is wrong") })
    }

    async fn refuse(&self, why: &'static str, token: Option<TokenId>, from: Option<IpAddr>) -> Status {
        let too_many = from.is_some_and(|from| {
            let mut bad_logins = self.bad_logins.lock().unwrap_or_else(PoisonError::into_inner);
            bad_logins.note(from, Instant::now())
        });
        let token = token.as_ref().map(TokenId::as_str);
        let from = from.map(|from| from.to_string());
        if too_many {
            debug!(token, from, why, "refused a token, one of many");
            if let Ok(_held) = self.held_back.try_acquire() {
                tokio::time::sleep(HELD_BACK).await;
            }
            return Status::resource_exhausted("too many invalid tokens came from this address");
        }
        warn!(token, from, why, "refused a token");
        Status::unauthenticated("the token is invalid: it is unknown, expired or revoked")
    }

    /// Resolves once the token of an open stream is no longer valid; pends forever if none was needed.
    pub(crate) async fn until_revoked(&self, caller: &Caller) {
        let Some(token) = caller.token.as_ref().filter(|token| **token != TokenId::local()) else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(BETWEEN_CHECKS).await;
            // If the store cannot be read, the token stays valid.
            if let Ok(row) = self.store.token(token.as_str()).await
                && row.is_none_or(|row| valid_scope(&row).is_err())
            {
                return;
            }
        }
    }
}

fn valid_scope(row: &TokenRow) -> Result<Scope, &'static str> {
    match row.state() {
        TokenState::Revoked => Err("it was revoked"),
        TokenState::Expired => Err("it has expired"),
        TokenState::Valid => row.scope.parse().map_err(|_| "its scope is unknown to this version"),
    }
}
