//! A request to send, and its bytes. Checks nothing: tests send nonsense, too.

use crate::wire;

/// A request to send.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    None,
    Whole(Vec<u8>),
    Chunks(Vec<Vec<u8>>, Vec<(String, String)>),
}

impl Request {
    /// `GET target`.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// `POST target` with a body.
    #[must_use]
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).body(body)
    }

    /// Any method and target, as they go on the wire.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            fields: Vec::new(),
            body: Body::None,
        }
    }

    /// One more field; a `host` takes the place of the default one. One character per byte (U+0000 to U+00FF).
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A body with a `Content-Length`.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Whole(bytes.into());
        self
    }

    /// A body in these chunks.
    #[must_use]
    pub fn chunks<T: Into<Vec<u8>>>(mut self, chunks: impl IntoIterator<Item = T>) -> Self {
        self.body = Body::Chunks(chunks.into_iter().map(Into::into).collect(), Vec::new());
        self
    }

    /// One more trailer; the body becomes chunked.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        let (chunks, mut trailers) = match self.body {
            Body::None => (Vec::new(), Vec::new()),
            Body::Whole(bytes) => (vec![bytes], Vec::new()),
            Body::Chunks(chunks, trailers) => (chunks, trailers),
        };
        trailers.push((name.to_owned(), value.to_owned()));
        self.body = Body::Chunks(chunks, trailers);
        self
    }

    /// As it goes on the wire.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The bytes that go on the wire.
    #[must_use]
    pub fn bytes(&self, host: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let mut field = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        if !self
            .fields
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            field("host", host);
        }
        self.fields.iter().for_each(|(name, value)| field(name, value));
        match &self.body {
            Body::None => {}
            Body::Whole(bytes) => field("content-length", &bytes.len().to_string()),
            Body::Chunks(..) => field("transfer-encoding", "chunked"),
        }
        head.push_str("\r\n");
        let mut all = wire::bytes(&head);
        match &self.body {
            Body::None => {}
            Body::Whole(bytes) => all.extend_from_slice(bytes),
            Body::Chunks(chunks, trailers) => {
                for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                    all.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    all.extend_from_slice(chunk);
                    all.extend_from_slice(b"\r\n");
                }
                all.extend_from_slice(b"0\r\n");
                for (name, value) in trailers {
                    all.extend_from_slice(&wire::bytes(&format!("{name}: {value}\r\n")));
                }
                all.extend_from_slice(b"\r\n");
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_sent_as_told() {
        let plain = Request::get("/a").header("X-B", "\u{e9}").bytes("h");
        assert_eq!(plain, b"GET /a HTTP/1.1\r\nhost: h\r\nX-B: \xe9\r\n\r\n");
        let whole = Request::post("/", "ab").header("Host", "x").bytes("h");
        assert_eq!(
            whole,
            b"POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 2\r\n\r\nab"
        );
        let chunks = Request::new("PUT", "/")
            .chunks(["a", "", "bc"])
            .trailer("x", "y")
            .bytes("h");
        let body = b"1\r\na\r\n2\r\nbc\r\n0\r\nx: y\r\n\r\n";
        assert!(chunks.ends_with(body), "{:?}", wire::latin1(&chunks));
    }
}
