//! One request and its answer as the pipeline sees them: heads, attributes, the stages' own state, and
//! the journal that undoes the edits of a hook that failed. It knows the rules of who may edit what and
//! when (`edit`), but no plugin, no guest, no socket.

mod ahead;
mod attributes;
mod block;
mod capture;
mod compact;
mod edit;
mod field;
mod head;
mod journal;
mod names;
mod pace;
mod text;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Version};
use tokio::time::Instant;

use self::ahead::Ahead;
pub use self::attributes::Attributes;
use self::capture::Captures;
pub use self::capture::{CaptureOrder, Side, WhenClientLeaves};
pub use self::edit::{Aim, EditError, MAX_STATE};
pub use self::field::{field_name, field_value, final_status};
pub use self::head::{ErrorView, RequestHead, ResponseHead, Seen, Stage, UpstreamView};
use self::journal::{Edit, Journal};
pub use self::names::FieldNames;
pub use self::pace::{MAX_EXTRA_TRIES, MAX_PAUSE, Tries};
pub use self::text::{address_text, from_text, to_text};
use crate::ids::RequestId;
use crate::message::path::Separators;
use crate::tls::Secured;

/// The hook that is running: it decides what may be edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `router`.
    Route,
    /// `on-request`.
    Request,
    /// `on-request-body`.
    RequestBody,
    /// `balancer`.
    Balance,
    /// `responder`.
    Respond,
    /// `on-response`.
    Response,
    /// `on-response-body`.
    ResponseBody,
    /// `on-error`.
    Error,
    /// `body-filter`, a piece.
    Piece,
    /// `body-filter`, the end of the request body.
    RequestEnd,
    /// `body-filter`, the end of the response body.
    ResponseEnd,
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

/// What a stage holds until the exchange ends.
#[derive(Debug)]
pub struct Held {
    /// The stage.
    pub stage: usize,
    /// Its name, where it may be given back earlier by it.
    pub key: Option<String>,
    /// What is done then.
    pub release: Box<dyn Release>,
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
    /// What TLS knows of the client's connection; none in clear.
    pub secured: Option<Arc<Secured>>,
    /// Name of the route; none before routing and for "no route".
    pub route: Option<Arc<str>>,
    /// The request.
    pub request: RequestHead,
    /// Path as the client sent it, when normalising changed it.
    pub raw_target: Option<PathAndQuery>,
    /// The response, once there is one.
    pub response: Option<ResponseHead>,
    /// Fields after the request body, where it was buffered or filtered.
    pub request_trailers: Option<HeaderMap>,
    /// Fields after the response body, where it was buffered or filtered.
    pub response_trailers: Option<HeaderMap>,
    /// What body hooks were given of the request body.
    pub request_body: Seen,
    /// Text that all plugins see.
    pub attributes: Attributes,
    /// Protocols that the client asks to go over to; once it is forwarded, those that the route allows.
    pub upgrade: Option<HeaderValue>,
    /// Upstream chosen by a hook (index into [`Names::upstreams`]).
    pub upstream: Option<u32>,
    /// The error being answered.
    pub error: Option<ErrorView>,
    /// How the upstream answered.
    pub answered_by: UpstreamView,
    /// What ends with the exchange.
    pub held: Vec<Held>,
    /// Requests that plugins have sent for it.
    pub sent_out: u32,
    /// Encoded separators in paths that a hook sets.
    pub separators: Separators,
    stages: Vec<Stage>,
    names: Arc<Names>,
    journal: Journal,
    ahead: Ahead,
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
            secured: None,
            route: None,
            request,
            raw_target: None,
            response: None,
            request_trailers: None,
            response_trailers: None,
            request_body: Seen::None,
            attributes: Attributes::default(),
            upgrade: None,
            upstream: None,
            error: None,
            answered_by: UpstreamView::default(),
            held: Vec::new(),
            sent_out: 0,
            separators: Separators::Refuse,
            stages: Vec::new(),
            names,
            journal: Journal::default(),
            ahead: Ahead::default(),
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
        self.undo_to(0);
    }

    /// Takes back every edit but the first `kept` since the last commit.
    fn undo_to(&mut self, kept: usize) {
        while self.journal.len() > kept
            && let Some(edit) = self.journal.pop()
        {
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
                        Section::Request => Some(&mut self.request.headers),
                        Section::RequestTrailers => self.request_trailers.as_mut(),
                        Section::ResponseTrailers => self.response_trailers.as_mut(),
                    };
                    if let Some(headers) = headers {
                        old.restore(headers, name);
                    }
                }
                Edit::Ahead(before) => self.ahead.truncate(before),
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
            "request.upgrade" => self
                .upgrade
                .as_ref()
                .map(|protocols| to_text(protocols.as_bytes())),
            "request.id" => Some(RequestId::of(self.id).to_string()),
            "http.version" => Some(match self.request.version {
                Version::HTTP_10 => "1.0".to_owned(),
                Version::HTTP_2 => "2".to_owned(),
                _ => "1.1".to_owned(),
            }),
            "request.scheme" => Some(if self.secured.is_some() { "https" } else { "http" }.to_owned()),
            "upstream.name" => self.answered_by.name.as_deref().map(str::to_owned),
            "upstream.tries" => Some(self.answered_by.tries.to_string()),
            "upstream.endpoint" => self.answered_by.endpoint.as_deref().map(str::to_owned),
            "error.kind" | "error.code" => self.error.as_ref().map(|e| e.code.clone()),
            "error.origin" => self.error.as_ref().map(|e| e.origin.to_owned()),
            "error.title" => self.error.as_ref().map(|e| e.title.clone().into_owned()),
            "error.detail" => self.error.as_ref().map(|e| e.detail.clone().into_owned()),
            _ => self.secured.as_ref()?.property(key.strip_prefix("tls.")?),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        for held in &mut self.held {
            held.release.release();
        }
    }
}

impl Exchange {
    /// Gives back what a stage holds under `key`; under whatever key if there is none.
    pub fn let_land(&mut self, stage: usize, key: Option<&str>) {
        self.held.retain_mut(|held| {
            let ends =
                held.stage == stage && held.key.is_some() && (key.is_none() || held.key.as_deref() == key);
            if ends {
                held.release.release();
            }
            !ends
        });
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
