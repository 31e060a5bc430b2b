//! Body filters: the chain of those that were opened for one side of an exchange, as a body. Pieces are drawn through it as its
//! reader asks for them: nothing is buffered but a piece and what became of it, for each filter. It refuses to know who reads.

mod desk;
mod link;

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, StatusCode};
use http_body::{Body, Frame, SizeHint};

pub(super) use self::desk::Desk;
use self::link::{Link, Step};
use super::run::{Run, bit};
use super::{Payload, Stop};
use crate::exchange::Side;
use crate::message::problem::{ErrorKind, Problem};
use crate::net::{Changed, CutOff, RequestBody};
use crate::plugin::{Hook, Lease, Unready};
use crate::upstream::{Failure, FailureKind, RetrySafety};

/// Pieces that may become nothing before others have a turn.
const ROUNDS: u32 = 16;

/// Filters that were opened for a request's body, before it begins.
#[derive(Debug)]
pub struct Opened(Vec<Link>);

/// A body that goes through filters.
#[derive(Debug)]
pub struct Chain<B> {
    source: Source<B>,
    links: Vec<Link>,
    desk: Rc<Desk>,
    side: Side,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Streaming,
    /// The fields behind the body are owed.
    Trailers,
    Over,
}

#[derive(Debug)]
enum Source<B> {
    Body(B),
    /// It is over, and these came behind it.
    Ending(HeaderMap),
    Over,
}

impl<B> Chain<B> {
    fn new(body: B, links: Vec<Link>, desk: Rc<Desk>, side: Side) -> Self {
        Self {
            source: Source::Body(body),
            links,
            desk,
            side,
            state: State::Streaming,
        }
    }
}

/// What comes out of a filter, or of the body before all of them.
enum Flow {
    Data(Bytes),
    End,
}

impl<B> Source<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// The next piece. At the end the exchange is told the fields behind the body.
    fn poll(&mut self, desk: &Desk, side: Side, cx: &mut Context<'_>) -> Poll<Result<Flow, B::Error>> {
        loop {
            match self {
                Self::Over => return Poll::Ready(Ok(Flow::End)),
                Self::Ending(trailers) => {
                    let Some(mut x) = ready!(desk.poll_take(cx)) else {
                        return Poll::Ready(Ok(Flow::End));
                    };
                    let trailers = Some(std::mem::take(trailers));
                    match side {
                        Side::Request => x.request_trailers = trailers,
                        Side::Response => x.response_trailers = trailers,
                    }
                    desk.put(x);
                    *self = Self::Over;
                }
                Self::Body(body) => match ready!(Pin::new(body).poll_frame(cx)).transpose()? {
                    None => *self = Self::Ending(HeaderMap::new()),
                    Some(frame) => match frame.into_data() {
                        Ok(data) if data.is_empty() => {}
                        Ok(data) => return Poll::Ready(Ok(Flow::Data(data))),
                        Err(frame) => {
                            *self = Self::Ending(frame.into_trailers().unwrap_or_default());
                        }
                    },
                },
            }
        }
    }
}

/// Draws the next piece through all filters.
fn draw<B>(
    links: &mut [Link],
    source: &mut Source<B>,
    (desk, side): (&Desk, Side),
    rounds: &mut u32,
    cx: &mut Context<'_>,
) -> Poll<Result<Flow, B::Error>>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: From<CutOff>,
{
    let Some((link, before)) = links.split_last_mut() else {
        return source.poll(desk, side, cx);
    };
    loop {
        match ready!(link.poll(cx))? {
            Step::Data(data) => return Poll::Ready(Ok(Flow::Data(data))),
            Step::End => return Poll::Ready(Ok(Flow::End)),
            Step::Wants => match ready!(draw(before, source, (desk, side), rounds, cx))? {
                Flow::Data(data) => link.feed(data),
                Flow::End => link.end(),
            },
            Step::Nothing => {
                *rounds += 1;
                if *rounds >= ROUNDS {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<B> Body for Chain<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: From<CutOff>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if this.state == State::Streaming {
            let at = (&*this.desk, this.side);
            let mut rounds = 0;
            match ready!(draw(&mut this.links, &mut this.source, at, &mut rounds, cx)) {
                Ok(Flow::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Flow::End) => {
                    this.links.clear();
                    this.state = State::Trailers;
                }
                Err(error) => {
                    this.links.clear();
                    this.state = State::Over;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        if this.state == State::Trailers {
            let x = ready!(this.desk.poll_take(cx));
            this.state = State::Over;
            if let Some(x) = x {
                let trailers = match this.side {
                    Side::Request => x.request_trailers.clone(),
                    Side::Response => x.response_trailers.clone(),
                };
                this.desk.put(x);
                if let Some(trailers) = trailers.filter(|trailers| !trailers.is_empty()) {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Over
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::new()
    }
}

impl From<CutOff> for Failure {
    fn from(cut: CutOff) -> Self {
        Self {
            kind: FailureKind::Cut,
            endpoint: None,
            retry: RetrySafety::Unsafe,
            source: Some(Box::new(cut)),
        }
    }
}

/// What a body that was broken off is answered with.
pub(super) fn cut_problem(cut: &CutOff) -> Problem {
    let problem = Problem::new(cut.kind);
    if cut.detail.is_empty() {
        problem
    } else {
        problem.with_detail(cut.detail.clone())
    }
}

impl Run {
    /// Opens the filters of the request's body, in order; none where there is no body or no plugin filters it.
    ///
    /// # Errors
    /// When a plugin fails and its policy rejects.
    pub async fn open_request(&mut self, body: &RequestBody) -> Result<Option<Opened>, Stop> {
        if self.pipeline.request_filter.is_empty() || body.is_end_stream() {
            return Ok(None);
        }
        let links = Box::pin(self.open(Side::Request, usize::MAX)).await?;
        if links.is_empty() {
            return Ok(None);
        }
        self.x().request.headers.remove(CONTENT_LENGTH);
        Ok(Some(Opened(links)))
    }

    /// The request's body through the filters.
    #[must_use]
    pub fn filtered(&mut self, body: RequestBody, Opened(links): Opened) -> RequestBody {
        let desk = self.desk();
        RequestBody::Changed(Changed::new(Chain::new(body, links, desk, Side::Request)))
    }

    /// The response's body through the filters of the stages below, last first.
    pub(super) async fn filter_response(
        &mut self,
        payload: Payload,
        below: usize,
    ) -> Result<Payload, Box<Problem>> {
        if self.pipeline.response_filter.is_empty() || payload.is_end_stream() {
            return Ok(payload);
        }
        let x = self.x();
        let status = x.response.as_ref().map(|response| response.status);
        let bodiless = [
            StatusCode::SWITCHING_PROTOCOLS,
            StatusCode::NO_CONTENT,
            StatusCode::RESET_CONTENT,
            StatusCode::NOT_MODIFIED,
        ];
        if x.request.method == Method::HEAD || status.is_some_and(|status| bodiless.contains(&status)) {
            return Ok(payload);
        }
        let links = Box::pin(self.open(Side::Response, below)).await?;
        if links.is_empty() {
            return Ok(payload);
        }
        self.body_replaced();
        let desk = self.desk();
        let chain = Chain::new(payload, links, desk, Side::Response);
        Ok(Payload::Filtered(Box::new(chain)))
    }

    async fn open(&mut self, side: Side, below: usize) -> Result<Vec<Link>, Box<Problem>> {
        let pipeline = Rc::clone(&self.pipeline);
        let list = match side {
            Side::Request => &pipeline.request_filter,
            Side::Response => &pipeline.response_filter,
        };
        let mut links = Vec::new();
        for &index in list.iter().filter(|&&index| index < below) {
            let skips = self.x().stage(index).is_some_and(|stage| match side {
                Side::Request => stage.skip_request_body,
                Side::Response => stage.skip_response_body,
            });
            if skips || self.is_out(index) {
                continue;
            }
            let Some(stage) = pipeline.stages.get(index) else {
                continue;
            };
            let Some(pool) = &stage.pool else { continue };
            if !self.admits(index, pool.unit(), Hook::BodyFilter) {
                self.missed::<()>(index, stage, ErrorKind::PluginUnavailable)?;
                continue;
            }
            let deadline = self.call_deadline(pool);
            let mut lease = match pool.hold(deadline).await {
                Ok(lease) => lease,
                Err(unready) => {
                    let kind = self.unready(stage, &unready);
                    self.missed::<()>(index, stage, kind)?;
                    continue;
                }
            };
            match self.open_one(index, side, &mut lease).await {
                Ok(true) => {
                    lease.keep();
                    self.filtering |= bit(index);
                    links.push(Link::new(stage.clone(), index, side, self.desk(), lease));
                }
                Ok(false) => {}
                Err(kind) => {
                    drop(lease);
                    self.missed::<()>(index, stage, kind)?;
                }
            }
        }
        Ok(links)
    }

    async fn open_one(&mut self, index: usize, side: Side, lease: &mut Lease) -> Result<bool, ErrorKind> {
        let pipeline = Rc::clone(&self.pipeline);
        let (Some(stage), unit) = (pipeline.stages.get(index), Rc::clone(lease.pool())) else {
            return Ok(false);
        };
        let at = unit
            .unit()
            .at(index, unit.outside(), || self.call_deadline(&unit));
        let called = self.call_in(stage, Hook::BodyFilter, at, lease, async |instance, x, at| {
            instance.open_filter(x, at, side).await
        });
        Ok(called.await?.unwrap_or(false))
    }

    /// What becomes of an exchange that waits for an instance in vain.
    pub(super) fn unready(&self, stage: &super::Stage, unready: &Unready) -> ErrorKind {
        match unready {
            Unready::Failed(fault) => {
                super::run::note(stage, self.exchange().map(|x| x.id), fault);
                ErrorKind::PluginFault
            }
            Unready::Overloaded | Unready::Late => ErrorKind::PluginOverloaded,
        }
    }

    /// The desk of the exchange; made when its first filter is opened.
    fn desk(&mut self) -> Rc<Desk> {
        Rc::clone(self.desk.get_or_insert_default())
    }

    /// Lends the exchange to the filters of its bodies, if there are any, until [`recall`](Self::recall).
    pub fn lend(&mut self) {
        if let Some(desk) = &self.desk
            && let Some(x) = self.x.take()
        {
            desk.put(x);
        }
    }

    /// There are filters to lend the exchange to.
    #[must_use]
    pub fn lends(&self) -> bool {
        self.desk.is_some()
    }

    /// Takes the exchange back; waits for a filter's call that is under way.
    pub async fn recall(&mut self) {
        if self.x.is_some() {
            return;
        }
        if let Some(desk) = &self.desk {
            self.x = std::future::poll_fn(|cx| desk.poll_take(cx)).await;
        }
    }

    /// Takes the exchange back unless a filter's call is under way.
    pub fn reclaim(&mut self) {
        if self.x.is_none()
            && let Some(desk) = &self.desk
        {
            self.x = desk.take();
        }
    }

    /// Takes the exchange back for good.
    pub fn retire(&mut self) {
        self.reclaim();
        if let Some(desk) = &self.desk {
            desk.close();
        }
    }
}
