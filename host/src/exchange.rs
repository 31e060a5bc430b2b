//! One request and its answer as the pipeline sees them: heads, attributes, the stages' own state, and
//! the journal that undoes the edits of a hook that failed. It knows the rules of who may edit what and
//! when, but no plugin, no guest, no socket.

mod attributes;
mod capture;
mod field;
mod head;
mod journal;
mod pace;
mod text;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderValue;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Version};
use tokio::time::Instant;

pub use self::attributes::Attributes;
use self::capture::Captures;
pub use self::capture::{CaptureOrder, Side, WhenClientLeaves};
use self::field::settable_name;
pub use self::field::{field_name, field_value, final_status};
pub use self::head::{ErrorView, RequestHead, ResponseHead, Seen, Stage, UpstreamView};
use self::journal::{Edit, Journal, Old};
pub use self::pace::{MAX_EXTRA_TRIES, MAX_PAUSE, Tries};
pub use self::text::{from_text, to_text};
use crate::ids::RequestId;
use crate::message::path::{Separators, normalise};

/// Bytes that one stage may keep in [`Exchange::set_state`].
pub const MAX_STATE: usize = 64 << 10;
/// Fields that a head may have after edits.
const MAX_FIELDS: usize = 512;

/// The hook that is running: it decides what may be edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `router`.
    Route,
    /// `on-request`.
    Request,
    /// `on-request-body`.
    RequestBody,
    /// `responder`.
    Respond,
    /// `on-response`.
    Response,
    /// `on-response-body`.
    ResponseBody,
    /// `on-error`.
    Error,
    /// `on-finish`.
    Finish,
}

/// Fields that a call refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Request head.
    Request,
    /// Response head.
    Response,
    /// Fields after the request body.
    RequestTrailers,
    /// Fields after the response body.
    ResponseTrailers,
}

/// Why an edit was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The value does not parse.
    #[error("{0}")]
    Invalid(String),
    /// Not possible in this hook.
    #[error("not possible in this hook")]
    WrongPhase,
    /// Over a bound.
    #[error("{0}")]
    Limit(&'static str),
    /// Not granted in TOML.
    #[error("{0}")]
    Denied(String),
}

/// Names of the configuration that hooks may refer to. One copy a worker, so that sharing it costs no
/// traffic between cores.
#[derive(Debug, Default)]
pub struct Names {
    /// Upstreams, in the order of the configuration.
    pub upstreams: Vec<Arc<str>>,
}

/// Something to give back when the exchange ends, such as a place of a concurrency limit.
pub trait Release: Send + std::fmt::Debug {
    /// Gives it back.
    fn release(&mut self);
}

/// One request and its answer.
#[derive(Debug)]
pub struct Exchange {
    /// Number of the exchange in this process.
    pub id: u64,
    /// When its head was complete.
    pub started: Instant,
    /// When it must be answered.
    pub deadline: Option<Instant>,
    /// Client by the trusted-proxy rules.
    pub client_ip: IpAddr,
    /// Name of the route; none before routing and for "no route".
    pub route: Option<Arc<str>>,
    /// The request.
    pub request: RequestHead,
    /// Path as the client sent it, when normalising changed it.
    pub raw_target: Option<PathAndQuery>,
    /// The response, once there is one.
    pub response: Option<ResponseHead>,
    /// Fields after the request body, where it was buffered.
    pub request_trailers: Option<HeaderMap>,
    /// Fields after the response body, where it was buffered.
    pub response_trailers: Option<HeaderMap>,
    /// What body hooks were given of the request body.
    pub request_body: Seen,
    /// Text that all plugins see.
    pub attributes: Attributes,
    /// Upstream chosen by a hook (index into [`Names::upstreams`]).
    pub upstream: Option<u32>,
    /// The error being answered.
    pub error: Option<ErrorView>,
    /// How the upstream answered.
    pub answered_by: UpstreamView,
    /// What ends with the exchange.
    pub held: Vec<Box<dyn Release>>,
    /// Encoded separators in paths that a hook sets.
    pub separators: Separators,
    stages: Vec<Stage>,
    names: Arc<Names>,
    journal: Journal,
    tentative: bool,
    pause: Option<Duration>,
    tries: Tries,
    captures: Option<Box<Captures>>,
}

impl Exchange {
    /// A new exchange for a request whose head has arrived.
    #[must_use]
    pub fn new(
        id: u64,
        started: Instant,
        client_ip: IpAddr,
        request: RequestHead,
        names: Arc<Names>,
    ) -> Self {
        Self {
            id,
            started,
            deadline: None,
            client_ip,
            route: None,
            request,
            raw_target: None,
            response: None,
            request_trailers: None,
            response_trailers: None,
            request_body: Seen::None,
            attributes: Attributes::default(),
            upstream: None,
            error: None,
            answered_by: UpstreamView::default(),
            held: Vec::new(),
            separators: Separators::Refuse,
            stages: Vec::new(),
            names,
            journal: Journal::default(),
            tentative: false,
            pause: None,
            tries: Tries::default(),
            captures: None,
        }
    }

    /// Makes room for `count` stages, which have nothing yet.
    pub fn set_stages(&mut self, count: usize) {
        self.stages.clear();
        self.stages.resize_with(count, Stage::default);
    }

    /// One stage's own data.
    #[must_use]
    pub fn stage(&self, index: usize) -> Option<&Stage> {
        self.stages.get(index)
    }

    /// One stage's own data, to change.
    pub fn stage_mut(&mut self, index: usize) -> Option<&mut Stage> {
        self.stages.get_mut(index)
    }

    /// Keeps what the hook did, unless it is tentative.
    pub fn commit(&mut self) {
        if !self.tentative {
            self.journal.clear();
        }
    }

    /// What hooks do from now on can still be taken back after they have ended.
    pub fn begin_tentative(&mut self) {
        self.tentative = true;
    }

    /// Keeps what they did.
    pub fn end_tentative(&mut self) {
        self.tentative = false;
        self.journal.clear();
    }

    /// Takes back every edit since the last [`commit`](Self::commit).
    pub fn undo(&mut self) {
        while let Some(edit) = self.journal.pop() {
            match edit {
                Edit::Method(old) => self.request.method = old,
                Edit::Authority(old) => self.request.authority = old,
                Edit::Target(old) => self.request.target = old,
                Edit::Status(old) => {
                    if let Some(response) = &mut self.response {
                        response.status = old;
                    }
                }
                Edit::Field(section, name, old) => {
                    let headers = match section {
                        Section::Response => self.response.as_mut().map(|r| &mut r.headers),
                        _ => Some(&mut self.request.headers),
                    };
                    if let Some(headers) = headers {
                        old.restore(headers, name);
                    }
                }
                Edit::Attribute(key, old) => self.attributes.restore(&key, old),
                Edit::State(stage, old) => {
                    if let Some(stage) = self.stages.get_mut(stage) {
                        stage.state = old;
                    }
                }
                Edit::Upstream(old) => self.upstream = old,
                Edit::Captures(old) => {
                    if let Some(captures) = &mut self.captures {
                        captures.orders = old;
                    }
                }
                Edit::Pause(old) => self.pause = old,
                Edit::Tries(old) => self.tries = old,
            }
        }
    }

    /// The fields of a section, if it exists yet.
    #[must_use]
    pub fn fields(&self, section: Section) -> Option<&HeaderMap> {
        match section {
            Section::Request => Some(&self.request.headers),
            Section::Response => self.response.as_ref().map(|r| &r.headers),
            Section::RequestTrailers => self.request_trailers.as_ref(),
            Section::ResponseTrailers => self.response_trailers.as_ref(),
        }
    }

    fn fields_mut(&mut self, phase: Phase, section: Section) -> Result<&mut HeaderMap, EditError> {
        let editable = match section {
            Section::Request => matches!(phase, Phase::Request | Phase::RequestBody),
            Section::Response => matches!(phase, Phase::Response | Phase::ResponseBody),
            Section::RequestTrailers | Section::ResponseTrailers => false,
        };
        match (editable, section, &mut self.response) {
            (true, Section::Request, _) => Ok(&mut self.request.headers),
            (true, Section::Response, Some(response)) => Ok(&mut response.headers),
            _ => Err(EditError::WrongPhase),
        }
    }

    /// Replaces every value of a field.
    ///
    /// # Errors
    /// When the hook may not, the name or value is no field's (RFC 9110, section 5), or the field frames the
    /// message or belongs to the connection: a wrong length would let one message be taken for two.
    pub fn set_header(
        &mut self,
        phase: Phase,
        section: Section,
        name: &str,
        value: &str,
    ) -> Result<(), EditError> {
        let (name, value) = (settable_name(name)?, field_value(value)?);
        let headers = self.fields_mut(phase, section)?;
        if headers.len() >= MAX_FIELDS {
            return Err(EditError::Limit("too many fields"));
        }
        let old = if headers.get_all(&name).iter().nth(1).is_some() {
            let old = Old::of(headers, &name);
            headers.insert(name.clone(), value);
            old
        } else {
            Old::from(headers.insert(name.clone(), value))
        };
        self.journal.push(Edit::Field(section, name, old));
        Ok(())
    }

    /// Adds a value to a field.
    ///
    /// # Errors
    /// As [`set_header`](Self::set_header).
    pub fn append_header(
        &mut self,
        phase: Phase,
        section: Section,
        name: &str,
        value: &str,
    ) -> Result<(), EditError> {
        let (name, value) = (settable_name(name)?, field_value(value)?);
        let headers = self.fields_mut(phase, section)?;
        if headers.len() >= MAX_FIELDS {
            return Err(EditError::Limit("too many fields"));
        }
        let old = Old::of(headers, &name);
        headers.append(name.clone(), value);
        self.journal.push(Edit::Field(section, name, old));
        Ok(())
    }

    /// Removes every value of a field.
    ///
    /// # Errors
    /// As [`set_header`](Self::set_header).
    pub fn remove_header(&mut self, phase: Phase, section: Section, name: &str) -> Result<(), EditError> {
        let name = field_name(name)?;
        let headers = self.fields_mut(phase, section)?;
        let old = Old::of(headers, &name);
        if !old.is_none() {
            headers.remove(&name);
            self.journal.push(Edit::Field(section, name, old));
        }
        Ok(())
    }

    /// Sets the request method.
    ///
    /// # Errors
    /// When the request has been sent or the text is no token; CONNECT is refused.
    pub fn set_method(&mut self, phase: Phase, method: &str) -> Result<(), EditError> {
        request_phase(phase)?;
        let method = Method::from_bytes(method.as_bytes())
            .ok()
            .filter(|method| method != Method::CONNECT)
            .ok_or_else(|| EditError::Invalid("not a method that can be sent".to_owned()))?;
        let old = std::mem::replace(&mut self.request.method, method);
        self.journal.push(Edit::Method(old));
        Ok(())
    }

    /// Sets what the upstream gets as Host.
    ///
    /// # Errors
    /// When the request has been sent or the text is no authority (RFC 3986, section 3.2).
    pub fn set_authority(&mut self, phase: Phase, authority: &str) -> Result<(), EditError> {
        request_phase(phase)?;
        let parsed: http::uri::Authority = authority
            .parse()
            .map_err(|_| EditError::Invalid("not an authority".to_owned()))?;
        if parsed.as_str().contains('@') {
            return Err(EditError::Invalid(
                "an authority of HTTP has no user information".to_owned(),
            ));
        }
        let value = HeaderValue::from_str(parsed.as_str())
            .map_err(|_| EditError::Invalid("not an authority".to_owned()))?;
        let old = std::mem::replace(&mut self.request.authority, value);
        self.journal.push(Edit::Authority(old));
        Ok(())
    }

    /// Sets path and query; the path is normalised like a client's.
    ///
    /// # Errors
    /// When the request has been sent or the text is no origin-form target.
    pub fn set_target(&mut self, phase: Phase, target: &str) -> Result<(), EditError> {
        request_phase(phase)?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        if !path.starts_with('/') || target.contains('#') {
            return Err(EditError::Invalid(
                "a target begins with / and has no fragment".to_owned(),
            ));
        }
        let path = normalise(path, self.separators).map_err(|e| EditError::Invalid(e.to_string()))?;
        let text = match query {
            Some(query) => format!("{path}?{query}"),
            None => path.into_owned(),
        };
        let target = PathAndQuery::from_maybe_shared(Bytes::from(text))
            .map_err(|_| EditError::Invalid("not a path and query".to_owned()))?;
        let old = std::mem::replace(&mut self.request.target, target);
        // What the client asked for stays known, for the log and the property.
        self.raw_target.get_or_insert_with(|| old.clone());
        self.journal.push(Edit::Target(old));
        Ok(())
    }

    /// Sets the response's status.
    ///
    /// # Errors
    /// When there is no response to edit, or the number is no final status.
    pub fn set_status(&mut self, phase: Phase, status: u16) -> Result<(), EditError> {
        let (Phase::Response | Phase::ResponseBody, Some(response)) = (phase, &mut self.response) else {
            return Err(EditError::WrongPhase);
        };
        let status = final_status(status)
            .ok_or_else(|| EditError::Invalid("a final status is from 200 to 599".to_owned()))?;
        let old = std::mem::replace(&mut response.status, status);
        self.journal.push(Edit::Status(old));
        Ok(())
    }

    /// Sets or removes an attribute. `granted` are the prefixes that the entry may write.
    ///
    /// # Errors
    /// When the key's prefix is reserved and not granted, or a bound is passed.
    pub fn set_attribute(
        &mut self,
        phase: Phase,
        granted: &[String],
        key: &str,
        value: Option<String>,
    ) -> Result<(), EditError> {
        if phase == Phase::Finish {
            return Err(EditError::WrongPhase);
        }
        let old = self.attributes.set(granted, key, value)?;
        self.journal.push(Edit::Attribute(key.to_owned(), old));
        Ok(())
    }

    /// A stage's own bytes.
    #[must_use]
    pub fn state(&self, stage: usize) -> Option<&Bytes> {
        self.stages.get(stage)?.state.as_ref()
    }

    /// Sets a stage's own bytes.
    ///
    /// # Errors
    /// When they are more than [`MAX_STATE`], no pipeline runs yet, or the exchange is over.
    pub fn set_state(&mut self, phase: Phase, stage: usize, bytes: Option<Vec<u8>>) -> Result<(), EditError> {
        if matches!(phase, Phase::Route | Phase::Finish) {
            return Err(EditError::WrongPhase);
        }
        if bytes.as_ref().is_some_and(|b| b.len() > MAX_STATE) {
            return Err(EditError::Limit("state is at most 64 KiB"));
        }
        if let Some(slot) = self.stages.get_mut(stage) {
            let old = std::mem::replace(&mut slot.state, bytes.map(Bytes::from));
            self.journal.push(Edit::State(stage, old));
        }
        Ok(())
    }

    /// Sends to this upstream instead of the route's own.
    ///
    /// # Errors
    /// When the request has been sent or no upstream has the name.
    pub fn set_upstream(&mut self, phase: Phase, name: &str) -> Result<(), EditError> {
        request_phase(phase)?;
        let index = self
            .upstream_named(name)
            .ok_or_else(|| EditError::Invalid(format!("no upstream is called `{name}`")))?;
        let old = self.upstream.replace(index);
        self.journal.push(Edit::Upstream(old));
        Ok(())
    }

    /// Index of the upstream with this name.
    #[must_use]
    pub fn upstream_named(&self, name: &str) -> Option<u32> {
        let index = self.names.upstreams.iter().position(|n| &**n == name)?;
        u32::try_from(index).ok()
    }

    /// Status that the client will get: the response's, or that of the error being answered; 0 before.
    #[must_use]
    pub fn status(&self) -> u16 {
        match (&self.response, &self.error) {
            (Some(response), _) => response.status.as_u16(),
            (None, Some(error)) => error.status.as_u16(),
            (None, None) => 0,
        }
    }

    /// Microseconds until the deadline; the maximum where there is none.
    #[must_use]
    pub fn remaining_us(&self) -> u64 {
        self.deadline.map_or(u64::MAX, |deadline| {
            micros(deadline.saturating_duration_since(Instant::now()))
        })
    }

    /// Microseconds since the head was complete.
    #[must_use]
    pub fn elapsed_us(&self) -> u64 {
        micros(self.started.elapsed())
    }

    /// One of the open set of properties of the contract.
    #[must_use]
    pub fn property(&self, key: &str) -> Option<String> {
        match key {
            "request.raw-target" => Some(
                self.raw_target
                    .as_ref()
                    .unwrap_or(&self.request.target)
                    .as_str()
                    .to_owned(),
            ),
            "request.body" => Some(self.request_body.as_str().to_owned()),
            "request.id" => Some(RequestId::of(self.id).to_string()),
            "http.version" => Some(match self.request.version {
                Version::HTTP_10 => "1.0".to_owned(),
                Version::HTTP_2 => "2".to_owned(),
                _ => "1.1".to_owned(),
            }),
            "upstream.name" => self.answered_by.name.as_deref().map(str::to_owned),
            "upstream.tries" => Some(self.answered_by.tries.to_string()),
            "upstream.endpoint" => self.answered_by.endpoint.as_deref().map(str::to_owned),
            "error.kind" | "error.code" => self.error.as_ref().map(|e| e.code.clone()),
            "error.origin" => self.error.as_ref().map(|e| e.origin.to_owned()),
            "error.title" => self.error.as_ref().map(|e| e.title.clone().into_owned()),
            "error.detail" => self.error.as_ref().map(|e| e.detail.clone().into_owned()),
            _ => None,
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        for held in &mut self.held {
            held.release();
        }
    }
}

fn request_phase(phase: Phase) -> Result<(), EditError> {
    match phase {
        Phase::Request | Phase::RequestBody => Ok(()),
        _ => Err(EditError::WrongPhase),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
