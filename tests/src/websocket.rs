//! WebSocket (RFC 6455) byte by byte: frames, a strict echo server, and a client that sends any frame, also such as
//! nobody may send, and writes down everything that comes back. Knows nothing of gateways.

pub mod tunnelled;

use std::net::SocketAddr;

use portcullis_host::message::websocket::accept;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time;

use crate::patience::PATIENCE;

/// The key of RFC 6455 section 1.3 and what is answered to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// Longest message that is echoed, bytes.
const MAX_MESSAGE: u64 = 32 << 20;

/// What a frame is (section 5.2).
pub mod opcode {
    /// Goes on with a message.
    pub const CONTINUATION: u8 = 0;
    /// A text, or its first fragment.
    pub const TEXT: u8 = 1;
    /// Bytes, or their first fragment.
    pub const BINARY: u8 = 2;
    /// The end.
    pub const CLOSE: u8 = 8;
    /// Asks for a pong.
    pub const PING: u8 = 9;
    /// Answers a ping, or comes by itself.
    pub const PONG: u8 = 10;
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// FIN and the reserved bits, as the upper half of the first byte.
    pub flags: u8,
    /// The lower half of the first byte.
    pub opcode: u8,
    /// Content, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message or a control frame.
    #[must_use]
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            flags: 0x80,
            opcode,
            payload: payload.into(),
        }
    }

    /// A fragment that is not the last one.
    #[must_use]
    pub fn part(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            flags: 0,
            ..Self::new(opcode, payload)
        }
    }

    /// A close frame with a code and a reason.
    #[must_use]
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(
            opcode::CLOSE,
            [&code.to_be_bytes()[..], reason.as_bytes()].concat(),
        )
    }

    /// As a client sends it: masked.
    #[must_use]
    pub fn masked(&self) -> Vec<u8> {
        self.bytes(Some([0x37, 0xfa, 0x21, 0x3d]))
    }

    /// As a server sends it.
    #[must_use]
    pub fn plain(&self) -> Vec<u8> {
        self.bytes(None)
    }

    fn bytes(&self, mask: Option<[u8; 4]>) -> Vec<u8> {
        let bit = if mask.is_some() { 0x80 } else { 0 };
        let mut out = vec![self.flags | self.opcode];
        match self.payload.len() {
            length @ 0..126 => out.push(bit | u8::try_from(length).expect("below 126")),
            length @ 126..=0xffff => {
                out.push(bit | 126);
                out.extend(u16::try_from(length).expect("at most 65535").to_be_bytes());
            }
            length => {
                out.push(bit | 127);
                out.extend((length as u64).to_be_bytes());
            }
        }
        let mask = mask.inspect(|mask| out.extend(mask)).unwrap_or_default();
        out.extend(
            self.payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        out
    }
}

/// Why a server ends a connection.
#[derive(Debug)]
enum Wrong {
    /// With this code.
    Close(u16),
    /// The connection ended.
    Gone,
}

impl From<std::io::Error> for Wrong {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

/// Echoes whole messages, and closes on everything that RFC 6455 forbids.
#[derive(Debug)]
pub struct EchoServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl EchoServer {
    /// On a port of its own; it ends when it is dropped.
    ///
    /// # Panics
    /// Without a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
            }
        });
        Self { address, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream) {
    stream.set_nodelay(true).ok();
    let Some(head) = head(&mut stream).await else {
        return;
    };
    let asked = head.to_ascii_lowercase();
    if !asked.contains("\r\nupgrade: websocket\r\n") || !asked.contains("\r\nconnection: upgrade\r\n") {
        let answer = b"HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\nconnection: upgrade, close\r\n\
                       content-length: 0\r\n\r\n";
        stream.write_all(answer).await.ok();
        return;
    }
    if stream.write_all(switching(&head).as_bytes()).await.is_err() {
        return;
    }
    talk(&mut stream).await;
}

/// Everything behind the handshake.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    if let Err(Wrong::Close(code)) = echo(stream).await {
        let frame = match code {
            0 => Frame::new(opcode::CLOSE, []),
            code => Frame::close(code, ""),
        };
        stream.write_all(&frame.plain()).await.ok();
    }
    stream.shutdown().await.ok();
    // What is unread at a close would turn it into a reset, and the last frame might be lost.
    let mut rest = vec![0; 64 << 10];
    while matches!(stream.read(&mut rest).await, Ok(1..)) {}
}

/// The 101 that answers the head of a request.
#[must_use]
pub fn switching(request: &str) -> String {
    let is_key = |line: &&str| line.to_ascii_lowercase().starts_with("sec-websocket-key:");
    let line = request.lines().find(is_key).unwrap_or_default();
    let key = line.split_once(':').unwrap_or_default().1.trim();
    let accept = accept(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// Reads a head, byte by byte, so that nothing behind it is read.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<(), Wrong> {
    let mut message: Option<Frame> = None;
    loop {
        let frame = read_masked(stream).await?;
        let fin = frame.flags == 0x80;
        match frame.opcode {
            opcode::CLOSE => return Err(Wrong::Close(closing(&frame.payload))),
            opcode::PING => {
                let pong = Frame::new(opcode::PONG, frame.payload);
                stream.write_all(&pong.plain()).await?;
            }
            opcode::PONG => {}
            opcode::CONTINUATION => {
                let whole = message.as_mut().ok_or(Wrong::Close(1002))?;
                whole.payload.extend(frame.payload);
            }
            _ if message.is_some() => return Err(Wrong::Close(1002)),
            _ => message = Some(frame.clone()),
        }
        if fin && frame.opcode < opcode::CLOSE {
            let whole = message.take().ok_or(Wrong::Close(1002))?;
            if whole.opcode == opcode::TEXT && std::str::from_utf8(&whole.payload).is_err() {
                return Err(Wrong::Close(1007));
            }
            let echo = Frame::new(whole.opcode, whole.payload);
            stream.write_all(&echo.plain()).await?;
        }
    }
}

/// The code that answers a close frame (section 7.4); 0 = none.
fn closing(payload: &[u8]) -> u16 {
    let Some((code, reason)) = payload.split_at_checked(2) else {
        return if payload.is_empty() { 0 } else { 1002 };
    };
    let code = u16::from_be_bytes([code[0], code[1]]);
    match code {
        1000..=1003 | 1007..=1011 | 3000..=4999 if std::str::from_utf8(reason).is_ok() => code,
        1000..=1003 | 1007..=1011 | 3000..=4999 => 1007,
        _ => 1002,
    }
}

async fn read_masked<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Frame, Wrong> {
    let (first, second) = (stream.read_u8().await?, stream.read_u8().await?);
    let (flags, code) = (first & 0xf0, first & 0x0f);
    let control = code >= opcode::CLOSE;
    if flags & 0x70 != 0
        || !matches!(code, 0..=2 | 8..=10)
        || second & 0x80 == 0
        || control && (flags != 0x80 || second & 0x7f > 125)
    {
        return Err(Wrong::Close(1002));
    }
    let length = match second & 0x7f {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        length => u64::from(length),
    };
    if length > MAX_MESSAGE {
        return Err(Wrong::Close(1009));
    }
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await?;
    let mut payload = vec![0; usize::try_from(length).expect("a message that fits")];
    stream.read_exact(&mut payload).await?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Ok(Frame {
        flags,
        opcode: code,
        payload,
    })
}

/// A client that sends bytes as they are.
#[derive(Debug)]
pub struct Client {
    /// Its connection, behind the 101.
    pub stream: TcpStream,
    /// The head of the 101.
    pub head: String,
}

impl Client {
    /// Opens a WebSocket, with further lines in the request's head.
    ///
    /// # Panics
    /// When there is no 101, with the answer's head.
    pub async fn open(address: SocketAddr, target: &str, fields: &str) -> Self {
        let (stream, head) = Self::ask(address, target, fields).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(
            head.to_ascii_lowercase().contains("\r\nupgrade: websocket\r\n"),
            "{head}"
        );
        assert!(
            head.to_ascii_lowercase().contains("\r\nconnection: upgrade\r\n"),
            "{head}"
        );
        assert!(
            head.contains(&format!("sec-websocket-accept: {ACCEPT}")) || head.contains(ACCEPT),
            "{head}"
        );
        Self { stream, head }
    }

    /// Asks for a WebSocket; gives whatever head is answered.
    ///
    /// # Panics
    /// Without any answer.
    pub async fn ask(address: SocketAddr, target: &str, fields: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("an open connection");
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n{fields}\r\n"
        );
        stream
            .write_all(request.as_bytes())
            .await
            .expect("a peer that reads");
        let head = time::timeout(PATIENCE, head(&mut stream))
            .await
            .expect("an answer in time");
        (stream, head.expect("an answer"))
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// When the peer does not take it.
    pub async fn send(&mut self, frame: &Frame) {
        let sent = time::timeout(PATIENCE, self.stream.write_all(&frame.masked())).await;
        sent.expect("a peer that reads").expect("an open connection");
    }

    /// The next frame; none at the end of the connection, however it comes.
    ///
    /// # Panics
    /// When nothing comes.
    pub async fn receive(&mut self) -> Option<Frame> {
        let read = time::timeout(PATIENCE, read_plain(&mut self.stream)).await;
        read.expect("a frame or an end").ok()
    }

    /// A message, and its echo.
    ///
    /// # Panics
    /// When another one comes.
    pub async fn echoes(&mut self, text: &str) {
        let frame = Frame::new(opcode::TEXT, text);
        self.send(&frame).await;
        assert_eq!(self.receive().await, Some(frame));
    }
}

async fn read_plain(stream: &mut TcpStream) -> std::io::Result<Frame> {
    let (first, second) = (stream.read_u8().await?, stream.read_u8().await?);
    let length = match second & 0x7f {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        length => u64::from(length),
    };
    let mut payload = vec![0; usize::try_from(length).expect("a message that fits")];
    stream.read_exact(&mut payload).await?;
    Ok(Frame {
        flags: first & 0xf0,
        opcode: first & 0x0f,
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_echo_server_echoes_messages_and_judges_frames() {
        let server = EchoServer::start().await;
        let mut client = Client::open(server.address(), "/", "").await;
        client.echoes("hello").await;
        client.send(&Frame::part(opcode::BINARY, [1])).await;
        client.send(&Frame::new(opcode::PING, [9])).await;
        client
            .send(&Frame::new(opcode::CONTINUATION, vec![2; 70_000]))
            .await;
        assert_eq!(client.receive().await, Some(Frame::new(opcode::PONG, [9])));
        let whole = [vec![1], vec![2; 70_000]].concat();
        assert_eq!(client.receive().await, Some(Frame::new(opcode::BINARY, whole)));
        client.send(&Frame::new(opcode::TEXT, [0xff])).await;
        assert_eq!(client.receive().await, Some(Frame::close(1007, "")));
        assert_eq!(client.receive().await, None);
    }
}
