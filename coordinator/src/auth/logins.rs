//! Recognises clients before their first call: by a login over an unencrypted connection, or by the user who opened a
//! socket of this machine.

use std::io;
use std::sync::Arc;

use dial::{GREETING, challenge};
use futures::{Stream, StreamExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpStream, UnixStream};
use tracing::{debug, warn};

use super::guard::Guard;
use super::token::TokenId;
use crate::incoming::{Accepted, Identity};

/// Connections that may be logging in at a time; each is limited in time like one without a call.
const AT_A_TIME: usize = 4096;

/// Lets the clients of a plain TCP listener log in. One that does not is passed on as it is, and presents a token with its
/// calls or none.
pub(crate) fn with_logins(
    accepted: impl Stream<Item = io::Result<Accepted<TcpStream>>> + Send + 'static,
    guard: Arc<Guard>,
) -> impl Stream<Item = io::Result<Accepted<TcpStream>>> + Send + 'static {
    let recognised = accepted.map(move |accepted| {
        let guard = Arc::clone(&guard);
        async move {
            match accepted {
                Ok(accepted) => greet(accepted, &guard).await.map(Ok),
                Err(error) => Some(Err(error)),
            }
        }
    });
    recognised.buffer_unordered(AT_A_TIME).filter_map(std::future::ready)
}

/// Lets in the processes of this user, and of root.
pub(crate) fn of_this_user(
    accepted: impl Stream<Item = io::Result<Accepted<UnixStream>>> + Send + 'static,
) -> impl Stream<Item = io::Result<Accepted<UnixStream>>> + Send + 'static {
    accepted.filter_map(async |accepted| {
        let mut accepted = match accepted {
            Ok(accepted) => accepted,
            Err(error) => return Some(Err(error)),
        };
        match accepted.io().peer_cred() {
            Ok(peer) if peer.uid() == 0 || peer.uid() == rustix::process::geteuid().as_raw() => {
                accepted.identify(Identity::ThisUser);
                Some(Ok(accepted))
            }
            Ok(peer) => {
                warn!(uid = peer.uid(), "refused another user's process at the socket");
                None
            }
            Err(error) => {
                warn!(%error, "cannot tell whose process connects to the socket");
                None
            }
        }
    })
}

/// `None` if the connection ends here.
async fn greet(mut accepted: Accepted<TcpStream>, guard: &Guard) -> Option<Accepted<TcpStream>> {
    let mut first = [0; GREETING.len()];
    let mut read = 0;
    while read < first.len() {
        match accepted.read(&mut first[read..]).await {
            Ok(0) | Err(_) => return None,
            Ok(more) => read += more,
        }
        if !GREETING.starts_with(&first[..read]) {
            accepted.unread(&first[..read]);
            return Some(accepted);
        }
    }
    let from = accepted.address().ip();
    let here = accepted.io().local_addr().ok()?;
    let mut asked = None;
    let outcome = challenge(&mut accepted, here, async |id| {
        let hash = guard.hash(&id, from).await;
        asked = Some(id);
        hash
    })
    .await;
    match outcome {
        Ok(Some(id)) => {
            accepted.identify(Identity::Token(id));
            Some(accepted)
        }
        Ok(None) => {
            guard.count("its secret is wrong", asked.map(TokenId::from_text).as_ref(), Some(from));
            None
        }
        // A client that does not recognise this coordinator hangs up.
        Err(error) => {
            debug!(%error, %from, "a login ended early");
            None
        }
    }
}
