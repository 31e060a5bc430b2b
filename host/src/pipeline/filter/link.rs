//! One open filter: the calls of its plugin, and what becomes of the body when one fails. It refuses to know where pieces come
//! from and go to.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::time::Instant;

use super::desk::Desk;
use crate::abi::Filtered;
use crate::config::OnFault;
use crate::exchange::{Exchange, Side};
use crate::message::problem::ErrorKind;
use crate::net::CutOff;
use crate::pipeline::run::{bit, note};
use crate::pipeline::stage::Stage;
use crate::plugin::{At, Called, Fault, Hook, Lease};

/// Bytes of a piece that a filter is given.
const PIECE: usize = 64 << 10;

type Call = Pin<Box<dyn Future<Output = (Lease, Called<Filtered>)>>>;

/// One filter of a chain.
pub(super) struct Link {
    stage: Stage,
    /// Its place in the pipeline.
    index: usize,
    side: Side,
    policy: OnFault,
    desk: Rc<Desk>,
    state: State,
    /// Here between two calls, as long as the filter is open.
    lease: Option<Lease>,
    /// A call on a fiber that is under way.
    call: Option<Call>,
    /// What it is called for.
    job: Option<Job>,
    /// What came and was not given to it.
    rest: Bytes,
    given: Given,
    came: Came,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// It failed and is skipped.
    Through,
    Over,
}

/// What a filter has given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    /// Nothing but what came.
    Same,
    /// Something of its own.
    Other,
}

/// What has come of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    Part,
    All,
}

#[derive(Debug, Clone)]
enum Job {
    Push(Bytes),
    Finish,
}

/// What a link does next.
#[derive(Debug)]
pub(super) enum Step {
    /// These bytes go on.
    Data(Bytes),
    /// A piece became nothing.
    Nothing,
    /// The body is over.
    End,
    /// It wants more of the body.
    Wants,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("stage", &self.stage.name)
            .field("side", &self.side)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// A filter that its instance has just opened.
    pub(super) fn new(stage: Stage, index: usize, side: Side, desk: Rc<Desk>, lease: Lease) -> Self {
        let policy = stage.pool.as_ref().map(|pool| pool.unit().on_fault());
        Self {
            stage,
            index,
            side,
            policy: policy.unwrap_or(OnFault::Reject),
            desk,
            state: State::Open,
            lease: Some(lease),
            call: None,
            job: None,
            rest: Bytes::new(),
            given: Given::Same,
            came: Came::Part,
        }
    }

    /// Gives it more of the body, as it wanted.
    pub(super) fn feed(&mut self, bytes: Bytes) {
        self.rest = bytes;
    }

    /// Tells it that there is no more.
    pub(super) fn end(&mut self) {
        self.came = Came::All;
    }

    /// Goes on with what it has.
    ///
    /// # Errors
    /// When the filter breaks the body off, or fails and may not be skipped.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, CutOff>> {
        match self.state {
            State::Over => return Poll::Ready(Ok(Step::End)),
            State::Through => return Poll::Ready(Ok(self.through())),
            State::Open => {}
        }
        let Some(job) = self.job.take().or_else(|| self.next()) else {
            return Poll::Ready(Ok(Step::Wants));
        };
        let Poll::Ready(answer) = self.poll_call(&job, cx) else {
            self.job = Some(job);
            return Poll::Pending;
        };
        Poll::Ready(self.judge(job, answer?))
    }

    fn next(&mut self) -> Option<Job> {
        if !self.rest.is_empty() {
            let piece = self.rest.split_to(self.rest.len().min(PIECE));
            return Some(Job::Push(piece));
        }
        (self.came == Came::All).then_some(Job::Finish)
    }

    fn through(&mut self) -> Step {
        if !self.rest.is_empty() {
            return Step::Data(std::mem::take(&mut self.rest));
        }
        match self.came {
            Came::Part => Step::Wants,
            Came::All => Step::End,
        }
    }

    fn judge(&mut self, job: Job, answer: Result<Filtered, Fault>) -> Result<Step, CutOff> {
        let finished = matches!(job, Job::Finish);
        if finished {
            self.state = State::Over;
            self.lease = None;
        }
        let piece = match job {
            Job::Push(piece) => Step::Data(piece),
            Job::Finish => Step::End,
        };
        match answer {
            Ok(Filtered::Same) => Ok(piece),
            Ok(Filtered::Bytes(bytes)) => {
                self.given = Given::Other;
                Ok(match (bytes.is_empty(), finished) {
                    (true, true) => Step::End,
                    (true, false) => Step::Nothing,
                    (false, _) => Step::Data(bytes),
                })
            }
            Ok(Filtered::Abort(why)) => {
                tracing::debug!(plugin = &*self.stage.name, why, "a filter broke a body off");
                Err(CutOff {
                    kind: ErrorKind::BodyFilterAborted,
                    detail: why,
                })
            }
            Err(_) => {
                self.desk.fault(self.index);
                self.lease = None;
                if self.policy == OnFault::Skip && self.given == Given::Same {
                    self.stage.stats.skipped();
                    if !finished {
                        self.state = State::Through;
                    }
                    return Ok(piece);
                }
                self.stage.stats.rejected();
                Err(CutOff {
                    kind: ErrorKind::PluginFault,
                    detail: String::new(),
                })
            }
        }
    }

    fn poll_call(
        &mut self,
        job: &Job,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Result<Filtered, Fault>, CutOff>> {
        let over = || CutOff {
            kind: ErrorKind::InternalError,
            detail: String::new(),
        };
        if self.call.is_none() {
            let Some(x) = ready!(self.desk.poll_take(cx)) else {
                return Poll::Ready(Err(over()));
            };
            let Some(mut lease) = self.lease.take() else {
                self.desk.put(x);
                return Poll::Ready(Err(over()));
            };
            let at = at(&lease, self.index);
            let fiber = at.fiber.is_some();
            let (side, job) = (self.side, job.clone());
            let stats = std::sync::Arc::clone(&self.stage.stats);
            let call = async move {
                let began = Instant::now();
                let called = run(&mut lease, x, at, side, job).await;
                stats.call(Hook::BodyFilter, began.elapsed());
                (lease, called)
            };
            if fiber {
                self.call = Some(Box::pin(call));
            } else {
                // It never waits.
                let Poll::Ready(done) = pin!(call).poll(cx) else {
                    return Poll::Ready(Err(over()));
                };
                return Poll::Ready(Ok(self.ended(done)));
            }
        }
        let Some(call) = &mut self.call else {
            return Poll::Ready(Err(over()));
        };
        let done = ready!(call.as_mut().poll(cx));
        self.call = None;
        Poll::Ready(Ok(self.ended(done)))
    }

    fn ended(&mut self, (lease, (x, answer)): (Lease, Called<Filtered>)) -> Result<Filtered, Fault> {
        self.lease = Some(lease);
        if let Err(fault) = &answer {
            note(&self.stage, Some(x.id), fault);
        }
        self.desk.put(x);
        answer
    }
}

/// How the instance is called now. A streaming body may take longer than its exchange's deadline, which is for its head.
fn at(lease: &Lease, index: usize) -> At {
    let (pool, unit) = (lease.pool(), lease.pool().unit());
    unit.at(index, pool.outside(), || Instant::now() + unit.budget().timeout)
}

async fn run(lease: &mut Lease, x: Box<Exchange>, at: At, side: Side, job: Job) -> Called<Filtered> {
    match job {
        Job::Push(piece) => lease.instance().push(x, at, &piece).await,
        Job::Finish => lease.instance().finish_filter(x, at, side).await,
    }
}

/// Its body is over, or nobody wants it: the instance goes back. A call that is under way is waited for, for it has the
/// exchange.
impl Drop for Link {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            let desk = Rc::clone(&self.desk);
            let index = self.index;
            tokio::task::spawn_local(async move {
                let (mut lease, (x, _)) = call.await;
                desk.put(x);
                // An instance that works on fibers dies with an unfinished filter, without a call.
                let at = at(&lease, index);
                drop(lease.instance().drop_filter(&at));
            });
            return;
        }
        if let Some(mut lease) = self.lease.take()
            && let at = at(&lease, self.index)
            && let Err(fault) = lease.instance().drop_filter(&at)
        {
            note(&self.stage, None, &fault);
            self.desk.fault(self.index);
        }
        if self.desk.faulted() & bit(self.index) == 0 {
            self.stage.worked();
        }
    }
}
