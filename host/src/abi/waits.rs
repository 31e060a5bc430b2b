//! Imports that may wait: how a guest on a fiber gets work done that its worker does for it. Such work is handed out as an
//! [`Errand`] while the guest is suspended, and done beside it on the same thread. It refuses to know sockets: who does the
//! work is told from outside.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::imports::types::Problem;
use super::{EntryContext, HostState};

/// The part of a call's time that is kept for what the guest does with the answer: one in so many.
const RESERVE: u32 = 16;

/// Work that is done on the thread of whoever began it.
pub type Work<T> = Pin<Box<dyn Future<Output = T>>>;

/// What waiting imports are served by. Whoever calls hooks provides it.
pub trait Outside: fmt::Debug {
    /// Sends requests, all at once, for an entry with these grants; the answers in the order of the calls.
    fn send_all(
        self: Rc<Self>,
        entry: Arc<EntryContext>,
        calls: Vec<HttpCall>,
        until: Instant,
    ) -> Work<Vec<Result<HttpAnswer, HttpError>>>;
}

/// A request that a plugin sends. Its fields are none of the connection's.
#[derive(Debug)]
pub struct HttpCall {
    /// The method.
    pub method: Method,
    /// An absolute URI, or `upstream://NAME/path`.
    pub uri: String,
    /// The fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// When the answer must be there, if earlier than the exchange wants it.
    pub until: Option<Instant>,
    /// Bytes that the body of the answer may have.
    pub max_body: u64,
}

/// What came back.
#[derive(Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: StatusCode,
    /// The fields, without those of the connection.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    /// The request cannot be one.
    #[error("{0}")]
    Invalid(String),
    /// TOML does not grant it.
    #[error("{0}")]
    Denied(String),
    /// Time was over.
    #[error("no answer came in time")]
    Timeout,
    /// The answer's body is too long.
    #[error("the answer has more than {0} bytes")]
    TooLong(u64),
    /// It did not get through.
    #[error("{0}")]
    Failed(String),
}

impl From<HttpError> for Problem {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Invalid(text) => Self::Invalid(text),
            HttpError::Denied(text) => Self::Denied(text),
            HttpError::Timeout => Self::Timeout,
            HttpError::TooLong(_) => Self::Limit(error.to_string()),
            HttpError::Failed(text) => Self::Failed(text),
        }
    }
}

/// Work for whoever calls the guest.
pub type Errand = Box<dyn FnOnce(Rc<dyn Outside>) -> Work<()> + Send>;

/// The end that hands errands out. A guest has at most one under way.
#[derive(Debug)]
pub(crate) struct Errands(mpsc::Sender<Errand>);

/// A way from a guest to whoever calls it.
pub(crate) fn errands() -> (Errands, mpsc::Receiver<Errand>) {
    let (give, take) = mpsc::channel(1);
    (Errands(give), take)
}

/// Runs a guest's call together with the errands that it hands out. Without anybody to do them they fail.
pub(crate) async fn accompany<T>(
    call: impl Future<Output = T>,
    errands: &mut mpsc::Receiver<Errand>,
    outside: Option<&Rc<dyn Outside>>,
) -> T {
    let mut call = pin!(call);
    let mut errand: Option<Work<()>> = None;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(done) = call.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            // One that the guest no longer waits for is given up by the next.
            if let Poll::Ready(Some(next)) = errands.poll_recv(cx) {
                errand = outside.map(|outside| next(Rc::clone(outside)));
                if errand.is_none() {
                    continue;
                }
            }
            match errand.as_mut().map(|errand| errand.as_mut().poll(cx)) {
                Some(Poll::Ready(())) => errand = None,
                Some(Poll::Pending) | None => return Poll::Pending,
            }
        }
    })
    .await
}

/// The time until which imports may wait in a call that ends at `end`.
pub(crate) fn patience(end: Instant) -> Instant {
    let left = end.saturating_duration_since(Instant::now());
    end.checked_sub(left / RESERVE).unwrap_or(end)
}

impl HostState {
    /// Waits for something, as long as the running call may. The guest's time does not run meanwhile.
    ///
    /// # Errors
    /// `wrong-phase` where a guest cannot wait (`configure`), `timeout` when time is over.
    pub(super) async fn wait<T>(&mut self, what: impl Future<Output = T> + Send) -> Result<T, Problem> {
        let Some(until) = self.until else {
            return Err(Problem::WrongPhase);
        };
        self.cpu.pause();
        let waited = timeout_at(until, what).await;
        self.cpu.resume();
        waited.map_err(|_| Problem::Timeout)
    }

    /// Has work done by whoever calls the guest, and waits for it.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and `failed` when nobody does it.
    pub(super) async fn have_done<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(Rc<dyn Outside>, Instant) -> Work<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let nobody = || Problem::Failed("nothing outside can be reached from here".to_owned());
        let Some(until) = self.until else {
            return Err(Problem::WrongPhase);
        };
        let (tell, told) = oneshot::channel();
        let errand: Errand = Box::new(move |outside| {
            Box::pin(async move {
                let done = work(outside, until).await;
                // The guest may have given up waiting.
                drop(tell.send(done));
            })
        });
        let handed = self.errands.as_ref().map(|errands| errands.0.try_send(errand));
        let Some(Ok(())) = handed else {
            return Err(nobody());
        };
        self.wait(told).await?.map_err(|_| nobody())
    }
}
