//! Bytes as they come from a socket: read by lines, by number or as they are, each read bounded in time, and
//! every byte that was read kept. Knows no HTTP beyond CR LF.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time;

use crate::patience::PATIENCE;

/// Longest line, in bytes.
const MAX_LINE: usize = 1 << 20;
/// Bytes asked of the socket at once.
const READ: usize = 64 << 10;

/// Why a message could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No connection.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// The connection ended before the first byte of a message.
    #[error("the connection was closed")]
    Closed,
    /// The connection ended within a message.
    #[error("the message was cut off within its {0}")]
    Truncated(&'static str),
    /// The bytes are no HTTP/1.1 message.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Nothing came for [`PATIENCE`].
    #[error("nothing came for {} s", PATIENCE.as_secs())]
    TimedOut,
    /// The socket's own trouble, such as a reset.
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

impl Fault {
    /// A message that breaks a rule of HTTP.
    pub(crate) fn malformed(text: impl Into<String>) -> Self {
        Self::Malformed(text.into())
    }

    /// Whether the connection was reset.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::ConnectionReset)
    }
}

/// A reader that keeps what it read.
#[derive(Debug)]
pub struct Wire<R> {
    inner: R,
    /// Came and was not asked for yet.
    ahead: Vec<u8>,
    /// Was handed out since the last [`Wire::take_raw`].
    raw: Vec<u8>,
    keep: Keep,
}

/// Whether a [`Wire`] keeps the bytes that it hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All of them.
    All,
    /// None: for bodies larger than memory.
    Nothing,
}

impl<R: AsyncRead + Unpin> Wire<R> {
    /// Reads from `inner`.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            ahead: Vec::new(),
            raw: Vec::new(),
            keep: Keep::All,
        }
    }

    /// Whether to keep what is handed out from now on.
    pub fn keep(&mut self, keep: Keep) {
        self.keep = keep;
    }

    /// What was handed out since the last call, byte for byte.
    pub fn take_raw(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.raw)
    }

    /// Came already, though nobody asked for it.
    #[must_use]
    pub fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// A line without its CR LF; none at the end of the connection.
    ///
    /// # Errors
    /// A bare CR or LF (RFC 9112, section 2.2, lets a recipient accept the latter: this one does not), a line cut
    /// off, and [`Fault::TimedOut`].
    pub async fn line(&mut self) -> Result<Option<String>, Fault> {
        let mut seen = 0;
        loop {
            if let Some(at) = self.ahead[seen..].iter().position(|byte| *byte == b'\n') {
                let mut line = self.hand_out(seen + at + 1);
                line.truncate(line.len() - 1);
                if line.pop() != Some(b'\r') || line.contains(&b'\r') {
                    return Err(Fault::malformed(format!("a bare CR or LF: {:?}", latin1(&line))));
                }
                return Ok(Some(latin1(&line)));
            }
            seen = self.ahead.len();
            if seen > MAX_LINE {
                return Err(Fault::malformed("a line of more than 1 MiB"));
            }
            if !self.fill().await? {
                return if seen == 0 {
                    Ok(None)
                } else {
                    Err(Fault::Truncated("head"))
                };
            }
        }
    }

    /// Some bytes, at least one and at most `max`; none at the end of the connection.
    ///
    /// # Errors
    /// Those of the socket, and [`Fault::TimedOut`].
    pub async fn some(&mut self, max: u64) -> Result<Option<Vec<u8>>, Fault> {
        if self.ahead.is_empty() && !self.fill().await? {
            return Ok(None);
        }
        let length = usize::try_from(max).unwrap_or(usize::MAX).min(self.ahead.len());
        Ok(Some(self.hand_out(length)))
    }

    /// The reader, without what came ahead.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The reader, for what else its socket can do.
    pub fn inner(&mut self) -> &mut R {
        &mut self.inner
    }

    fn hand_out(&mut self, length: usize) -> Vec<u8> {
        let rest = self.ahead.split_off(length);
        let bytes = std::mem::replace(&mut self.ahead, rest);
        if self.keep == Keep::All {
            self.raw.extend_from_slice(&bytes);
        }
        bytes
    }

    /// False at the end of the connection.
    async fn fill(&mut self) -> Result<bool, Fault> {
        self.ahead.reserve(READ);
        let read = time::timeout(PATIENCE, self.inner.read_buf(&mut self.ahead));
        Ok(read.await.map_err(|_| Fault::TimedOut)?? > 0)
    }
}

/// One character per byte, so that no byte is lost (and [`bytes`] gives them back).
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The reverse of [`latin1`].
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).expect("one character per byte"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_and_pieces_are_handed_out_and_kept() {
        let mut wire = Wire::new(&b"a\r\n\r\nbcdef"[..]);
        assert_eq!(wire.line().await.unwrap().unwrap(), "a");
        assert_eq!(wire.line().await.unwrap().unwrap(), "");
        assert_eq!(wire.some(3).await.unwrap().unwrap(), b"bcd");
        assert_eq!(wire.take_raw(), b"a\r\n\r\nbcd");
        assert_eq!(wire.ahead(), b"ef");
        assert_eq!(wire.some(9).await.unwrap().unwrap(), b"ef");
        assert_eq!(wire.some(9).await.unwrap(), None);
        assert_eq!(wire.line().await.unwrap(), None);
        assert_eq!(wire.take_raw(), b"ef");
    }

    #[tokio::test]
    async fn line_ends_are_strict_and_bytes_are_not_lost() {
        assert!(matches!(
            Wire::new(&b"a\nb"[..]).line().await,
            Err(Fault::Malformed(_))
        ));
        assert!(matches!(
            Wire::new(&b"a\rb\r\n"[..]).line().await,
            Err(Fault::Malformed(_))
        ));
        assert!(matches!(
            Wire::new(&b"ab\r"[..]).line().await,
            Err(Fault::Truncated(_))
        ));
        let line = Wire::new(&b"\xe9\x80\r\n"[..]).line().await.unwrap().unwrap();
        assert_eq!(bytes(&line), b"\xe9\x80");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_read() {
        let (near, _far) = tokio::io::duplex(8);
        assert!(matches!(Wire::new(near).line().await, Err(Fault::TimedOut)));
    }
}
