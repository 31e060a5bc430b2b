//! How hooks want the exchange to go on: after a wait, with more than one try. It refuses to wait and to try.

use std::time::Duration;

use tokio::time::Instant;

use super::edit::request_phase;
use super::journal::Edit;
use super::{EditError, Exchange, Phase};

/// Longest wait that one hook may ask for, where no deadline is nearer.
pub const MAX_PAUSE: Duration = Duration::from_secs(300);
/// Most tries that a hook may ask for, beside the first.
pub const MAX_EXTRA_TRIES: u8 = 10;

/// How often an upstream is tried, and for how long each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tries {
    /// From the begin of a try to the head of its response; none = the upstream's own time-outs.
    pub each: Option<Duration>,
    /// Tries beside the first.
    pub extra: u8,
}

impl Exchange {
    /// Asks for a wait before the next stage, in place of one that the same hook asked for.
    ///
    /// # Errors
    /// When an endpoint is chosen or the exchange is over, or the wait is longer than [`MAX_PAUSE`] or ends after the deadline.
    pub fn set_delay(&mut self, phase: Phase, pause: Duration) -> Result<(), EditError> {
        let streams = matches!(phase, Phase::Piece | Phase::RequestEnd | Phase::ResponseEnd);
        if streams || matches!(phase, Phase::Balance | Phase::Finish) {
            return Err(EditError::WrongPhase);
        }
        if pause > MAX_PAUSE {
            return Err(EditError::Limit("a delay is at most five minutes"));
        }
        if self.deadline.is_some_and(|end| Instant::now() + pause > end) {
            return Err(EditError::Limit(
                "the delay would end after the deadline of the exchange",
            ));
        }
        let old = self.pause.replace(pause);
        self.journal.push(Edit::Pause(old));
        Ok(())
    }

    /// The wait that the last hook asked for.
    #[must_use]
    pub fn take_pause(&mut self) -> Option<Duration> {
        self.pause.take()
    }

    /// Asks for more tries. `each` = zero leaves a try the upstream's own time-outs.
    ///
    /// # Errors
    /// When the request has been sent, or the tries are more than [`MAX_EXTRA_TRIES`].
    pub fn set_tries(&mut self, phase: Phase, each: Duration, extra: u8) -> Result<(), EditError> {
        request_phase(phase)?;
        if extra > MAX_EXTRA_TRIES {
            return Err(EditError::Limit("at most ten tries may follow the first"));
        }
        let each = Some(each).filter(|each| !each.is_zero());
        let old = std::mem::replace(&mut self.tries, Tries { each, extra });
        self.journal.push(Edit::Tries(old));
        Ok(())
    }

    /// How often the upstream is tried.
    #[must_use]
    pub fn tries(&self) -> Tries {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::exchange;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_bounded_by_the_deadline() {
        let mut x = exchange();
        x.deadline = Some(Instant::now() + SECOND);
        assert_eq!(x.set_delay(Phase::Request, SECOND), Ok(()));
        assert_eq!(x.take_pause(), Some(SECOND));
        assert_eq!(x.take_pause(), None);
        let over = x.set_delay(Phase::Request, SECOND + Duration::from_millis(1));
        assert!(matches!(over, Err(EditError::Limit(_))), "{over:?}");
        x.deadline = None;
        assert_eq!(x.set_delay(Phase::Response, MAX_PAUSE), Ok(()));
        let over = x.set_delay(Phase::Request, MAX_PAUSE + SECOND);
        assert!(matches!(over, Err(EditError::Limit(_))), "{over:?}");
        assert_eq!(x.set_delay(Phase::Finish, SECOND), Err(EditError::WrongPhase));
    }

    #[test]
    fn what_a_failed_hook_asked_for_is_forgotten() {
        let mut x = exchange();
        x.set_tries(Phase::Request, SECOND, 1).unwrap();
        x.commit();
        x.set_tries(Phase::Request, Duration::ZERO, 3).unwrap();
        x.set_delay(Phase::Request, SECOND).unwrap();
        let third = Tries { each: None, extra: 3 };
        assert_eq!(x.tries(), third);
        x.undo();
        let first = Tries {
            each: Some(SECOND),
            extra: 1,
        };
        assert_eq!((x.tries(), x.take_pause()), (first, None));
    }

    #[test]
    fn tries_are_bounded_and_set_before_the_request_is_sent() {
        let mut x = exchange();
        let over = x.set_tries(Phase::RequestBody, SECOND, MAX_EXTRA_TRIES + 1);
        assert!(matches!(over, Err(EditError::Limit(_))), "{over:?}");
        let late = x.set_tries(Phase::Response, SECOND, 1);
        assert_eq!(late, Err(EditError::WrongPhase));
    }
}
