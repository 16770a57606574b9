//! Accepted connections, over any transport.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _};
use http::Extensions;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tonic::transport::server::{Connected, TlsConnectInfo};
use tracing::warn;

use super::gate::Call;
use super::{Connection, Gate};

/// How long to wait after a failed accept: descriptors or memory ran out, and others have to release some.
const AFTER_A_FAILED_ACCEPT: Duration = Duration::from_millis(100);

/// The connections of a listening socket. A failed accept is logged, and does not end the stream.
pub(crate) fn tcp(listener: TcpListener) -> impl Stream<Item = io::Result<(TcpStream, SocketAddr)>> + Send + 'static {
    futures::stream::unfold(listener, |listener| async move {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // If this fails, only latency suffers.
                    let _ = stream.set_nodelay(true);
                    return Some((Ok((stream, peer)), listener));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(AFTER_A_FAILED_ACCEPT).await;
                }
            }
        }
    })
}

/// The connections of a Unix socket, which all count as coming from this machine.
pub(crate) fn unix(
    listener: UnixListener,
) -> impl Stream<Item = io::Result<(UnixStream, SocketAddr)>> + Send + 'static {
    futures::stream::unfold(listener, |listener| async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((Ok((stream, SocketAddr::from(([127, 0, 0, 1], 0)))), listener)),
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(AFTER_A_FAILED_ACCEPT).await;
                }
            }
        }
    })
}

/// The connections that the gate takes in. The next one is accepted once there is room for it.
pub(crate) fn within_limits<S, IO>(incoming: S, gate: Arc<Gate>) -> impl Stream<Item = io::Result<Accepted<IO>>> + Send
where
    S: Stream<Item = io::Result<(IO, SocketAddr)>> + Send + 'static,
    IO: Send + 'static,
{
    futures::stream::unfold((Box::pin(incoming), gate), |(mut incoming, gate)| async move {
        loop {
            let room = gate.room().await;
            let (io, peer) = match incoming.next().await? {
                Ok(accepted) => accepted,
                Err(error) => return Some((Err(error), (incoming, gate))),
            };
            if let Some(connection) = gate.take_in(peer, room) {
                return Some((Ok(Accepted::new(io, peer, connection)), (incoming, gate)));
            }
        }
    })
}

/// A connection that is served, below any encryption.
pub(crate) struct Accepted<IO> {
    io: IO,
    /// Read already, and to be read again.
    unread: Vec<u8>,
    peer: Peer,
    has_to_go: Option<BoxFuture<'static, ()>>,
}

/// Who is at the other end of a connection: an extension of every request.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) identity: Identity,
    connection: Arc<Connection>,
}

/// What is known of a client before its first call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Nothing.
    Unknown,
    /// A process of the user who runs the coordinator, on the same machine.
    ThisUser,
    /// It proved that it holds the token of this identifier.
    Token(String),
}

impl Peer {
    /// The peer a request came from, with or without TLS.
    pub(crate) fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get::<Self>().or_else(|| extensions.get::<TlsConnectInfo<Self>>().map(TlsConnectInfo::get_ref))
    }

    /// Counts a call that was let in, until the result is dropped.
    pub(crate) fn begin_call(&self) -> Call {
        self.connection.begin_call()
    }
}

impl<IO> Accepted<IO> {
    pub(crate) fn new(io: IO, address: SocketAddr, connection: Arc<Connection>) -> Self {
        let has_to_go = Some(connection.clone().has_to_go().boxed());
        Self { io, unread: Vec::new(), peer: Peer { address, identity: Identity::Unknown, connection }, has_to_go }
    }

    pub(crate) fn io(&self) -> &IO {
        &self.io
    }

    /// The peer's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.peer.address
    }

    /// Says whose connection it is.
    pub(crate) fn identify(&mut self, identity: Identity) {
        self.peer.identity = identity;
    }

    /// Puts back what was read, to be read again.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        self.unread.splice(..0, bytes.iter().copied());
    }

    /// Fails once the connection has to go, and wakes whoever waits for it then.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(has_to_go) = &mut self.has_to_go
            && has_to_go.poll_unpin(cx).is_pending()
        {
            return Ok(());
        }
        self.has_to_go = None;
        Err(io::ErrorKind::ConnectionAborted.into())
    }
}

impl<IO> Connected for Accepted<IO> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Accepted<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        if !self.unread.is_empty() {
            let some = self.unread.len().min(buf.remaining());
            buf.put_slice(&self.unread[..some]);
            self.unread.drain(..some);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Accepted<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
