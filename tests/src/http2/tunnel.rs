//! Tunnels in streams (RFC 8441), as a client opens them by extended CONNECT. Knows nothing of what they carry.

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};
use tokio::time::timeout;

use super::{Client, next, send};
use crate::patience::{PATIENCE, eventually};

/// An open tunnel.
#[derive(Debug)]
pub struct Tunnel {
    /// Fields of the head that opened it.
    pub headers: HeaderMap,
    /// What goes to the server.
    pub outflow: SendStream<Bytes>,
    /// What comes from it.
    pub inflow: RecvStream,
    ahead: Vec<u8>,
}

/// A CONNECT to `path` of the host `a.example` for a protocol.
///
/// # Panics
/// For what is no path.
#[must_use]
pub fn connect(protocol: &'static str, path: &str) -> Request<()> {
    Request::builder()
        .method("CONNECT")
        .uri(format!("http://a.example{path}"))
        .extension(Protocol::from_static(protocol))
        .body(())
        .expect("a request")
}

impl Client {
    /// Asks for a tunnel; gives the response to come and what goes into the tunnel. Waits for the server to say that it
    /// knows extended CONNECT.
    ///
    /// # Panics
    /// When it does not say so.
    pub async fn ask(&mut self, request: Request<()>) -> (ResponseFuture, SendStream<Bytes>) {
        eventually("a server that knows extended CONNECT", async || {
            self.send.is_extended_connect_protocol_enabled().then_some(())
        })
        .await;
        self.open(request).await
    }

    /// Opens a tunnel.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn tunnel(&mut self, request: Request<()>) -> Tunnel {
        let (response, outflow) = self.ask(request).await;
        let response = timeout(PATIENCE, response).await;
        let (head, inflow) = response.expect("an answer").expect("a response").into_parts();
        assert_eq!(head.status, 200, "{head:?}");
        Tunnel {
            headers: head.headers,
            outflow,
            inflow,
            ahead: Vec::new(),
        }
    }
}

impl Tunnel {
    /// Sends bytes.
    ///
    /// # Panics
    /// When the server does not take them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        let sent = timeout(PATIENCE, send(&mut self.outflow, bytes)).await;
        sent.expect("a server that reads").expect("an open stream");
    }

    /// Ends the sending side.
    ///
    /// # Panics
    /// When the stream has ended.
    pub fn finish(&mut self) {
        let ended = self.outflow.send_data(Bytes::new(), true);
        ended.expect("an open stream");
    }

    /// Resets the stream.
    pub fn reset(&mut self, reason: Reason) {
        self.outflow.send_reset(reason);
    }

    /// Reads so many bytes.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn read(&mut self, count: usize) -> Vec<u8> {
        while self.ahead.len() < count {
            let piece = next(&mut self.inflow).await.expect("an open stream");
            self.ahead.extend_from_slice(&piece.expect("more bytes"));
        }
        let rest = self.ahead.split_off(count);
        std::mem::replace(&mut self.ahead, rest)
    }

    /// Reads to the end; gives what came and the reason, if the end was a reset.
    ///
    /// # Panics
    /// When there is no end, or the connection breaks.
    pub async fn rest(&mut self) -> (Vec<u8>, Option<Reason>) {
        let mut bytes = std::mem::take(&mut self.ahead);
        loop {
            match next(&mut self.inflow).await {
                Ok(Some(piece)) => bytes.extend_from_slice(&piece),
                Ok(None) => return (bytes, None),
                Err(error) if error.is_reset() => return (bytes, error.reason()),
                Err(error) => panic!("{error}"),
            }
        }
    }
}
