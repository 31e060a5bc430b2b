//! What an upstream does on a connection: reads requests, records them, and answers as told.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::message::{self, BodyReader, Framing};
use crate::upstream::gate::Gate;
use crate::upstream::record::{self, Received, Record};
use crate::wire::{Fault, Wire};

/// Bytes written at once by a huge answer.
const PIECE: usize = 64 << 10;

/// What [`Upstream::flaky`](super::Upstream::flaky) does with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// An empty answer with this status.
    Answer(u16),
    /// An RST.
    Reset,
    /// A proper end of the connection, without an answer.
    Close,
}

/// A step of [`Upstream::raw`](super::Upstream::raw).
#[derive(Debug, Clone)]
pub enum Step {
    /// Reads one request to its end and records it.
    Request,
    /// Reads the head of a request and records it; its body is left unread.
    Head,
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Waits until the gate lets it pass.
    Wait(Gate),
    /// Reads to the end of the connection.
    Drain,
    /// Ends the connection by an RST.
    Reset,
}

impl Step {
    /// [`Step::Send`] of a text.
    #[must_use]
    pub fn send(text: &str) -> Self {
        Self::Send(text.as_bytes().to_vec())
    }
}

/// What to do on every connection.
#[derive(Debug)]
pub(super) enum Behaviour {
    Echo,
    Fixed {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    Slow {
        pieces: Vec<Vec<u8>>,
        gate: Gate,
    },
    Huge {
        bytes: u64,
    },
    Flaky {
        turns: Vec<Turn>,
    },
    Script {
        steps: Vec<Step>,
    },
}

/// How a connection goes on.
enum Next {
    Keep,
    Close,
    Reset,
}

impl Behaviour {
    /// Serves one connection to its end.
    pub(super) async fn run(&self, stream: TcpStream, address: SocketAddr, record: &Record) {
        let mut line = Line::new(stream, address, record);
        let ended = match self {
            Self::Script { steps } => line.script(steps).await,
            _ => self.answer_all(&mut line).await,
        };
        match ended {
            Ok(Next::Reset) => line.reset(),
            Err(Fault::Malformed(text)) => record.fault(text),
            // Anything else is how connections end; what came of a request is on record.
            Ok(_) | Err(_) => {}
        }
    }

    async fn answer_all(&self, line: &mut Line<'_>) -> Result<Next, Fault> {
        while let Some(request) = line.request(Until::Body).await? {
            match self.answer(line, &request).await? {
                Next::Keep if !request.fields.lists("connection", "close") => {}
                Next::Keep => return Ok(Next::Close),
                next => return Ok(next),
            }
        }
        Ok(Next::Close)
    }

    async fn answer(&self, line: &mut Line<'_>, request: &Received) -> Result<Next, Fault> {
        match self {
            Self::Echo => {
                let body = request.describe(&line.address.to_string()).to_string();
                let headers = [("content-type".to_owned(), "application/json".to_owned())];
                line.whole(request, 200, &headers, body.as_bytes()).await?;
            }
            Self::Fixed {
                status,
                headers,
                body,
            } => line.whole(request, *status, headers, body).await?,
            Self::Slow { pieces, gate } => {
                gate.pass().await;
                line.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                    .await?;
                for piece in pieces {
                    gate.pass().await;
                    let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
                    line.send(&chunk).await?;
                    line.record.add_sent(piece.len() as u64);
                }
                line.send(b"0\r\n\r\n").await?;
            }
            Self::Huge { bytes } => {
                line.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n").as_bytes())
                    .await?;
                let piece = vec![b'x'; PIECE];
                let mut left = *bytes;
                while left > 0 {
                    let length = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
                    line.send(&piece[..length]).await?;
                    line.record.add_sent(length as u64);
                    left -= length as u64;
                }
            }
            Self::Flaky { turns } => match turns[line.record.turn() % turns.len()] {
                Turn::Answer(status) => line.whole(request, status, &[], b"").await?,
                Turn::Reset => return Ok(Next::Reset),
                Turn::Close => return Ok(Next::Close),
            },
            Self::Script { .. } => return Ok(Next::Close),
        }
        Ok(Next::Keep)
    }
}

/// How much of a request to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    Head,
    Body,
}

/// One connection and its record.
struct Line<'a> {
    wire: Wire<TcpStream>,
    address: SocketAddr,
    record: &'a Record,
    number: usize,
}

impl<'a> Line<'a> {
    fn new(stream: TcpStream, address: SocketAddr, record: &'a Record) -> Self {
        // Without it, small pieces would wait for each other; it may fail only on a socket that is gone.
        stream.set_nodelay(true).ok();
        Self {
            wire: Wire::new(stream),
            address,
            record,
            number: record.connected(),
        }
    }

    /// The next request, recorded as it comes; none at the end of the connection.
    async fn request(&mut self, until: Until) -> Result<Option<Received>, Fault> {
        let head = match message::read_head(&mut self.wire).await {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(None),
            Err(fault) => {
                self.take_raw();
                return Err(fault);
            }
        };
        let bad = (!record::is_request_line(&head.start)).then(|| head.start.clone());
        let framing = head.fields.framing(Framing::Length(0));
        let mut request = Received::new(self.number, head);
        request.raw = self.take_raw();
        let number = self.record.begun(request.clone());
        if let Some(line) = bad {
            return Err(Fault::malformed(format!("bad request line {line:?}")));
        }
        let mut reader = BodyReader::new(framing?);
        if until == Until::Head {
            return Ok(Some(request));
        }
        let ended = loop {
            match reader.next(&mut self.wire).await {
                Ok(Some(piece)) => request.body.extend(piece),
                Ok(None) => break Ok(()),
                Err(fault) => break Err(fault),
            }
        };
        request.raw.extend(self.take_raw());
        request.complete = ended.is_ok();
        request.trailers = reader.into_trailers();
        self.record.update(number, &request);
        ended.map(|()| Some(request))
    }

    async fn script(&mut self, steps: &[Step]) -> Result<Next, Fault> {
        for step in steps {
            match step {
                Step::Request | Step::Head => {
                    let until = if matches!(step, Step::Head) {
                        Until::Head
                    } else {
                        Until::Body
                    };
                    if self.request(until).await?.is_none() {
                        return Ok(Next::Close);
                    }
                }
                Step::Send(bytes) => self.send(bytes).await?,
                Step::Wait(gate) => gate.pass().await,
                Step::Drain => {
                    while self.wire.some(u64::MAX).await?.is_some() {
                        self.take_raw();
                    }
                }
                Step::Reset => return Ok(Next::Reset),
            }
        }
        Ok(Next::Close)
    }

    /// An answer with a `Content-Length`, as far as its status and the request's method have a body.
    async fn whole(
        &mut self,
        request: &Received,
        status: u16,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<(), Fault> {
        let mut bytes = format!("HTTP/1.1 {status} Status\r\n").into_bytes();
        for (name, value) in headers {
            bytes.extend(crate::wire::bytes(&format!("{name}: {value}\r\n")));
        }
        if status != 204 && status != 304 {
            bytes.extend(format!("content-length: {}\r\n", body.len()).into_bytes());
        }
        bytes.extend(b"\r\n");
        if status != 204 && status != 304 && request.method != "HEAD" {
            bytes.extend(body);
        }
        self.send(&bytes).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        Ok(self.wire.inner().write_all(bytes).await?)
    }

    /// What was read since the last call, put on the connection's record.
    fn take_raw(&mut self) -> Vec<u8> {
        let raw = self.wire.take_raw();
        self.record.wire(self.number, &raw);
        raw
    }

    /// An RST instead of a FIN at the drop that follows.
    fn reset(mut self) {
        socket2::SockRef::from(&*self.wire.inner())
            .set_linger(Some(Duration::ZERO))
            .ok();
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.take_raw();
        self.record.wire(self.number, self.wire.ahead());
        self.record.disconnected();
    }
}
