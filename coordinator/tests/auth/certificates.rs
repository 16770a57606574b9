//! TLS: nobody reads along, and nobody is taken for somebody else.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use coordinator::{Coordinator, CoordinatorOptions, Scope, StartError, TlsFiles};
use dial::{ClientIdentity, Credentials};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tonic::Code;

use crate::support::{Place, code, connect};

/// An authority and what it vouches for.
struct Authority {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are fine");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("there is randomness");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it can sign");
        Self { dir: tempfile::tempdir().expect("a temporary directory"), issuer }
    }

    fn pem(&self) -> Vec<u8> {
        self.issuer.pem().into_bytes()
    }

    fn issue(&self, name: &str) -> ClientIdentity {
        let key = KeyPair::generate().expect("there is randomness");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("it is a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("it can sign").pem();
        ClientIdentity { certificate: certificate.into_bytes(), key: key.serialize_pem().into_bytes() }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).expect("it is written");
        path
    }

    fn files(&self, client_ca: bool) -> TlsFiles {
        let ClientIdentity { certificate, key } = self.issue("localhost");
        TlsFiles {
            certificate: self.file("server.pem", &certificate),
            key: self.file("server.key", &key),
            client_ca: client_ca.then(|| self.file("ca.pem", &self.pem())),
        }
    }
}

fn url(place: &Place) -> String {
    let port = place.handle.public_url().rsplit(':').next().expect("has a port").to_owned();
    format!("https://localhost:{port}")
}

#[tokio::test]
async fn a_connection_is_encrypted_and_the_coordinator_is_who_it_says() {
    let authority = Authority::new();
    let place = Place::with(|options| CoordinatorOptions { tls: Some(authority.files(false)), ..options }).await;
    let (_, token) = place.token(Scope::Read).await;
    let trusting = Credentials { ca: Some(authority.pem()), ..token.clone() };
    let mut honest = connect(&url(&place), &trusting).await.expect("it is trusted");
    assert_eq!(code(&mut honest).await, Code::Ok);

    let without_token = Credentials { token: None, ..trusting.clone() };
    let mut nobody = connect(&url(&place), &without_token).await.expect("anybody may connect");
    assert_eq!(code(&mut nobody).await, Code::Unauthenticated);

    let other = Credentials { ca: Some(Authority::new().pem()), ..token.clone() };
    connect(&url(&place), &other).await.expect_err("another authority does not vouch for it");
    connect(&url(&place).replace("localhost", "127.0.0.1"), &trusting).await.expect_err("it is not called that");
    let mut plain = connect(&url(&place).replace("https", "http"), &token).await;
    let plain = match &mut plain {
        Ok(client) => code(client).await,
        Err(_) => Code::Unavailable,
    };
    assert_ne!(plain, Code::Ok, "nothing is said without TLS");
    assert_eq!(code(&mut honest).await, Code::Ok, "and all that disturbed nobody");

    // Tools of the same user on this machine use the socket.
    let live = coordinator::locate(place.dir.path()).expect("it is there");
    let mut tool = connect(&live.local_url(), &Credentials::default()).await.expect("it listens");
    assert_eq!(code(&mut tool).await, Code::Ok);
    assert!(live.local_url().starts_with("unix:") && live.url.starts_with("https:"), "{live:?}");
}

#[tokio::test]
async fn who_dials_shows_a_certificate_where_one_is_asked_for() {
    let authority = Authority::new();
    let place = Place::with(|options| CoordinatorOptions { tls: Some(authority.files(true)), ..options }).await;
    let (_, token) = place.token(Scope::Read).await;
    let without = Credentials { ca: Some(authority.pem()), ..token };
    let refused = |credentials: Credentials| {
        let url = url(&place);
        async move {
            match connect(&url, &credentials).await {
                Ok(mut client) => code(&mut client).await != Code::Ok,
                Err(_) => true,
            }
        }
    };
    assert!(refused(without.clone()).await, "none");
    let of_another = Credentials { identity: Some(Authority::new().issue("a worker")), ..without.clone() };
    assert!(refused(of_another).await, "one of another authority");
    let with = Credentials { identity: Some(authority.issue("a worker")), ..without };
    let mut client = connect(&url(&place), &with).await.expect("it is vouched for");
    assert_eq!(code(&mut client).await, Code::Ok);
}

#[tokio::test]
async fn what_others_can_reach_needs_certificates_that_can_be_used() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let beyond =
        || CoordinatorOptions { listen: SocketAddr::from(([0, 0, 0, 0], 0)), ..CoordinatorOptions::new(dir.path()) };
    let refused = Coordinator::start(beyond()).await.expect_err("nothing is encrypted");
    assert!(matches!(refused, StartError::NotLoopback { .. }), "{refused}");

    let authority = Authority::new();
    let other_key = authority.file("other.key", &authority.issue("localhost").key);
    let garbage = authority.file("garbage.pem", b"garbage");
    let good = authority.files(false);
    for (files, what) in [
        (TlsFiles { key: dir.path().join("none"), ..good.clone() }, "cannot read"),
        (TlsFiles { key: other_key, ..good.clone() }, "cannot be used"),
        (TlsFiles { certificate: garbage, ..good.clone() }, "cannot be used"),
    ] {
        let refused = Coordinator::start(CoordinatorOptions { tls: Some(files), ..beyond() }).await.expect_err(what);
        assert!(matches!(&refused, StartError::Tls(_)) && refused.to_string().contains(what), "{refused}");
    }

    // With them everybody is asked for a token, although nobody said so.
    let handle = Coordinator::start(CoordinatorOptions { tls: Some(good), ..beyond() }).await.expect("it starts");
    let nobody = Credentials { ca: Some(authority.pem()), ..Credentials::default() };
    let port = handle.public_url().rsplit(':').next().expect("has a port").to_owned();
    let mut client = connect(&format!("https://localhost:{port}"), &nobody).await.expect("it listens");
    assert_eq!(code(&mut client).await, Code::Unauthenticated);
    handle.shutdown().await;
}
