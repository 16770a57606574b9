//! A coordinator that asks for tokens, and callers of every kind.

use std::time::Duration;

use coordinator::{Coordinator, CoordinatorOptions, Handle, Scope, TokenId, Tokens};
use dial::{Address, Authorize, Credentials, Secret};
use proto::v1;
use proto::v1::campaign_service_client::CampaignServiceClient;
use tempfile::TempDir;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// How long anything may take before the test is taken to hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Client = CampaignServiceClient<InterceptedService<Channel, Authorize>>;

pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) handle: Handle,
    pub(crate) tokens: Tokens,
}

impl Place {
    /// A coordinator on loopback, which asks for tokens.
    pub(crate) async fn new() -> Self {
        Self::with(|options| options).await
    }

    pub(crate) async fn with(change: impl FnOnce(CoordinatorOptions) -> CoordinatorOptions) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options = CoordinatorOptions::new(dir.path());
        let handle = Coordinator::start(change(options)).await.expect("it starts");
        let tokens = Tokens::open(dir.path()).await.expect("beside the coordinator");
        Self { dir, handle, tokens }
    }

    /// The same directory under another coordinator.
    pub(crate) async fn restart(self) -> Self {
        let Self { dir, handle, tokens } = self;
        tokens.close().await;
        handle.shutdown().await;
        let handle = Coordinator::start(CoordinatorOptions::new(dir.path())).await.expect("it starts");
        let tokens = Tokens::open(dir.path()).await.expect("beside the coordinator");
        Self { dir, handle, tokens }
    }

    /// A fresh token.
    pub(crate) async fn token(&self, scope: Scope) -> (TokenId, Credentials) {
        let (id, secret) = self.tokens.create("a test", scope, None).await.expect("it is written");
        (id, showing(secret))
    }

    pub(crate) async fn client(&self, credentials: &Credentials) -> Client {
        connect(self.handle.public_url(), credentials).await.expect("it listens")
    }
}

/// Sends the token with each call.
pub(crate) fn showing(token: Secret) -> Credentials {
    Credentials { token: Some(token), allow_plain_token: true, ..Credentials::default() }
}

/// Logs in with the token, and sends it nowhere.
pub(crate) fn proving(token: Secret) -> Credentials {
    Credentials { token: Some(token), ..Credentials::default() }
}

pub(crate) async fn connect(url: &str, credentials: &Credentials) -> Result<Client, tonic::transport::Error> {
    let address = Address::parse(url, credentials).expect("an address");
    Ok(CampaignServiceClient::with_interceptor(address.connect().await?, address.authorize().clone()))
}

/// The result of a harmless call.
pub(crate) async fn look(client: &mut Client) -> Result<v1::Info, Status> {
    client.get_info(v1::GetInfoRequest {}).await.map(tonic::Response::into_inner)
}

pub(crate) async fn code(client: &mut Client) -> Code {
    look(client).await.map_or_else(|status| status.code(), |_| Code::Ok)
}
