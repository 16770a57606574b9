//! A coordinator for other machines, with certificates and tokens, and the program as it runs on one of them.

use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::{Place, Ran};

/// Writes a certificate for `localhost`, its key, and that of the authority which vouches for it.
pub(crate) fn certificates(place: &Place) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names are fine");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("there is randomness"));
    let authority = authority.expect("it can sign");
    let key = KeyPair::generate().expect("there is randomness");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("it is a name");
    let certificate = params.signed_by(&key, &authority).expect("it can sign");
    place.write("ca.pem", &authority.pem());
    place.write("server.pem", &certificate.pem());
    place.write("server.key", &key.serialize_pem());
}

/// Makes a token, as a person does.
pub(crate) fn token(place: &Place, arguments: &[&str]) -> String {
    let made = place.run(&[&["token", "create", "--name", "a test"], arguments].concat()).expect(0);
    made.stdout.trim().to_owned()
}

/// The program on another machine: a data directory of its own, and what it is given to show.
pub(crate) fn elsewhere(place: &Place, url: &str, token: Option<&str>, arguments: &[&str]) -> Command {
    let mut command = place.command(arguments);
    command.env("WINDTUNNEL_DATA_DIR", place.path("elsewhere")).env("WINDTUNNEL_COORDINATOR", url);
    command.env("WINDTUNNEL_TLS_CA", place.path("ca.pem")).env_remove("WINDTUNNEL_TOKEN");
    if let Some(token) = token {
        command.env("WINDTUNNEL_TOKEN", token);
    }
    command
}

pub(crate) fn ran(mut command: Command) -> Ran {
    Ran::of(command.output().expect("the program starts"))
}
