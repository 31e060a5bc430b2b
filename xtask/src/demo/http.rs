//! A blocking HTTP/1.1 client, just enough to try the demo: keep-alive, `Content-Length` and chunked bodies.
//! No redirects, no TLS, no trust in the sizes it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// Longest wait for one piece of an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest line of a head, longest head and longest body, in bytes.
const MAX_LINE: u64 = 16 << 10;
const MAX_FIELDS: usize = 200;
const MAX_BODY: u64 = 16 << 20;

/// An answer, its body whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// First value of a field; `name` in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }
}

/// One GET on a connection of its own.
///
/// # Errors
/// No connection, or an answer that does not parse.
pub(crate) fn get(address: &str, target: &str) -> Result<Answer> {
    Connection::open(address)?.send(&Request {
        method: "GET",
        target,
        headers: &[],
        body: "",
    })
}

/// What is sent; the host and the length of the body are added.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a str,
}

/// A connection that is kept between requests.
#[derive(Debug)]
pub(crate) struct Connection {
    address: String,
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// # Errors
    /// No connection.
    pub(crate) fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            address: address.to_owned(),
            stream: BufReader::new(stream),
        })
    }

    /// # Errors
    /// A closed or silent connection, or an answer that does not parse; the connection is of no use then.
    pub(crate) fn send(&mut self, request: &Request<'_>) -> Result<Answer> {
        let Request {
            method,
            target,
            headers,
            body,
        } = request;
        let mut text = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in *headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        self.stream
            .get_mut()
            .write_all(text.as_bytes())
            .context("cannot send")?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Answer> {
        let line = self.line()?;
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|digits| digits.parse().ok())
            .with_context(|| format!("bad status line `{line}`"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            ensure!(headers.len() < MAX_FIELDS, "more than {MAX_FIELDS} fields");
            let (name, value) = line
                .split_once(':')
                .with_context(|| format!("bad field `{line}`"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer {
            status,
            headers,
            body: String::new(),
        };
        let body = if status == 204 || status == 304 {
            Vec::new()
        } else if answer.header("transfer-encoding") == Some("chunked") {
            self.chunks()?
        } else if let Some(length) = answer.header("content-length") {
            self.exactly(
                length
                    .parse()
                    .with_context(|| format!("bad content-length `{length}`"))?,
            )?
        } else {
            bail!("an answer without a length");
        };
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Ok(answer)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        self.stream
            .by_ref()
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)
            .context("no answer")?;
        let text = line
            .strip_suffix(b"\r\n")
            .context("the connection ended within the head")?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn exactly(&mut self, length: u64) -> Result<Vec<u8>> {
        ensure!(length <= MAX_BODY, "a body of {length} bytes");
        let mut body = Vec::new();
        self.stream
            .by_ref()
            .take(length)
            .read_to_end(&mut body)
            .context("no body")?;
        ensure!(body.len() as u64 == length, "the body ended early");
        Ok(body)
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = u64::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
                .with_context(|| format!("bad chunk size `{line}`"))?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(body);
            }
            ensure!(
                body.len() as u64 + size <= MAX_BODY,
                "a body of more than {MAX_BODY} bytes"
            );
            body.extend_from_slice(&self.exactly(size)?);
            ensure!(self.line()?.is_empty(), "no line end after a chunk");
        }
    }
}
