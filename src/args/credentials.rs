//! Credentials for a coordinator, from files and the environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use dial::{ClientIdentity, Credentials, Secret, TOKEN_VARIABLE};

use crate::exit::{OrBadInput, bad_input};

/// Longer files are not tokens.
const LONGEST_TOKEN: usize = 1024;

/// Credentials for a coordinator. The token itself is never an argument, since everyone on the machine can read those.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct CredentialArgs {
    /// File with the token, readable only by its owner [default: the token in WINDTUNNEL_TOKEN]
    #[arg(
        long,
        help_heading = "Coordinator options",
        hide_short_help = true,
        value_name = "FILE",
        env = "WINDTUNNEL_TOKEN_FILE",
        hide_env_values = true
    )]
    token_file: Option<PathBuf>,

    /// CA certificates (PEM) that verify the coordinator [default: those of the system]
    #[arg(
        long,
        help_heading = "Coordinator options",
        hide_short_help = true,
        value_name = "FILE",
        env = "WINDTUNNEL_TLS_CA",
        hide_env_values = true
    )]
    tls_ca: Option<PathBuf>,

    /// Client certificate (PEM), for coordinators that require one
    #[arg(
        long,
        help_heading = "Coordinator options",
        hide_short_help = true,
        value_name = "FILE",
        env = "WINDTUNNEL_TLS_CLIENT_CERT",
        hide_env_values = true
    )]
    #[arg(requires = "tls_client_key")]
    tls_client_cert: Option<PathBuf>,

    /// Private key (PEM) of the client certificate
    #[arg(
        long,
        help_heading = "Coordinator options",
        hide_short_help = true,
        value_name = "FILE",
        env = "WINDTUNNEL_TLS_CLIENT_KEY",
        hide_env_values = true
    )]
    #[arg(requires = "tls_client_cert")]
    tls_client_key: Option<PathBuf>,

    /// Send the token over unencrypted connections, to whoever listens there
    #[arg(long, help_heading = "Coordinator options", hide_short_help = true)]
    insecure: bool,
}

impl CredentialArgs {
    /// Reads files and environment.
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
            is_worker: false,
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
                "the token in {} is readable by others (mode {mode:o}): run chmod 600 {0}",
                path.display()
            )));
        }
        let text = String::from_utf8(read(path)?).unwrap_or_default();
        let token = text.trim();
        if token.is_empty() || token.len() > LONGEST_TOKEN || token.contains(char::is_whitespace) {
            return Err(bad_input(anyhow!("{} does not contain a token", path.display())));
        }
        Ok(Some(Secret::new(token)))
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display())).or_bad_input()
}
