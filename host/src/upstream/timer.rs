//! One timer per connection that is armed rarely. It refuses to know what it waits for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

/// A timer whose alarm may stand earlier than what is asked for: then it goes off, sees that it is too early, and
/// is set again. So a timer of a busy connection is set once per timeout, not once per request.
#[derive(Default)]
pub(super) struct Timer {
    alarm: Option<Alarm>,
}

struct Alarm {
    sleep: Pin<Box<Sleep>>,
    at: Instant,
}

impl Timer {
    /// Ready when `due` has passed; otherwise the task is woken then, or earlier.
    pub(super) fn poll_until(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| Alarm {
            sleep: Box::pin(tokio::time::sleep_until(due)),
            at: due,
        });
        if due < alarm.at {
            alarm.set(due);
        }
        loop {
            ready!(alarm.sleep.as_mut().poll(cx));
            if due <= alarm.at || due <= Instant::now() {
                return Poll::Ready(());
            }
            alarm.set(due);
        }
    }
}

impl Alarm {
    fn set(&mut self, at: Instant) {
        self.sleep.as_mut().reset(at);
        self.at = at;
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("at", &self.alarm.as_ref().map(|a| a.at))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn goes_off_when_due_and_not_at_an_older_earlier_alarm() {
        let start = Instant::now();
        let mut timer = Timer::default();
        for (asked, waited) in [(10, 10), (60, 60), (20, 60), (90, 90), (100, 100)] {
            let due = start + Duration::from_secs(asked);
            poll_fn(|cx| timer.poll_until(due, cx)).await;
            let now = Instant::now().duration_since(start).as_secs();
            assert_eq!(now, waited, "asked for {asked}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_moves_forward_and_back() {
        let start = Instant::now();
        let mut timer = Timer::default();
        for asked in [50, 80, 30] {
            let due = start + Duration::from_secs(asked);
            assert!(
                poll_fn(|cx| Poll::Ready(timer.poll_until(due, cx)))
                    .await
                    .is_pending()
            );
        }
        let due = start + Duration::from_secs(30);
        poll_fn(|cx| timer.poll_until(due, cx)).await;
        assert_eq!(Instant::now().duration_since(start).as_secs(), 30);
    }
}
