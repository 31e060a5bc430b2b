//! How an exchange with an upstream fails: kind, endpoint, whether a retry is safe. It refuses to know how a
//! failure is shown to a client.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::limits::Limit;

/// Any error, as a source.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// An exchange with an upstream that failed, before or within the response.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// The endpoint as `host:port`, if one had been chosen.
    pub endpoint: Option<Arc<str>>,
    /// Whether the request may be sent again.
    pub retry: RetrySafety,
    /// The error below, if there is one: of the system, or of the client's request body.
    pub source: Option<BoxError>,
}

/// What made an exchange fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FailureKind {
    /// No endpoint accepted a connection.
    #[error("the upstream could not be connected")]
    Connect,
    /// An endpoint did not accept a connection in time.
    #[error("connecting to the upstream took too long")]
    ConnectTimeout,
    /// The handshake of TLS failed, or the upstream broke TLS off before it answered; the source says why.
    #[error("TLS with the upstream failed")]
    Tls,
    /// The endpoint's name has no address.
    #[error("the upstream's name could not be resolved")]
    Resolve,
    /// The upstream has no endpoints.
    #[error("the upstream has no endpoint")]
    NoEndpoint,
    /// Whoever picks the endpoint refused to; the source says why. Nothing was sent.
    #[error("no endpoint was picked")]
    Unpicked,
    /// A circuit breaker is open: of the upstream, or of all endpoints that could be chosen. Nothing was sent.
    #[error("the circuit breaker is open")]
    CircuitOpen {
        /// When it may be worth asking again.
        retry_after: Duration,
    },
    /// A limit of the upstream was reached. Nothing was sent.
    #[error("the upstream has as much to do as it may")]
    Overloaded(Limit),
    /// The request was sent, and no complete response head came in time.
    #[error("the upstream did not answer in time")]
    FirstByteTimeout,
    /// The upstream neither sent nor took a piece of a body in time.
    #[error("the upstream was silent for too long within a body")]
    IdleTimeout,
    /// The caller's deadline passed.
    #[error("the deadline passed")]
    Deadline,
    /// The connection was closed before the first byte of a response.
    #[error("the upstream closed the connection before it answered")]
    Reset,
    /// The connection was closed within the response.
    #[error("the upstream closed the connection within its response")]
    Truncated,
    /// The response is not valid HTTP/1.1; the text says why.
    #[error("the upstream's response is malformed: {0}")]
    Malformed(&'static str),
    /// The response head is larger, or has more fields, than the settings allow.
    #[error("the head of the upstream's response is too large")]
    HeadTooLarge,
    /// The request body failed or did not have its declared length; the source says why. The client's doing.
    #[error("the request body failed")]
    RequestBody,
    /// Something of the gateway's broke the response's body off; the source says what. Not the upstream's doing.
    #[error("the response's body was broken off")]
    Cut,
    /// The client sent nothing of its request body for longer than the idle timeout. The client's doing.
    #[error("the request body stalled")]
    RequestStalled,
    /// The request asks for a WebSocket, and the upstream, which speaks HTTP/2, takes no extended CONNECT, or the request
    /// cannot be put so (RFC 8441). Nothing was sent.
    #[error("the upstream takes no WebSocket")]
    NoTunnel,
    /// The request cannot be written as HTTP/1.1; the text says why. The caller's doing.
    #[error("the request cannot be sent: {0}")]
    Unsendable(&'static str),
}

impl FailureKind {
    /// Whether the endpoint is to blame, and not the client or the caller: what health checks and breakers count.
    #[must_use]
    pub const fn is_upstreams(self) -> bool {
        !matches!(
            self,
            Self::NoEndpoint
                | Self::Unpicked
                | Self::CircuitOpen { .. }
                | Self::Overloaded(_)
                | Self::RequestBody
                | Self::Cut
                | Self::RequestStalled
                | Self::NoTunnel
                | Self::Unsendable(_)
        )
    }
}

/// Whether a failed request may be sent again (RFC 9110 section 9.2.2). It knows nothing of the body: who retries
/// must still have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetrySafety {
    /// Nothing was sent: any request may be repeated.
    Unsent,
    /// The upstream may have acted, but the method is idempotent and nothing of a response was handed on.
    Idempotent,
    /// The upstream may have acted, or a part of the response was handed on: do not repeat.
    Unsafe,
}

/// The request body did not have the length that its size hint promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyLength {
    /// The body ended early.
    #[error("the body ended {missing} bytes short of its declared length")]
    Short {
        /// How many bytes are missing.
        missing: u64,
    },
    /// The body went on after its end.
    #[error("the body is longer than its declared length")]
    Long,
}

/// A failure before it is known where: what the layers below the cluster report.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: FailureKind,
    pub(super) source: Option<BoxError>,
}

impl Fault {
    pub(super) fn with(kind: FailureKind, source: impl Into<BoxError>) -> Self {
        Self {
            kind,
            source: Some(source.into()),
        }
    }

    pub(super) fn malformed(reason: &'static str) -> Self {
        FailureKind::Malformed(reason).into()
    }

    /// The failure of a request that was sent, at least in part, and whose response was not handed on.
    pub(super) fn unanswered(self, method: &Method, endpoint: Arc<str>) -> Failure {
        let retry = match self.kind {
            FailureKind::Unsendable(_) => RetrySafety::Unsent,
            FailureKind::RequestBody | FailureKind::RequestStalled | FailureKind::Deadline => {
                RetrySafety::Unsafe
            }
            _ if method.is_idempotent() => RetrySafety::Idempotent,
            _ => RetrySafety::Unsafe,
        };
        self.at(retry, Some(endpoint))
    }

    pub(super) fn at(self, retry: RetrySafety, endpoint: Option<Arc<str>>) -> Failure {
        Failure {
            kind: self.kind,
            endpoint,
            retry,
            source: self.source,
        }
    }
}

impl From<FailureKind> for Fault {
    fn from(kind: FailureKind) -> Self {
        Self { kind, source: None }
    }
}
