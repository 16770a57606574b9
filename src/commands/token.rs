//! `windtunnel token`

use std::time::Duration;

use anyhow::anyhow;
use coordinator::store::{Place, TokenRow, TokenState};
use coordinator::{Scope, TokenId, Tokens, TokensError};
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Exit, OrBadInput, bad_input};
use crate::local::data_dir::{WritableDir, data_dir};
use crate::views::output::{self, View};

/// Create, list and revoke access tokens
///
/// Tokens belong to a data directory. A coordinator that serves it sees changes at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  windtunnel token create --scope worker --name slurm --expires 30d")]
pub(crate) struct Args {
    /// Address of the store, as for `serve`, which is remembered [default: as before, at first `sqlite`]
    ///
    /// Coordinators that share a PostgreSQL database share its tokens
    #[arg(long, global = true, value_name = "ADDRESS", env = "WINDTUNNEL_STORE", hide_env_values = true)]
    store: Option<String>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Create a token and print it; it cannot be shown again
    #[command(after_help = "\
Example:
  windtunnel token create --scope worker --name slurm > token
  chmod 600 token")]
    Create {
        /// Permissions: `read`, `submit` (includes read), `worker` (train only) or `admin` (everything)
        #[arg(long, value_name = "SCOPE")]
        scope: Scope,
        /// Name of the holder
        #[arg(long, value_name = "NAME", value_parser = name)]
        name: String,
        /// Lifetime: `12h`, `30d` or `52w` [default: until revoked]
        #[arg(long, value_name = "TIME", value_parser = lasting)]
        expires: Option<Duration>,
    },
    /// List tokens, without their secrets
    #[command(after_help = "Example:\n  windtunnel token list --json")]
    List,
    /// Revoke a token permanently; its sessions end within seconds
    #[command(after_help = "Example:\n  windtunnel token revoke 1f2e3d4c5b6a")]
    Revoke {
        /// Identifier, as printed by `token list`
        id: String,
    },
}

#[derive(Serialize)]
struct Created {
    id: String,
    token: String,
}

#[derive(Serialize)]
struct Listed {
    tokens: Vec<Token>,
}

#[derive(Serialize)]
struct Token {
    id: String,
    name: String,
    scope: String,
    created_at_ms: u64,
    expires_at_ms: Option<u64>,
    state: &'static str,
}

#[derive(Serialize)]
struct Revoked {
    revoked: String,
}

impl Args {
    pub(crate) fn run(self, global: &Global) -> anyhow::Result<Exit> {
        let data_dir = data_dir(global)?;
        let place = self.store.as_deref().map(Place::parse).transpose().or_bad_input()?;
        if place.is_none() && !matches!(self.command, Command::Create { .. }) && !coordinator::store::is_in(&data_dir) {
            return self.command.perform_without_any(global);
        }
        let data_dir = WritableDir::prepare_private(&data_dir)?;
        crate::local::runtime()?.block_on(async {
            if let Some(place) = place {
                coordinator::store::choose(&place, data_dir.path()).await.or_bad_input()?;
            }
            let tokens = Tokens::open(data_dir.path()).await.map_err(|error| match error {
                TokensError::Elsewhere { .. } => bad_input(error.into()),
                TokensError::Store(error) => error.into(),
            })?;
            let done = self.command.perform(&tokens, global).await;
            tokens.close().await;
            done
        })?;
        Ok(Exit::Done)
    }
}

impl Command {
    /// Where there is no store, there are no tokens, and reading them makes no directory.
    fn perform_without_any(self, global: &Global) -> anyhow::Result<Exit> {
        match self {
            Self::Revoke { id } => Err(no_token(&id)),
            Self::Create { .. } | Self::List => {
                output::print(&Listed { tokens: Vec::new() }, global.json)?;
                Ok(Exit::Done)
            }
        }
    }

    async fn perform(self, tokens: &Tokens, global: &Global) -> anyhow::Result<()> {
        match self {
            Self::Create { scope, name, expires } => {
                let (id, secret) = tokens.create(&name, scope, expires).await?;
                output::print(&Created { id: id.to_string(), token: secret.expose().to_owned() }, global.json)
            }
            Self::List => {
                let tokens = tokens.list().await?.into_iter().map(Token::from).collect();
                output::print(&Listed { tokens }, global.json)
            }
            Self::Revoke { id } => {
                if !tokens.revoke(&TokenId::from_text(id.as_str())).await? {
                    return Err(no_token(&id));
                }
                output::print(&Revoked { revoked: id }, global.json)
            }
        }
    }
}

impl From<TokenRow> for Token {
    fn from(row: TokenRow) -> Self {
        let state = match row.state() {
            TokenState::Valid => "valid",
            TokenState::Expired => "expired",
            TokenState::Revoked => "revoked",
        };
        let TokenRow { token, name, scope, created_at_ms, expires_at_ms, .. } = row;
        Self { id: token, name, scope, created_at_ms, expires_at_ms, state }
    }
}

impl View for Created {
    /// Only the token, so that the output can be redirected to a file.
    fn table(&self) -> String {
        format!("{}\n", self.token)
    }
}

impl View for Listed {
    fn table(&self) -> String {
        let mut table = format!("{:14} {:8} {:8} name\n", "id", "scope", "state");
        for Token { id, name, scope, state, .. } in &self.tokens {
            table.push_str(&format!("{id:14} {scope:8} {state:8} {name}\n"));
        }
        table
    }
}

impl View for Revoked {
    fn table(&self) -> String {
        format!("revoked {}\n", self.revoked)
    }
}

fn no_token(id: &str) -> anyhow::Error {
    bad_input(anyhow!("no valid token `{id}`: see `windtunnel token list`"))
}

fn name(text: &str) -> Result<String, String> {
    let is_sound = (1..=100).contains(&text.len()) && !text.chars().any(char::is_control);
    if is_sound {
        Ok(text.to_owned())
    } else {
        Err("accepted: 1 to 100 characters without control characters".to_owned())
    }
}

/// Parses a lifetime. Weeks are the largest unit: longer-lived tokens are better revoked.
fn lasting(text: &str) -> Result<Duration, String> {
    let accepted = || "accepted: a whole number and h, d or w, for example 30d".to_owned();
    let (number, hours) = [('h', 1), ('d', 24), ('w', 7 * 24)]
        .into_iter()
        .find_map(|(unit, hours)| Some((text.strip_suffix(unit)?, hours)))
        .ok_or_else(accepted)?;
    let number: u64 = number.parse().map_err(|_| accepted())?;
    if number == 0 || number > 100_000 {
        return Err(accepted());
    }
    Ok(Duration::from_secs(number * hours * 3600))
}
