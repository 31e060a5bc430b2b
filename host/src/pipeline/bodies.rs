//! Body hooks: a body is decoded and buffered once for all stages that want it, up to what they allow;
//! longer ones are rejected, passed by, or shown by their first bytes, as each entry says.

mod shown;

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::time::timeout_at;

use self::shown::{Share, Shown};
use super::filter::cut_problem;
use super::{Payload, Run, Stop};
use crate::abi::{BodyAction, ResponseBodyAction};
use crate::config::Budget;
use crate::exchange::{ResponseHead, Seen};
use crate::message::body::{Collected, collect};
use crate::message::decode::{Codings, DecodeError, Limits};
use crate::message::problem::{ErrorKind, Problem};
use crate::net::{ClientBodyError, RequestBody};
use crate::plugin::Hook;

/// Stages that want the body, the most that one of them takes, and the lowest ratio that all allow.
struct Wanted {
    stages: Vec<usize>,
    max: usize,
    ratio: usize,
}

impl Wanted {
    fn limits(&self) -> Limits {
        Limits {
            max_output: self.max,
            max_ratio: self.ratio,
        }
    }
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
        let (mut shown, rest) = match collected {
            Collected::Whole(whole) => {
                let x = self.x();
                x.request_trailers = whole.trailers;
                let headers = &mut x.request.headers;
                let shown = Shown::whole(whole.bytes, codings, headers, wanted.limits())
                    .map_err(|e| undecodable(ErrorKind::of_request_decoding(&e), &e))?;
                (shown, None)
            }
            Collected::Overflow { prefix, rest } => {
                (Shown::prefix(prefix, codings, wanted.limits()), Some(rest))
            }
        };
        for &index in &wanted.stages {
            let Some(budget) = self.budget(index) else {
                continue;
            };
            let share = shown.share(&budget, &mut self.x().request.headers);
            let (bytes, seen) = match share.map_err(|e| miscoded(&e))? {
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
                Some(BodyAction::Replace(_)) if seen == Seen::Prefix => {
                    Shown::keep(&mut self.x().request.headers);
                }
                Some(BodyAction::Replace(bytes)) => shown.replace(bytes),
                Some(BodyAction::Respond(reply)) => return Err(Stop::Respond(Box::new(reply), index)),
                Some(BodyAction::Refuse(problem)) => return Err(self.refused(index, problem).into()),
            }
        }
        let x = self.x();
        let trailers = x.request_trailers.take();
        let (bytes, replaced) = shown.settle(&mut x.request.headers);
        Ok(match rest.filter(|_| !replaced) {
            Some(RequestBody::Stream(rest)) => RequestBody::Chained(Some(bytes), rest),
            Some(rest) => chain(bytes, rest),
            None => RequestBody::full(bytes, trailers),
        })
    }

    /// The request body up to `max` bytes, within the exchange's time.
    async fn collected(
        &mut self,
        body: RequestBody,
        max: usize,
    ) -> Result<Collected<RequestBody>, Box<Problem>> {
        let deadline = self.x().deadline;
        let collected = collect(body, max);
        self.lend();
        let collected = match deadline {
            Some(deadline) => timeout_at(deadline, collected)
                .await
                .map_err(|_| Box::new(Problem::new(ErrorKind::DeadlineExceeded))),
            None => Ok(collected.await),
        };
        self.recall().await;
        collected?.map_err(|e| client_body_problem(&e))
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
            Payload::Chained(..) | Payload::Filtered(_) => false,
        }
    }

    async fn hooked_response(&mut self, payload: Payload, wanted: Wanted) -> Result<Payload, Box<Problem>> {
        let undecodable = |e| undecodable(ErrorKind::of_response_decoding(&e), &e);
        let codings = Codings::of(self.response_headers()).map_err(undecodable)?;
        let (mut shown, rest) = match payload {
            Payload::Full(bytes) => {
                let shown = Shown::whole(bytes, codings, self.response_headers(), wanted.limits());
                (shown.map_err(undecodable)?, None)
            }
            Payload::Chained(..) | Payload::Filtered(_) => return Ok(payload),
            Payload::Upstream(body) => {
                match collect(body, wanted.max)
                    .await
                    .map_err(|e| Box::new(super::fail::upstream_problem(&e)))?
                {
                    Collected::Whole(whole) => {
                        self.x().response_trailers = whole.trailers;
                        let headers = self.response_headers();
                        let shown = Shown::whole(whole.bytes, codings, headers, wanted.limits());
                        (shown.map_err(undecodable)?, None)
                    }
                    Collected::Overflow { prefix, rest } => {
                        (Shown::prefix(prefix, codings, wanted.limits()), Some(rest))
                    }
                }
            }
        };
        for &index in &wanted.stages {
            let Some(budget) = self.budget(index) else {
                continue;
            };
            let share = shown.share(&budget, self.response_headers());
            let (bytes, seen) = match share.map_err(|e| miscoded(&e))? {
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
                Some(ResponseBodyAction::Replace(_)) if seen == Seen::Prefix => {
                    Shown::keep(self.response_headers());
                }
                Some(ResponseBodyAction::Replace(bytes)) => shown.replace(bytes),
                Some(ResponseBodyAction::ReplaceAll(reply)) => {
                    let Payload::Full(bytes) = self.accept(reply) else {
                        continue;
                    };
                    shown.replace(bytes);
                }
                Some(ResponseBodyAction::Refuse(problem)) => return Err(self.refused(index, problem)),
            }
        }
        let (bytes, replaced) = shown.settle(self.response_headers());
        if replaced {
            self.body_replaced();
        }
        Ok(match rest.filter(|_| !replaced) {
            Some(rest) => Payload::Chained(bytes, Box::new(rest)),
            None => Payload::Full(bytes),
        })
    }

    /// The fields of the response, which a body belongs to.
    fn response_headers(&mut self) -> &mut HeaderMap {
        let empty = || ResponseHead {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            headers: HeaderMap::new(),
        };
        &mut self.x().response.get_or_insert_with(empty).headers
    }
}

fn undecodable(kind: ErrorKind, error: &DecodeError) -> Box<Problem> {
    Box::new(Problem::new(kind).with_detail(error.to_string()))
}

/// A hook has put something in the body's place that is not what it says.
fn miscoded(error: &DecodeError) -> Box<Problem> {
    tracing::warn!(%error, "the body that a plugin gave is not in the coding that its head names");
    Box::new(Problem::new(ErrorKind::PluginFault))
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
        ClientBodyError::Cut(cut) => return Box::new(cut_problem(cut)),
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
