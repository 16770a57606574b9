//! Parses a coordinator's address and attaches TLS and the token to every call.
//!
//! The token travels in a header marked sensitive, so no layer logs it. It is never part of an address or an argument,
//! and it never crosses an unencrypted connection except to this machine, unless the caller allows that.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::rt::TokioIo;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use crate::credentials::{ClientIdentity, Credentials, Secret};
use crate::error::DialError;
use crate::proxies::Proxies;
use crate::route::Target;

/// Header that carries the token.
pub const AUTHORIZATION: &str = "authorization";

/// Precedes the token in that header.
pub const BEARER: &str = "Bearer ";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection silent for this long is broken, whatever the operating system says. The pings also keep NAT entries
/// alive.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// An address or credential that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL. The input is repeated only if it cannot contain a secret.
    #[error(
        "`{url}` is not the address of a coordinator: expected, for example, http://127.0.0.1:7450 or https://login-1:7450"
    )]
    Address { url: String },
    /// The address contains a user name or password.
    #[error(
        "the coordinator's address has credentials before an @: put the token into WINDTUNNEL_TOKEN or a file instead"
    )]
    SecretInAddress,
    /// The token would cross an unencrypted connection.
    #[error(
        "refusing to send the token to {host} over an unencrypted connection: use https, or pass --insecure on a network \
         you trust"
    )]
    PlainToken {
        /// Host the token would go to.
        host: String,
    },
    /// The token contains characters that an HTTP header cannot hold.
    #[error("the token contains characters that are not allowed in an HTTP header")]
    Token,
    /// A certificate or key cannot be parsed.
    #[error("the certificates cannot be used")]
    Tls(#[source] tonic::transport::Error),
}

/// Parses a coordinator's address into an endpoint that is ready to dial and an interceptor that authorises each call.
///
/// # Errors
/// Fails if the address is not a URL, a certificate cannot be parsed, or the token would cross an unencrypted
/// connection.
pub fn endpoint(url: &str, credentials: &Credentials) -> Result<(Endpoint, Authorize), EndpointError> {
    let uri: Uri = url.parse().map_err(|_| not_an_address(url))?;
    let target = Target::of(&uri).map_err(|error| match error {
        DialError::UserInfo => EndpointError::SecretInAddress,
        _ => not_an_address(url),
    })?;
    let is_encrypted = uri.scheme() == Some(&Scheme::HTTPS);
    if credentials.token.is_some() && !is_encrypted && !target.is_loopback() && !credentials.allow_plain_token {
        return Err(EndpointError::PlainToken { host: target.host });
    }
    let authorize = Authorize::new(credentials.token.as_ref())?;
    let mut endpoint = Endpoint::from(uri)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    if is_encrypted {
        endpoint = endpoint.tls_config(tls(credentials)).map_err(EndpointError::Tls)?;
    }
    Ok((endpoint, authorize))
}

/// Connects to an endpoint, through a proxy if the environment names one.
///
/// # Errors
/// Fails if the coordinator or the proxy cannot be reached, or if the peer's certificate is not trusted.
pub async fn connect(endpoint: &Endpoint) -> Result<Channel, tonic::transport::Error> {
    let proxies = Arc::new(Proxies::from_env());
    let connector = tower::service_fn(move |uri: Uri| {
        let proxies = Arc::clone(&proxies);
        async move { proxies.connect(&uri).await.map(TokioIo::new) }
    });
    endpoint.connect_with_connector(connector).await
}

fn tls(credentials: &Credentials) -> ClientTlsConfig {
    let tls = ClientTlsConfig::new();
    let tls = match &credentials.ca {
        Some(ca) => tls.ca_certificate(Certificate::from_pem(ca)),
        None => tls.with_native_roots(),
    };
    match &credentials.identity {
        Some(ClientIdentity { certificate, key }) => tls.identity(Identity::from_pem(certificate, key)),
        None => tls,
    }
}

fn not_an_address(url: &str) -> EndpointError {
    if url.contains('@') { EndpointError::SecretInAddress } else { EndpointError::Address { url: url.to_owned() } }
}

/// Adds the token, if there is one, to every call.
#[derive(Debug, Clone)]
pub struct Authorize(Option<MetadataValue<Ascii>>);

impl Authorize {
    fn new(token: Option<&Secret>) -> Result<Self, EndpointError> {
        let value = |token: &Secret| {
            let mut value =
                MetadataValue::try_from(format!("{BEARER}{}", token.expose())).map_err(|_| EndpointError::Token)?;
            value.set_sensitive(true);
            Ok(value)
        };
        Ok(Self(token.map(value).transpose()?))
    }
}

impl Interceptor for Authorize {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert(AUTHORIZATION, value.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Secret;

    fn with_token() -> Credentials {
        Credentials { token: Some(Secret::new("wt_0_secret")), ..Credentials::default() }
    }

    #[test]
    fn a_token_goes_only_where_nobody_can_listen_in() {
        for url in ["http://127.0.0.1:7450", "http://localhost:1", "http://[::1]:7450"] {
            endpoint(url, &with_token()).expect(url);
        }
        for url in ["http://login-1:7450", "http://10.0.0.1:7450", "http://127.0.0.1.example:1"] {
            let refused = endpoint(url, &with_token()).expect_err(url);
            assert!(matches!(refused, EndpointError::PlainToken { .. }), "{url}: {refused}");
            endpoint(url, &Credentials::default()).expect(url);
            endpoint(url, &Credentials { allow_plain_token: true, ..with_token() }).expect(url);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_secrets_are_not_repeated() {
        for url in ["", "login-1:7450", "ftp://login-1", "http://", "not an address"] {
            assert!(matches!(endpoint(url, &Credentials::default()), Err(EndpointError::Address { .. })), "{url}");
        }
        for url in ["http://user:hunter2@127.0.0.1:1", "ht tp://hunter2@x"] {
            let refused = endpoint(url, &Credentials::default()).expect_err(url);
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused}");
        }
        let (_, authorize) = endpoint("http://127.0.0.1:1", &with_token()).expect("it is one");
        assert!(!format!("{:?} {authorize:?}", with_token()).contains("secret"));
        let unfit = Credentials { token: Some(Secret::new("two\nlines")), ..Credentials::default() };
        assert!(matches!(endpoint("http://127.0.0.1:1", &unfit), Err(EndpointError::Token)));
    }
}
