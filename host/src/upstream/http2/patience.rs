//! The times of one exchange: how long it may wait for what it waits for, and its end. It refuses to know what that is.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::upstream::failure::FailureKind;
use crate::upstream::timer::Timer;

/// Waits with one timer.
#[derive(Debug)]
pub(super) struct Patience {
    timer: Timer,
    /// Since when it waits.
    since: Option<Instant>,
    deadline: Option<Instant>,
}

impl Patience {
    pub(super) fn new(timer: Timer, deadline: Option<Instant>) -> Self {
        Self {
            timer,
            since: None,
            deadline,
        }
    }

    /// There was progress.
    pub(super) fn touch(&mut self) {
        self.since = None;
    }

    /// The exchange may go on until another time.
    pub(super) fn extend(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
        self.since = None;
    }

    /// When the exchange must be over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Ready with `kind` when there was no progress for `timeout`, or with `Deadline`.
    pub(super) fn poll_over(
        &mut self,
        timeout: Duration,
        kind: FailureKind,
        cx: &mut Context<'_>,
    ) -> Poll<FailureKind> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let (due, kind) = match (since.checked_add(timeout), self.deadline) {
            (Some(quiet), Some(deadline)) if quiet < deadline => (quiet, kind),
            (_, Some(deadline)) => (deadline, FailureKind::Deadline),
            (Some(quiet), None) => (quiet, kind),
            (None, None) => return Poll::Pending,
        };
        ready!(self.timer.poll_until(due, cx));
        Poll::Ready(kind)
    }

    /// The timer, for the next exchange.
    pub(super) fn into_timer(self) -> Timer {
        self.timer
    }
}
