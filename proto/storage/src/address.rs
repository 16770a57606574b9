//! Addresses of storages, as people give them.

use std::io;
use std::path::PathBuf;

use url::Url;

/// What is neither an address nor a path.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It looks like a URL, but cannot be parsed as one.
    #[error("the storage address `{address}` is not a URL (expected, for example, file:///shared/windtunnel)")]
    Url {
        address: String,
        #[source]
        source: url::ParseError,
    },
    /// The path cannot be made absolute.
    #[error("cannot use the path {path}")]
    Path {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The address that a URL or a path means. Each storage has one spelling: paths are absolute, and `file://` addresses do not
/// end in `/`.
///
/// # Errors
/// If it is neither.
pub fn address_of(text: &str) -> Result<String, AddressError> {
    if text.contains("://") {
        let url = Url::parse(text).map_err(|source| AddressError::Url { address: text.to_owned(), source })?;
        let address = String::from(url);
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
        assert_eq!(address_of("/").expect("it is one"), "file:///");
        assert!(matches!(address_of("://"), Err(AddressError::Url { .. })));
    }
}
