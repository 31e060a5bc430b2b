//! One exchange as one line, JSON or `key=value` text.
//!
//! It knows the fields and how they are escaped; not where the line goes. Nothing that a client sends can end a line,
//! begin a field or move a terminal's cursor: quotes, backslashes, control characters (C0, DEL, C1), line separators
//! and direction overrides are escaped in both formats.

use std::fmt::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use crate::clock;
use crate::ids::{RequestId, TraceContext};

/// Longest text of one field, in bytes; the rest is cut off and `...` put there.
pub const MAX_TEXT_BYTES: usize = 1_024;

/// Most attributes of one line.
pub const MAX_ATTRIBUTES: usize = 32;

/// What stands in place of a redacted value.
const REDACTED: &str = "[redacted]";

/// What is known of an exchange when its line is written. An empty text is left out of the line.
#[derive(Debug, Clone, Copy)]
pub struct AccessRecord<'a> {
    /// When the first byte of the request came, Unix time in milliseconds.
    pub started_unix_ms: u64,
    /// The exchange.
    pub request_id: RequestId,
    /// Its trace, if tracing is on.
    pub trace: Option<TraceContext>,
    /// The client after the trusted-proxy rules.
    pub client_ip: IpAddr,
    /// `GET` ...
    pub method: &'a str,
    /// Host and port as the client asked for them.
    pub host: &'a str,
    /// Path as the client sent it, without query.
    pub path: &'a str,
    /// Without `?`.
    pub query: Option<&'a str>,
    /// `HTTP/1.1` ...
    pub protocol: &'a str,
    /// Name of the route; empty before routing.
    pub route: &'a str,
    /// Status sent; 0 if none was.
    pub status: u16,
    /// Stable code of the error answer; empty for none.
    pub error_code: &'a str,
    /// Body bytes from the client.
    pub bytes_in: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// First byte of the request to last byte of the response.
    pub took: Duration,
    /// Whether the exchange broke off.
    pub aborted: bool,
    /// Name of the upstream; empty for none.
    pub upstream: &'a str,
    /// Address of the endpoint of the last try; empty for none.
    pub endpoint: &'a str,
    /// From the first try to the response head.
    pub upstream_took: Option<Duration>,
    /// What plugins noted and the operator wants to see.
    pub attributes: &'a [(&'a str, &'a str)],
    /// As the client sent it.
    pub user_agent: &'a str,
}

/// The shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineStyle {
    /// One JSON object.
    #[default]
    Json,
    /// `key=value` pairs; a value with a blank, a quote or an equals sign is quoted as in JSON.
    Text,
}

/// What is logged of the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueryLogging {
    /// Nothing.
    #[default]
    Omit,
    /// All but the values of the parameters whose names are redacted.
    Log,
}

/// How lines are written.
#[derive(Debug, Clone, Default)]
pub struct AccessFormat {
    /// JSON or text.
    pub style: LineStyle,
    /// Whether there is a query in it.
    pub query: QueryLogging,
    /// Names of query parameters and attributes whose values are replaced by `[redacted]`, compared without regard to
    /// ASCII case. Parameter names are decoded first.
    pub redact: Vec<String>,
}

impl AccessFormat {
    /// Appends the line of one exchange, with its line end.
    pub fn write(&self, record: &AccessRecord<'_>, out: &mut Vec<u8>) {
        let mut line = Line::new(self.style, out);
        line.plain("time", clock::rfc3339(record.started_unix_ms).as_str());
        line.plain("request_id", record.request_id.to_text().as_str());
        if let Some(trace) = record.trace {
            line.plain("trace_id", trace.trace_id().as_str());
        }
        line.display("client_ip", &record.client_ip);
        line.text("method", record.method);
        line.text("host", record.host);
        line.text("path", record.path);
        if let (Some(query), QueryLogging::Log) = (record.query, self.query) {
            line.text("query", &self.redact_query(query));
        }
        line.text("protocol", record.protocol);
        line.text("route", record.route);
        line.number("status", &record.status);
        line.text("error_code", record.error_code);
        line.number("bytes_in", &record.bytes_in);
        line.number("bytes_out", &record.bytes_out);
        line.number("duration_ms", &Milliseconds(record.took));
        if record.aborted {
            line.number("aborted", &true);
        }
        line.text("upstream", record.upstream);
        line.text("endpoint", record.endpoint);
        if let Some(took) = record.upstream_took {
            line.number("upstream_ms", &Milliseconds(took));
        }
        line.text("user_agent", record.user_agent);
        let attributes = record.attributes.iter().take(MAX_ATTRIBUTES);
        line.attributes(
            attributes.map(|(name, value)| (*name, if self.is_redacted(name) { REDACTED } else { value })),
        );
        line.end();
    }

    fn is_redacted(&self, name: &str) -> bool {
        self.redact
            .iter()
            .any(|redacted| redacted.eq_ignore_ascii_case(name))
    }

    fn redact_query(&self, query: &str) -> String {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if self.is_redacted(&decoded(name)) => format!("{name}={REDACTED}"),
            _ => pair.to_owned(),
        });
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// A parameter name without percent-encoding; bytes that are no UTF-8 become U+FFFD.
fn decoded(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| str::from_utf8(hex).ok());
        let byte = hex
            .filter(|_| *first == b'%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A line that is being written.
struct Line<'o> {
    style: LineStyle,
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Line<'o> {
    fn new(style: LineStyle, out: &'o mut Vec<u8>) -> Self {
        if style == LineStyle::Json {
            out.push(b'{');
        }
        Self {
            style,
            out,
            first: true,
        }
    }

    fn end(self) {
        self.out.extend_from_slice(if self.style == LineStyle::Json {
            b"}\n"
        } else {
            b"\n"
        });
    }

    fn key(&mut self, key: &str) {
        let first = std::mem::replace(&mut self.first, false);
        match self.style {
            LineStyle::Json => {
                self.out.extend_from_slice(if first { b"\"" } else { b",\"" });
                self.out.extend_from_slice(key.as_bytes());
                self.out.extend_from_slice(b"\":");
            }
            LineStyle::Text => {
                if !first {
                    self.out.push(b' ');
                }
                self.out.extend_from_slice(key.as_bytes());
                self.out.push(b'=');
            }
        }
    }

    /// A value of the host's own that needs no escaping, quoted in JSON.
    fn plain(&mut self, key: &str, value: &str) {
        self.display(key, &value);
    }

    fn display(&mut self, key: &str, value: &dyn fmt::Display) {
        self.key(key);
        let quote: &[u8] = if self.style == LineStyle::Json { b"\"" } else { b"" };
        self.out.extend_from_slice(quote);
        self.print(value);
        self.out.extend_from_slice(quote);
    }

    fn number(&mut self, key: &str, value: &dyn fmt::Display) {
        self.key(key);
        self.print(value);
    }

    fn print(&mut self, value: &dyn fmt::Display) {
        // Writing to a Vec cannot fail.
        let _infallible = write!(Bytes(self.out), "{value}");
    }

    fn text(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        self.key(key);
        self.value(value);
    }

    fn value(&mut self, value: &str) {
        if self.style == LineStyle::Text && is_bare(value) && value.len() <= MAX_TEXT_BYTES {
            self.out.extend_from_slice(value.as_bytes());
        } else {
            quote(value, self.out);
        }
    }

    /// In JSON an object, in text one pair each with the key `attr.NAME`.
    fn attributes<'a>(&mut self, mut attributes: impl Iterator<Item = (&'a str, &'a str)>) {
        match self.style {
            LineStyle::Json => {
                let Some(head) = attributes.next() else { return };
                self.key("attributes");
                let mut before = b'{';
                for (name, value) in std::iter::once(head).chain(attributes) {
                    self.out.push(before);
                    quote(name, self.out);
                    self.out.push(b':');
                    quote(value, self.out);
                    before = b',';
                }
                self.out.push(b'}');
            }
            LineStyle::Text => {
                for (name, value) in attributes {
                    let bare = |c: char| {
                        if c.is_ascii_graphic() && !matches!(c, '=' | '"') {
                            c
                        } else {
                            '_'
                        }
                    };
                    let name: String = name.chars().take(MAX_TEXT_BYTES).map(bare).collect();
                    self.key(&format!("attr.{name}"));
                    self.value(value);
                }
            }
        }
    }
}

/// Whether a value needs no quotes in the text format.
fn is_bare(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'=' | b'\\'))
}

/// Appends a JSON string, cut after [`MAX_TEXT_BYTES`].
fn quote(value: &str, out: &mut Vec<u8>) {
    let end = value.floor_char_boundary(MAX_TEXT_BYTES);
    let shown = value.get(..end).unwrap_or_default();
    out.push(b'"');
    if shown
        .bytes()
        .all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\'))
    {
        out.extend_from_slice(shown.as_bytes());
    } else {
        for c in shown.chars() {
            push_escaped(c, out);
        }
    }
    if end < value.len() {
        out.extend_from_slice(b"...");
    }
    out.push(b'"');
}

fn push_escaped(c: char, out: &mut Vec<u8>) {
    match c {
        '"' | '\\' => out.extend_from_slice(&[b'\\', u8::try_from(c).unwrap_or(b'?')]),
        _ if is_dangerous(c) => {
            // All of these are in the basic plane: one \u escape.
            let _infallible = write!(Bytes(out), "\\u{:04x}", u32::from(c));
        }
        _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Control characters, line and paragraph separators, and what changes the direction of text.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A duration as milliseconds with three decimals.
struct Milliseconds(Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0.as_micros();
        write!(f, "{}.{:03}", us / 1_000, us % 1_000)
    }
}

/// A byte buffer as a target of `write!`.
struct Bytes<'o>(&'o mut Vec<u8>);

impl Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
