//! Decides whether one call is let in.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dial::{AUTHORIZATION, BEARER};
use http::HeaderMap;
use tokio::sync::Semaphore;
use tonic::Status;
use tracing::{debug, warn};

use super::bad_logins::BadLogins;
use super::methods::{Need, need};
use super::token::{Scope, Shown, TokenId, read};
use crate::incoming::{Identity, Peer};
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
    /// `None` if nobody needs one.
    pub(crate) token: Option<TokenId>,
}

/// See the [module's page](super).
#[derive(Debug)]
pub(crate) struct Guard {
    store: Arc<dyn Store>,
    /// Whether callers have to show who they are.
    asks: bool,
    bad_logins: Mutex<BadLogins>,
    held_back: Semaphore,
}

impl Guard {
    /// A guard that asks for tokens, or else lets everybody in.
    pub(crate) fn new(store: Arc<dyn Store>, asks: bool) -> Self {
        Self { store, asks, bad_logins: Mutex::default(), held_back: Semaphore::new(MOST_HELD_BACK) }
    }

    /// Whether callers have to show who they are.
    pub(crate) fn asks(&self) -> bool {
        self.asks
    }

    /// Lets a call in, or says why not. The reason a token is invalid is logged, not sent.
    pub(crate) async fn admit(&self, path: &str, headers: &HeaderMap, from: Option<&Peer>) -> Result<Caller, Status> {
        let Need::Scope(needed) = need(path) else { return Ok(Caller { token: None }) };
        if !self.asks {
            return Ok(Caller { token: None });
        }
        let address = from.map(|peer| peer.address.ip());
        let (scope, id) = match from.map(|peer| &peer.identity) {
            Some(Identity::ThisUser) => return Ok(Caller { token: Some(TokenId::local()) }),
            // It proved the token; whether that is still valid is asked at every call.
            Some(Identity::Token(id)) => {
                let id = TokenId::from_text(id);
                (self.row(&id).await?.map(|row| valid_scope(&row)), Some(id))
            }
            Some(Identity::Unknown) | None => {
                let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix(BEARER));
                let Some(text) = value else {
                    return Err(Status::unauthenticated(
                        "a token is needed: set WINDTUNNEL_TOKEN or pass --token-file (whoever runs the coordinator \
                         creates one with `windtunnel token create`; on its machine, that user needs only --data-dir)",
                    ));
                };
                match read(text) {
                    Some(shown) => (Some(self.look_up(&shown).await?), Some(shown.id)),
                    None => (Some(Err("it is malformed")), None),
                }
            }
        };
        match (scope.unwrap_or(Err("it is unknown")), id) {
            (Ok(scope), Some(id)) if scope.allows(needed) => Ok(Caller { token: Some(id) }),
            (Ok(scope), _) => Err(Status::permission_denied(format!(
                "this needs a token with scope `{needed}`, and this one has scope `{scope}`"
            ))),
            (Err(why), id) => Err(self.refuse(why, id.as_ref(), address).await),
        }
    }

    /// What is stored of a valid token, for a login.
    pub(crate) async fn hash(&self, id: &str, from: IpAddr) -> Option<blake3::Hash> {
        let id = TokenId::from_text(id);
        let row = self.row(&id).await.ok()?;
        let hash = row.filter(|row| valid_scope(row).is_ok()).and_then(|row| blake3::Hash::from_hex(row.hash).ok());
        if hash.is_none() && self.count("it is unknown, expired or revoked", Some(&id), Some(from)) {
            self.hold_back().await;
        }
        hash
    }

    async fn row(&self, id: &TokenId) -> Result<Option<TokenRow>, Status> {
        self.store.token(id.as_str()).await.map_err(|error| {
            warn!(error = &error as &dyn std::error::Error, "cannot look up tokens");
            Status::unavailable("cannot look up tokens")
        })
    }

    /// The scope of a token, or why it is invalid.
    async fn look_up(&self, shown: &Shown) -> Result<Result<Scope, &'static str>, Status> {
        let row = self.row(&shown.id).await?;
        let Some(row) = row else { return Ok(Err("it is unknown")) };
        // `Hash` compares in constant time; its text would not.
        let is_it = blake3::Hash::from_hex(&row.hash).is_ok_and(|hash| hash == shown.hash);
        Ok(if is_it { valid_scope(&row) } else { Err("its secret is wrong") })
    }

    async fn refuse(&self, why: &'static str, token: Option<&TokenId>, from: Option<IpAddr>) -> Status {
        if self.count(why, token, from) {
            self.hold_back().await;
            return Status::resource_exhausted("too many invalid tokens came from this address");
        }
        Status::unauthenticated("the token is invalid: it is unknown, expired or revoked")
    }

    /// Counts and logs an invalid token, and returns whether its address has shown too many.
    pub(super) fn count(&self, why: &'static str, token: Option<&TokenId>, from: Option<IpAddr>) -> bool {
        let too_many = from.is_some_and(|from| {
            let mut bad_logins = self.bad_logins.lock().unwrap_or_else(PoisonError::into_inner);
            bad_logins.note(from, Instant::now())
        });
        let token = token.map(TokenId::as_str);
        let from = from.map(|from| from.to_string());
        if too_many {
            debug!(token, from, why, "refused a token, one of many");
        } else {
            warn!(token, from, why, "refused a token");
        }
        too_many
    }

    async fn hold_back(&self) {
        if let Ok(_held) = self.held_back.try_acquire() {
            tokio::time::sleep(HELD_BACK).await;
        }
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
