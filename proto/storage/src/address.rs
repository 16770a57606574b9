//! Addresses of storages, as people give them.

use std::io;
use std::path::PathBuf;

use url::Url;

/// What is neither an address nor a path. None of these repeats a secret that somebody put into an address.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It looks like a URL, but cannot be parsed as one.
    #[error("the storage address `{address}` is not a URL (expected, for example, file:///shared/windtunnel)")]
    Url {
        address: String,
        #[source]
        source: url::ParseError,
    },
    /// Its scheme is of no supported kind.
    #[error("cannot use the storage address `{address}`: expected s3://, gs://, az:// or file://")]
    Scheme { address: String },
    /// It holds more than a place. What it holds may be a secret, which would appear in logs and process listings.
    #[error(
        "the storage address `{address}` holds {what}: give only BUCKET/PREFIX, and set keys and endpoint by environment \
         variables ({variables}*)"
    )]
    MoreThanAPlace {
        /// The address without what it should not hold.
        address: String,
        what: &'static str,
        variables: &'static str,
    },
    /// It names no bucket.
    #[error("the storage address `{address}` names no bucket: expected {scheme}://BUCKET/PREFIX")]
    NoBucket { address: String, scheme: &'static str },
    /// It is a `file://` URL that does not name a path on this machine.
    #[error("the storage address `{address}` does not name a path on this machine")]
    NotLocal { address: String },
    /// The path cannot be made absolute.
    #[error("cannot use the path {path}")]
    Path {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Services that keep objects in buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Amazon S3, and what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

impl Service {
    /// The scheme of its addresses.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }

    /// How the names of the environment variables begin that configure it.
    #[must_use]
    pub fn variables(self) -> &'static str {
        match self {
            Self::S3 => "AWS_",
            Self::Google => "GOOGLE_",
            Self::Azure => "AZURE_",
        }
    }
}

/// An address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Folder(PathBuf),
    Bucket { service: Service, bucket: String, url: Url },
}

impl Place {
    /// Reads an address.
    pub(crate) fn parse(address: &str) -> Result<Self, AddressError> {
        let shown = || shown(address);
        let url = Url::parse(address).map_err(|source| AddressError::Url { address: shown(), source })?;
        let service = match url.scheme() {
            "file" => {
                let not_local = |()| AddressError::NotLocal { address: shown() };
                return url.to_file_path().map(Self::Folder).map_err(not_local);
            }
            "s3" => Service::S3,
            "gs" => Service::Google,
            "az" => Service::Azure,
            _ => return Err(AddressError::Scheme { address: shown() }),
        };
        let more = if !url.username().is_empty() || url.password().is_some() {
            Some("a user name or a key")
        } else if url.query().is_some() || url.fragment().is_some() {
            Some("a query")
        } else if url.port().is_some() {
            Some("a port")
        } else {
            None
        };
        if let Some(what) = more {
            return Err(AddressError::MoreThanAPlace { address: shown(), what, variables: service.variables() });
        }
        match url.host_str().filter(|host| !host.is_empty()).map(str::to_owned) {
            Some(bucket) => Ok(Self::Bucket { service, bucket, url }),
            None => Err(AddressError::NoBucket { address: shown(), scheme: service.scheme() }),
        }
    }
}

/// An address without what may be a secret in it: what stands before an `@`, and everything after a `?` or a `#`.
fn shown(address: &str) -> String {
    let end = address.find(['?', '#']).unwrap_or(address.len());
    let address = &address[..end];
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://{place}"),
        _ => address.to_owned(),
    }
}

/// The address that a URL or a path means. Each storage has one spelling: paths are absolute, and addresses do not end in `/`.
///
/// # Errors
/// If it is neither, or of a kind that no storage has.
pub fn address_of(text: &str) -> Result<String, AddressError> {
    if text.contains("://") {
        let address = match Place::parse(text)? {
            Place::Bucket { url, .. } => String::from(url),
            Place::Folder(_) => {
                let unusable = |source| AddressError::Url { address: shown(text), source };
                String::from(Url::parse(text).map_err(unusable)?)
            }
        };
        let shortest = address.trim_end_matches('/');
        // The root of the file system has nothing before its `/`.
        return Ok(if shortest.ends_with(':') { address } else { shortest.to_owned() });
    }
    let path = || PathBuf::from(text);
    let absolute = std::path::absolute(text).map_err(|source| AddressError::Path { path: path(), source })?;
    // `a/../b` and `a//b` are other spellings; a folder that is not there yet has no canonical one.
    let absolute = absolute.canonicalize().unwrap_or(absolute);
    let not_absolute = |()| AddressError::Path { path: path(), source: io::ErrorKind::InvalidInput.into() };
    Ok(Url::from_file_path(absolute).map_err(not_absolute)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_its_address_are_the_same_storage() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().canonicalize().expect("it is there");
        let path = path.to_str().expect("a path in UTF-8");
        let address = format!("file://{path}");
        for spelling in [path, &format!("{path}/"), &address, &format!("{address}/")] {
            assert_eq!(address_of(spelling).expect("it is one"), address, "{spelling}");
        }
        assert_eq!(address_of("s3://bucket/runs/").expect("it is one"), "s3://bucket/runs");
        assert_eq!(address_of("gs://bucket").expect("it is one"), "gs://bucket");
        assert_eq!(address_of("/").expect("it is one"), "file:///");
        assert!(matches!(address_of("://"), Err(AddressError::Url { .. })));
        assert!(matches!(address_of("https://bucket/x"), Err(AddressError::Scheme { .. })));
        assert!(matches!(address_of("s3:///prefix"), Err(AddressError::NoBucket { .. })));
    }

    #[test]
    fn an_address_holds_no_secret_and_its_refusal_repeats_none() {
        let addresses = [
            "s3://AKIA:hush@bucket/x",
            "s3://hush@bucket/x",
            "az://container/x?sig=hush",
            "gs://bucket/x#hush",
            "s3://bucket:9000/x",
        ];
        for address in addresses {
            let error = address_of(address).expect_err(address);
            assert!(matches!(error, AddressError::MoreThanAPlace { .. }), "{address}: {error}");
            assert!(!error.to_string().contains("hush") && !error.to_string().contains("AKIA"), "{error}");
        }
        let error = address_of("s3://AKIA:hush@[bucket/x").expect_err("not a URL");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}
