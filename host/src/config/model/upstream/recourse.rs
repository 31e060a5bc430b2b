//! What is done when a try at an upstream fails, or takes long: further tries, their budget, a second try beside the
//! first, and who answers instead.
//!
//! It refuses to know what a try is.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::message::grpc::GrpcStatus;

/// Everything that is done about tries that fail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recourse {
    /// `retries`; absent = no further tries.
    pub retries: Option<Retries>,
    /// `retry-budget`.
    pub budget: RetryBudget,
    /// `hedge.after`: after so long without an answer a second try is sent; absent = none is.
    pub hedge: Option<Duration>,
    /// `fallback`.
    pub fallback: Option<Fallback>,
}

/// `[upstreams.NAME.retries]`: which tries are followed by another, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// `attempts`: tries after the first, default 2.
    pub attempts: u8,
    /// `on`, default [`Condition::DEFAULT`].
    pub on: Vec<Condition>,
    /// `per-try-timeout`: from the begin of a try to the head of its response; absent = the upstream's time-outs.
    pub per_try_timeout: Option<Duration>,
    /// `back-off`: longest pause before the first further try, doubled for each one after it; default 25 ms.
    pub back_off: Duration,
    /// `max-back-off`: longest pause at all, default 250 ms.
    pub max_back_off: Duration,
    /// `max-retry-after`: longest `Retry-After` that is waited for, default 1 s.
    pub max_retry_after: Duration,
    /// `methods` that may be sent again although the upstream may have acted; absent = the idempotent ones.
    pub methods: Option<Vec<Method>>,
    /// `buffer`: bytes of a request body that are kept for another try, default 64 KiB.
    pub buffer: u64,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 2,
            on: Condition::DEFAULT.to_vec(),
            per_try_timeout: None,
            back_off: Duration::from_millis(25),
            max_back_off: Duration::from_millis(250),
            max_retry_after: Duration::from_secs(1),
            methods: None,
            buffer: Self::BUFFER,
        }
    }
}

impl Retries {
    /// How much of a request body is kept unless it is said otherwise, in bytes.
    pub const BUFFER: u64 = 64 << 10;

    /// Whether a request with this method may be sent again although the upstream may have acted.
    #[must_use]
    pub fn may_repeat(&self, method: &Method) -> bool {
        match &self.methods {
            Some(methods) => methods.contains(method),
            None => method.is_idempotent(),
        }
    }

    /// Whether gRPC calls may be made again although the upstream may have acted: by naming how they end. Their method,
    /// always POST, says nothing of them.
    #[must_use]
    pub fn may_repeat_calls(&self) -> bool {
        self.on
            .iter()
            .any(|condition| matches!(condition, Condition::Call(_)))
    }
}

/// What makes a try one that is followed by another. The words are Envoy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// `connect-failure`: no connection was made.
    ConnectFailure,
    /// `reset`: the connection was closed before the head of a response.
    Reset,
    /// `timeout`: the head of the response did not come in time.
    Timeout,
    /// `5xx`: a status from 500 to 599, or no response at all.
    ServerError,
    /// `gateway-error`: 502, 503 or 504, or no response at all.
    GatewayError,
    /// This status.
    Status(StatusCode),
    /// `cancelled`, `deadline-exceeded`, `internal`, `resource-exhausted` or `unavailable`: a gRPC call that ended so before
    /// there was anything else of its answer.
    Call(GrpcStatus),
}

impl Condition {
    /// What is retried unless it is said otherwise.
    pub const DEFAULT: [Self; 4] = [
        Self::ConnectFailure,
        Self::Reset,
        Self::Timeout,
        Self::Status(StatusCode::SERVICE_UNAVAILABLE),
    ];
}

/// `[upstreams.NAME.retry-budget]`: how many further tries all requests together may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// `percent` of the requests of the last ten seconds, default 20.
    pub percent: u32,
    /// `min-per-second`: as many on top, default 10.
    pub min_per_second: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            percent: 20,
            min_per_second: 10,
        }
    }
}

/// `fallback`: who answers in place of an upstream that did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallback {
    /// An index into [`Config::upstreams`](crate::config::Config::upstreams).
    Upstream(usize),
    /// Always this.
    Answer(Box<StaticAnswer>),
}

/// An answer that the configuration gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticAnswer {
    /// `status`, default 503.
    pub status: StatusCode,
    /// `headers` and `content-type`.
    pub headers: HeaderMap,
    /// `body`.
    pub body: Bytes,
}
