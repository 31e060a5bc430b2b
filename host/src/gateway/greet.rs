//! What comes before the first request of a connection with TLS: its handshake, counted, and given up when the worker
//! ends. It refuses to know HTTP.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use crate::net::{Accepted, ClientStream, Conn, HandshakeError, Phase, Unparsed, secure};
use crate::telemetry::{Handshake, ListenerStats};
use crate::tls::{Acceptor, Secured};

/// How a handshake ended.
pub(super) enum Greeting {
    /// Well.
    Secured(ClientStream, Arc<Secured>),
    /// The connection is closed.
    Gone,
    /// The same, after an answer.
    Refused(Unparsed),
}

/// Does the handshake of a connection.
pub(super) async fn greet(
    stream: Accepted,
    acceptor: &Acceptor,
    conn: &Rc<Conn>,
    stats: &ListenerStats,
) -> Greeting {
    conn.enter(Phase::Handshake);
    // Counted also when the sweep ends it.
    let mut outcome = Outcome {
        stats,
        handshake: Handshake::Failed,
    };
    let mut handshake = pin!(secure(stream, acceptor));
    let result = std::future::poll_fn(|cx| {
        conn.driven_by(cx.waker());
        match handshake.as_mut().poll(cx) {
            Poll::Pending if conn.is_draining() => Poll::Ready(Err(HandshakeError::Left)),
            result => result,
        }
    });
    match result.await {
        Ok((stream, secured)) => {
            outcome.handshake = if secured.is_resumed() {
                Handshake::Resumed
            } else {
                Handshake::Full
            };
            conn.enter(Phase::Head);
            Greeting::Secured(stream, Arc::new(secured))
        }
        Err(HandshakeError::InClear(unparsed)) => Greeting::Refused(unparsed),
        Err(error) => {
            tracing::debug!(%error, "a TLS handshake failed");
            Greeting::Gone
        }
    }
}

struct Outcome<'a> {
    stats: &'a ListenerStats,
    handshake: Handshake,
}

impl Drop for Outcome<'_> {
    fn drop(&mut self) {
        self.stats.handshake(self.handshake);
    }
}
