//! One exchange on its way through a pipeline: request heads in order, response heads in reverse, and the
//! one place where a hook is called, timed and judged.

use std::rc::Rc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use tokio::time::Instant;

use super::balancer::Asked;
use super::fail::upstream_problem;
use super::filter::Desk;
use super::stage::Stage;
use super::witness::{Told, Verdict};
use super::{Payload, Pipeline};
use crate::abi::{Answer, Reply, RequestAction, ResponseAction};
use crate::config::OnFault;
use crate::exchange::{ErrorView, Exchange, ResponseHead};
use crate::ids::RequestId;
use crate::message::problem::{ErrorKind, Problem};
use crate::plugin::{Admission, At, Called, Fault, Hook, Instance, Lease, Pool, Unit};
use crate::telemetry::events::{PluginFault, PluginOpened};
use crate::upstream::Failure;

/// The request ends before its upstream.
#[derive(Debug)]
pub enum Stop {
    /// With an answer that a stage means; stages below it see the response.
    Respond(Box<Reply>, usize),
    /// With an error.
    Fail(Box<Problem>),
}

impl From<Box<Problem>> for Stop {
    fn from(problem: Box<Problem>) -> Self {
        Self::Fail(problem)
    }
}

/// One exchange in its pipeline.
#[derive(Debug)]
pub struct Run {
    pub(super) pipeline: Rc<Pipeline>,
    pub(super) x: Option<Box<Exchange>>,
    /// Where filters of its bodies find the exchange; none as long as no filter was opened.
    pub(super) desk: Option<Rc<Desk>>,
    /// Stages with a filter that was opened: it says itself whether they worked.
    pub(super) filtering: u128,
    /// Stages that the request has come to.
    pub(super) reached: usize,
    /// Stages that faulted: no further hook of theirs is called but `on-finish`.
    out: u128,
    /// Stages that were asked whether they may be called, and may: a trial is a whole exchange.
    admitted: u128,
    /// The stage whose refusal or fault is being answered: it does not see its own answer.
    pub(super) culprit: Option<usize>,
    /// Stages whose denial did not count: as those that faulted.
    pub(super) lost: u128,
    /// Stages that the request was not shown: not even `on-finish`.
    pub(super) absent: u128,
    /// Balancers that were asked, each once.
    pub(super) asked: Vec<Asked>,
    /// What every call came to, if somebody wants to know.
    pub(super) told: Option<Vec<Told>>,
}

impl Run {
    /// Begins with the exchange of a request.
    #[must_use]
    pub fn new(pipeline: Rc<Pipeline>, mut x: Box<Exchange>) -> Self {
        if !pipeline.is_empty() {
            x.set_stages(pipeline.len() + 1);
        }
        Self {
            pipeline,
            x: Some(x),
            desk: None,
            filtering: 0,
            reached: 0,
            out: 0,
            admitted: 0,
            culprit: None,
            lost: 0,
            absent: 0,
            asked: Vec::new(),
            told: None,
        }
    }

    /// The exchange.
    #[expect(
        clippy::expect_used,
        reason = "`invoke` takes it and puts it back without giving up in between"
    )]
    pub fn x(&mut self) -> &mut Exchange {
        self.x
            .as_deref_mut()
            .expect("the exchange is here between two hooks")
    }

    /// The exchange; none if a call was abandoned half-way.
    #[must_use]
    pub fn exchange(&self) -> Option<&Exchange> {
        self.x.as_deref()
    }

    /// Goes on with the same exchange in another pipeline, from its beginning.
    pub fn enter(&mut self, pipeline: Rc<Pipeline>) {
        if let Some(x) = self.x.take() {
            *self = Self::new(pipeline, x);
        }
    }

    /// There is nothing to run.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.pipeline.is_empty()
    }

    /// A hook could ask for another upstream.
    #[must_use]
    pub fn has_error_hooks(&self) -> bool {
        !self.pipeline.error.is_empty()
    }

    /// The response broke off after its head was sent: nothing is left but to say so in the log.
    pub fn broke_off(&mut self, failure: &Failure) {
        let problem = upstream_problem(failure);
        self.reclaim();
        if let Some(x) = &mut self.x {
            x.error = Some(ErrorView::from(&problem));
        }
    }

    /// Every `on-request` hook, in order.
    ///
    /// # Errors
    /// When a stage answers, refuses or fails.
    pub async fn request_heads(&mut self) -> Result<(), Stop> {
        let pipeline = Rc::clone(&self.pipeline);
        let mut asked = 0;
        for &index in &pipeline.request {
            if index < asked {
                continue;
            }
            if let Some(group) = pipeline.group(index) {
                asked = group.end;
                self.any_of(group).await?;
                continue;
            }
            self.reached = index + 1;
            let answer = self.invoke(index, Hook::OnRequest, async |instance, x, at| {
                instance.on_request(x, at).await
            });
            match answer.await? {
                None | Some(RequestAction::Next) => {}
                Some(RequestAction::Respond(reply)) => return Err(Stop::Respond(Box::new(reply), index)),
                Some(RequestAction::Refuse(problem)) => return Err(self.refused(index, problem).into()),
            }
        }
        self.reached = pipeline.stages.len();
        Ok(())
    }

    /// The responder in place of an upstream.
    ///
    /// # Errors
    /// When it refuses or fails; it cannot be skipped.
    pub async fn respond(&mut self, body: Bytes) -> Result<Reply, Box<Problem>> {
        let index = self.pipeline.stages.len();
        let answer = self.invoke(index, Hook::Responder, async |instance, x, at| {
            instance.respond(x, at, body).await
        });
        match answer.await? {
            Some(Answer::Reply(reply)) => Ok(reply),
            Some(Answer::Refuse(problem)) => Err(problem),
            None => Err(Box::new(Problem::new(ErrorKind::PluginFault))),
        }
    }

    /// Bytes of a body that the responder takes.
    #[must_use]
    pub fn responder_max_body(&self) -> usize {
        let pool = self
            .pipeline
            .responder
            .as_ref()
            .and_then(|stage| stage.pool.as_ref());
        pool.map_or(0, |pool| {
            usize::try_from(pool.unit().budget().max_body).unwrap_or(usize::MAX)
        })
    }

    /// Takes an answer that a plugin means as the response.
    pub fn accept(&mut self, reply: Reply) -> Payload {
        self.x().response = Some(ResponseHead {
            status: reply.status,
            headers: reply.headers,
        });
        Payload::Full(reply.body)
    }

    /// Every `on-response` and `on-response-body` hook of the stages below `below`, in reverse.
    ///
    /// # Errors
    /// When a stage refuses or fails.
    pub async fn response(&mut self, payload: Payload, below: usize) -> Result<Payload, Box<Problem>> {
        let payload = self.response_heads(payload, below).await?;
        let payload = self.response_bodies(payload, below).await?;
        self.filter_response(payload, below).await
    }

    pub(super) async fn response_heads(
        &mut self,
        mut payload: Payload,
        below: usize,
    ) -> Result<Payload, Box<Problem>> {
        let pipeline = Rc::clone(&self.pipeline);
        let mut passed = below;
        for &index in pipeline.response.iter().filter(|&&index| index < below) {
            self.pass(index..passed, None);
            passed = index;
            let answer = self.invoke(index, Hook::OnResponse, async |instance, x, at| {
                instance.on_response(x, at).await
            });
            match answer.await? {
                None | Some(ResponseAction::Next) => {}
                Some(ResponseAction::Replace(reply)) => payload = self.accept(reply),
                Some(ResponseAction::Refuse(problem)) => return Err(self.refused(index, problem)),
            }
        }
        if pipeline.response_body.is_empty() {
            self.pass_all(passed, None);
        } else {
            self.pass(0..passed, None);
        }
        Ok(payload)
    }

    /// Remembers who refused.
    pub(super) fn refused(&mut self, index: usize, problem: Box<Problem>) -> Box<Problem> {
        self.culprit = Some(index);
        problem
    }

    pub(super) fn culprit(&self) -> Option<usize> {
        self.culprit
    }

    /// The response's body is no longer what its head says.
    pub(super) fn body_replaced(&mut self) {
        if let Some(response) = &mut self.x().response {
            response.headers.remove(CONTENT_LENGTH);
        }
    }

    pub(super) fn is_out(&self, index: usize) -> bool {
        self.every_out() & bit(index) != 0
    }

    /// All of them, a bit each.
    pub(super) fn every_out(&self) -> u128 {
        self.out | self.lost | self.absent | self.faulted()
    }

    /// Stages whose filters failed.
    fn faulted(&self) -> u128 {
        self.desk.as_ref().map_or(0, |desk| desk.faulted())
    }

    /// The request was not shown to the stage.
    pub(super) fn is_absent(&self, index: usize) -> bool {
        self.absent & bit(index) != 0
    }

    /// Stages that the request has come to.
    #[must_use]
    pub fn reached(&self) -> usize {
        self.reached
    }

    fn stage<'a>(&self, pipeline: &'a Pipeline, index: usize) -> Option<&'a Stage> {
        pipeline.stages.get(index).or(pipeline.responder.as_ref())
    }

    /// Calls one hook. None = the stage is skipped.
    pub(super) async fn invoke<T, F>(
        &mut self,
        index: usize,
        hook: Hook,
        call: F,
    ) -> Result<Option<T>, Box<Problem>>
    where
        T: Verdict,
        F: AsyncFnOnce(&mut Instance, Box<Exchange>, At) -> Called<T>,
    {
        if self.is_absent(index) || self.is_out(index) && hook != Hook::OnFinish {
            return Ok(None);
        }
        let pipeline = Rc::clone(&self.pipeline);
        let Some(stage) = self.stage(&pipeline, index) else {
            return Ok(None);
        };
        let Some(pool) = &stage.pool else {
            self.culprit = Some(index);
            stage.stats.rejected();
            return Err(Box::new(Problem::new(ErrorKind::PluginUnavailable)));
        };
        let unit = pool.unit();
        if !self.admits(index, unit, hook) {
            return self.missed(index, stage, ErrorKind::PluginUnavailable);
        }
        match self.call(stage, pool, hook, index, call).await {
            Ok(answer) => {
                if hook == Hook::OnFinish && answer.is_some() && unit.finish_health.success() {
                    stage.recovered();
                }
                Ok(answer)
            }
            Err(kind) => self.missed(index, stage, kind),
        }
    }

    /// Calls one hook of an instance that it waits for; `index` is the stage's place. None when there is no exchange any more.
    ///
    /// # Errors
    /// What the call failed of; the fault is logged and counted.
    pub(super) async fn call<T, F>(
        &mut self,
        stage: &Stage,
        pool: &Rc<Pool>,
        hook: Hook,
        index: usize,
        call: F,
    ) -> Result<Option<T>, ErrorKind>
    where
        T: Verdict,
        F: AsyncFnOnce(&mut Instance, Box<Exchange>, At) -> Called<T>,
    {
        let unit = pool.unit();
        let mut lease = match pool.lease(|| self.call_deadline(pool)).await {
            Ok(lease) => lease,
            Err(unready) => return Err(self.unready(stage, &unready)),
        };
        let at = unit.at(index, pool.outside(), || self.call_deadline(pool));
        let called = self.call_in(stage, hook, at, &mut lease, call).await;
        drop(lease);
        if let Some(pause) = self.x.as_mut().and_then(|x| x.take_pause()) {
            Box::pin(tokio::time::sleep(pause)).await;
        }
        called
    }

    /// When a call must have ended.
    pub(super) fn call_deadline(&self, pool: &Pool) -> Instant {
        let own = Instant::now() + pool.unit().budget().timeout;
        let deadline = self.x.as_ref().and_then(|x| x.deadline);
        deadline.map_or(own, |deadline| deadline.min(own))
    }

    /// Calls one hook of this instance. None when there is no exchange any more.
    pub(super) async fn call_in<T, F>(
        &mut self,
        stage: &Stage,
        hook: Hook,
        at: At,
        lease: &mut Lease,
        call: F,
    ) -> Result<Option<T>, ErrorKind>
    where
        T: Verdict,
        F: AsyncFnOnce(&mut Instance, Box<Exchange>, At) -> Called<T>,
    {
        let lent = self.x.is_none() && self.lends();
        if lent {
            self.recall().await;
        }
        let Some(x) = self.x.take() else { return Ok(None) };
        let began = Instant::now();
        let (x, answer) = call(lease.instance(), x, at).await;
        stage.stats.call(hook, began.elapsed());
        let id = x.id;
        self.x = Some(x);
        if lent {
            self.lend();
        }
        if let Some(told) = &mut self.told {
            told.push(Told::of(hook, &answer));
        }
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(fault) => {
                note(stage, Some(id), &fault);
                Err(ErrorKind::PluginFault)
            }
        }
    }

    /// Whether a stage may be called in this exchange; asked once.
    pub(super) fn admits(&mut self, index: usize, unit: &Unit, hook: Hook) -> bool {
        if hook == Hook::OnFinish || self.admitted & bit(index) == 0 {
            if unit.health_of(hook).admit(crate::clock::monotonic_ns) == Admission::Closed {
                return false;
            }
            self.admitted |= bit(index);
        }
        true
    }

    /// The answer is there and no hook is left but `on-finish`: stages without a fault have worked.
    pub fn settle(&mut self) {
        self.settle_balancers();
        let worked = self.admitted & !self.out & !self.faulted() & !self.filtering;
        self.admitted = 0;
        if worked == 0 {
            return;
        }
        let pipeline = Rc::clone(&self.pipeline);
        let stages = pipeline.stages.iter().chain(&pipeline.responder);
        for (_, stage) in stages.enumerate().filter(|(index, _)| worked & bit(*index) != 0) {
            stage.worked();
        }
    }

    /// Applies the entry's policy to a stage that could not do its work.
    pub(super) fn missed<T>(
        &mut self,
        index: usize,
        stage: &Stage,
        kind: ErrorKind,
    ) -> Result<Option<T>, Box<Problem>> {
        self.out |= bit(index);
        let policy = stage
            .pool
            .as_ref()
            .map_or(OnFault::Reject, |pool| pool.unit().on_fault());
        match policy {
            OnFault::Skip => {
                stage.stats.skipped();
                Ok(None)
            }
            OnFault::Reject => {
                stage.stats.rejected();
                self.culprit = Some(index);
                // The client learns the kind of error, not which plugins the operator runs.
                Err(Box::new(Problem::new(kind)))
            }
        }
    }
}

/// Logs and counts a fault in the exchange with this number.
pub(super) fn note(stage: &Stage, exchange: Option<u64>, fault: &Fault) {
    let Some(pool) = &stage.pool else { return };
    let request = exchange
        .map(|id| RequestId::of(id).to_string())
        .unwrap_or_default();
    let detail = format!(
        "{} [request {request}, entry at {}]",
        fault.detail,
        pool.unit().entry.origin
    );
    PluginFault {
        plugin: &stage.name,
        hook: fault.hook,
        kind: fault.kind,
        detail: &detail,
    }
    .emit(&stage.telemetry);
    let health = pool.unit().health_of(fault.hook);
    if let Some(pause) = health.fault(crate::clock::monotonic_ns(), crate::ids::new_span_id()) {
        PluginOpened {
            plugin: &stage.name,
            faults: health.faults(),
            pause,
        }
        .emit(&stage.telemetry);
    }
}

/// Wide enough for [`MAX_STAGES`](super::MAX_STAGES) and the responder.
pub(super) fn bit(index: usize) -> u128 {
    u32::try_from(index)
        .ok()
        .and_then(|index| 1_u128.checked_shl(index))
        .unwrap_or(0)
}
