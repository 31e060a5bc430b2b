//! Requests that a plugin sends, where its entry's `allow.http` grants their targets. Knows no retry and no redirect: an answer
//! is what came back.

use std::time::Duration;

use crate::{Blob, Content, Problem, host::http as host};

/// A request to send.
///
/// ```no_run
/// use std::time::Duration;
/// use portcullis::http::Call;
///
/// let answer = Call::get("upstream://users/v1/me")
///     .header("accept", "application/json")
///     .timeout(Duration::from_millis(200))
///     .send()?;
/// # let _ = answer.status;
/// # Ok::<(), portcullis::Problem>(())
/// ```
#[derive(Debug)]
pub struct Call {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Content,
    pub(crate) timeout_ms: u32,
    pub(crate) max_body: u64,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields, in order; names in lower case, each byte of a value as one character.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Blob,
}

impl Call {
    /// A request by any method for an absolute URI, or `upstream://NAME/path`, an upstream of the gateway.
    #[must_use]
    pub fn new(method: &str, uri: &str) -> Self {
        Self {
            method: method.to_owned(),
            uri: uri.to_owned(),
            headers: Vec::new(),
            body: Content::Empty,
            timeout_ms: 0,
            max_body: 0,
        }
    }

    /// A GET request.
    #[must_use]
    pub fn get(uri: &str) -> Self {
        Self::new("GET", uri)
    }

    /// A POST request with a body.
    #[must_use]
    pub fn post(uri: &str, body: impl Into<Content>) -> Self {
        Self::new("POST", uri).body(body)
    }

    /// Adds a field. Those of the connection and of framing are the gateway's, and left out.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Content>) -> Self {
        self.body = body.into();
        self
    }

    /// How long to wait for the whole answer, in whole milliseconds. The entry's `timeout` and the exchange's deadline bound it, too.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1);
        self
    }

    /// Bytes that the answer's body may have, at most the entry's `max-body`.
    #[must_use]
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes.max(1);
        self
    }

    /// Sends it and waits for the whole answer. The gateway serves others meanwhile.
    ///
    /// # Errors
    /// [`Problem::Denied`] without a grant, [`Problem::Invalid`] for what is no request, [`Problem::Timeout`],
    /// [`Problem::Limit`] for a body that is too long or too many requests of one exchange, [`Problem::Failed`] when nothing came
    /// back.
    pub fn send(self) -> Result<Answer, Problem> {
        host::send(self)
    }
}

impl Answer {
    /// The first value of a field; `name` in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(field, value)| (field == name).then_some(value.as_str()))
    }
}

/// Sends all at once and waits for all answers, which come in the order of the calls: it takes as long as the slowest.
///
/// # Errors
/// As [`Call::send`], where it concerns all of them; else each has its own.
pub fn send_all(calls: Vec<Call>) -> Result<Vec<Result<Answer, Problem>>, Problem> {
    host::send_all(calls)
}
