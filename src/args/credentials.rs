//! What a command shows a coordinator, from files and the environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use dial::{ClientIdentity, Credentials, Secret, TOKEN_VARIABLE};

use crate::exit::{OrBadInput, bad_input};

/// A token is a line; a file that is longer is something else.
const LONGEST_TOKEN: usize = 1024;

/// How to show a coordinator who calls. The token itself is never an argument, which everybody on the machine can read.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct CredentialArgs {
    /// File that holds the token and that nobody else may read [default: the token in WINDTUNNEL_TOKEN]
    #[arg(
        long,
        help_heading = "Coordinator options",
        value_name = "FILE",
        env = "WINDTUNNEL_TOKEN_FILE",
        hide_env_values = true
    )]
    token_file: Option<PathBuf>,

    /// Certificates (PEM) of who may vouch for the coordinator [default: those of the system]
    #[arg(
        long,
        help_heading = "Coordinator options",
        value_name = "FILE",
        env = "WINDTUNNEL_TLS_CA",
        hide_env_values = true
    )]
    tls_ca: Option<PathBuf>,

    /// Certificate (PEM) to show a coordinator that asks for one
    #[arg(
        long,
        help_heading = "Coordinator options",
        value_name = "FILE",
        env = "WINDTUNNEL_TLS_CLIENT_CERT",
        hide_env_values = true
    )]
    #[arg(requires = "tls_client_key")]
    tls_client_cert: Option<PathBuf>,

    /// Its private key (PEM)
    #[arg(
        long,
        help_heading = "Coordinator options",
        value_name = "FILE",
        env = "WINDTUNNEL_TLS_CLIENT_KEY",
        hide_env_values = true
    )]
    #[arg(requires = "tls_client_cert")]
    tls_client_key: Option<PathBuf>,

    /// Send the token although the connection is not encrypted and others might listen in
    #[arg(long, help_heading = "Coordinator options")]
    insecure: bool,
}

impl CredentialArgs {
    /// Reads them.
    pub(crate) fn read(&self) -> anyhow::Result<Credentials> {
        let identity = match (&self.tls_client_cert, &self.tls_client_key) {
            (Some(certificate), Some(key)) => Some(ClientIdentity { certificate: read(certificate)?, key: read(key)? }),
            _ => None,
        };
        Ok(Credentials {
            token: self.token()?,
            ca: self.tls_ca.as_deref().map(read).transpose()?,
            identity,
            allow_plain_token: self.insecure,
        })
    }

    fn token(&self) -> anyhow::Result<Option<Secret>> {
        let Some(path) = &self.token_file else {
            let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.trim().is_empty());
            return Ok(token.map(|token| Secret::new(token.trim())));
        };
        let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display())).or_bad_input()?;
        let mode = metadata.permissions().mode();
        if mode & 0o077 != 0 {
            let mode = mode & 0o777;
            return Err(bad_input(anyhow!(
                "others may read the token in {} (mode {mode:o}): chmod 600 {0}",
                path.display()
            )));
        }
        let text = String::from_utf8(read(path)?).unwrap_or_default();
        let token = text.trim();
        if token.is_empty() || token.len() > LONGEST_TOKEN || token.contains(char::is_whitespace) {
            return Err(bad_input(anyhow!("{} holds no token", path.display())));
        }
        Ok(Some(Secret::new(token)))
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display())).or_bad_input()
}
