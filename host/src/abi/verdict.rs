//! What hooks answer, as the host's own types: checked, blobs resolved to bytes, no WIT type left. An
//! answer that no HTTP message could carry is a fault of the plugin.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::imports::types as wit;
use super::{HostState, exports};
use crate::exchange::{EditError, field_name, field_value, final_status};
use crate::message::fields::is_connection_field;
use crate::message::problem::{Problem, RefusalError};

/// Bytes of a refusal's `detail`.
const MAX_DETAIL: usize = 4 << 10;

/// An answer that breaks the contract.
#[derive(Debug, thiserror::Error)]
pub enum BadAnswer {
    /// Status outside of what the hook may answer.
    #[error("status {0} cannot be answered")]
    Status(u16),
    /// A field that HTTP cannot carry.
    #[error("field refused: {0}")]
    Field(EditError),
    /// A refusal that is none.
    #[error(transparent)]
    Refusal(#[from] RefusalError),
    /// An endpoint that is none of the candidates.
    #[error("endpoint {index} was picked of {count}")]
    Endpoint {
        /// The index that was picked.
        index: u32,
        /// How many there were.
        count: usize,
    },
    /// A blob that it does not hold.
    #[error("the answer's body is no blob of this plugin")]
    Blob,
}

/// An answer that the plugin means as such.
#[derive(Debug, Clone)]
pub struct Reply {
    /// 200 to 599.
    pub status: StatusCode,
    /// Fields, without those that frame the message.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// An error answer, ready to be sent as RFC 9457 says.
pub type Refusal = Box<Problem>;

/// A body that replaces another.
pub type Body = Bytes;

/// Answer of `on-request`.
#[derive(Debug)]
pub enum RequestAction {
    /// Go on.
    Next,
    /// Answer with this.
    Respond(Reply),
    /// Answer with this error.
    Refuse(Refusal),
}

/// Answer of `on-request-body`.
#[derive(Debug)]
pub enum BodyAction {
    /// Go on with the same body.
    Next,
    /// Go on with this body.
    Replace(Body),
    /// Answer with this.
    Respond(Reply),
    /// Answer with this error.
    Refuse(Refusal),
}

/// Answer of `on-response`.
#[derive(Debug)]
pub enum ResponseAction {
    /// Go on.
    Next,
    /// Answer with this instead.
    Replace(Reply),
    /// Answer with this error instead.
    Refuse(Refusal),
}

/// Answer of `on-response-body`.
#[derive(Debug)]
pub enum ResponseBodyAction {
    /// Go on with the same body.
    Next,
    /// Go on with this body.
    Replace(Body),
    /// Answer with this instead.
    ReplaceAll(Reply),
    /// Answer with this error instead.
    Refuse(Refusal),
}

/// Answer of `on-error`.
#[derive(Debug)]
pub enum ErrorAction {
    /// Leave the error as it is.
    Next,
    /// Answer with this instead.
    Replace(Reply),
    /// Try this upstream.
    RetryOn(String),
}

/// The index of the endpoint that a balancer picked of `count`; none for no preference.
pub(crate) fn picked(answer: Option<u32>, count: usize) -> Result<Option<usize>, BadAnswer> {
    let Some(index) = answer else { return Ok(None) };
    let found = usize::try_from(index).ok().filter(|index| *index < count);
    found.map(Some).ok_or(BadAnswer::Endpoint { index, count })
}

/// Answer of a responder.
#[derive(Debug)]
pub enum Answer {
    /// The response.
    Reply(Reply),
    /// An error.
    Refuse(Refusal),
}

/// What `describe` says of a plugin.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The plugin's own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// JSON Schema of its `config`; empty = anything.
    pub config_schema: String,
    /// OpenAPI fragment (JSON); empty = none.
    pub openapi: String,
    /// Period of `on-tick` in ms; 0 = none.
    pub tick_ms: u32,
    /// Open key-value pairs.
    pub labels: Vec<(String, String)>,
}

impl From<exports::plugin::Manifest> for Manifest {
    fn from(m: exports::plugin::Manifest) -> Self {
        Self {
            name: m.name,
            version: m.version,
            config_schema: m.config_schema,
            openapi: m.openapi,
            tick_ms: m.tick_ms,
            labels: m.labels,
        }
    }
}

impl Manifest {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }
}

/// How an exchange ended, for `on-finish`.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Status that the client got.
    pub status: u16,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the response body.
    pub bytes_out: u64,
    /// Time from head to last byte, microseconds.
    pub total_us: u64,
    /// Time that the upstream took to its head, microseconds.
    pub upstream_us: u64,
    /// The client left before the end.
    pub aborted: bool,
}

impl From<Outcome> for exports::on_finish::Outcome {
    fn from(o: Outcome) -> Self {
        Self {
            status: o.status,
            bytes_in: o.bytes_in,
            bytes_out: o.bytes_out,
            total_us: o.total_us,
            upstream_us: o.upstream_us,
            aborted: o.aborted,
            options: Vec::new(),
        }
    }
}

/// Turns a WIT answer into the host's.
pub(crate) trait Accept {
    /// The host's type.
    type Into;
    /// # Errors
    /// When the answer breaks the contract.
    fn accept(self, state: &mut HostState) -> Result<Self::Into, BadAnswer>;
}

impl Accept for wit::Reply {
    type Into = Reply;
    fn accept(self, state: &mut HostState) -> Result<Reply, BadAnswer> {
        let status = final_status(self.status).ok_or(BadAnswer::Status(self.status))?;
        Ok(Reply {
            status,
            headers: fields(&self.headers)?,
            body: self.body.accept(state)?,
        })
    }
}

impl Accept for wit::Refusal {
    type Into = Refusal;
    fn accept(self, _: &mut HostState) -> Result<Refusal, BadAnswer> {
        let mut detail = self.detail;
        detail.truncate(detail.floor_char_boundary(MAX_DETAIL));
        let mut problem = Problem::refused(self.status, self.code, detail, &self.extra)?;
        problem.headers = fields(&self.headers)?;
        Ok(Box::new(problem))
    }
}

impl Accept for wit::BodySource {
    type Into = Bytes;
    fn accept(self, state: &mut HostState) -> Result<Bytes, BadAnswer> {
        match self {
            Self::Empty => Ok(Bytes::new()),
            Self::Bytes(bytes) => Ok(bytes.into()),
            Self::Blob(blob) => state.take(blob).map_err(|_| BadAnswer::Blob),
        }
    }
}

/// Fields of an answer. Those that frame the message or belong to the connection are the host's.
pub(super) fn fields(list: &[(String, String)]) -> Result<HeaderMap, BadAnswer> {
    let mut map = HeaderMap::with_capacity(list.len());
    for (name, value) in list {
        let name = field_name(name).map_err(BadAnswer::Field)?;
        if !is_connection_field(name.as_str()) {
            map.append(name, field_value(value).map_err(BadAnswer::Field)?);
        }
    }
    Ok(map)
}

impl Accept for exports::on_request::Action {
    type Into = RequestAction;
    fn accept(self, state: &mut HostState) -> Result<RequestAction, BadAnswer> {
        Ok(match self {
            Self::Next => RequestAction::Next,
            Self::Respond(reply) => RequestAction::Respond(reply.accept(state)?),
            Self::Refuse(refusal) => RequestAction::Refuse(refusal.accept(state)?),
        })
    }
}

impl Accept for exports::on_request_body::Action {
    type Into = BodyAction;
    fn accept(self, state: &mut HostState) -> Result<BodyAction, BadAnswer> {
        Ok(match self {
            Self::Next => BodyAction::Next,
            Self::Replace(body) => BodyAction::Replace(body.accept(state)?),
            Self::Respond(reply) => BodyAction::Respond(reply.accept(state)?),
            Self::Refuse(refusal) => BodyAction::Refuse(refusal.accept(state)?),
        })
    }
}

impl Accept for exports::on_response::Action {
    type Into = ResponseAction;
    fn accept(self, state: &mut HostState) -> Result<ResponseAction, BadAnswer> {
        Ok(match self {
            Self::Next => ResponseAction::Next,
            Self::Replace(reply) => ResponseAction::Replace(reply.accept(state)?),
            Self::Refuse(refusal) => ResponseAction::Refuse(refusal.accept(state)?),
        })
    }
}

impl Accept for exports::on_response_body::Action {
    type Into = ResponseBodyAction;
    fn accept(self, state: &mut HostState) -> Result<ResponseBodyAction, BadAnswer> {
        Ok(match self {
            Self::Next => ResponseBodyAction::Next,
            Self::Replace(body) => ResponseBodyAction::Replace(body.accept(state)?),
            Self::ReplaceAll(reply) => ResponseBodyAction::ReplaceAll(reply.accept(state)?),
            Self::Refuse(refusal) => ResponseBodyAction::Refuse(refusal.accept(state)?),
        })
    }
}

impl Accept for exports::on_error::Action {
    type Into = ErrorAction;
    fn accept(self, state: &mut HostState) -> Result<ErrorAction, BadAnswer> {
        Ok(match self {
            Self::Next => ErrorAction::Next,
            Self::Replace(reply) => ErrorAction::Replace(reply.accept(state)?),
            Self::RetryOn(upstream) => ErrorAction::RetryOn(upstream),
        })
    }
}

impl Accept for exports::responder::Answer {
    type Into = Answer;
    fn accept(self, state: &mut HostState) -> Result<Answer, BadAnswer> {
        Ok(match self {
            Self::Reply(reply) => Answer::Reply(reply.accept(state)?),
            Self::Refuse(refusal) => Answer::Refuse(refusal.accept(state)?),
        })
    }
}

/// The name of a route. Whether there is such a route is not the contract's question.
impl Accept for Option<String> {
    type Into = Self;
    fn accept(self, _: &mut HostState) -> Result<Self, BadAnswer> {
        Ok(self)
    }
}

impl Accept for () {
    type Into = ();
    fn accept(self, _: &mut HostState) -> Result<(), BadAnswer> {
        Ok(())
    }
}
