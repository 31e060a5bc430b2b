//! Body hooks: a body is decoded and buffered once for all stages that want it, up to what they allow;
//! longer ones are rejected, passed by, or shown by their first bytes, as each entry says.

use std::rc::Rc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use tokio::time::timeout_at;

use super::{Payload, Run, Stop};
use crate::abi::{BodyAction, ResponseBodyAction};
use crate::config::{BodyOverflow, Budget};
use crate::exchange::Seen;
use crate::message::body::{Collected, collect};
use crate::message::decode::{Codings, DecodeError, Limits};
use crate::message::problem::{ErrorKind, Problem};
use crate::net::{ClientBodyError, RequestBody};
use crate::plugin::Hook;

/// What is known of a body in front of hooks.
enum View {
    /// All of it, decoded.
    Whole(Bytes),
    /// Longer than the buffer; its first bytes, if they are not compressed.
    Longer(Option<Bytes>),
}

/// What one stage gets of it.
enum Share {
    Whole(Bytes),
    Prefix(Bytes),
    PassedBy,
    Refused,
}

impl View {
    fn share(&self, budget: &Budget) -> Share {
        let max = usize::try_from(budget.max_body).unwrap_or(usize::MAX);
        let first = match self {
            Self::Whole(bytes) if bytes.len() <= max => return Share::Whole(bytes.clone()),
            Self::Whole(bytes) => Some(bytes),
            Self::Longer(first) => first.as_ref(),
        };
        match (budget.body_overflow, first) {
            (BodyOverflow::Skip, _) => Share::PassedBy,
            (BodyOverflow::Prefix, Some(first)) => Share::Prefix(first.slice(..max.min(first.len()))),
            // The first bytes of a compressed body cannot be shown.
            (BodyOverflow::Prefix, None) | (BodyOverflow::Reject, _) => Share::Refused,
        }
    }
}

/// Stages that want the body, the most that one of them takes, and the lowest ratio that all allow.
struct Wanted {
    stages: Vec<usize>,
    max: usize,
    ratio: usize,
}

impl Run {
    fn wanted(&self, list: &[usize], below: usize, skipped: impl Fn(usize) -> bool) -> Option<Wanted> {
        let mut wanted = Wanted {
            stages: Vec::new(),
            max: 0,
            ratio: usize::MAX,
        };
        for &index in list {
            if index >= below || self.is_out(index) || skipped(index) {
                continue;
            }
            let Some(budget) = self.budget(index) else {
                continue;
            };
            wanted.stages.push(index);
            wanted.max = wanted
                .max
                .max(usize::try_from(budget.max_body).unwrap_or(usize::MAX));
            wanted.ratio = wanted
                .ratio
                .min(usize::try_from(budget.max_decoded_ratio).unwrap_or(usize::MAX));
        }
        (!wanted.stages.is_empty()).then_some(wanted)
    }

    fn budget(&self, index: usize) -> Option<Budget> {
        Some(
            self.pipeline
                .stages
                .get(index)?
                .pool
                .as_ref()?
                .unit()
                .budget()
                .clone(),
        )
    }

    /// Every `on-request-body` hook, in order, if there is a body and a hook that wants it.
    ///
    /// # Errors
    /// When a stage answers, refuses or fails, or the body cannot be read or decoded.
    pub async fn request_bodies(&mut self, body: RequestBody) -> Result<RequestBody, Stop> {
        use http_body::Body as _;
        if self.pipeline.request_body.is_empty() || body.is_end_stream() {
            return Ok(body);
        }
        let pipeline = Rc::clone(&self.pipeline);
        let x = self.x();
        let skips: Vec<bool> = (0..pipeline.len())
            .map(|i| x.stage(i).is_some_and(|s| s.skip_request_body))
            .collect();
        let skipped = |index: usize| skips.get(index).copied().unwrap_or(false);
        let Some(wanted) = self.wanted(&pipeline.request_body, pipeline.len(), skipped) else {
            return Ok(body);
        };
        Box::pin(self.hooked_request(body, wanted)).await
    }

    async fn hooked_request(&mut self, body: RequestBody, wanted: Wanted) -> Result<RequestBody, Stop> {
        let codings = Codings::of(&self.x().request.headers)
            .map_err(|e| undecodable(ErrorKind::of_request_decoding(&e), &e))?;
        let collected = self.collected(body, wanted.max).await?;
        let (mut view, raw, rest) = match collected {
            Collected::Whole(whole) => {
                let view = decoded(&codings, &whole.bytes, &wanted)
                    .map_err(|e| undecodable(ErrorKind::of_request_decoding(&e), &e))?;
                self.x().request_trailers = whole.trailers;
                (view, whole.bytes, None)
            }
            Collected::Overflow { prefix, rest } => (
                View::Longer(codings.is_identity().then(|| prefix.clone())),
                prefix,
                Some(rest),
            ),
        };
        let mut replaced = false;
        for &index in &wanted.stages {
            let Some(budget) = self.budget(index) else {
                continue;
            };
            let (bytes, seen) = match view.share(&budget) {
                Share::Whole(bytes) => (bytes, Seen::Whole),
                Share::Prefix(bytes) => (bytes, Seen::Prefix),
                Share::PassedBy => continue,
                Share::Refused => return Err(too_large(ErrorKind::BodyTooLarge, &budget).into()),
            };
            self.x().request_body = seen;
            let answer = self.invoke(index, Hook::OnRequestBody, async |instance, x, at| {
                instance.on_request_body(x, at, bytes).await
            });
            match answer.await? {
                None | Some(BodyAction::Next) => {}
                // Of a prefix the rest is on its way already; the contract says that replacing is refused.
                Some(BodyAction::Replace(_)) if seen == Seen::Prefix => {}
                Some(BodyAction::Replace(bytes)) => {
                    view = View::Whole(bytes);
                    replaced = true;
                }
                Some(BodyAction::Respond(reply)) => return Err(Stop::Respond(Box::new(reply), index)),
                Some(BodyAction::Refuse(problem)) => return Err(self.refused(index, problem).into()),
            }
        }
        let trailers = self.x().request_trailers.take();
        Ok(match (replaced, view, rest) {
            (true, View::Whole(bytes), _) => {
                self.x().request.headers.remove(CONTENT_ENCODING);
                RequestBody::full(bytes, trailers)
            }
            (_, _, Some(RequestBody::Stream(rest))) => RequestBody::Chained(Some(raw), rest),
            (_, _, Some(rest)) => chain(raw, rest),
            (_, _, None) => RequestBody::full(raw, trailers),
        })
    }

    /// The request body up to `max` bytes, within the exchange's time.
    async fn collected(
        &mut self,
        body: RequestBody,
        max: usize,
    ) -> Result<Collected<RequestBody>, Box<Problem>> {
        let collected = collect(body, max);
        let collected = match self.x().deadline {
            Some(deadline) => timeout_at(deadline, collected)
                .await
                .map_err(|_| Box::new(Problem::new(ErrorKind::DeadlineExceeded)))?,
            None => collected.await,
        };
        collected.map_err(|e| client_body_problem(&e))
    }

    /// The whole request body for the responder.
    ///
    /// # Errors
    /// When it cannot be read or is too large.
    pub async fn whole_request(&mut self, body: RequestBody) -> Result<Bytes, Box<Problem>> {
        use http_body::Body as _;
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let max = self.responder_max_body();
        match self.collected(body, max).await? {
            Collected::Whole(whole) => Ok(whole.bytes),
            Collected::Overflow { .. } => Err(Box::new(
                Problem::new(ErrorKind::BodyTooLarge).with_detail(format!("at most {max} bytes are taken")),
            )),
        }
    }

    pub(super) async fn response_bodies(
        &mut self,
        payload: Payload,
        below: usize,
    ) -> Result<Payload, Box<Problem>> {
        if self.pipeline.response_body.is_empty() || self.is_bodiless(&payload) {
            return Ok(payload);
        }
        let pipeline = Rc::clone(&self.pipeline);
        let x = self.x();
        let skips: Vec<bool> = (0..pipeline.len())
            .map(|i| x.stage(i).is_some_and(|s| s.skip_response_body))
            .collect();
        let skipped = |index: usize| skips.get(index).copied().unwrap_or(false);
        let Some(wanted) = self.wanted(&pipeline.response_body, below, skipped) else {
            return Ok(payload);
        };
        Box::pin(self.hooked_response(payload, wanted)).await
    }

    fn is_bodiless(&mut self, payload: &Payload) -> bool {
        use http_body::Body as _;
        match payload {
            Payload::Full(bytes) => bytes.is_empty(),
            Payload::Upstream(body) => body.is_end_stream(),
            Payload::Chained(..) => false,
        }
    }

    async fn hooked_response(&mut self, payload: Payload, wanted: Wanted) -> Result<Payload, Box<Problem>> {
        let empty = HeaderMap::new();
        let codings = Codings::of(self.x().response.as_ref().map_or(&empty, |r| &r.headers))
            .map_err(|e| undecodable(ErrorKind::of_response_decoding(&e), &e))?;
        let (mut view, raw, rest) = match payload {
            Payload::Full(bytes) => {
                let view = decoded(&codings, &bytes, &wanted)
                    .map_err(|e| undecodable(ErrorKind::of_response_decoding(&e), &e))?;
                (view, bytes, None)
            }
            Payload::Chained(..) => return Ok(payload),
            Payload::Upstream(body) => {
                match collect(*body, wanted.max)
                    .await
                    .map_err(|e| Box::new(super::fail::upstream_problem(&e)))?
                {
                    Collected::Whole(whole) => {
                        let view = decoded(&codings, &whole.bytes, &wanted)
                            .map_err(|e| undecodable(ErrorKind::of_response_decoding(&e), &e))?;
                        self.x().response_trailers = whole.trailers;
                        (view, whole.bytes, None)
                    }
                    Collected::Overflow { prefix, rest } => (
                        View::Longer(codings.is_identity().then(|| prefix.clone())),
                        prefix,
                        Some(rest),
                    ),
                }
            }
        };
        let mut replaced = false;
        for &index in &wanted.stages {
            let Some(budget) = self.budget(index) else {
                continue;
            };
            let (bytes, seen) = match view.share(&budget) {
                Share::Whole(bytes) => (bytes, Seen::Whole),
                Share::Prefix(bytes) => (bytes, Seen::Prefix),
                Share::PassedBy => continue,
                Share::Refused => return Err(too_large(ErrorKind::UpstreamBodyTooLarge, &budget)),
            };
            let answer = self.invoke(index, Hook::OnResponseBody, async |instance, x, at| {
                instance.on_response_body(x, at, bytes).await
            });
            match answer.await? {
                None | Some(ResponseBodyAction::Next) => {}
                Some(ResponseBodyAction::Replace(_)) if seen == Seen::Prefix => {}
                Some(ResponseBodyAction::Replace(bytes)) => {
                    view = View::Whole(bytes);
                    replaced = true;
                }
                Some(ResponseBodyAction::ReplaceAll(reply)) => {
                    let Payload::Full(bytes) = self.accept(reply) else {
                        continue;
                    };
                    view = View::Whole(bytes);
                    replaced = true;
                }
                Some(ResponseBodyAction::Refuse(problem)) => return Err(self.refused(index, problem)),
            }
        }
        Ok(match (replaced, view, rest) {
            (true, View::Whole(bytes), _) => {
                self.body_replaced();
                if let Some(response) = &mut self.x().response {
                    response.headers.remove(CONTENT_ENCODING);
                }
                Payload::Full(bytes)
            }
            (_, _, Some(rest)) => Payload::Chained(raw, Box::new(rest)),
            (_, _, None) => Payload::Full(raw),
        })
    }
}

fn decoded(codings: &Codings, raw: &Bytes, wanted: &Wanted) -> Result<View, DecodeError> {
    match codings.decode(
        raw,
        &Limits {
            max_output: wanted.max,
            max_ratio: wanted.ratio,
        },
    ) {
        Ok(bytes) => Ok(View::Whole(bytes)),
        Err(DecodeError::TooLarge { .. }) => Ok(View::Longer(None)),
        Err(error) => Err(error),
    }
}

fn undecodable(kind: ErrorKind, error: &DecodeError) -> Box<Problem> {
    Box::new(Problem::new(kind).with_detail(error.to_string()))
}

fn too_large(kind: ErrorKind, budget: &Budget) -> Box<Problem> {
    Box::new(Problem::new(kind).with_detail(format!("at most {} bytes are taken", budget.max_body)))
}

/// What a client's body that broke off is answered with.
pub(super) fn client_body_problem(error: &ClientBodyError) -> Box<Problem> {
    let kind = match error {
        ClientBodyError::TooLarge { .. } => ErrorKind::BodyTooLarge,
        ClientBodyError::Stalled => ErrorKind::RequestTimeout,
        ClientBodyError::Broken(_) => ErrorKind::BodyCorrupt,
    };
    Box::new(Problem::new(kind).with_detail(error.to_string()))
}

/// Puts what was read in front of what was not.
fn chain(first: Bytes, rest: RequestBody) -> RequestBody {
    match rest {
        RequestBody::Stream(rest) | RequestBody::Chained(None, rest) => {
            RequestBody::Chained(Some(first), rest)
        }
        other => other,
    }
}
