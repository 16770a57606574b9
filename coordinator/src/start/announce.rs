//! A coordinator that announces in a file where it is: with a certificate of its own making, and tokens of its data directory.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dial::Rendezvous;
use rcgen::CertifiedKey;
use tracing::info;

use super::announced::Announced;
use crate::auth::{Scope, Tokens, read_token};
use crate::lock::machine;
use crate::passing::io_may_pass;
use crate::store::{Store, StoreError, TokenState};

/// Keeps what was announced last, in the data directory: workers that outlive a coordinator are recognised by their token, so
/// the next one announces the same tokens.
const ANNOUNCED_FILE: &str = "announced.json";

/// What the tokens are called in a list of tokens.
const TOKEN_NAME: &str = "announced";

/// Why a coordinator cannot announce itself.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    #[error("cannot make a certificate")]
    Certificate(#[source] rcgen::Error),
    #[error("cannot make tokens")]
    Tokens(#[source] StoreError),
    #[error("{} exists and is not what a coordinator announces: name another file", .file.display())]
    Occupied { file: PathBuf },
    #[error("cannot write {}", .file.display())]
    Write {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl AnnounceError {
    /// Whether the file, or the store of the tokens, may be there later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Tokens(error) => error.may_pass(),
            Self::Write { source, .. } => io_may_pass(source),
            Self::Certificate(_) | Self::Occupied { .. } => false,
        }
    }
}

/// A certificate that vouches for itself. It lives as long as the process.
pub(super) struct OwnCertificate {
    names: Vec<String>,
    made: CertifiedKey<rcgen::KeyPair>,
}

impl OwnCertificate {
    /// For whatever this machine may be called by those who dial it.
    pub(super) fn make(listen: SocketAddr) -> Result<Self, AnnounceError> {
        let names = names(listen.ip());
        let made = rcgen::generate_simple_self_signed(names.clone()).map_err(AnnounceError::Certificate)?;
        Ok(Self { names, made })
    }

    /// The certificate and its private key, as PEM.
    pub(super) fn pem(&self) -> (String, String) {
        (self.made.cert.pem(), self.made.signing_key.serialize_pem())
    }
}

/// The names and addresses under which a listener can be dialled, the likeliest first.
fn names(listen: IpAddr) -> Vec<String> {
    if !listen.is_unspecified() {
        return vec![listen.to_string()];
    }
    let machine = Some(machine()).filter(|name| !name.is_empty());
    let resolved = machine.iter().flat_map(|name| (name.as_str(), 0).to_socket_addrs().into_iter().flatten());
    // Where packets to other networks would leave from; 192.0.2.1 is nobody's, and none is sent.
    let outgoing = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let addresses = resolved.chain(outgoing).map(|address| address.ip());
    let reachable = addresses.filter(|ip| ip.is_ipv4() && !ip.is_loopback() && !ip.is_unspecified());
    let mut names: Vec<String> = machine.clone().into_iter().chain(reachable.map(|ip| ip.to_string())).collect();
    names.push("127.0.0.1".to_owned());
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Refuses a file that holds something else, which an announcement would replace and then delete.
pub(super) fn check(file: &Path) -> Result<(), AnnounceError> {
    let is_free = match std::fs::symlink_metadata(file) {
        Ok(found) => found.is_file() && Rendezvous::read(file).is_ok(),
        Err(_) => true,
    };
    if is_free { Ok(()) } else { Err(AnnounceError::Occupied { file: file.to_owned() }) }
}

/// Announces a coordinator that leads, until what is returned is dropped.
pub(super) async fn announce(
    file: PathBuf,
    certificate: &OwnCertificate,
    port: u16,
    data_dir: &Path,
    store: Arc<dyn Store>,
) -> Result<Announced, AnnounceError> {
    let kept = data_dir.join(ANNOUNCED_FILE);
    let before = Rendezvous::read(&kept).ok();
    let tokens = Tokens::of(store);
    let url = |name: &String| match name.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => format!("https://[{ip}]:{port}"),
        _ => format!("https://{name}:{port}"),
    };
    let content = Rendezvous {
        urls: certificate.names.iter().map(url).collect(),
        certificate: certificate.made.cert.pem(),
        worker_token: token(&tokens, Scope::Worker, before.as_ref().map(|before| &before.worker_token)).await?,
        submit_token: token(&tokens, Scope::Submit, before.as_ref().map(|before| &before.submit_token)).await?,
    };
    for path in [&kept, &file] {
        let failed = |source| AnnounceError::Write { file: path.clone(), source };
        content.write(path).map_err(failed)?;
    }
    info!(file = %file.display(), urls = content.urls.join(" "), "announced");
    Ok(Announced::keep(file, content))
}

/// The token that was announced before, as long as it counts; otherwise a new one.
async fn token(tokens: &Tokens, scope: Scope, before: Option<&String>) -> Result<String, AnnounceError> {
    let rows = tokens.list().await.map_err(AnnounceError::Tokens)?;
    let counts = |text: &&String| {
        read_token(text).is_some_and(|shown| {
            let hash = shown.hash.to_hex();
            let is_it = |row: &crate::store::TokenRow| row.hash == hash.as_str() && row.scope == scope.name();
            rows.iter().any(|row| is_it(row) && matches!(row.state(), TokenState::Valid))
        })
    };
    match before.filter(counts) {
        Some(token) => Ok(token.clone()),
        None => {
            let (_, secret) = tokens.create(TOKEN_NAME, scope, None).await.map_err(AnnounceError::Tokens)?;
            Ok(secret.expose().to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_something_else_is_not_replaced() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("store.sqlite");
        assert!(check(&file).is_ok(), "nothing is there");
        std::fs::write(&file, "precious").expect("it is written");
        assert!(matches!(check(&file), Err(AnnounceError::Occupied { .. })));
        assert!(matches!(check(Path::new("/dev/null")), Err(AnnounceError::Occupied { .. })));
        let (urls, token) = (vec!["https://127.0.0.1:1".to_owned()], "wt_a".to_owned());
        let earlier = Rendezvous { urls, certificate: String::new(), worker_token: token.clone(), submit_token: token };
        std::fs::remove_file(&file).expect("it is there");
        earlier.write(&file).expect("it is written");
        assert!(check(&file).is_ok(), "an announcement may be replaced");
    }

    #[test]
    fn a_listener_is_dialled_by_its_address_or_else_by_every_name_of_the_machine() {
        assert_eq!(names(IpAddr::from([10, 0, 0, 7])), ["10.0.0.7"]);
        let all = names(IpAddr::from([0, 0, 0, 0]));
        assert_eq!(all.last().map(String::as_str), Some("127.0.0.1"));
        let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "{all:?}");
    }
}
