//! The CONNECT exchange with a proxy, before it relays bytes.
//!
//! The answer is read one byte at a time: an HTTP/2 server speaks first, so its bytes may arrive together with the
//! proxy's answer, and everything after that answer belongs to the caller. `hyper_util`'s `Tunnel` (0.1.21) reads ahead
//! and loses them.

use std::io;

use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest accepted answer, in bytes. Common proxies send a few hundred.
const LONGEST_ANSWER: usize = 8 << 10;

/// A proxy's answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// HTTP status.
    Status(u16),
    /// Not HTTP, too long, or cut short.
    Unreadable,
}

/// Asks a proxy for a connection to `target`, and reads exactly its answer.
pub(crate) async fn ask<S>(stream: &mut S, target: &str, credentials: Option<&HeaderValue>) -> io::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    if let Some(credentials) = credentials {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(credentials.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await?;

    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == LONGEST_ANSWER {
            return Ok(Answer::Unreadable);
        }
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Answer::Unreadable),
            Err(error) => return Err(error),
        }
    }
    Ok(status(&answer).map_or(Answer::Unreadable, Answer::Status))
}

/// Parses the status out of an answer's first line, such as `HTTP/1.1 200 Connection established`.
fn status(answer: &[u8]) -> Option<u16> {
    let rest = answer.strip_prefix(b"HTTP/1.0 ").or_else(|| answer.strip_prefix(b"HTTP/1.1 "))?;
    let (digits, after) = rest.split_at_checked(3)?;
    let is_whole = digits.iter().all(u8::is_ascii_digit) && after.first().is_some_and(|next| b" \r".contains(next));
    if is_whole { str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_from_the_first_line_alone() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407\r\n\r\n"), Some(407));
        for other in
            ["HTTP/1.1 2000 \r\n\r\n", "HTTP/1.1 +20 \r\n\r\n", "HTTP/2 200 \r\n\r\n", "SSH-2.0\r\n\r\n", "\r\n\r\n"]
        {
            assert_eq!(status(other.as_bytes()), None, "{other:?}");
        }
    }
}
