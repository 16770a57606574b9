//! Sessions of workers: whose word counts for whom, and how long.

use coordinator::{Handle, Scope};
use dial::{Address, Credentials};
use proto::v1::worker_message::Body as Up;
use proto::v1::worker_service_client::WorkerServiceClient;
use proto::v1::{CoordinatorMessage, Hello, WorkerMessage};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use vocabulary::WorkerId;

use crate::support::{PATIENCE, Place, connect};

struct Session {
    /// Kept so that the stream up stays open.
    _up: mpsc::Sender<WorkerMessage>,
    down: Streaming<CoordinatorMessage>,
}

impl Session {
    /// One of a worker of an earlier version, which has no secret.
    async fn open(
        handle: &Handle,
        credentials: &Credentials,
        worker: &str,
        predecessor: Option<&str>,
    ) -> Result<Self, Status> {
        let predecessors = predecessor.map(|worker| id(worker).to_string()).into_iter().collect();
        Self::with(handle, credentials, Hello { predecessors, ..hello(worker, "") }).await
    }

    async fn with(handle: &Handle, credentials: &Credentials, hello: Hello) -> Result<Self, Status> {
        let address = Address::parse(handle.public_url(), credentials).expect("an address");
        let (channel, authorize) = (address.connect().await.expect("it listens"), address.authorize().clone());
        let (up, outgoing) = mpsc::channel(4);
        up.send(WorkerMessage { sequence: 0, body: Some(Up::Hello(hello)) }).await.expect("there is room");
        let mut client = WorkerServiceClient::with_interceptor(channel, authorize);
        let down = client.session(ReceiverStream::new(outgoing)).await?.into_inner();
        let mut session = Self { _up: up, down };
        session.next().await?.expect("the welcome comes first");
        Ok(session)
    }

    async fn next(&mut self) -> Result<Option<CoordinatorMessage>, Status> {
        timeout(PATIENCE, self.down.message()).await.expect("something comes")
    }
}

fn id(name: &str) -> WorkerId {
    WorkerId::from_content(name.as_bytes())
}

fn hello(worker: &str, secret: &str) -> Hello {
    Hello {
        worker: id(worker).to_string(),
        name: worker.to_owned(),
        protocol: proto::PROTOCOL,
        secret: secret.to_owned(),
        ..Hello::default()
    }
}

/// Names of the workers that the coordinator has.
async fn workers(place: &Place) -> Vec<String> {
    let mut client = connect(place.handle.url(), &Credentials::default()).await.expect("it listens");
    let workers = client.list_workers(proto::v1::ListWorkersRequest {}).await.expect("it may be asked").into_inner();
    workers.workers.into_iter().map(|worker| worker.name).collect()
}

#[tokio::test]
async fn a_worker_is_spoken_for_under_its_own_token_alone() {
    let place = Place::new().await;
    let (_, mine) = place.token(Scope::Worker).await;
    let (_, theirs) = place.token(Scope::Worker).await;
    let session = Session::open(&place.handle, &mine, "mine", None).await.expect("it joins");

    let status = Session::open(&place.handle, &theirs, "mine", None).await.err().expect("it is another's");
    assert_eq!(status.code(), Code::PermissionDenied);
    drop(session);
    let status = Session::open(&place.handle, &theirs, "mine", None).await.err().expect("it stays another's");
    assert_eq!(status.code(), Code::PermissionDenied);
    let _session = Session::open(&place.handle, &mine, "mine", None).await.expect("its own token opens it again");

    // That it is gone is not believed of others either, and it is of its own.
    let _other = Session::open(&place.handle, &theirs, "theirs", Some("mine")).await.expect("it may join all the same");
    assert_eq!(workers(&place).await, ["mine", "theirs"]);
}

/// `show` and `list` name it to everybody who may look.
#[tokio::test]
async fn who_knows_no_more_than_the_identifier_of_a_worker_cannot_take_its_session() {
    let place = Place::new().await;
    let (_, token) = place.token(Scope::Worker).await;
    let mut session = Session::with(&place.handle, &token, hello("mine", "my secret")).await.expect("it joins");
    let refused = async |place: &Place, secret: &str| {
        let overtaking = Hello { connection: u64::MAX, ..hello("mine", secret) };
        Session::with(&place.handle, &token, overtaking).await.err().expect("it is somebody else's")
    };
    for secret in ["", "another secret"] {
        let status = refused(&place, secret).await;
        assert_eq!(status.code(), Code::PermissionDenied);
        assert!(status.message().contains("another process"), "{status}");
    }
    let heard = timeout(std::time::Duration::from_millis(50), session.down.message()).await;
    assert!(heard.is_err(), "its session is still open: {heard:?}");
    drop(session);

    // Not after a restart either: the hash is in the store, and the secret itself is not.
    let place = place.restart().await;
    assert_eq!(refused(&place, "another secret").await.code(), Code::PermissionDenied);
    let _again = Session::with(&place.handle, &token, hello("mine", "my secret")).await.expect("it has the secret");
}

#[tokio::test]
async fn a_session_ends_when_its_token_is_revoked() {
    let place = Place::new().await;
    let (token, credentials) = place.token(Scope::Worker).await;
    let (_, other) = place.token(Scope::Worker).await;
    let mut session = Session::open(&place.handle, &credentials, "a", None).await.expect("it joins");
    let mut other = Session::open(&place.handle, &other, "b", None).await.expect("it joins");
    assert!(place.tokens.revoke(&token).await.expect("it is written"));
    let status = session.next().await.expect_err("it ends");
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    assert_eq!(workers(&place).await, ["b"]);
    place.handle.shutdown().await;
    let ended = other.next().await;
    assert!(
        !matches!(&ended, Err(status) if status.code() == Code::Unauthenticated),
        "it lived until the end: {ended:?}"
    );
}
