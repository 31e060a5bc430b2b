//! The two sides of a scripted exchange. It refuses to know what is tested.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::super::care::CareRules;
use super::super::failure::BoxError;
use super::super::{Aim, Cluster, Endpoint, Failure, Policy, Protocol, Reply, RequestHead, Settings, Shared};

/// Settings of the tests; a minute for everything, so that only a test of that time meets it.
pub(in super::super) fn settings(ports: &[u16]) -> Settings {
    Settings {
        name: "test".into(),
        endpoints: ports
            .iter()
            .map(|&port| Endpoint {
                host: "127.0.0.1".to_owned(),
                port,
            })
            .map(Into::into)
            .collect(),
        protocol: Protocol::Http1,
        policy: Policy::RoundRobin,
        slow_start: None,
        panic_percent: 0,
        zone: None,
        care: CareRules::default(),
        connect_timeout: Duration::from_secs(60),
        first_byte_timeout: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(60),
        max_idle: 4,
        max_idle_time: Duration::from_secs(60),
        max_header_bytes: 16 * 1024,
        max_headers: 100,
        tls: None,
    }
}

pub(super) fn cluster(settings: Settings) -> Rc<Cluster> {
    Cluster::new(Shared::new(Arc::new(settings), None))
}

/// A listener on a free port.
pub(super) struct Server {
    listener: TcpListener,
    pub(super) port: u16,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, port }
    }

    pub(super) fn cluster(&self) -> Rc<Cluster> {
        cluster(settings(&[self.port]))
    }

    pub(super) async fn accept(&self) -> Wire<TcpStream> {
        Wire::new(self.listener.accept().await.unwrap().0)
    }
}

/// A port on which nothing listens.
pub(super) async fn closed_port() -> u16 {
    Server::start().await.port
}

/// A cluster that keeps one connection without sockets, and the far side of it.
pub(super) fn memory(settings: Settings, capacity: usize) -> (Rc<Cluster>, Wire<DuplexStream>) {
    let cluster = cluster(settings);
    let (near, far) = tokio::io::duplex(capacity);
    cluster.slot(0).adopt(near);
    (cluster, Wire::new(far))
}

/// The server's side of a connection.
pub(super) struct Wire<S> {
    pub(super) stream: S,
    unread: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            unread: BytesMut::new(),
        }
    }

    /// Reads a head with its empty line.
    pub(super) async fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.unread.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = self.unread.split_to(at + 4);
                return String::from_utf8(head.to_vec()).unwrap();
            }
            assert_ne!(
                self.stream.read_buf(&mut self.unread).await.unwrap(),
                0,
                "closed within a head"
            );
        }
    }

    /// Reads so many bytes.
    pub(super) async fn take(&mut self, count: usize) -> Bytes {
        while self.unread.len() < count {
            assert_ne!(
                self.stream.read_buf(&mut self.unread).await.unwrap(),
                0,
                "closed within a body"
            );
        }
        self.unread.split_to(count).freeze()
    }

    /// Reads what there is, at least one byte.
    pub(super) async fn some(&mut self) -> Bytes {
        if self.unread.is_empty() {
            assert_ne!(
                self.stream.read_buf(&mut self.unread).await.unwrap(),
                0,
                "closed within a body"
            );
        }
        self.unread.split().freeze()
    }

    /// Reads until the client closes, and returns what came.
    pub(super) async fn rest(&mut self) -> Bytes {
        while !matches!(self.stream.read_buf(&mut self.unread).await, Ok(0) | Err(_)) {}
        self.unread.split().freeze()
    }

    pub(super) async fn say(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).await.unwrap();
    }

    /// Reads a head and answers with `text`.
    pub(super) async fn answer(&mut self, text: impl AsRef<[u8]>) -> String {
        let head = self.head().await;
        self.say(text).await;
        head
    }
}

/// A request body whose pieces a test sends one by one.
pub(super) struct Feed {
    pieces: mpsc::Receiver<Result<Frame<Bytes>, io::Error>>,
    length: Option<u64>,
}

pub(super) type Pieces = mpsc::Sender<Result<Frame<Bytes>, io::Error>>;

pub(super) fn feed(length: Option<u64>) -> (Pieces, Feed) {
    let (sender, pieces) = mpsc::channel(16);
    (sender, Feed { pieces, length })
}

pub(super) fn data(bytes: impl Into<Bytes>) -> Result<Frame<Bytes>, io::Error> {
    Ok(Frame::data(bytes.into()))
}

impl Body for Feed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.pieces.poll_recv(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

pub(super) async fn send<B>(
    cluster: &Rc<Cluster>,
    method: Method,
    body: B,
) -> Result<Response<Reply<B>>, Failure>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let headers = HeaderMap::new();
    let head = RequestHead {
        method: &method,
        target: "/",
        authority: "test",
        headers: &headers,
        upgrade: None,
        via: None,
    };
    cluster.send(head, body, None, Aim::default()).await
}

pub(super) async fn get(cluster: &Rc<Cluster>) -> Result<Response<Reply<Empty<Bytes>>>, Failure> {
    send(cluster, Method::GET, Empty::new()).await
}

/// Reads a body to its end.
pub(super) async fn drain<B>(body: &mut Reply<B>) -> Result<(Vec<u8>, Option<HeaderMap>), Failure>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let (mut content, mut trailers) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => content.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    assert!(body.is_end_stream());
    Ok((content, trailers))
}

/// A request without a body whose response is read to its end.
pub(super) async fn get_text(cluster: &Rc<Cluster>) -> Result<String, Failure> {
    let mut response = get(cluster).await?;
    let (content, _) = drain(response.body_mut()).await?;
    Ok(String::from_utf8(content).unwrap())
}

/// The counters of the first endpoint.
pub(super) fn stats(cluster: &Cluster) -> super::super::EndpointStats {
    cluster.stats()[0].1
}
