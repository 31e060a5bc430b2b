//! The request and response that the running hook is about. They stay in the host: these handles are empty, and
//! each method is one call into it. Knows no verdict and no plugin.
//!
//! What a hook may edit shows in its arguments: a `&mut Request` or `&mut Response` can be edited, a `&Request` only
//! read.

use std::ops::Deref;
use std::time::Duration;

use crate::{Blob, FieldEdits, Headers, Problem, headers, host::exchange as host};

/// Which header fields a call refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Section {
    /// The fields of the request.
    Request,
    /// The fields of the response.
    Response,
    /// The trailers of the request; they exist from the end of its body on.
    RequestTrailers,
    /// The trailers of the response; they exist from the end of its body on.
    ResponseTrailers,
}

/// Which body a call refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The body of the request.
    Request,
    /// The body of the response.
    Response,
}

/// What happens to a captured body when the client leaves early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhenClientLeaves {
    /// The upstream is let go and the capture is lost.
    Stop,
    /// The body is read to its end for the capture.
    Finish,
}

/// What every hook of an exchange can ask. [`Request`], [`Response`] and the other views dereference to it.
#[derive(Debug)]
pub struct Exchange {
    _private: (),
}

impl Exchange {
    /// Number of this exchange, unique in the process.
    #[must_use]
    pub fn id(&self) -> u64 {
        host::id()
    }

    /// Name of the route whose pipeline runs; "" before routing.
    #[must_use]
    pub fn route(&self) -> String {
        host::route()
    }

    /// Address of the client after the trusted-proxy rules, without port.
    #[must_use]
    pub fn client_ip(&self) -> String {
        host::client_ip()
    }

    /// A property by its key: `request.raw-target`, `http.version`, `tls.sni`, `upstream.name`, `error.kind` ...
    #[must_use]
    pub fn property(&self, key: &str) -> Option<String> {
        host::property(key)
    }

    /// Time since the request arrived.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(host::elapsed_us())
    }

    /// Time until the deadline of this exchange.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        Duration::from_micros(host::remaining_us())
    }

    /// Text that all plugins of the pipeline and the access log share: `auth.subject`, `api.version` ...
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<String> {
        host::attribute(key)
    }

    /// Writes or removes an attribute.
    ///
    /// # Errors
    /// [`Problem::Denied`] for a reserved prefix (`auth.`, `api.`, `cache.`, `waf.` ...) without the grant
    /// `allow = { attributes = ["auth."] }`, [`Problem::Limit`] beyond 64 attributes or 8 KiB, [`Problem::WrongPhase`]
    /// in `on_finish`.
    pub fn set_attribute(&self, key: &str, value: Option<&str>) -> Result<(), Problem> {
        host::set_attribute(key, value)
    }

    /// No body hooks of this plugin for that side of this exchange, and no buffering for them.
    pub fn skip_body(&self, side: Side) {
        host::skip_body(side);
    }

    /// Copies a body aside as it goes over the wire (the request's as the upstream gets it, the response's as the client
    /// does), up to `max` bytes and the entry's `max-body`; [`Exchange::captured`] gives it in `on_finish`. To be asked
    /// before the body begins.
    pub fn capture_body(&self, side: Side, max: u64, when_client_leaves: WhenClientLeaves) {
        host::capture_body(side, max, when_client_leaves);
    }

    /// The captured body; none when it was longer than the capture or ended early.
    #[must_use]
    pub fn captured(&self, side: Side) -> Option<Blob> {
        host::captured(side)
    }
}

/// The header methods of one section.
macro_rules! header_methods {
    ($section:expr) => {
        /// The first value of a header field, as text: each byte is one character up to U+00FF.
        #[must_use]
        pub fn header(&self, name: &str) -> Option<String> {
            host::header($section, name)
        }

        /// The first value of a header field as the bytes on the wire.
        #[must_use]
        pub fn header_bytes(&self, name: &str) -> Option<Vec<u8>> {
            host::header($section, name).and_then(headers::to_bytes)
        }

        /// All values of a header field, in order.
        #[must_use]
        pub fn header_values(&self, name: &str) -> Vec<String> {
            host::header_values($section, name)
        }

        /// All header fields in one call.
        #[must_use]
        pub fn headers(&self) -> Headers {
            Headers::from_block(host::header_block($section))
        }

        /// Sets a header field and removes what stood under that name.
        ///
        /// # Errors
        /// [`Problem::Invalid`] for a name or value that no header can have, [`Problem::Denied`] for one that the
        /// gateway keeps to itself.
        pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), Problem> {
            host::set_header($section, name, value)
        }

        /// [`set_header`](Self::set_header) for a value that is no text.
        ///
        /// # Errors
        /// As for `set_header`.
        pub fn set_header_bytes(&mut self, name: &str, value: &[u8]) -> Result<(), Problem> {
            host::set_header($section, name, &headers::to_text(value))
        }

        /// Adds a header field beside those of the same name.
        ///
        /// # Errors
        /// As for `set_header`.
        pub fn append_header(&mut self, name: &str, value: &str) -> Result<(), Problem> {
            host::append_header($section, name, value)
        }

        /// Makes many edits in one call, all or none.
        ///
        /// # Errors
        /// As for `set_header`, if one of them is refused.
        pub fn edit_headers(&mut self, edits: &FieldEdits) -> Result<(), Problem> {
            edit($section, edits)
        }

        /// Removes all fields of that name, if there are any.
        ///
        /// # Errors
        /// As for `set_header`.
        pub fn remove_header(&mut self, name: &str) -> Result<(), Problem> {
            host::remove_header($section, name)
        }
    };
}

/// The request.
#[derive(Debug)]
pub struct Request {
    exchange: Exchange,
}

impl Request {
    pub(crate) const fn new() -> Self {
        Self {
            exchange: Exchange { _private: () },
        }
    }

    /// The request of the running hook, for code that a `&Request` cannot be handed to, such as the lazy values of a
    /// template engine. In `new` its methods trap, for there is no request.
    #[must_use]
    pub fn current() -> &'static Self {
        &REQUEST
    }

    /// The method, as it was sent.
    #[must_use]
    pub fn method(&self) -> String {
        host::method()
    }

    /// Changes the method.
    ///
    /// # Errors
    /// [`Problem::Invalid`] when it is no token.
    pub fn set_method(&mut self, method: &str) -> Result<(), Problem> {
        host::set_method(method)
    }

    /// Host and port that the request names.
    #[must_use]
    pub fn authority(&self) -> String {
        host::authority()
    }

    /// Changes the host that the upstream sees.
    ///
    /// # Errors
    /// [`Problem::Invalid`] when it is no authority (RFC 3986 section 3.2).
    pub fn set_authority(&mut self, authority: &str) -> Result<(), Problem> {
        host::set_authority(authority)
    }

    /// The path as it was matched: normalised, still percent-encoded, without the query.
    #[must_use]
    pub fn path(&self) -> String {
        host::path()
    }

    /// The query without its `?`; none when there is none.
    #[must_use]
    pub fn query(&self) -> Option<String> {
        host::query()
    }

    /// Changes path and query.
    ///
    /// # Errors
    /// [`Problem::Invalid`] when it does not parse as an origin-form (RFC 9112 section 3.2.1).
    pub fn set_target(&mut self, path_and_query: &str) -> Result<(), Problem> {
        host::set_target(path_and_query)
    }

    header_methods!(Section::Request);

    /// Edits the response that there will be, whoever gives it: when it passes this plugin on its way to the client, before
    /// `on_response`. Cheaper than an `on_response` hook, which is not needed then. The edits are lost when this plugin itself
    /// answers.
    ///
    /// # Errors
    /// As for [`set_header`](Self::set_header), if one of them is refused.
    pub fn edit_response(&mut self, edits: &FieldEdits) -> Result<(), Problem> {
        edit(Section::Response, edits)
    }

    /// Sends to this named upstream in place of the route's own.
    ///
    /// # Errors
    /// [`Problem::Invalid`] when no upstream has this name.
    pub fn set_upstream(&mut self, name: &str) -> Result<(), Problem> {
        host::set_upstream(name)
    }

    /// Sets the time per try, up to the head of its response, in whole milliseconds (zero = the upstream's own time-outs),
    /// and how many tries may follow the first. Only a request that may be repeated is: nothing of it was sent, or its
    /// method is idempotent (RFC 9110 section 9.2.2); and its body is at hand: there is none, or a body hook had it
    /// buffered.
    ///
    /// # Errors
    /// [`Problem::Limit`] beyond ten extra tries.
    pub fn set_retry(&mut self, per_try: Duration, extra_tries: u8) -> Result<(), Problem> {
        host::set_retry(millis(per_try), extra_tries)
    }

    /// The host waits so long, in whole milliseconds, after this hook, whatever its verdict; no instance is held
    /// meanwhile.
    ///
    /// # Errors
    /// [`Problem::Limit`] beyond five minutes or the deadline of the exchange.
    pub fn delay(&mut self, time: Duration) -> Result<(), Problem> {
        host::delay(millis(time))
    }
}

impl Deref for Request {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        &self.exchange
    }
}

/// The request where it can only be read.
static REQUEST: Request = Request::new();

/// The response.
#[derive(Debug)]
pub struct Response {
    exchange: Exchange,
}

impl Response {
    pub(crate) const fn new() -> Self {
        Self {
            exchange: Exchange { _private: () },
        }
    }

    /// The response of the running hook; see [`Request::current`].
    #[must_use]
    pub fn current() -> &'static Self {
        &RESPONSE
    }

    /// The request that it answers.
    #[must_use]
    pub fn request(&self) -> &Request {
        &REQUEST
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        host::status()
    }

    /// Changes the status code.
    ///
    /// # Errors
    /// [`Problem::Invalid`] outside 200 to 599.
    pub fn set_status(&mut self, status: u16) -> Result<(), Problem> {
        host::set_status(status)
    }

    header_methods!(Section::Response);
}

impl Deref for Response {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        &self.exchange
    }
}

/// The error that the gateway is about to answer with.
#[derive(Debug)]
pub struct GatewayError {
    exchange: Exchange,
}

impl GatewayError {
    pub(crate) const fn new() -> Self {
        Self {
            exchange: Exchange { _private: () },
        }
    }

    /// The stable code of the error: `no-route`, `upstream-timeout`, `key-missing` ... (property `error.kind`).
    #[must_use]
    pub fn kind(&self) -> String {
        host::property("error.kind").unwrap_or_default()
    }

    /// The status code that the error has.
    #[must_use]
    pub fn status(&self) -> u16 {
        host::status()
    }

    /// The request that failed.
    #[must_use]
    pub fn request(&self) -> &Request {
        &REQUEST
    }
}

impl Deref for GatewayError {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        &self.exchange
    }
}

/// How an exchange ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Status code that was sent; 0 when none was.
    pub status: u16,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the response body.
    pub bytes_out: u64,
    /// From the first byte of the request to the last of the response.
    pub total: Duration,
    /// The part of it that waited for the upstream.
    pub upstream: Duration,
    /// Whether client or upstream left early.
    pub aborted: bool,
    /// Further facts by name.
    pub options: Vec<(String, String)>,
}

/// An exchange after its last byte: everything can be read, nothing changed.
#[derive(Debug)]
pub struct Finished {
    exchange: Exchange,
    outcome: Outcome,
}

impl Finished {
    pub(crate) const fn new(outcome: Outcome) -> Self {
        Self {
            exchange: Exchange { _private: () },
            outcome,
        }
    }

    /// How it ended.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request {
        &REQUEST
    }

    /// The response.
    #[must_use]
    pub fn response(&self) -> &Response {
        &RESPONSE
    }
}

impl Deref for Finished {
    type Target = Exchange;

    fn deref(&self) -> &Exchange {
        &self.exchange
    }
}

/// The response where it can only be read.
static RESPONSE: Response = Response::new();

fn edit(section: Section, edits: &FieldEdits) -> Result<(), Problem> {
    let (set, append) = edits.blocks()?;
    host::edit_headers(section, &set, &append)
}

/// Whole milliseconds, rounded up so that a short time does not become none.
fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}
