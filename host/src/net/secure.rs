//! The handshake of a client's connection. It refuses to know certificates, and how long it may take: the sweep of
//! the worker ends it.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::unparsed::{self, Unparsed};
use super::{Accepted, ClientStream};
use crate::clock;
use crate::message::problem::ErrorKind;
use crate::tls::{Acceptor, Secured};

/// Most bytes of a request in clear that are read before the connection is closed: what is left unread would make the
/// system take back the answer.
const MAX_IGNORED: u64 = 64 << 10;

/// Why there is no TLS on a connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The client left without a word, as port scans and health checks do.
    #[error("the client left before the handshake")]
    Left,
    /// It spoke HTTP in clear, and was told.
    #[error("the client sent HTTP in clear to a port with TLS")]
    InClear(Unparsed),
    /// The session is of a client whose certificate has ended since.
    #[error("the client's certificate has ended since its session began")]
    Outdated,
    /// It did not come to an agreement.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

/// Does the handshake.
///
/// # Errors
/// As [`HandshakeError`] says; the connection is closed.
pub async fn secure(
    Accepted(mut tcp): Accepted,
    acceptor: &Acceptor,
) -> Result<(ClientStream, Secured), HandshakeError> {
    let mut first = [0];
    if tcp.peek(&mut first).await? == 0 {
        return Err(HandshakeError::Left);
    }
    // A record of a handshake begins with 22; letters begin a method (RFC 8446 section 5.1).
    if first.iter().all(u8::is_ascii_uppercase) {
        let unparsed = tell(&mut tcp).await?;
        return Err(HandshakeError::InClear(unparsed));
    }
    let tls = TlsAcceptor::from(acceptor.config().clone()).accept(tcp).await?;
    let secured = Secured::of(tls.get_ref().1);
    if secured.is_resumed() {
        let now = i64::try_from(clock::unix_ms() / 1000).unwrap_or(i64::MAX);
        if secured.is_outdated(now) {
            return Err(HandshakeError::Outdated);
        }
    }
    Ok((ClientStream::Tls(Box::new(tls)), secured))
}

/// Answers a request in clear.
async fn tell(tcp: &mut TcpStream) -> io::Result<Unparsed> {
    let (unparsed, answer) = unparsed::answer(ErrorKind::HttpToTlsPort);
    tcp.write_all(&answer).await?;
    tcp.shutdown().await?;
    let mut ignored = [0; 1024];
    let mut rest = tcp.take(MAX_IGNORED);
    while rest.read(&mut ignored).await? > 0 {}
    Ok(unparsed)
}
