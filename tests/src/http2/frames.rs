//! Frames byte by byte, right or wrong (RFC 9113 section 4). Knows no states.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::patience::PATIENCE;

/// What an HTTP/2 client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Kinds of frames.
pub const DATA: u8 = 0;
/// A field block.
pub const HEADERS: u8 = 1;
/// The end of a stream.
pub const RST_STREAM: u8 = 3;
/// Settings of the connection.
pub const SETTINGS: u8 = 4;
/// A question that is answered by the same.
pub const PING: u8 = 6;
/// The end of the connection.
pub const GOAWAY: u8 = 7;
/// Room for data.
pub const WINDOW_UPDATE: u8 = 8;
/// The rest of a field block.
pub const CONTINUATION: u8 = 9;
/// Flag of the last frame of a stream.
pub const END_STREAM: u8 = 1;
/// Flag of the last frame of a field block.
pub const END_HEADERS: u8 = 4;
/// Flag of an answer to SETTINGS or PING.
pub const ACK: u8 = 1;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its kind.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of an RST_STREAM or GOAWAY.
    #[must_use]
    pub fn code(&self) -> Option<u32> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        let bytes = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }
}

/// The bytes of a frame.
///
/// # Panics
/// For a payload of 16 MiB.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len())
        .expect("a payload that fits")
        .to_be_bytes();
    assert_eq!(length[0], 0, "a payload that fits");
    let mut bytes = length[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A field block of literals without indexing (RFC 7541 section 6.2.2).
///
/// # Panics
/// For names and values that are longer than 126 bytes.
#[must_use]
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            let length = u8::try_from(text.len()).expect("a short text");
            assert!(length < 127, "a short text");
            bytes.push(length);
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// A connection of frames.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
}

impl Wire {
    /// Connects, and sends the preface with empty settings.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("an open connection");
        let mut wire = Self { stream };
        wire.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        wire
    }

    /// The next connection of a client, whose preface is read.
    ///
    /// # Panics
    /// When none comes, or without a preface.
    pub async fn accept(listener: &TcpListener) -> Self {
        timeout(PATIENCE, async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("an open connection");
            let mut preface = [0; PREFACE.len()];
            stream.read_exact(&mut preface).await.expect("a preface");
            assert_eq!(preface, PREFACE);
            Self { stream }
        })
        .await
        .expect("a connection")
    }

    /// Sends bytes; a server that has closed the connection does not mind.
    ///
    /// # Panics
    /// When the server does not read.
    pub async fn send(&mut self, bytes: &[u8]) {
        let sent = timeout(PATIENCE, self.stream.write_all(bytes)).await;
        drop(sent.expect("a server that reads"));
    }

    /// The next frame; none at the end of the connection.
    ///
    /// # Panics
    /// When none comes.
    pub async fn next(&mut self) -> Option<Frame> {
        timeout(PATIENCE, async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).ok()?];
            self.stream.read_exact(&mut payload).await.ok()?;
            Some(Frame {
                kind: head[3],
                flags: head[4],
                stream: u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]),
                payload,
            })
        })
        .await
        .expect("a frame, or the end")
    }

    /// The next frame that is one of these; none at the end of the connection.
    ///
    /// # Panics
    /// When none comes.
    pub async fn next_of(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }
}
