//! A bucket behind TLS, with a certificate of an authority that this machine does not know.

use std::fs;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::campaign::on;
use crate::server::{BUCKET, Server};
use crate::suite::Bucket;
use crate::support::{Place, Ran, one_at_a_time};

/// A server's side, and the certificate of its authority.
fn certified() -> (TlsAcceptor, String) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &authority).expect("signed");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
        .expect("they fit");
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

#[test]
fn a_bucket_is_reached_over_tls_and_its_certificate_is_checked() {
    let _turn = one_at_a_time();
    let (tls, authority) = certified();
    let server = Server::start_with(Some(tls));
    let bucket = Bucket { name: BUCKET.to_owned(), variables: server.variables() };
    let place = Place::new();
    let args = ["run", "smoke.toml", "--storage", "s3://runs/tls"];
    let refused = Ran::of(on("data", &place, &bucket, &args).output().expect("it starts")).expect(2);
    let text = refused.stderr;
    assert!(text.contains("cannot connect to https://localhost") && text.contains("certificate"), "{text}");

    let file = place.write("ca.pem", &authority);
    let ran = on("data", &place, &bucket, &args).env("SSL_CERT_FILE", file).output();
    Ran::of(ran.expect("it starts")).expect(0);
    assert!(fs::metadata(server.bucket().join("tls/windtunnel-storage")).is_ok());
    let local = Place::new();
    local.run(&["run", "smoke.toml"]).expect(0);
    assert_eq!(place.points("out/smoke"), local.points("out/smoke"));
}
