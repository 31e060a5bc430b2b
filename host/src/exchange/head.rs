//! The parts of an exchange that are plain data.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderValue;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode, Version};

use crate::message::problem::Problem;

/// What arrived of a body at a body hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Seen {
    /// There is none.
    #[default]
    None,
    /// There is one, and no body hook was given any of it yet.
    Unread,
    /// All of it.
    Whole,
    /// Its first bytes.
    Prefix,
}

impl Seen {
    /// Text of the property `request.body`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unread => "unread",
            Self::Whole => "whole",
            Self::Prefix => "prefix",
        }
    }
}

/// Request head as the upstream will get it.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// Method.
    pub method: Method,
    /// Effective host with port, as received; what the upstream gets as Host.
    pub authority: HeaderValue,
    /// Normalised path and the query.
    pub target: PathAndQuery,
    /// Fields without hop-by-hop ones.
    pub headers: HeaderMap,
    /// Version that the client spoke.
    pub version: Version,
}

/// Response head as the client will get it.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    /// Status.
    pub status: StatusCode,
    /// Fields without hop-by-hop ones.
    pub headers: HeaderMap,
}

/// What the exchange is about to fail with, for `on-error`.
#[derive(Debug, Clone)]
pub struct ErrorView {
    /// Stable code, such as `no-route`.
    pub code: String,
    /// Status that the client will get.
    pub status: StatusCode,
    /// Who caused it: `client`, `upstream`, `plugin`, `gateway`.
    pub origin: &'static str,
    /// A few words that are the same for every such error, as the document has them.
    pub title: Cow<'static, str>,
    /// What is particular to this one, as the document has it; "" = nothing.
    pub detail: Cow<'static, str>,
}

impl From<&Problem> for ErrorView {
    fn from(problem: &Problem) -> Self {
        Self {
            code: problem.code.clone().into_owned(),
            status: problem.status,
            origin: problem.kind.origin().as_str(),
            title: problem.title.clone(),
            detail: problem.detail.clone(),
        }
    }
}

/// How the upstream answered.
#[derive(Debug, Clone, Default)]
pub struct UpstreamView {
    /// Its name.
    pub name: Option<Arc<str>>,
    /// The endpoint that answered.
    pub endpoint: Option<Arc<str>>,
    /// Time from the request's start to the response head, microseconds.
    pub first_byte_us: u64,
    /// Times that the request was sent, or that a connection for it was sought.
    pub tries: u32,
}

/// State of one stage of the pipeline within the exchange.
#[derive(Debug, Default)]
pub struct Stage {
    pub(super) state: Option<Bytes>,
    /// It asked for no request body.
    pub skip_request_body: bool,
    /// It asked for no response body.
    pub skip_response_body: bool,
}
