//! Why the server gave no answer, or another than was asked for.

use std::error::Error;
use std::time::Duration;

use kube::client::AuthError;

/// The most of a server's sentence that is repeated.
const LONGEST: usize = 600;

/// What became of a request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum KubernetesError {
    /// A status below 500, with the server's message.
    #[error("the server refuses ({code}): {message}{}", advice(*.code))]
    Refused { code: u16, message: String },
    #[error("server error ({code}): {message}")]
    Fails { code: u16, message: String },
    #[error("no answer within {0:?}")]
    TookTooLong(Duration),
    #[error("no answer: {0}")]
    Severed(String),
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("the list expired {0} times before it was read to the end")]
    Changes(u32),
    #[error("the list has more than {0} pages")]
    TooManyPages(u32),
    #[error("cannot find the cluster: {0}; name a context of the kubeconfig, or run the coordinator in the cluster")]
    NoCluster(String),
    #[error("pods cannot read the file in which this coordinator announces itself: give an address with --dial")]
    NoAddress,
}

impl KubernetesError {
    /// From a status and its body.
    pub(super) fn of_status(code: u16, body: &[u8]) -> Self {
        let status: Option<serde_json::Value> = serde_json::from_slice(body).ok();
        let said = status.as_ref().and_then(|status| status.get("message")?.as_str());
        let message = said.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
        let message: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
        if code >= 500 { Self::Fails { code, message } } else { Self::Refused { code, message } }
    }

    /// Of an error of the client.
    pub(super) fn severed(error: &kube::Error) -> Self {
        Self::Severed(in_words(error))
    }

    /// Whether the server answered with this status.
    pub(super) fn is(&self, status: u16) -> bool {
        matches!(self, Self::Refused { code, .. } | Self::Fails { code, .. } if *code == status)
    }

    /// Whether the request may have taken effect anyway.
    pub(super) fn leaves_open(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::NoCluster(_) | Self::NoAddress | Self::Changes(_) | Self::TooManyPages(_) => {
                false
            }
            Self::Fails { .. } | Self::TookTooLong(_) | Self::Severed(_) | Self::Unreadable(_) | Self::TooLong(_) => {
                true
            }
        }
    }
}

/// An error of the client with its causes: addresses and reasons. What a credential plugin was called with and what it wrote is
/// left out, because it may hold secrets.
pub(super) fn in_words(error: &(dyn Error + 'static)) -> String {
    let (mut causes, mut next) = (Vec::new(), Some(error));
    while let Some(cause) = next {
        causes.push(cause);
        next = cause.source();
    }
    let plugin = causes.iter().find_map(|cause| match cause.downcast_ref::<AuthError>() {
        Some(AuthError::AuthExecRun { out, .. }) => Some(format!("its credential plugin failed ({})", out.status)),
        Some(AuthError::AuthExecStart(error)) => Some(format!("its credential plugin cannot be started: {error}")),
        _ => None,
    });
    let mut words = plugin.unwrap_or_default();
    if words.is_empty() {
        for said in causes.iter().map(ToString::to_string) {
            if !words.contains(&said) {
                let separator = if words.is_empty() { "" } else { ": " };
                words.extend([separator, &said]);
            }
        }
    }
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

/// What to do about a refusal, where its message does not say so.
fn advice(code: u16) -> &'static str {
    match code {
        401 => "; renew the credentials of the kubeconfig or of the service account",
        403 => "; deploy/kubernetes/base/rbac.yaml has the rights that a pool needs",
        _ => "",
    }
}
