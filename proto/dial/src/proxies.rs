//! Proxy settings from the environment, and connections through them.

use http::{StatusCode, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::net::TcpStream;

use crate::error::DialError;
use crate::route::{Proxy, Route, Target};
use crate::tunnel::{Answer, ask};

/// The configured proxies, and the hosts exempt from them.
#[derive(Debug)]
pub struct Proxies {
    matcher: Matcher,
}

impl Proxies {
    /// The proxies that this process's environment names.
    #[must_use]
    pub fn from_env() -> Self {
        Self { matcher: Matcher::from_env() }
    }

    /// One proxy for everything except the hosts in `exempt`, which has the form of `NO_PROXY`.
    #[must_use]
    pub fn one(proxy: &str, exempt: &str) -> Self {
        Self { matcher: Matcher::builder().all(proxy).no(exempt).build() }
    }

    /// Opens an unencrypted connection to a coordinator. The caller sets the timeout.
    ///
    /// # Errors
    /// Fails if the address cannot be dialled, or the coordinator or the proxy refuses the connection.
    pub async fn connect(&self, uri: &Uri) -> Result<TcpStream, DialError> {
        let stream = match Route::to(uri, &self.matcher)? {
            Route::Direct(target) => directly(&target).await?,
            Route::Through { proxy, target, intercept } => {
                let at_proxy = |source| DialError::Proxy { proxy: proxy.address.clone(), source };
                let mut stream = TcpStream::connect((proxy.host.as_str(), proxy.port)).await.map_err(at_proxy)?;
                let answer = ask(&mut stream, &target.to_string(), intercept.basic_auth()).await.map_err(at_proxy)?;
                judge(answer, &proxy, &target)?;
                stream
            }
        };
        // Failing to set it costs latency only.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

async fn directly(target: &Target) -> Result<TcpStream, DialError> {
    let connected = TcpStream::connect((target.host.as_str(), target.port)).await;
    connected.map_err(|source| DialError::Direct { target: target.to_string(), source })
}

fn judge(answer: Answer, proxy: &Proxy, target: &Target) -> Result<(), DialError> {
    let proxy = proxy.address.clone();
    match answer {
        Answer::Status(200..=299) => Ok(()),
        Answer::Status(status) if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Err(DialError::Credentials { proxy })
        }
        Answer::Status(status) => Err(DialError::Refused { proxy, target: target.to_string(), status }),
        Answer::Unreadable => Err(DialError::Answer { proxy }),
    }
}
