//! Which store a data directory has: its own file, or a PostgreSQL database whose address is noted beside.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

/// The note in the data directory.
const NOTE: &str = "store.json";

/// Names the file of a database's password.
const PASSWORD_VARIABLE: &str = "WINDTUNNEL_STORE_PASSWORD_FILE";

/// Longer files are not passwords.
const LONGEST_PASSWORD: u64 = 4096;

/// What an address may say after its `?`, as sqlx has it.
const PARAMETERS: [&str; 5] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "host"];

/// What is given for the file in the data directory.
const FILE: &str = "sqlite";

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the data directory, as SQLite.
    File,
    Postgres(Postgres),
}

/// A PostgreSQL database.
#[derive(Clone, PartialEq, Eq)]
pub struct Postgres {
    /// Without a password.
    url: String,
    password: Option<String>,
}

/// What is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// The input is not repeated: it may hold a password.
    #[error(
        "cannot use this store: expected `sqlite`, for the file in the data directory, or postgres://USER@HOST/DATABASE"
    )]
    Form,
    /// Everybody on the machine can read arguments.
    #[error(
        "the address of the store holds a password: leave it out, and name a file with it in {PASSWORD_VARIABLE} (or use \
         PGPASSWORD, or ~/.pgpass)"
    )]
    Password,
    #[error("the address of the store names no database: expected postgres://USER@HOST/DATABASE")]
    Database,
    #[error("the address of the store says `{name}`: after its `?` it may say {}", PARAMETERS.join(", "))]
    Parameter { name: String },
}

/// Why the note, or the password, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    #[error("cannot use {}, which says where the store is", .path.display())]
    Note {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read the store's password from {}", .path.display())]
    Password {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the password in {} is readable by others (mode {mode:o}): run chmod 600 {0}", .path.display())]
    Mode { path: PathBuf, mode: u32 },
}

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    address: String,
}

impl Place {
    /// Whether an address is one of PostgreSQL.
    #[must_use]
    pub fn is_postgres(text: &str) -> bool {
        ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
    }

    /// Reads `sqlite` or the address of a database.
    ///
    /// # Errors
    /// If it is neither, or holds a password.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        if text == FILE {
            return Ok(Self::File);
        }
        if !Self::is_postgres(text) {
            return Err(if text.contains('@') { PlaceError::Password } else { PlaceError::Form });
        }
        let url = Url::parse(text).map_err(|_| PlaceError::Form)?;
        if url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password") {
            return Err(PlaceError::Password);
        }
        if url.path().trim_matches('/').is_empty() {
            return Err(PlaceError::Database);
        }
        if let Some((name, _)) = url.query_pairs().find(|(name, _)| !PARAMETERS.contains(&name.as_ref())) {
            return Err(PlaceError::Parameter { name: name.into_owned() });
        }
        Ok(Self::Postgres(Postgres { url: url.into(), password: None }))
    }

    /// The store that a data directory has: its own file where no other was ever chosen.
    ///
    /// # Errors
    /// If the note, or the file of the password, cannot be read.
    pub fn of(data_dir: &Path) -> Result<Self, NoteError> {
        let path = data_dir.join(NOTE);
        let note = |source| NoteError::Note { path: path.clone(), source };
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::File),
            text => text.map_err(note)?,
        };
        let Note { address } = serde_json::from_slice(&text).map_err(|error| note(malformed(&error)))?;
        Self::parse(&address).map_err(|error| note(io::Error::other(error)))?.with_password()
    }

    /// The same, with the password that the environment names.
    ///
    /// # Errors
    /// If its file cannot be read, or others can read it.
    pub fn with_password(self) -> Result<Self, NoteError> {
        let Self::Postgres(Postgres { url, .. }) = self else { return Ok(self) };
        let path = std::env::var_os(PASSWORD_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let password = path.map(|path| read_password(&path)).transpose()?;
        Ok(Self::Postgres(Postgres { url, password }))
    }

    /// Notes in a data directory that it has this store.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note(&self, data_dir: &Path) -> Result<(), NoteError> {
        let path = data_dir.join(NOTE);
        let write = || match self {
            Self::File => match fs::remove_file(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                removed => removed,
            },
            Self::Postgres(Postgres { url, .. }) => {
                let text = serde_json::to_vec_pretty(&Note { address: url.clone() }).expect("a note has a JSON form");
                let partial = path.with_extension("json.partial");
                let mut file = File::create(&partial)?;
                file.write_all(&text)?;
                file.sync_all()?;
                fs::rename(&partial, &path)
            }
        };
        write().map_err(|source| NoteError::Note { path: path.clone(), source })
    }
}

/// Where a note is not one. What it says there is not repeated: it may be a password.
fn malformed(error: &serde_json::Error) -> io::Error {
    let (line, column) = (error.line(), error.column());
    let why = format!(
        "expected {{\"address\": \"postgres://USER@HOST/DATABASE\"}}, found something else (line {line}, column {column})"
    );
    io::Error::new(ErrorKind::InvalidData, why)
}

fn read_password(path: &Path) -> Result<String, NoteError> {
    let failed = |source| NoteError::Password { path: path.to_owned(), source };
    let found = fs::metadata(path).map_err(failed)?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(NoteError::Mode { path: path.to_owned(), mode });
    }
    if found.len() > LONGEST_PASSWORD {
        return Err(failed(io::Error::new(ErrorKind::InvalidData, "it is too long for one")));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

impl Postgres {
    /// Its address, which holds no password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Postgres").field(&self.url).finish()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str(FILE),
            Self::Postgres(Postgres { url, .. }) => f.write_str(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_no_password_and_says_what_it_may() {
        let parsed = |text| Place::parse(text).map(|place| place.to_string());
        assert_eq!(parsed("sqlite"), Ok("sqlite".to_owned()));
        let full = "postgres://windtunnel@db-1:5433/wt?sslmode=verify-full&sslrootcert=/ca.pem";
        assert_eq!(parsed(full), Ok(full.to_owned()));
        for secret in
            ["postgres://me:hunter2@db-1/wt", "postgres://me@db-1/wt?password=hunter2", "mysql://me:hunter2@db-1"]
        {
            let error = parsed(secret).expect_err("it holds one");
            assert_eq!(error, PlaceError::Password, "{secret}");
            assert!(!error.to_string().contains("hunter2"));
        }
        assert_eq!(parsed("postgres://me@db-1"), Err(PlaceError::Database));
        let other = parsed("postgres://me@db-1/wt?options=-c%20synchronous_commit%3Doff");
        assert_eq!(other, Err(PlaceError::Parameter { name: "options".to_owned() }));
        assert_eq!(parsed("store.sqlite"), Err(PlaceError::Form));
    }

    #[test]
    fn a_data_directory_remembers_the_store_it_was_given() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(Place::of(dir.path()).expect("nothing is noted"), Place::File);
        let database = Place::parse("postgres://me@db-1/wt").expect("an address");
        database.note(dir.path()).expect("written");
        assert_eq!(Place::of(dir.path()).expect("it is noted"), database);
        for text in
            [r#""postgres://me:hunter2@db-1/wt""#, r#"{"address": ["hunter2"]}"#, r#"{"address": "mysql://hunter2"}"#]
        {
            fs::write(dir.path().join(NOTE), text).expect("written");
            let error = vocabulary::text::one_line(&Place::of(dir.path()).expect_err("it is not a note"));
            assert!(error.contains("postgres://USER@HOST/DATABASE") && !error.contains("hunter2"), "{error}");
        }
        Place::File.note(dir.path()).expect("removed");
        assert_eq!(Place::of(dir.path()).expect("nothing is noted"), Place::File);
    }

    #[test]
    fn a_password_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("password");
        fs::write(&path, "hunter2\n").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        let error = read_password(&path).expect_err("the group can read it").to_string();
        assert!(error.contains("chmod 600") && !error.contains("hunter2"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
        assert_eq!(read_password(&path).expect("only its owner can"), "hunter2");
    }
}
