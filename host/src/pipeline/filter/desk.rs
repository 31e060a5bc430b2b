//! Where an exchange lies while bodies of it stream, for filters to take it for a call. It refuses to know filters.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

use crate::exchange::Exchange;
use crate::pipeline::run::bit;

/// Tasks that may wait at once: those of two bodies, and who wants the exchange back.
const MAX_WAITING: usize = 8;

/// The place of one exchange.
#[derive(Default)]
pub(in crate::pipeline) struct Desk {
    here: Cell<Option<Box<Exchange>>>,
    closed: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
    /// Stages whose filters failed, a bit each.
    faulted: Cell<u128>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("closed", &self.closed)
            .field("faulted", &self.faulted)
            .finish_non_exhaustive()
    }
}

impl Desk {
    /// Lays the exchange down.
    pub(in crate::pipeline) fn put(&self, x: Box<Exchange>) {
        if !self.closed.get() {
            self.here.set(Some(x));
            self.wake();
        }
    }

    /// Takes the exchange, if it is here.
    pub(in crate::pipeline) fn take(&self) -> Option<Box<Exchange>> {
        self.here.take()
    }

    /// Takes the exchange as soon as it is here; none when it is over.
    pub(in crate::pipeline) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Box<Exchange>>> {
        if let Some(x) = self.here.take() {
            return Poll::Ready(Some(x));
        }
        if self.closed.get() {
            return Poll::Ready(None);
        }
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            if waiting.len() == MAX_WAITING {
                waiting.remove(0).wake();
            }
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The exchange will not come back.
    pub(in crate::pipeline) fn close(&self) {
        self.closed.set(true);
        self.wake();
    }

    /// A stage's filter failed.
    pub(super) fn fault(&self, stage: usize) {
        self.faulted.set(self.faulted.get() | bit(stage));
    }

    /// Stages whose filters failed.
    pub(in crate::pipeline) fn faulted(&self) -> u128 {
        self.faulted.get()
    }

    fn wake(&self) {
        let waiting = self.waiting.take();
        waiting.into_iter().for_each(Waker::wake);
    }
}
