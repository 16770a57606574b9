//! Proves a token over an unencrypted connection without sending it, after the listener has proved that it knows the token.
//!
//! Anyone on a shared machine can listen on the port of a coordinator that is away. So before the first byte of HTTP/2,
//! client and coordinator go through the exchange of SCRAM (RFC 5802) with BLAKE3 in its keyed mode:
//!
//! ```text
//! client       GREETING, length of the id (1 byte), id, nonce (32 bytes)
//! coordinator  nonce (32 bytes), keyed(hash, "coordinator", transcript)
//! client       secret XOR keyed(hash, "client", transcript)
//! coordinator  ACCEPTED
//! ```
//!
//! `hash` is the BLAKE3 hash of the token, which is what a coordinator stores. The transcript covers the id, both nonces
//! and the address dialled, as each side sees it, so that a listener elsewhere on the machine cannot relay the exchange.
//! A listener that does not know the hash learns nothing, and whoever knows only the hash cannot log in.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::credentials::Secret;
use crate::error::LoginError;

/// What a login begins with. No HTTP/2 and no TLS connection begins like this.
pub const GREETING: &[u8; 8] = b"WTLOGIN1";
const ACCEPTED: u8 = b'+';

/// Every token starts with this, so that it can be recognised wherever it turns up.
pub const TOKEN_PREFIX: &str = "wt_";
const LONGEST_ID: usize = 64;

/// The public identifier of a token, and the 256 bits of its secret.
#[derive(Clone)]
pub(crate) struct Login {
    id: String,
    secret: [u8; 32],
    hash: blake3::Hash,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Login {
    /// Takes a token apart; `None` if it is not one.
    pub(crate) fn with(token: &Secret) -> Option<Self> {
        let (id, secret) = token.expose().strip_prefix(TOKEN_PREFIX)?.split_once('_')?;
        if id.is_empty() || id.len() > LONGEST_ID {
            return None;
        }
        let secret = *blake3::Hash::from_hex(secret).ok()?.as_bytes();
        Some(Self { id: id.to_owned(), secret, hash: blake3::hash(token.expose().as_bytes()) })
    }

    /// The client's side, over a connection to `dialled`.
    pub(crate) async fn prove<S>(&self, stream: &mut S, dialled: SocketAddr) -> Result<(), LoginError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let client: [u8; 32] = rand::random();
        let mut hello = GREETING.to_vec();
        hello.push(self.id.len() as u8);
        hello.extend_from_slice(self.id.as_bytes());
        hello.extend_from_slice(&client);
        stream.write_all(&hello).await.map_err(LoginError::Broken)?;

        let [mut coordinator, mut proof] = [[0; 32]; 2];
        stream.read_exact(&mut coordinator).await.map_err(unanswered)?;
        stream.read_exact(&mut proof).await.map_err(unanswered)?;
        let transcript = Transcript { id: &self.id, client, coordinator, address: dialled };
        if blake3::Hash::from_bytes(proof) != transcript.proof(&self.hash, Side::Coordinator) {
            return Err(LoginError::Stranger { address: dialled });
        }
        let proof = masked(self.secret, transcript.proof(&self.hash, Side::Client));
        stream.write_all(&proof).await.map_err(LoginError::Broken)?;
        match stream.read_u8().await {
            Ok(ACCEPTED) => Ok(()),
            Ok(_) => Err(LoginError::Refused),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(LoginError::Refused),
            Err(error) => Err(LoginError::Broken(error)),
        }
    }
}

/// The coordinator's side, after the [`GREETING`] was read. `listening` is the address the client dialled, and `hash`
/// looks up what is stored of a token. Returns the id of the token that the client holds; `None` if it does not hold it.
///
/// # Errors
/// If the connection breaks or the peer does not keep to the exchange.
pub async fn challenge<S, F>(
    stream: &mut S,
    listening: SocketAddr,
    hash: impl FnOnce(String) -> F,
) -> io::Result<Option<String>>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Option<blake3::Hash>>,
{
    let length = usize::from(stream.read_u8().await?);
    if length == 0 || length > LONGEST_ID {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut id = vec![0; length];
    stream.read_exact(&mut id).await?;
    let id = String::from_utf8(id).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut client = [0; 32];
    stream.read_exact(&mut client).await?;

    let known = hash(id.clone()).await;
    // An unknown token is answered like a known one; the client sees that the proof is wrong.
    let hash = known.unwrap_or_else(|| blake3::Hash::from_bytes(rand::random()));
    let transcript = Transcript { id: &id, client, coordinator: rand::random(), address: listening };
    stream.write_all(&transcript.coordinator).await?;
    stream.write_all(transcript.proof(&hash, Side::Coordinator).as_bytes()).await?;

    let mut proof = [0; 32];
    stream.read_exact(&mut proof).await?;
    let secret = blake3::Hash::from_bytes(masked(proof, transcript.proof(&hash, Side::Client)));
    let token = format!("{TOKEN_PREFIX}{id}_{}", secret.to_hex());
    // Compared in constant time.
    if known.is_none() || blake3::hash(token.as_bytes()) != hash {
        return Ok(None);
    }
    stream.write_all(&[ACCEPTED]).await?;
    Ok(Some(id))
}

#[derive(Clone, Copy)]
enum Side {
    Coordinator,
    Client,
}

/// What both sides have seen.
struct Transcript<'a> {
    id: &'a str,
    client: [u8; 32],
    coordinator: [u8; 32],
    address: SocketAddr,
}

impl Transcript<'_> {
    fn proof(&self, hash: &blake3::Hash, side: Side) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(hash.as_bytes());
        hasher.update(match side {
            Side::Coordinator => b"coordinator",
            Side::Client => b"client.....",
        });
        hasher.update(&self.client).update(&self.coordinator);
        // The id comes last but one, behind its length, so that no two transcripts have the same bytes.
        hasher.update(&[self.id.len() as u8]).update(self.id.as_bytes());
        // IPv4 reached through an IPv6 socket is written like IPv4.
        let address = SocketAddr::new(self.address.ip().to_canonical(), self.address.port());
        hasher.update(address.to_string().as_bytes());
        hasher.finalize()
    }
}

fn masked(secret: [u8; 32], mask: blake3::Hash) -> [u8; 32] {
    let mut masked = secret;
    for (byte, mask) in masked.iter_mut().zip(mask.as_bytes()) {
        *byte ^= mask;
    }
    masked
}

fn unanswered(error: io::Error) -> LoginError {
    if error.kind() == io::ErrorKind::UnexpectedEof { LoginError::Unanswered } else { LoginError::Broken(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7450);

    fn token(id: &str, byte: u8) -> Secret {
        Secret::new(format!("{TOKEN_PREFIX}{id}_{}", blake3::Hash::from_bytes([byte; 32]).to_hex()))
    }

    /// Both ends of a login over a pipe, with every byte that the client sent.
    async fn exchange(
        client: &Secret,
        known: Option<blake3::Hash>,
        seen_by: [SocketAddr; 2],
    ) -> (Result<(), LoginError>, io::Result<Option<String>>) {
        let login = Login::with(client).expect("a token");
        let (mut near, mut far) = tokio::io::duplex(4096);
        let served = async move {
            let mut greeting = [0; 8];
            far.read_exact(&mut greeting).await?;
            assert_eq!(&greeting, GREETING);
            challenge(&mut far, seen_by[1], |_| async move { known }).await
        };
        let proved = async move { login.prove(&mut near, seen_by[0]).await };
        tokio::join!(proved, served)
    }

    fn hash(token: &Secret) -> blake3::Hash {
        blake3::hash(token.expose().as_bytes())
    }

    #[tokio::test]
    async fn a_client_and_a_coordinator_that_know_a_token_recognise_each_other() {
        let known = token("abc", 7);
        let (proved, served) = exchange(&known, Some(hash(&known)), [HERE, HERE]).await;
        proved.expect("recognised");
        assert_eq!(served.expect("an exchange").as_deref(), Some("abc"));
        let mapped: SocketAddr = "[::ffff:127.0.0.1]:7450".parse().expect("an address");
        let (proved, _) = exchange(&known, Some(hash(&known)), [HERE, mapped]).await;
        proved.expect("the same address");
    }

    #[tokio::test]
    async fn a_listener_that_does_not_know_the_token_learns_nothing() {
        for known in [None, Some(hash(&token("abc", 8)))] {
            let (proved, served) = exchange(&token("abc", 7), known, [HERE, HERE]).await;
            assert!(matches!(proved, Err(LoginError::Stranger { .. })), "{proved:?}");
            // The client hung up instead of sending its proof.
            assert_eq!(served.expect_err("it got no proof").kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[tokio::test]
    async fn an_exchange_relayed_from_another_address_is_refused() {
        let known = token("abc", 7);
        for elsewhere in ["127.0.0.1:7451", "127.0.0.2:7450", "[::1]:7450"] {
            let elsewhere = elsewhere.parse().expect("an address");
            let (proved, _) = exchange(&known, Some(hash(&known)), [elsewhere, HERE]).await;
            assert!(matches!(proved, Err(LoginError::Stranger { .. })), "{elsewhere}");
        }
    }

    #[tokio::test]
    async fn the_hash_alone_does_not_log_in() {
        let known = token("abc", 7);
        // Somebody who read the store, and runs the client's side with a secret of their own.
        let mut thief = Login::with(&token("abc", 8)).expect("a token");
        thief.hash = hash(&known);
        let (mut near, mut far) = tokio::io::duplex(4096);
        let served = async move {
            far.read_exact(&mut [0; 8]).await?;
            challenge(&mut far, HERE, |_| async move { Some(hash(&known)) }).await
        };
        let (proved, served) = tokio::join!(async move { thief.prove(&mut near, HERE).await }, served);
        assert!(matches!(proved, Err(LoginError::Refused)), "{proved:?}");
        assert_eq!(served.expect("an exchange"), None);
    }

    #[tokio::test]
    async fn no_byte_of_the_secret_is_sent_and_no_two_logins_look_alike() {
        let known = token("abc", 7);
        let login = Login::with(&known).expect("a token");
        let mut sent = Vec::new();
        for _ in 0..2 {
            let (mut near, far) = tokio::io::duplex(4096);
            let known = hash(&known);
            let served = async move {
                let (read, mut write) = tokio::io::split(far);
                let mut recorded = Recorder { inner: read, bytes: Vec::new() };
                recorded.read_exact(&mut [0; 8]).await.expect("a greeting");
                let mut both = tokio::io::join(&mut recorded, &mut write);
                challenge(&mut both, HERE, |_| async move { Some(known) })
                    .await
                    .expect("an exchange")
                    .expect("a login");
                recorded.bytes
            };
            let (proved, bytes) = tokio::join!(login.prove(&mut near, HERE), served);
            proved.expect("recognised");
            sent.push(bytes);
        }
        assert_ne!(sent[0][44..], sent[1][44..], "the proofs");
        assert!(!sent.iter().any(|bytes| bytes.windows(8).any(|window| window == [7; 8])));
    }

    /// A reader that keeps what was read.
    struct Recorder<R> {
        inner: R,
        bytes: Vec<u8>,
    }

    impl<R: AsyncRead + Unpin> AsyncRead for Recorder<R> {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            let before = buf.filled().len();
            let polled = std::pin::Pin::new(&mut self.inner).poll_read(cx, buf);
            self.bytes.extend_from_slice(&buf.filled()[before..]);
            polled
        }
    }

    #[test]
    fn only_a_token_can_log_in() {
        for text in ["", "wt_", "wt_abc", "wt_abc_12", "secret", token(&"a".repeat(65), 7).expose()] {
            assert!(Login::with(&Secret::new(text)).is_none(), "{text}");
        }
        assert!(!format!("{:?}", Login::with(&token("abc", 7))).contains("0707"));
    }
}
