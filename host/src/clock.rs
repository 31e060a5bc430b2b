//! Time as the host uses it: wall-clock milliseconds, their RFC 3339 text, and a monotonic nanosecond count.
//!
//! It knows no time zones (all text is UTC), sleeps for nobody and owns no timers.

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Bytes of `2026-11-23T08:45:04.123Z`.
const TEXT_LEN: usize = 24;

/// Bytes of `2026-11-23T08:45:04`, the part that changes once a second.
const SECOND_LEN: usize = 19;

/// 9999-12-31T23:59:59.999Z, the last instant that RFC 3339 can write.
const LAST_UNIX_MS: u64 = 253_402_300_799_999;

/// How far before the first use of the monotonic clock its zero lies, so that slightly older instants have a number.
const HEADROOM: Duration = Duration::from_secs(3_600);

const MS_PER_DAY: u64 = 86_400_000;

thread_local! {
    /// How far the clocks of this thread are ahead.
    static AHEAD: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Puts the clocks of this thread so far ahead of the real ones: for rehearsals, in which an hour passes at once. Timers
/// know nothing of it. A gateway never calls it.
pub fn set_ahead(by: Duration) {
    AHEAD.set(by);
}

/// Milliseconds since 1970-01-01T00:00:00Z by the system clock; 0 for a clock set before that.
///
/// The value may jump when the system clock is set: measure with [`monotonic_ns`], never with this.
#[must_use]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .saturating_add(AHEAD.get());
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Nanoseconds since a fixed moment of this process, by tokio's clock: it never goes back within a thread,
/// and tests that pause tokio's time pause it too.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let ahead = AHEAD.get();
    let now = instant_ns(Instant::now());
    now.saturating_add(u64::try_from(ahead.as_nanos()).unwrap_or(u64::MAX))
}

/// The value [`monotonic_ns`] had, or will have, at `instant`; 0 for an instant more than an hour before
/// the first use of this clock.
#[must_use]
pub fn instant_ns(instant: Instant) -> u64 {
    let since = instant.saturating_duration_since(start());
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// How long [`give_way`] lets a thread go on at a stretch.
const STRETCH: Duration = Duration::from_micros(500);

/// Lets whoever waits for this processor go first, once the thread has been at it for half a millisecond. For long work
/// off the request path, between its steps: a thread of low priority, too, keeps the processor until the tick of the
/// scheduler comes (4 ms on most machines), however many requests wait.
pub fn give_way() {
    thread_local! {
        static SINCE: Cell<u64> = const { Cell::new(0) };
    }
    let now = monotonic_ns();
    if now.saturating_sub(SINCE.get()) > u64::try_from(STRETCH.as_nanos()).unwrap_or(u64::MAX) {
        std::thread::yield_now();
        SINCE.set(monotonic_ns());
    }
}

/// `ms` milliseconds as nanoseconds, saturating.
#[must_use]
pub const fn ms_to_ns(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
}

#[expect(
    clippy::disallowed_types,
    reason = "the origin must not come from a test's paused clock, which may be far ahead"
)]
fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(|| {
        let now = Instant::from_std(std::time::Instant::now());
        now.checked_sub(HEADROOM).unwrap_or(now)
    })
}

/// An instant as RFC 3339 text with milliseconds, `2026-11-23T08:45:04.123Z`; made by [`rfc3339`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rfc3339([u8; TEXT_LEN]);

impl Rfc3339 {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever written; the fallback is unreachable.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The text as bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `unix_ms` as RFC 3339 text in UTC. Instants after the year 9999 read as its last millisecond.
///
/// The part down to the second is kept per thread, so that a log line costs three digits.
#[must_use]
pub fn rfc3339(unix_ms: u64) -> Rfc3339 {
    thread_local! {
        static SECOND: Cell<(u64, [u8; SECOND_LEN])> = const { Cell::new((u64::MAX, [b'0'; SECOND_LEN])) };
    }
    let unix_ms = unix_ms.min(LAST_UNIX_MS);
    let second = unix_ms / 1000;
    let (kept, mut head) = SECOND.get();
    if kept != second {
        head = format_second(second);
        SECOND.set((second, head));
    }
    let [h, t, u] = digits(unix_ms % 1000);
    let mut text = [0; TEXT_LEN];
    let tail = [b'.', h, t, u, b'Z'];
    for (to, from) in text.iter_mut().zip(head.into_iter().chain(tail)) {
        *to = from;
    }
    Rfc3339(text)
}

/// `YYYY-MM-DDThh:mm:ss`.
fn format_second(second: u64) -> [u8; SECOND_LEN] {
    let (year, month, day) = civil_from_days(second / (MS_PER_DAY / 1000));
    let in_day = second % (MS_PER_DAY / 1000);
    let [y1, y2, y3, y4] = digits(year);
    let [m1, m2] = digits(month);
    let [d1, d2] = digits(day);
    let [h1, h2] = digits(in_day / 3600);
    let [n1, n2] = digits(in_day / 60 % 60);
    let [s1, s2] = digits(in_day % 60);
    [
        y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2,
    ]
}

/// The last `N` decimal digits of `value`.
fn digits<const N: usize>(mut value: u64) -> [u8; N] {
    let mut out = [b'0'; N];
    for digit in out.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
    out
}

/// Year, month and day of a day number (0 = 1970-01-01) in the proleptic Gregorian calendar, counting in eras of
/// 400 years from 1 March of the year 0 ("chrono-compatible low-level date algorithms", H. Hinnant).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_known_instants() {
        assert_eq!(rfc3339(0).as_str(), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_399_999).as_str(), "2000-02-28T23:59:59.999Z");
        assert_eq!(rfc3339(951_782_400_000).as_str(), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_709_251_199_007).as_str(), "2024-02-29T23:59:59.007Z");
        assert_eq!(rfc3339(4_107_542_400_000).as_str(), "2100-03-01T00:00:00.000Z");
        assert_eq!(rfc3339(LAST_UNIX_MS).as_str(), "9999-12-31T23:59:59.999Z");
        assert_eq!(rfc3339(u64::MAX).as_str(), "9999-12-31T23:59:59.999Z");
    }

    #[tokio::test(start_paused = true)]
    async fn monotonic_time_follows_the_paused_clock() {
        let before = monotonic_ns();
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(monotonic_ns() - before, 1_500_000_000);
        assert_eq!(instant_ns(Instant::now()), monotonic_ns());
    }

    #[test]
    fn a_thread_can_be_ahead_of_the_others() {
        let (wall, count) = (unix_ms(), monotonic_ns());
        set_ahead(Duration::from_secs(3_600));
        let (later, more) = (unix_ms(), monotonic_ns());
        set_ahead(Duration::ZERO);
        assert!((3_600_000..3_660_000).contains(&(later - wall)));
        assert!((3_600_000_000_000..3_660_000_000_000).contains(&(more - count)));
    }

    #[test]
    fn unix_time_is_after_this_was_written() {
        assert!(unix_ms() > 1_700_000_000_000);
    }

    proptest! {
        #[test]
        fn text_orders_as_time_does(a in 0..LAST_UNIX_MS, b in 0..LAST_UNIX_MS) {
            let (x, y) = (rfc3339(a), rfc3339(b));
            prop_assert_eq!(a.cmp(&b), x.as_str().cmp(y.as_str()));
        }

        #[test]
        fn text_is_well_formed(ms in any::<u64>()) {
            let text = rfc3339(ms);
            let shape: String = text
                .as_str()
                .chars()
                .map(|c| if c.is_ascii_digit() { '9' } else { c })
                .collect();
            prop_assert_eq!(shape, "9999-99-99T99:99:99.999Z");
        }
    }
}
