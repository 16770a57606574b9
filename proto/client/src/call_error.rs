//! Errors of calls to a coordinator.

use std::error::Error;

use tonic::{Code, Status};

/// Why a call to a coordinator failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Its address or the credentials are invalid.
    #[error(transparent)]
    Endpoint(#[from] dial::AddressError),
    /// It refused the request: an unknown name, an invalid recipe.
    #[error("{message}")]
    Refused { message: String },
    /// It is unreachable or the connection broke. It may come back.
    #[error("the coordinator at {url} does not answer")]
    Unreachable {
        /// Its address.
        url: String,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// What listens there does not know the token, or is another program.
    #[error("cannot log in to the coordinator at {url}: {reason}")]
    Login {
        /// Its address.
        url: String,
        reason: String,
    },
    /// It answered that it cannot answer now: it is stopping, or waits for its store or its storage.
    #[error("the coordinator at {url} cannot answer now: {message}")]
    NotNow {
        /// Its address.
        url: String,
        message: String,
    },
    /// It does not know the call.
    #[error(
        "the coordinator at {url} is another version of windtunnel, which cannot do this: use the version that the \
         coordinator has"
    )]
    UnknownCall {
        /// Its address.
        url: String,
    },
    /// It reported a failure of its own.
    #[error("the coordinator at {url} failed: {message}")]
    Failed {
        /// Its address.
        url: String,
        message: String,
    },
    /// It speaks another protocol version, whose plans this one cannot decode.
    #[error(
        "the coordinator at {url} is windtunnel {version} with protocol {theirs}, and this program is windtunnel {} with \
         protocol {}: use the version that the coordinator has",
        env!("CARGO_PKG_VERSION"),
        proto::PROTOCOL
    )]
    OtherProtocol {
        /// Its address.
        url: String,
        /// The version of its program.
        version: String,
        /// Its protocol version.
        theirs: u32,
    },
    /// It answered with something this version cannot decode.
    #[error("the coordinator at {url} sent something unexpected")]
    Unexpected {
        /// Its address.
        url: String,
        /// The cause.
        #[source]
        source: proto::ConvertError,
    },
}

impl CallError {
    /// The error for a connection that could not be made.
    pub(crate) fn connecting(url: &str, source: impl Error + Send + Sync + 'static) -> Self {
        let url = url.to_owned();
        match dial::failed_login(&source) {
            Some(login) => Self::Login { url, reason: login.to_string() },
            None => Self::Unreachable { url, source: Box::new(source) },
        }
    }

    /// The error for a status.
    #[must_use]
    pub fn of(url: &str, status: Status) -> Self {
        let url = url.to_owned();
        let message = status.message().to_owned();
        match status.code() {
            Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition | Code::OutOfRange => {
                Self::Refused { message }
            }
            Code::AlreadyExists | Code::PermissionDenied | Code::Unauthenticated => Self::Refused { message },
            // A status produced locally because the connection broke has the transport's error as its source.
            _ if status.source().is_some() => Self::Unreachable { url, source: Box::new(status) },
            Code::Unavailable => Self::NotNow { url, message },
            Code::Unimplemented => Self::UnknownCall { url },
            _ => Self::Failed { url, message },
        }
    }

    /// The error for an answer that cannot be decoded, given what the coordinator says about itself, if it answers.
    pub(crate) fn unreadable(url: &str, source: proto::ConvertError, info: Option<&proto::v1::Info>) -> Self {
        let url = url.to_owned();
        match info.filter(|info| info.protocol != proto::PROTOCOL) {
            Some(info) => Self::OtherProtocol { url, version: info.version.clone(), theirs: info.protocol },
            None => Self::Unexpected { url, source },
        }
    }

    /// Whether the request itself is at fault.
    #[must_use]
    pub fn is_bad_input(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Endpoint(_))
    }

    /// Whether the same call may succeed later, with this coordinator or its successor.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Login { .. } | Self::NotNow { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_another_version_is_said_to_be_one() {
        let missing = || proto::convert::plan("plan_json", "").expect_err("there is none");
        let info = |protocol| proto::v1::Info { version: "0.0.9".to_owned(), protocol, ..Default::default() };
        let said = CallError::unreadable("http://a", missing(), Some(&info(0))).to_string();
        let (version, protocol) = (env!("CARGO_PKG_VERSION"), proto::PROTOCOL);
        assert_eq!(
            said,
            format!(
                "the coordinator at http://a is windtunnel 0.0.9 with protocol 0, and this program is windtunnel {version} \
                 with protocol {protocol}: use the version that the coordinator has"
            )
        );
        for info in [None, Some(info(proto::PROTOCOL))] {
            let said = CallError::unreadable("http://a", missing(), info.as_ref()).to_string();
            assert_eq!(said, "the coordinator at http://a sent something unexpected");
        }
    }

    #[test]
    fn who_can_act_follows_from_the_status() {
        let unknown = CallError::of("http://a", Status::not_found("no campaign `x`"));
        assert_eq!((unknown.to_string().as_str(), unknown.is_retryable()), ("no campaign `x`", false));
        let stalled = CallError::of("http://a", Status::unavailable("its disk is full"));
        assert!(stalled.is_retryable());
        assert_eq!(stalled.to_string(), "the coordinator at http://a cannot answer now: its disk is full");
        let older = CallError::of("http://a", Status::unimplemented(""));
        assert!(!older.is_retryable() && older.to_string().contains("use the version"), "{older}");
        let failed = CallError::of("http://a", Status::internal("disk full"));
        assert!(!failed.is_retryable());
        assert_eq!(failed.to_string(), "the coordinator at http://a failed: disk full");
    }
}
