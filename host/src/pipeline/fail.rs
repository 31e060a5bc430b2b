//! Errors: every failure of an exchange, of the host or of a plugin, ends here. `on-error` hooks may
//! replace the answer or name another upstream; then the response heads of the stages that the request
//! reached run, so that CORS and request ids are on error answers, too. A replacement with
//! the same status is the same error in another form: it keeps the fields that say more of it (`Retry-After`,
//! `WWW-Authenticate`).

use std::rc::Rc;
use std::time::Duration;

use super::balancer::Unbalanced;
use super::bodies::client_body_problem;
use super::filter::cut_problem;
use super::{Payload, Run, Stop};
use crate::abi::{ErrorAction, ResponseAction};
use crate::exchange::{ErrorView, ResponseHead};
use crate::message::problem::{ErrorKind, Problem};
use crate::net::{ClientBodyError, CutOff};
use crate::plugin::Hook;
use crate::telemetry::UpstreamFailure;
use crate::upstream::{Failure, FailureKind};

/// When to ask again an upstream that has too much to do: soon, for its work may end at any moment.
const OVERLOADED: Duration = Duration::from_secs(1);

/// How a failure goes on.
#[derive(Debug)]
pub enum Failed {
    /// With this answer; its head is in the exchange.
    Answer(Payload),
    /// With another try at this upstream (index into the exchange's names).
    RetryOn(u32),
}

/// Whether the request could be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It could.
    Possible,
    /// Its body is gone, or it was tried often enough.
    Impossible,
}

impl Run {
    /// What a request that was stopped is answered with: the answer that a stage meant, once the response hooks of the stages
    /// before it have seen it.
    ///
    /// # Errors
    /// The error that is to be answered.
    pub async fn stopped(&mut self, stop: Stop) -> Result<Payload, Box<Problem>> {
        match stop {
            Stop::Fail(problem) => Err(problem),
            Stop::Respond(reply, below) => {
                let payload = self.accept(*reply);
                self.response(payload, below).await
            }
        }
    }

    /// Answers with an error.
    pub async fn fail(&mut self, problem: Box<Problem>, retry: Retry) -> Failed {
        let pipeline = Rc::clone(&self.pipeline);
        let reached = self.reached();
        let x = self.x();
        x.response = None;
        x.error = Some(ErrorView::from(&*problem));
        // Before `on-error` hooks fail in their turn.
        let culprit = self.culprit();
        let mut answer = None;
        for &index in pipeline.error.iter().filter(|&&index| index < reached) {
            let action = self.invoke(index, Hook::OnError, async |instance, x, at| {
                instance.on_error(x, at).await
            });
            // An `on-error` hook that fails itself leaves the first error as it is.
            match action.await {
                Ok(None | Some(ErrorAction::Next)) | Err(_) => {}
                Ok(Some(ErrorAction::Replace(mut reply))) => {
                    if reply.status == problem.status {
                        problem.lend_headers(&mut reply.headers);
                    }
                    answer = Some(self.accept(reply));
                    break;
                }
                Ok(Some(ErrorAction::RetryOn(name))) => {
                    let upstream = self.x().upstream_named(&name);
                    if let (Some(upstream), Retry::Possible) = (upstream, retry) {
                        self.x().error = None;
                        return Failed::RetryOn(upstream);
                    }
                }
            }
        }
        let mut payload = match answer {
            Some(payload) => payload,
            None => self.document(*problem),
        };
        let mut passed = reached;
        for &index in pipeline.response.iter().filter(|&&index| index < reached) {
            self.pass(index..passed, culprit);
            passed = index;
            if Some(index) == culprit {
                continue;
            }
            let action = self.invoke(index, Hook::OnResponse, async |instance, x, at| {
                instance.on_response(x, at).await
            });
            match action.await {
                Ok(None | Some(ResponseAction::Next)) => {}
                Ok(Some(ResponseAction::Replace(reply))) => payload = self.accept(reply),
                // This is the error that the client gets now.
                Ok(Some(ResponseAction::Refuse(problem))) | Err(problem) => {
                    self.x().error = Some(ErrorView::from(&*problem));
                    payload = self.document(*problem);
                }
            }
        }
        self.pass_all(passed, culprit);
        Failed::Answer(payload)
    }

    /// The RFC 9457 document as the response.
    pub fn document(&mut self, problem: Problem) -> Payload {
        let x = self.x();
        let (status, headers, body) = problem
            .with_request_id(crate::ids::RequestId::of(x.id).to_text().as_str())
            .answer(&x.request.method);
        x.response = Some(ResponseHead { status, headers });
        Payload::Full(body)
    }
}

/// What an upstream's failure is counted as; none when it was the client's doing.
#[must_use]
pub fn upstream_failure(kind: FailureKind) -> Option<UpstreamFailure> {
    Some(match kind {
        FailureKind::Connect | FailureKind::Resolve => UpstreamFailure::Connect,
        FailureKind::Tls => UpstreamFailure::Tls,
        FailureKind::ConnectTimeout
        | FailureKind::FirstByteTimeout
        | FailureKind::IdleTimeout
        | FailureKind::Deadline => UpstreamFailure::Timeout,
        FailureKind::NoEndpoint | FailureKind::CircuitOpen { .. } | FailureKind::Overloaded(_) => {
            UpstreamFailure::Unavailable
        }
        FailureKind::Reset | FailureKind::Truncated => UpstreamFailure::Reset,
        kind if !kind.is_upstreams() => return None,
        _ => UpstreamFailure::Protocol,
    })
}

/// What an upstream's failure is answered with. The client learns the kind, never the endpoint.
#[must_use]
pub fn upstream_problem(failure: &Failure) -> Problem {
    let kind = match failure.kind {
        FailureKind::Connect | FailureKind::Resolve => ErrorKind::UpstreamConnectFailed,
        FailureKind::Tls => ErrorKind::UpstreamTls,
        FailureKind::ConnectTimeout => ErrorKind::UpstreamConnectTimeout,
        FailureKind::NoEndpoint => ErrorKind::NoEndpoint,
        FailureKind::Unpicked => {
            let source = failure.source.as_ref();
            let why = source.and_then(|source| source.downcast_ref::<Unbalanced>());
            why.map_or(ErrorKind::PluginFault, |Unbalanced(kind)| *kind)
        }
        FailureKind::CircuitOpen { retry_after } => {
            return Problem::new(ErrorKind::CircuitOpen).with_retry_after(retry_after);
        }
        FailureKind::Overloaded(_) => {
            return Problem::new(ErrorKind::UpstreamOverloaded).with_retry_after(OVERLOADED);
        }
        FailureKind::FirstByteTimeout => ErrorKind::UpstreamTimeout,
        FailureKind::IdleTimeout => ErrorKind::UpstreamIdleTimeout,
        FailureKind::Cut => {
            let source = failure.source.as_ref();
            let cut = source.and_then(|source| source.downcast_ref::<CutOff>());
            return cut.map_or_else(|| Problem::new(ErrorKind::InternalError), cut_problem);
        }
        FailureKind::Deadline => ErrorKind::DeadlineExceeded,
        FailureKind::Reset | FailureKind::Truncated => ErrorKind::UpstreamReset,
        FailureKind::RequestStalled => ErrorKind::RequestTimeout,
        FailureKind::NoTunnel => ErrorKind::UpgradeRefused,
        FailureKind::Unsendable(_) => ErrorKind::InternalError,
        FailureKind::RequestBody => {
            let source = failure
                .source
                .as_ref()
                .and_then(|s| s.downcast_ref::<ClientBodyError>());
            return source.map_or_else(
                || Problem::new(ErrorKind::BodyCorrupt),
                |e| *client_body_problem(e),
            );
        }
        _ => ErrorKind::UpstreamMalformed,
    };
    Problem::new(kind)
}
