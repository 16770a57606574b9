//! What the environment says of a service: keys, region, endpoint.

use std::collections::BTreeMap;

use url::{Host, Url};

use crate::address::Service;

/// An environment in which a service cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The endpoint is not a URL.
    #[error("{variable} is not a URL (expected, for example, https://s3.example.org)")]
    Endpoint { variable: String },
    /// The endpoint holds a key, which would appear in logs.
    #[error("{variable} holds a user name, a key or a query: give only scheme, host and port")]
    MoreThanAnEndpoint { variable: String },
    /// What is sent would not be encrypted.
    #[error(
        "{variable} is plain http to {host}, where others on the network can read and change what is sent: use https, or set \
         {prefix}ALLOW_HTTP=true"
    )]
    PlainHttp { variable: String, host: String, prefix: &'static str },
}

/// Variables that name an endpoint, without their beginning.
const ENDPOINTS: [&str; 5] = ["endpoint_url_s3", "endpoint_url", "endpoint", "storage_endpoint", "base_url"];

/// The settings of one service.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Environment {
    /// By name, in lower case.
    settings: BTreeMap<String, String>,
    /// The host that is talked to, if it is not the service's own.
    pub(super) endpoint: Option<String>,
    /// Whether the endpoint is this machine.
    pub(super) is_here: bool,
}

impl Environment {
    /// The settings of a service among variables. Only those whose names begin as the service's do are settings: `TOKEN` and
    /// `TIMEOUT` belong to somebody else, whatever the client would make of them.
    pub(super) fn of(
        service: Service,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, EnvironmentError> {
        let prefix = service.variables();
        let is_meant = |(name, value): &(String, String)| name.starts_with(prefix) && !value.is_empty();
        let settings = variables.into_iter().filter(is_meant);
        let mut settings: BTreeMap<String, String> =
            settings.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let (mut found, mut is_here) = (None, false);
        for name in ENDPOINTS.map(|name| format!("{}{name}", prefix.to_ascii_lowercase())) {
            let Some(endpoint) = settings.get(&name) else { continue };
            let variable = name.to_ascii_uppercase();
            let Some((url, host)) =
                Url::parse(endpoint).ok().and_then(|url| Some((url.clone(), url.host()?.to_owned())))
            else {
                return Err(EnvironmentError::Endpoint { variable });
            };
            if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
                return Err(EnvironmentError::MoreThanAnEndpoint { variable });
            }
            let here = is_loopback(&host);
            let allow = format!("{}allow_http", prefix.to_ascii_lowercase());
            let is_allowed = settings.get(&allow).is_some_and(|value| is_yes(value));
            match url.scheme() {
                "https" => {}
                "http" if here || is_allowed => {
                    settings.insert(allow, "true".to_owned());
                }
                "http" => return Err(EnvironmentError::PlainHttp { variable, host: host.to_string(), prefix }),
                _ => return Err(EnvironmentError::Endpoint { variable }),
            }
            if found.is_none() {
                found = Some(url.as_str().trim_end_matches('/').to_owned());
                is_here = here;
            }
        }
        Ok(Self { settings, endpoint: found, is_here })
    }

    /// Names, in lower case, and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Values are keys. They are not shown.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.settings.keys()).finish()
    }
}

fn is_yes(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "on" | "yes" | "y")
}

fn is_loopback(host: &Host<String>) -> bool {
    match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Environment::of(Service::S3, owned)
    }

    #[test]
    fn only_variables_of_the_service_are_settings() {
        let names = ["AWS_REGION", "TOKEN", "TIMEOUT", "GOOGLE_BUCKET", "AZURE_X", "MY_AWS_REGION", "aws_token"];
        let found = of(&names.map(|name| (name, "1"))).expect("nothing is wrong with them");
        assert_eq!(found.iter().collect::<Vec<_>>(), [("aws_region", "1")]);
    }

    #[test]
    fn plain_http_is_for_this_machine_or_said() {
        for here in ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000/"] {
            let found = of(&[("AWS_ENDPOINT_URL", here)]).expect(here);
            assert!(found.is_here && found.iter().any(|setting| setting == ("aws_allow_http", "true")), "{here}");
        }
        let far = ("AWS_ENDPOINT_URL", "http://store.example.org:9000");
        let error = of(&[far]).expect_err("it is not said");
        assert!(error.to_string().contains("AWS_ALLOW_HTTP=true"), "{error}");
        let error = of(&[far, ("AWS_ALLOW_HTTP", "false")]).expect_err("it is denied");
        assert!(matches!(error, EnvironmentError::PlainHttp { .. }));
        assert!(!of(&[far, ("AWS_ALLOW_HTTP", "true")]).expect("it is said").is_here);
        assert!(
            !of(&[("AWS_ENDPOINT_URL", "https://127.0.0.1")])
                .expect("encrypted")
                .iter()
                .any(|(name, _)| name == "aws_allow_http")
        );
    }

    #[test]
    fn an_endpoint_holds_no_secret() {
        for endpoint in ["https://me:hush@store.example.org", "https://store.example.org/?key=hush", "hush"] {
            let error = of(&[("AWS_ENDPOINT_URL", endpoint)]).expect_err(endpoint);
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        let found = of(&[("AWS_SECRET_ACCESS_KEY", "hush")]).expect("a key is not an error");
        assert!(!format!("{found:?}").contains("hush"));
    }
}
