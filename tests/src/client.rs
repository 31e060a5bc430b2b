//! A strict HTTP/1.1 client over one socket: sends exactly what it is told (nonsense included), reads nothing
//! that breaks a rule, keeps the raw bytes. No redirects, no retries, no hidden connections.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time;

use crate::errors;
use crate::message::{self, BodyReader, Fields, Framing, Head};
use crate::patience::PATIENCE;
use crate::request::Request;
use crate::wire::{self, Fault, Keep, Wire};

/// Most interim answers (1xx) before the final one.
const MAX_INTERIM: usize = 16;

/// How the codes of the guests that only tests use begin.
const GUESTS: [&str; 7] = [
    "metronome-",
    "trace-",
    "probe-",
    "rogue-",
    "guard-",
    "gate-",
    "misfit-",
];

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Of the final answer.
    pub status: u16,
    /// Fields of the head.
    pub fields: Fields,
    /// The whole body, content codings left as they are.
    pub body: Vec<u8>,
    /// Fields after a chunked body.
    pub trailers: Fields,
    /// How the body was delimited.
    pub framing: Framing,
    /// Statuses of interim answers that came before.
    pub interim: Vec<u16>,
    /// The final answer and the interim ones, byte for byte.
    pub raw: Vec<u8>,
}

impl Answer {
    /// First value of a header field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.get(name)
    }

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
    /// When it is none, with the body.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!(
                "{error}: status {}, body {:?}",
                self.status,
                wire::latin1(&self.body)
            )
        })
    }

    /// The code of an error answer, which has to be a problem document (RFC 9457) of the answer's status with a code that
    /// is documented, or one of a test's guest.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "status {}",
            self.status
        );
        let document = self.json();
        assert_eq!(document["status"], self.status, "{document}");
        let code = document["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no code in {document}"));
        let of_guest = GUESTS.iter().any(|guest| code.starts_with(guest));
        assert!(
            of_guest || errors::is_documented(code),
            "`{code}` is in no list of errors"
        );
        code.to_owned()
    }
}

/// One request on a connection of its own.
///
/// # Errors
/// No connection, or no proper answer.
pub async fn send(address: SocketAddr, request: &Request) -> Result<Answer, Fault> {
    Connection::open(address).await?.exchange(request).await
}

/// A connection, for any number of requests.
#[derive(Debug)]
pub struct Connection {
    host: String,
    input: Wire<OwnedReadHalf>,
    output: OwnedWriteHalf,
}

impl Connection {
    /// Connects; `Host` will be the address.
    ///
    /// # Errors
    /// [`Fault::Connect`].
    pub async fn open(address: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect(address).await.map_err(Fault::Connect)?;
        stream.set_nodelay(true)?;
        let (input, output) = stream.into_split();
        Ok(Self {
            host: address.to_string(),
            input: Wire::new(input),
            output,
        })
    }

    /// Sends a request and reads its answer at the same time, so that an answer that comes before the request has
    /// gone out is read, too.
    ///
    /// # Errors
    /// No proper answer. A request that could not be sent to its end is none, if it was answered.
    pub async fn exchange(&mut self, request: &Request) -> Result<Answer, Fault> {
        let bytes = request.bytes(&self.host);
        let (input, output) = (&mut self.input, &mut self.output);
        let mut answer = pin!(receive(input, request.method()));
        let sent = tokio::select! {
            biased;
            answer = &mut answer => return answer,
            sent = output.write_all(&bytes) => sent,
        };
        match (answer.await, sent) {
            (Err(Fault::Closed), Err(error)) => Err(error.into()),
            (answer, _) => answer,
        }
    }

    /// Sends a request without waiting for the answer.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn send(&mut self, request: &Request) -> Result<(), Fault> {
        let bytes = request.bytes(&self.host);
        self.write(&bytes).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// Those of the socket; [`Fault::TimedOut`] when the peer does not read.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        Ok(time::timeout(PATIENCE, self.output.write_all(bytes))
            .await
            .map_err(|_| Fault::TimedOut)??)
    }

    /// Reads the answer to a request with this method.
    ///
    /// # Errors
    /// [`Fault::Closed`] when the connection ended instead; anything that is not a proper answer.
    pub async fn receive(&mut self, method: &str) -> Result<Answer, Fault> {
        receive(&mut self.input, method).await
    }

    /// Reads only the head of the next answer, interim ones included; [`Connection::pieces`] reads on.
    ///
    /// # Errors
    /// As for [`Connection::receive`].
    pub async fn receive_head(&mut self) -> Result<(u16, Head), Fault> {
        let head = message::read_head(&mut self.input).await?.ok_or(Fault::Closed)?;
        Ok((status(&head.start)?, head))
    }

    /// Hands each piece of a body to `take` and keeps none; gives the number of bytes.
    ///
    /// # Errors
    /// A body cut off or broken.
    pub async fn pieces(&mut self, framing: Framing, mut take: impl FnMut(&[u8])) -> Result<u64, Fault> {
        let (mut reader, mut count) = (BodyReader::new(framing), 0);
        self.input.keep(Keep::Nothing);
        while let Some(piece) = reader.next(&mut self.input).await? {
            count += piece.len() as u64;
            take(&piece);
        }
        self.input.keep(Keep::All);
        Ok(count)
    }

    /// Waits for the peer to end the connection.
    ///
    /// # Errors
    /// Bytes that come instead, a reset, [`Fault::TimedOut`].
    pub async fn closed(&mut self) -> Result<(), Fault> {
        match self.input.some(u64::MAX).await? {
            None => Ok(()),
            Some(bytes) => Err(Fault::malformed(format!(
                "more bytes: {:?}",
                wire::latin1(&bytes)
            ))),
        }
    }

    /// Ends the sending side: the peer reads to its end.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn finish(&mut self) -> Result<(), Fault> {
        Ok(self.output.shutdown().await?)
    }

    /// Ends the connection by a reset, as a client that crashed does.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn reset(self) -> Result<(), Fault> {
        let stream = self
            .input
            .into_inner()
            .reunite(self.output)
            .expect("two halves of one socket");
        Ok(socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?)
    }
}

async fn receive(input: &mut Wire<OwnedReadHalf>, method: &str) -> Result<Answer, Fault> {
    input.take_raw();
    let mut interim = Vec::new();
    let (status, head) = loop {
        let head = message::read_head(input).await?.ok_or(Fault::Closed)?;
        match status(&head.start)? {
            // 101 is final: what follows is another protocol.
            status @ (100 | 102..=199) => interim.push(status),
            status => break (status, head),
        }
        if interim.len() > MAX_INTERIM {
            return Err(Fault::malformed("too many interim answers"));
        }
    };
    // RFC 9112, section 6.3, items 1 and 2.
    let none = method == "HEAD" || status == 204 || status == 304 || status == 101;
    if (status == 204 || status == 101)
        && (head.fields.get("content-length").is_some() || head.fields.get("transfer-encoding").is_some())
    {
        return Err(Fault::malformed(format!(
            "a {status} with a length (RFC 9110, section 8.6)"
        )));
    }
    let framing = if none {
        Framing::Length(0)
    } else {
        head.fields.framing(Framing::Close)?
    };
    if framing == Framing::Close && !head.fields.lists("connection", "close") {
        return Err(Fault::malformed(
            "an answer without a length on a kept connection",
        ));
    }
    let (mut reader, mut body) = (BodyReader::new(framing), Vec::new());
    while let Some(piece) = reader.next(input).await? {
        body.extend(piece);
    }
    let (trailers, raw) = (reader.into_trailers(), input.take_raw());
    Ok(Answer {
        status,
        fields: head.fields,
        body,
        trailers,
        framing,
        interim,
        raw,
    })
}

/// The status of `HTTP/1.1 200 reason` (RFC 9112, section 4: the space is there even without a reason).
fn status(line: &str) -> Result<u16, Fault> {
    let digits = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.split_once(' '))
        .map(|(digits, _)| digits);
    digits
        .filter(|digits| digits.len() == 3)
        .and_then(|digits| digits.parse().ok())
        .filter(|status| (100..600).contains(status))
        .ok_or_else(|| Fault::malformed(format!("bad status line {line:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{Step, Upstream};

    /// What the client makes of these bytes.
    async fn answer_of(bytes: &str, method: &str) -> Result<Answer, Fault> {
        let upstream = Upstream::raw([Step::Head, Step::send(bytes)]);
        send(upstream.address(), &Request::new(method, "/")).await
    }

    #[tokio::test]
    async fn proper_answers_are_read_to_their_end() {
        let text =
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let answer = answer_of(text, "GET").await.unwrap();
        assert_eq!(
            (answer.status, answer.text(), answer.interim.as_slice()),
            (200, "ok", &[103][..])
        );
        assert_eq!(answer.raw, text.as_bytes());
        let head = answer_of("HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\n", "HEAD")
            .await
            .unwrap();
        assert_eq!((head.header("content-length"), head.text()), (Some("2"), ""));
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n";
        let answer = answer_of(chunked, "GET").await.unwrap();
        assert_eq!((answer.text(), answer.trailers.get("x-t")), ("ok", Some("1")));
    }

    #[tokio::test]
    async fn improper_answers_are_faults() {
        for text in [
            "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 20x OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nto the end",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            let answer = answer_of(text, "GET").await;
            assert!(matches!(answer, Err(Fault::Malformed(_))), "{text:?}: {answer:?}");
        }
        let cut = answer_of("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc", "GET").await;
        assert!(matches!(cut, Err(Fault::Truncated("body"))), "{cut:?}");
        assert!(matches!(answer_of("", "GET").await, Err(Fault::Closed)));
    }

    #[tokio::test]
    async fn problem_documents_are_told_from_other_errors() {
        let body = "{\"status\":404,\"code\":\"no-route\"}";
        let text = format!(
            "HTTP/1.1 404 Not Found\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(answer_of(&text, "GET").await.unwrap().problem(), "no-route");
    }
}
