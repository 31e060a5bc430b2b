//! Either end of a connection, played by the test byte by byte.

use std::io::ErrorKind;
use std::net::SocketAddr;

use portcullis_tests::patience::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time;

/// An upstream whose every byte the test sends.
pub(crate) struct Server(TcpListener);

impl Server {
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a free port"))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a bound listener has an address")
    }

    pub(crate) async fn accept(&self) -> Peer {
        let accepted = time::timeout(PATIENCE, self.0.accept()).await;
        let (stream, _) = accepted.expect("a connection").expect("an accepted connection");
        Peer::new(stream)
    }
}

/// A connection of which nothing is read or sent unasked.
pub(crate) struct Peer {
    stream: TcpStream,
    ahead: Vec<u8>,
}

/// How the other side ended a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).await.expect("a connection"))
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an open connection");
        Self {
            stream,
            ahead: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = time::timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await;
        sent.expect("a peer that reads").expect("an open connection");
    }

    /// Reads until `part` has come, and gives everything up to its end.
    pub(crate) async fn until(&mut self, part: &str) -> String {
        let part = part.as_bytes();
        loop {
            let found = self.ahead.windows(part.len()).position(|window| window == part);
            if let Some(at) = found {
                let rest = self.ahead.split_off(at + part.len());
                let taken = std::mem::replace(&mut self.ahead, rest);
                return String::from_utf8_lossy(&taken).into_owned();
            }
            let end = self.fill().await;
            assert!(end.is_none(), "{end:?} after {}", self.seen());
        }
    }

    /// Reads a head with its empty line.
    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// Reads so many bytes and keeps none.
    pub(crate) async fn skip(&mut self, count: usize) {
        let mut left = count;
        loop {
            let taken = left.min(self.ahead.len());
            self.ahead.drain(..taken);
            left -= taken;
            if left == 0 {
                return;
            }
            let end = self.fill().await;
            assert!(end.is_none(), "{end:?} with {left} bytes to come");
        }
    }

    /// Reads to the end of the connection.
    pub(crate) async fn rest(&mut self) -> (String, End) {
        loop {
            if let Some(end) = self.fill().await {
                return (self.seen(), end);
            }
        }
    }

    /// What has come and was not taken.
    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.ahead).into_owned()
    }

    /// Ends the sending side.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.expect("an open connection");
    }

    /// The connection itself, of which nothing was read that was not taken.
    pub(crate) fn into_stream(self) -> TcpStream {
        assert!(self.ahead.is_empty(), "not taken: {}", self.seen());
        self.stream
    }

    /// Ends the connection by an RST.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().expect("an open connection");
    }

    async fn fill(&mut self) -> Option<End> {
        let read = time::timeout(PATIENCE, self.stream.read_buf(&mut self.ahead)).await;
        match read.unwrap_or_else(|_| panic!("nothing more after {}", self.seen())) {
            Ok(0) => Some(End::Closed),
            Ok(_) => None,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Some(End::Reset),
            Err(error) => panic!("{error} after {}", self.seen()),
        }
    }
}
