//! Chooses the way to a coordinator: a pure decision from an address and proxy settings, without a network.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::error::DialError;

/// The host and port to reach in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// A name or an IP address; IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Target {
    /// The host and port that an address names.
    pub(crate) fn of(uri: &Uri) -> Result<Self, DialError> {
        let authority = uri.authority().ok_or(DialError::NoHost)?;
        if authority.as_str().contains('@') {
            return Err(DialError::UserInfo);
        }
        let usual = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => 80,
            Some(scheme) if *scheme == Scheme::HTTPS => 443,
            _ => return Err(DialError::Scheme),
        };
        let host = without_brackets(authority.host());
        if host.is_empty() {
            return Err(DialError::NoHost);
        }
        Ok(Self { host: host.to_owned(), port: authority.port_u16().unwrap_or(usual) })
    }

    /// Whether this is loopback, which no proxy can reach.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.parse::<Ipv6Addr>().is_ok() { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// A proxy's host and port, without its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// As shown to people.
    pub(crate) address: String,
}

impl Proxy {
    fn of(intercept: &Intercept) -> Result<Self, DialError> {
        let uri = intercept.uri();
        let address = uri.to_string().trim_end_matches('/').to_owned();
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(DialError::ProxyKind { proxy: address });
        }
        let host = without_brackets(uri.host().unwrap_or_default()).to_owned();
        Ok(Self { host, port: uri.port_u16().unwrap_or(80), address })
    }
}

/// How to reach a coordinator.
#[derive(Debug)]
pub(crate) enum Route {
    /// Connect to the target itself.
    Direct(Target),
    /// Connect to the proxy and ask it for the target.
    Through { proxy: Proxy, target: Target, intercept: Intercept },
}

impl Route {
    /// Chooses the route to an address.
    pub(crate) fn to(uri: &Uri, proxies: &Matcher) -> Result<Self, DialError> {
        let target = Target::of(uri)?;
        if target.is_loopback() {
            return Ok(Self::Direct(target));
        }
        match proxies.intercept(uri) {
            Some(intercept) => Ok(Self::Through { proxy: Proxy::of(&intercept)?, target, intercept }),
            None => Ok(Self::Direct(target)),
        }
    }
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies() -> Matcher {
        let both = Matcher::builder().http("http://plain:3128").https("http://secure:3129");
        both.no("inside.example,10.0.0.0/8").build()
    }

    /// The chosen proxy and the target it is asked for, or the direct target, as text.
    fn way(address: &str) -> String {
        match Route::to(&address.parse().expect("an address"), &proxies()) {
            Ok(Route::Direct(target)) => format!("straight to {target}"),
            Ok(Route::Through { proxy, target, .. }) => format!("{} to {target}", proxy.address),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_address_is_dialled_through_the_proxy_for_its_kind() {
        assert_eq!(way("https://login-1:7450"), "http://secure:3129 to login-1:7450");
        assert_eq!(way("https://login-1"), "http://secure:3129 to login-1:443");
        assert_eq!(way("http://login-1"), "http://plain:3128 to login-1:80");
        assert_eq!(way("https://[2001:db8::1]:7450"), "http://secure:3129 to [2001:db8::1]:7450");
    }

    #[test]
    fn what_is_exempt_is_dialled_directly() {
        assert_eq!(way("https://a.inside.example:7450"), "straight to a.inside.example:7450");
        assert_eq!(way("http://10.1.2.3:7450"), "straight to 10.1.2.3:7450");
        for own in ["127.0.0.1", "127.8.0.1", "localhost", "LOCALHOST", "localhost.", "[::1]", "[::ffff:127.0.0.1]"] {
            assert!(way(&format!("http://{own}:7450")).starts_with("straight to "), "{own}");
        }
        assert_eq!(way("http://localhost.example:7450"), "http://plain:3128 to localhost.example:7450");
    }

    #[test]
    fn an_address_that_tells_a_password_is_refused_without_telling_it() {
        let refused = way("https://worker:hunter2@login-1:7450");
        assert!(refused.contains("before the `@`") && !refused.contains("hunter2"), "{refused}");
        assert!(way("https://worker:hunter2@127.0.0.1:7450").contains("before the `@`"), "also on this machine");
        assert_eq!(way("ftp://login-1"), "the address begins with neither http:// nor https://");
        assert_eq!(way("/login-1"), "the address names no host");
    }

    #[test]
    fn a_proxy_of_another_kind_is_refused_by_name() {
        for kind in ["https", "socks5"] {
            let other = Matcher::builder().all(format!("{kind}://user:hunter2@proxy:1080")).build();
            let uri = Uri::from_static("https://login-1:7450");
            let refused = Route::to(&uri, &other).expect_err("it is refused").to_string();
            assert!(refused.starts_with(&format!("the proxy {kind}://proxy:1080 is not an")), "{refused}");
        }
    }
}
