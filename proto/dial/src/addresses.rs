//! Several addresses of one coordinator and those that stand by for it, tried in turn.

use std::path::Path;

use http::Uri;

use crate::address::{Address, AddressError, Connection, Connector};
use crate::credentials::{Credentials, Secret};
use crate::error::DialError;
use crate::rendezvous::{RENDEZVOUS_SCHEME, Rendezvous};

/// Longer lists are mistakes.
const MOST: usize = 16;

/// One address or several, separated by commas.
#[derive(Debug, Clone)]
pub struct Addresses(Vec<Address>);

impl Addresses {
    /// Parses a list of addresses. `rendezvous:/path` stands for those that a coordinator announces in this file now, with the
    /// token and the certificate that it announces; the list is to be parsed again at each dial.
    ///
    /// # Errors
    /// As [`Address::parse`], of the first one that cannot be used; if there are too many; and if nothing is announced.
    pub fn parse(list: &str, credentials: &Credentials) -> Result<Self, AddressError> {
        if let Some(file) = list.strip_prefix(RENDEZVOUS_SCHEME) {
            let Rendezvous { urls, certificate, worker_token, submit_token } = Rendezvous::read(Path::new(file))?;
            let token = if credentials.is_worker { worker_token } else { submit_token };
            let (token, ca) = (Some(Secret::new(token)), Some(certificate.into_bytes()));
            let announced = Credentials { token, ca, identity: None, ..credentials.clone() };
            return Self::parse_each(&urls.join(","), &announced);
        }
        Self::parse_each(list, credentials)
    }

    /// Parses addresses alone: what is announced in a file names no other file.
    fn parse_each(list: &str, credentials: &Credentials) -> Result<Self, AddressError> {
        let texts: Vec<&str> = split(list).collect();
        if texts.len() > MOST {
            return Err(AddressError::TooMany { most: MOST });
        }
        let parse = |text: &str| Address::parse(text, credentials);
        Ok(Self(texts.into_iter().map(parse).collect::<Result<_, _>>()?))
    }

    /// The addresses, in the order in which they are tried. There is at least one.
    pub fn iter(&self) -> impl Iterator<Item = &Address> {
        self.0.iter()
    }

    /// Opens connections to whichever of them is asked for.
    #[must_use]
    pub fn connectors(&self) -> Connectors {
        Connectors(self.iter().map(|address| (address.endpoint().uri().clone(), address.connector().clone())).collect())
    }
}

/// The texts of a list of addresses: one at least, which may be empty.
pub fn split(list: &str) -> impl Iterator<Item = &str> {
    let parts = list.split(',').map(str::trim);
    let several = parts.clone().filter(|part| !part.is_empty()).count() > 0;
    parts.filter(move |part| !part.is_empty() || !several)
}

/// Opens connections to several addresses.
#[derive(Debug, Clone)]
pub struct Connectors(Vec<(Uri, Connector)>);

impl Connectors {
    /// Opens a connection to one of the addresses.
    ///
    /// # Errors
    /// As [`Connector::open`]. An address that is not in the list is dialled like the first.
    pub async fn open(&self, uri: &Uri) -> Result<Connection, DialError> {
        let found = self.0.iter().find(|(known, _)| known.authority() == uri.authority());
        let (_, connector) = found.or_else(|| self.0.first()).ok_or(DialError::NoHost)?;
        connector.open(uri).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_tried_in_its_order() {
        let of = |list| Addresses::parse(list, &Credentials::default());
        let uris = |list| -> Vec<String> {
            let addresses = of(list).expect("addresses");
            addresses.iter().map(|address| address.endpoint().uri().to_string()).collect()
        };
        assert_eq!(uris("http://127.0.0.1:1"), ["http://127.0.0.1:1/"]);
        assert_eq!(uris("http://a:1, https://b:2,"), ["http://a:1/", "https://b:2/"]);
        for text in ["", "http://a:1,nonsense"] {
            assert!(matches!(of(text), Err(AddressError::Address { .. })), "{text}");
        }
        let many = vec!["http://a:1"; MOST + 1].join(",");
        assert!(matches!(of(&many), Err(AddressError::TooMany { most: MOST })));
    }
}
