//! The server's certificates.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

/// A connection that has not finished its handshake by then is cut off.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The files a server's TLS needs, all in PEM form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The coordinator's certificate, followed by any intermediate ones.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities for client certificates. If absent, clients need no certificate.
    pub client_ca: Option<PathBuf>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// One of them is invalid, or they do not belong together.
    #[error("the certificate {} cannot be used with the key {}", .certificate.display(), .key.display())]
    Unfit {
        certificate: PathBuf,
        key: PathBuf,
        /// The cause.
        source: tonic::transport::Error,
    },
}

impl TlsFiles {
    /// Reads the files and checks that they can be used together.
    pub(crate) fn read(&self) -> Result<ServerTlsConfig, TlsError> {
        let Self { certificate, key, client_ca } = self;
        let identity = Identity::from_pem(read(certificate)?, read(key)?);
        let mut tls = ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE_TIMEOUT);
        if let Some(client_ca) = client_ca {
            tls = tls.client_ca_root(Certificate::from_pem(read(client_ca)?));
        }
        let unfit = |source| TlsError::Unfit { certificate: certificate.clone(), key: key.clone(), source };
        Server::builder().tls_config(tls.clone()).map_err(unfit)?;
        Ok(tls)
    }
}

/// TLS with a certificate that was just made and its private key, both PEM.
pub(crate) fn with_own((certificate, key): (String, String)) -> ServerTlsConfig {
    ServerTlsConfig::new().identity(Identity::from_pem(certificate, key)).timeout(HANDSHAKE_TIMEOUT)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}
