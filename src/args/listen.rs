//! The address to listen on.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

/// An address to listen on: IP:PORT, or a name that stands for loopback or for a single address.
///
/// # Errors
/// It is something else, or the name stands for several addresses.
pub(crate) fn listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let expected =
        "expected IP:PORT, for example 127.0.0.1:7450 for this machine alone or 0.0.0.0:7450 for every network";
    let (name, port) = text.rsplit_once(':').ok_or(expected)?;
    let port: u16 = port.parse().map_err(|_| expected)?;
    // What is left is IPv6 without brackets, or nothing.
    if name.is_empty() || name.contains([':', '/', '@', '[']) {
        return Err(expected.to_owned());
    }
    let found =
        (name, port).to_socket_addrs().map_err(|error| format!("{expected}; {name} is not known here ({error})"))?;
    chosen(name, found.map(|address| address.ip()).collect()).map(|ip| SocketAddr::new(ip, port))
}

/// The one address that a name stands for.
fn chosen(name: &str, mut found: Vec<IpAddr>) -> Result<IpAddr, String> {
    found.sort();
    found.dedup();
    match found.as_slice() {
        [] => Err(format!("{name} has no address here: give IP:PORT")),
        [one] => Ok(*one),
        // Sorted, so IPv4 comes first.
        several if several.iter().all(IpAddr::is_loopback) => Ok(several[0]),
        several => {
            let several: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(format!("{name} has several addresses ({}): give one of them as IP:PORT", several.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_listen_on_is_one_address() {
        let of = |text: &str| listen(text).map(|address| address.to_string());
        assert_eq!(of("0.0.0.0:7450").as_deref(), Ok("0.0.0.0:7450"));
        assert_eq!(of("[::1]:0").as_deref(), Ok("[::1]:0"));
        assert!(listen("localhost:1").is_ok_and(|address| address.ip().is_loopback() && address.port() == 1));
        for text in ["7450", "localhost", "localhost:", "localhost:http", ":7450", "::1:7450", "http://localhost:1", ""]
        {
            assert!(of(text).is_err_and(|error| error.contains("expected IP:PORT")), "{text}: {:?}", of(text));
        }
    }

    #[test]
    fn a_name_with_several_addresses_is_refused_unless_all_are_this_machine() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(chosen("localhost", vec![ip("::1"), ip("127.0.0.1"), ip("127.0.0.1")]), Ok(ip("127.0.0.1")));
        assert_eq!(chosen("login-1", vec![ip("10.0.0.7"), ip("10.0.0.7")]), Ok(ip("10.0.0.7")));
        let error = chosen("login-1", vec![ip("10.1.0.7"), ip("10.0.0.7")]).expect_err("which one?");
        assert_eq!(error, "login-1 has several addresses (10.0.0.7, 10.1.0.7): give one of them as IP:PORT");
    }
}
