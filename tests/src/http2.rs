//! A client that speaks HTTP/2 by prior knowledge: many streams at once on one socket. Made with the crate `h2`, which
//! refuses what breaks a rule; what must break one is written by [`frames`]. Knows nothing of gateways.

pub mod frames;
pub mod server;
pub mod tunnel;

use std::future::poll_fn;
use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::patience::PATIENCE;

/// One connection.
#[derive(Debug)]
pub struct Client {
    send: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    /// Of the final answer.
    pub status: u16,
    /// Fields of the head.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
    /// Fields after the body.
    pub trailers: Option<HeaderMap>,
}

impl Reply {
    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a body in JSON")
    }
}

/// A request for this path of a host `a.example`.
///
/// # Panics
/// For what is no path.
#[must_use]
pub fn get(path: &str) -> Request<()> {
    request("GET", path)
}

/// The same with a method.
///
/// # Panics
/// For what is no method or path.
#[must_use]
pub fn request(method: &str, path: &str) -> Request<()> {
    Request::builder()
        .method(method)
        .uri(format!("http://a.example{path}"))
        .body(())
        .expect("a request")
}

/// The same with a field.
///
/// # Panics
/// For what is no field.
#[must_use]
pub fn with(mut request: Request<()>, name: &str, value: &str) -> Request<()> {
    let name: http::HeaderName = name.parse().expect("a name");
    request
        .headers_mut()
        .append(name, value.parse().expect("a value"));
    request
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &Builder::new()).await
    }

    /// Connects with settings of its own.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn connect_with(address: SocketAddr, builder: &Builder) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("an open connection");
        let (send, connection) = builder.handshake(stream).await.expect("a handshake");
        Self {
            send,
            driver: tokio::spawn(connection),
        }
    }

    /// Begins an exchange whose body is sent by the test.
    ///
    /// # Panics
    /// When the connection takes no more streams.
    pub async fn open(&mut self, request: Request<()>) -> (ResponseFuture, SendStream<Bytes>) {
        let sent = timeout(PATIENCE, async {
            poll_fn(|cx| self.send.poll_ready(cx)).await?;
            self.send.send_request(request, false)
        });
        sent.await.expect("room for a stream").expect("a stream")
    }

    /// Begins an exchange without a body.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn begin(&mut self, request: Request<()>) -> Result<ResponseFuture, h2::Error> {
        let sent = timeout(PATIENCE, async {
            poll_fn(|cx| self.send.poll_ready(cx)).await?;
            self.send.send_request(request, true)
        });
        Ok(sent.await.expect("room for a stream")?.0)
    }

    /// Sends a request without a body and reads the answer to its end.
    ///
    /// # Errors
    /// When the stream or its connection is reset.
    pub async fn exchange(&mut self, request: Request<()>) -> Result<Reply, h2::Error> {
        let response = self.begin(request).await?;
        receive(response).await
    }

    /// Sends a request with a body.
    ///
    /// # Errors
    /// When the stream or its connection is reset.
    pub async fn upload(&mut self, request: Request<()>, body: impl Into<Bytes>) -> Result<Reply, h2::Error> {
        let (response, mut stream) = self.open(request).await;
        let body = body.into();
        let (sent, received) = tokio::join!(
            async {
                send(&mut stream, body).await?;
                stream.send_data(Bytes::new(), true)
            },
            receive(response)
        );
        // A server may have answered before it has taken everything.
        received.or_else(|error| sent.and(Err(error)))
    }

    /// The connection's end, after no handle is left to begin a stream.
    ///
    /// # Errors
    /// What it ended by.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended(self) -> Result<(), h2::Error> {
        drop(self.send);
        let ended = timeout(PATIENCE, self.driver).await;
        ended.expect("a connection that ends").expect("no panic")
    }

    /// Closes the connection as it is.
    pub fn abort(&self) {
        self.driver.abort();
    }

    /// The end of a connection that the server ends.
    ///
    /// # Errors
    /// What it ended by.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn closed(&mut self) -> Result<(), h2::Error> {
        let ended = timeout(PATIENCE, &mut self.driver).await;
        ended.expect("a connection that ends").expect("no panic")
    }
}

/// Sends bytes as the peer takes them.
///
/// # Errors
/// When the stream is reset.
pub async fn send(stream: &mut SendStream<Bytes>, mut bytes: Bytes) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(room) => {
                let part = bytes.split_to(room?.min(bytes.len()));
                stream.send_data(part, false)?;
            }
            None => return Err(h2::Reason::STREAM_CLOSED.into()),
        }
    }
    Ok(())
}

/// Reads an answer to its end.
///
/// # Errors
/// When the stream or its connection is reset.
///
/// # Panics
/// When it takes too long.
pub async fn receive(response: ResponseFuture) -> Result<Reply, h2::Error> {
    timeout(PATIENCE, async {
        let (head, mut stream) = response.await?.into_parts();
        let mut body = Vec::new();
        while let Some(piece) = next(&mut stream).await? {
            body.extend_from_slice(&piece);
        }
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            trailers: stream.trailers().await?,
        })
    })
    .await
    .expect("an answer")
}

/// The next piece of a body; opens the window again.
///
/// # Errors
/// When the stream is reset.
///
/// # Panics
/// When it takes too long.
pub async fn next(stream: &mut RecvStream) -> Result<Option<Bytes>, h2::Error> {
    timeout(PATIENCE, async {
        while let Some(piece) = stream.data().await.transpose()? {
            stream.flow_control().release_capacity(piece.len())?;
            // A frame without data only carries its flags.
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    })
    .await
    .expect("a piece")
}
