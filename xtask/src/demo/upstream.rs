//! The demo's upstream servers: a thread per connection, keep-alive, and for every request a JSON answer that
//! says who answered and what arrived, so that one sees what the gateway changed.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// Bounds of what it reads: bytes of a line, fields of a head, bytes of a body.
const MAX_LINE: u64 = 64 << 10;
const MAX_FIELDS: usize = 200;
const MAX_BODY: u64 = 1 << 30;
/// Most connections at once; further ones are closed.
const MAX_CONNECTIONS: usize = 1024;
/// An idle connection is closed after this.
const IDLE: Duration = Duration::from_secs(120);

/// A server that runs until the process ends.
#[derive(Debug)]
pub(crate) struct Upstream {
    name: String,
    port: u16,
}

impl Upstream {
    /// Listens on `port` of the loopback address (0 = any).
    ///
    /// # Errors
    /// When the port is taken.
    pub(crate) fn start(name: &str, port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .with_context(|| format!("upstream {name} cannot listen on port {port}"))?;
        let port = listener.local_addr()?.port();
        let shared: Arc<str> = name.into();
        thread::Builder::new()
            .name(format!("upstream-{name}"))
            .spawn(move || accept(&listener, &shared))
            .with_context(|| format!("upstream {name} cannot start"))?;
        Ok(Self {
            name: name.to_owned(),
            port,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

fn accept(listener: &TcpListener, name: &Arc<str>) {
    for stream in listener.incoming() {
        // Each connection holds the name, so its count is the number of connections.
        if Arc::strong_count(name) > MAX_CONNECTIONS {
            continue;
        }
        if let Ok(stream) = stream {
            let name = Arc::clone(name);
            thread::Builder::new()
                .spawn(move || serve(stream, &name).ok())
                .ok();
        }
    }
}

/// Answers until the connection ends.
fn serve(stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let mut output = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    while let Some(request) = read(&mut input)? {
        let body = describe(name, &request);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nserver: demo\r\n\r\n",
            body.len()
        );
        let body = if request.method == "HEAD" { "" } else { &body };
        output.write_all((head + body).as_bytes())?;
        if request.last {
            break;
        }
    }
    Ok(())
}

/// What arrived.
#[derive(Debug)]
struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body_bytes: u64,
    /// The client wants the connection closed after the answer.
    last: bool,
}

/// The next request, its body read and counted; none at the end of the connection.
fn read(input: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let line = next_line(input)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1")) = (words.next(), words.next(), words.next()) else {
        return Ok(None);
    };
    let mut request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: Vec::new(),
        body_bytes: 0,
        last: false,
    };
    let (mut length, mut chunked) = (0, false);
    loop {
        let line = next_line(input)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        match name.as_str() {
            "content-length" => length = value.parse().map_err(|_| bad())?,
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => request.last = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
        if request.headers.len() == MAX_FIELDS {
            return Err(bad());
        }
        request.headers.push((name, value));
    }
    request.body_bytes = if chunked {
        skip_chunks(input)?
    } else {
        skip(input, length)?
    };
    Ok(Some(request))
}

fn next_line(input: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    input.by_ref().take(MAX_LINE).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn skip(input: &mut BufReader<TcpStream>, length: u64) -> io::Result<u64> {
    if length > MAX_BODY {
        return Err(bad());
    }
    match io::copy(&mut input.by_ref().take(length), &mut io::sink())? {
        read if read == length => Ok(length),
        _ => Err(bad()),
    }
}

fn skip_chunks(input: &mut BufReader<TcpStream>) -> io::Result<u64> {
    let mut total: u64 = 0;
    loop {
        let line = next_line(input)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        match u64::from_str_radix(size, 16).map_err(|_| bad())? {
            0 => {
                while !next_line(input)?.is_empty() {}
                return Ok(total);
            }
            size => total = total.saturating_add(skip(input, size)?),
        }
        if !next_line(input)?.is_empty() || total > MAX_BODY {
            return Err(bad());
        }
    }
}

fn bad() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

fn describe(name: &str, request: &Request) -> String {
    let mut text = String::from("{\n");
    for (key, value) in [
        ("upstream", name),
        ("method", &request.method),
        ("target", &request.target),
    ] {
        text.push_str(&format!("  \"{key}\": {},\n", quoted(value)));
    }
    text.push_str("  \"headers\": {");
    for (index, (key, value)) in request.headers.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        text.push_str(&format!("{comma}\n    {}: {}", quoted(key), quoted(value)));
    }
    text.push_str(&format!(
        "\n  }},\n  \"body-bytes\": {}\n}}\n",
        request.body_bytes
    ));
    text
}

/// A JSON string (RFC 8259, section 7).
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => {
                write!(quoted, "\\u{:04x}", u32::from(c)).ok();
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::http::{self, Connection};

    #[test]
    fn it_says_what_arrived_and_keeps_the_connection() {
        let upstream = Upstream::start("orders-1", 0).unwrap();
        let mut connection = Connection::open(&format!("127.0.0.1:{}", upstream.port())).unwrap();
        for target in ["/a?b=1", "/c"] {
            let answer = connection
                .send(&http::Request {
                    method: "GET",
                    target,
                    headers: &[("x-one", "a\"b")],
                    body: "",
                })
                .unwrap();
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert!(
                answer.body.contains("\"upstream\": \"orders-1\""),
                "{}",
                answer.body
            );
            assert!(
                answer.body.contains(&format!("\"target\": \"{target}\"")),
                "{}",
                answer.body
            );
            assert!(answer.body.contains("\"x-one\": \"a\\\"b\""), "{}", answer.body);
        }
    }

    #[test]
    fn bodies_are_read_whatever_their_framing() {
        let upstream = Upstream::start("u", 0).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", upstream.port())).unwrap();
        stream
            .write_all(
                b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n\
                  POST / HTTP/1.1\r\ncontent-length: 4\r\nconnection: close\r\n\r\nabcd",
            )
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.contains("\"body-bytes\": 5"), "{text}");
        assert!(text.contains("\"body-bytes\": 4"), "{text}");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(quoted("a\"\\\u{1}ü"), "\"a\\\"\\\\\\u0001ü\"");
    }
}
