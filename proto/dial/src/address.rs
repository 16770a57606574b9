//! Parses a coordinator's address, attaches TLS and the token, and opens connections.
//!
//! Over TLS the token travels in a header marked sensitive, so no layer logs it. It is never part of an address or an
//! argument, and it never crosses an unencrypted connection unless the caller allows that: over loopback the client logs
//! in without sending it, and over a Unix socket it needs none.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use crate::credentials::{ClientIdentity, Credentials, Secret};
use crate::error::{DialError, LoginError};
use crate::login::Login;
use crate::proxies::Proxies;
use crate::rendezvous::RendezvousError;
use crate::route::Target;
use crate::socket::SocketPath;

/// Header that carries the token.
pub const AUTHORIZATION: &str = "authorization";

/// Precedes the token in that header.
pub const BEARER: &str = "Bearer ";

/// Begins the address of a Unix socket.
pub const SOCKET_SCHEME: &str = "unix:";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection silent for this long is broken, whatever the operating system says. The pings also keep NAT entries
/// alive.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// An address or credential that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
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
    /// Nothing reads a query, so whatever it holds was meant for something else.
    #[error("the coordinator's address ends with a query: leave out the `?` and what follows it")]
    Query,
    /// The token would cross an unencrypted connection.
    #[error(
        "refusing to send the token to {host} over an unencrypted connection: use https, or pass --insecure on a network \
         you trust"
    )]
    PlainToken {
        /// Host the token would go to.
        host: String,
    },
    /// The token does not have the form of one.
    #[error("the token is malformed: expected wt_ID_SECRET, as `windtunnel token create` prints it")]
    Token,
    /// A list that is too long.
    #[error("more than {most} addresses of a coordinator")]
    TooMany { most: usize },
    /// No coordinator is announced where one should be.
    #[error(transparent)]
    Rendezvous(#[from] RendezvousError),
    /// A certificate or key cannot be parsed.
    #[error("the certificates cannot be used")]
    Tls(#[source] tonic::transport::Error),
}

impl AddressError {
    /// Whether the same text may be an address later, once a coordinator has announced itself.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Rendezvous(error) if error.may_pass())
    }
}

/// Where a coordinator listens, and how a client with certain credentials talks to it.
#[derive(Debug, Clone)]
pub struct Address {
    url: String,
    endpoint: Endpoint,
    authorize: Authorize,
    connector: Connector,
}

impl Address {
    /// Parses an address: `https://host:port`, `http://host:port`, or `unix:/path` of a socket on this machine.
    ///
    /// # Errors
    /// Fails if it is not an address, a certificate cannot be parsed, or the token would cross an unencrypted connection
    /// to another machine.
    pub fn parse(url: &str, credentials: &Credentials) -> Result<Self, AddressError> {
        if let Some(path) = url.strip_prefix(SOCKET_SCHEME) {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            if !path.is_absolute() {
                return Err(not_an_address(url));
            }
            // The socket is the credential.
            let endpoint = patient(Endpoint::from_static("http://localhost"));
            let (url, connector) = (url.to_owned(), Connector(Way::Socket(path)));
            return Ok(Self { url, endpoint, authorize: Authorize(None), connector });
        }
        let uri: Uri = url.parse().map_err(|_| not_an_address(url))?;
        if uri.query().is_some() {
            return Err(AddressError::Query);
        }
        let target = Target::of(&uri).map_err(|error| match error {
            DialError::UserInfo => AddressError::SecretInAddress,
            _ => not_an_address(url),
        })?;
        let is_encrypted = uri.scheme() == Some(&Scheme::HTTPS);
        let mut login = None;
        let mut header = credentials.token.as_ref();
        if let Some(token) = header
            && !is_encrypted
            && !credentials.allow_plain_token
        {
            if !target.is_loopback() {
                return Err(AddressError::PlainToken { host: target.host });
            }
            login = Some(Login::with(token).ok_or(AddressError::Token)?);
            header = None;
        }
        let mut endpoint = patient(Endpoint::from(uri));
        if is_encrypted {
            endpoint = endpoint.tls_config(tls(credentials)).map_err(AddressError::Tls)?;
        }
        let way = Way::Tcp { proxies: Arc::new(Proxies::from_env()), login };
        Ok(Self { url: url.to_owned(), endpoint, authorize: Authorize::new(header)?, connector: Connector(way) })
    }

    /// The text it was parsed from.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// For tonic, which connects through the [`Connector`].
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Adds the token to calls, where it travels with them.
    #[must_use]
    pub fn authorize(&self) -> &Authorize {
        &self.authorize
    }

    /// Opens connections to this address.
    #[must_use]
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Connects.
    ///
    /// # Errors
    /// Fails if the coordinator or the proxy cannot be reached, or if the peer is not trusted.
    pub async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        let connector = self.connector.clone();
        let connector = tower::service_fn(move |uri: Uri| {
            let connector = connector.clone();
            async move { connector.open(&uri).await.map(TokioIo::new) }
        });
        self.endpoint.connect_with_connector(connector).await
    }
}

fn patient(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
}

/// A connection, below any encryption.
pub type Connection = Either<TcpStream, UnixStream>;

/// Opens connections to one address.
#[derive(Debug, Clone)]
pub struct Connector(Way);

#[derive(Debug, Clone)]
enum Way {
    Tcp { proxies: Arc<Proxies>, login: Option<Login> },
    Socket(PathBuf),
}

impl Connector {
    /// Opens a connection, and logs in where the token must not be sent.
    ///
    /// # Errors
    /// Fails if the coordinator or the proxy cannot be reached, or if the listener does not know the token.
    pub async fn open(&self, uri: &Uri) -> Result<Connection, DialError> {
        match &self.0 {
            Way::Tcp { proxies, login } => {
                let mut stream = proxies.connect(uri).await?;
                if let Some(login) = login {
                    let target = || uri.authority().map_or_else(String::new, |authority| authority.to_string());
                    let dialled = stream.peer_addr().map_err(LoginError::Broken);
                    let proved = match dialled {
                        Ok(dialled) => login.prove(&mut stream, dialled).await,
                        Err(error) => Err(error),
                    };
                    proved.map_err(|source| DialError::Login { target: target(), source })?;
                }
                Ok(Either::Left(stream))
            }
            Way::Socket(path) => {
                let broken = |source| DialError::Socket { path: path.clone(), source };
                let stream =
                    UnixStream::connect(SocketPath::new(path).map_err(broken)?.path()).await.map_err(broken)?;
                let uid = stream.peer_cred().map_err(broken)?.uid();
                if uid != 0 && uid != rustix::process::geteuid().as_raw() {
                    return Err(DialError::ForeignSocket { path: path.clone(), uid });
                }
                Ok(Either::Right(stream))
            }
        }
    }
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

fn not_an_address(url: &str) -> AddressError {
    if url.contains('@') { AddressError::SecretInAddress } else { AddressError::Address { url: url.to_owned() } }
}

/// Adds the token, if there is one, to every call.
#[derive(Debug, Clone)]
pub struct Authorize(Option<MetadataValue<Ascii>>);

impl Authorize {
    fn new(token: Option<&Secret>) -> Result<Self, AddressError> {
        let value = |token: &Secret| -> Result<_, AddressError> {
            let mut value =
                MetadataValue::try_from(format!("{BEARER}{}", token.expose())).map_err(|_| AddressError::Token)?;
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
        Credentials { token: Some(Secret::new(format!("wt_0_{}", "07".repeat(32)))), ..Credentials::default() }
    }

    fn header(address: &Address) -> bool {
        address.authorize().0.is_some()
    }

    #[tokio::test]
    async fn a_token_is_sent_only_where_nobody_can_listen_in() {
        for url in ["http://127.0.0.1:7450", "http://localhost:1", "http://[::1]:7450"] {
            let address = Address::parse(url, &with_token()).expect(url);
            let Way::Tcp { login, .. } = &address.connector().0 else { panic!("{url}: no TCP") };
            assert!(login.is_some() && !header(&address), "{url}");
        }
        for url in ["http://login-1:7450", "http://10.0.0.1:7450", "http://127.0.0.1.example:1"] {
            let refused = Address::parse(url, &with_token()).expect_err(url);
            assert!(matches!(refused, AddressError::PlainToken { .. }), "{url}: {refused}");
            Address::parse(url, &Credentials::default()).expect(url);
            let plain = Address::parse(url, &Credentials { allow_plain_token: true, ..with_token() }).expect(url);
            assert!(header(&plain), "{url}");
        }
        let encrypted = Address::parse("https://login-1:7450", &with_token()).expect("an address");
        assert!(header(&encrypted));
        let socket = Address::parse("unix:/data/coordinator.sock", &with_token()).expect("an address");
        assert!(!header(&socket), "a socket needs no token");
    }

    #[tokio::test]
    async fn what_is_no_address_is_refused_and_secrets_are_not_repeated() {
        for url in ["", "login-1:7450", "ftp://login-1", "http://", "not an address", "unix:", "unix:relative"] {
            assert!(matches!(Address::parse(url, &Credentials::default()), Err(AddressError::Address { .. })), "{url}");
        }
        for url in ["http://user:hunter2@127.0.0.1:1", "ht tp://hunter2@x", "http://127.0.0.1:1/?token=hunter2"] {
            let refused = Address::parse(url, &Credentials::default()).expect_err(url);
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused}");
        }
        let address = Address::parse("http://127.0.0.1:1", &with_token()).expect("an address");
        assert!(!format!("{:?} {address:?}", with_token()).contains("0707"));
        for unfit in ["two\nlines", "wt_0_secret", "hunter2"] {
            let unfit = Credentials { token: Some(Secret::new(unfit)), ..Credentials::default() };
            let refused = Address::parse("http://127.0.0.1:1", &unfit).expect_err("malformed");
            assert!(matches!(refused, AddressError::Token) && !refused.to_string().contains("hunter2"), "{refused}");
        }
    }
}
