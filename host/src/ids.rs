//! Names of exchanges: request ids and W3C trace contexts.
//!
//! It knows no HTTP messages and no sampling policy. Nothing here is a secret: the generators are fast and
//! collision-free or collision-poor, but an observer may predict them.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;

/// Ids that a thread takes from the process's counter at once.
const BLOCK: u64 = 1 << 24;

/// Length of a version 00 `traceparent`.
const TRACEPARENT_LEN: usize = 55;

const SAMPLED: u8 = 0x01;

/// Number of one exchange: unique within this run of the process, never 0, scattered over 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u64);

impl RequestId {
    /// The next id of this thread. No lock and no system call: a thread takes blocks of numbers from one counter,
    /// and a bijection with the process's random seed scatters them.
    #[must_use]
    pub fn next() -> Self {
        loop {
            let id = mix(next_number() ^ process_seed());
            if id != 0 {
                return Self(id);
            }
        }
    }

    /// The id with this number.
    #[must_use]
    pub const fn of(number: u64) -> Self {
        Self(number)
    }

    /// The number, as plugins see it.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// 16 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_text(self) -> Hex<16> {
        Hex::of(u128::from(self.0))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_text().as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `N` lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex<const N: usize>([u8; N]);

impl<const N: usize> Hex<N> {
    fn of(mut value: u128) -> Self {
        let mut digits = [b'0'; N];
        for digit in digits.iter_mut().rev() {
            let nibble = u8::try_from(value & 0xf).unwrap_or(0);
            *digit = if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' + nibble - 10
            };
            value >>= 4;
        }
        Self(digits)
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever written; the fallback is unreachable.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a `traceparent` was not accepted. The Recommendation then asks for a new trace, not for an error answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TraceParentError {
    /// Not the length, dashes or lower-case hexadecimal digits that the format demands.
    #[error("traceparent is malformed")]
    Malformed,
    /// Version ff, which is forbidden.
    #[error("traceparent has the forbidden version ff")]
    Version,
    /// A trace id or parent id of zeros only.
    #[error("traceparent has an id of zeros")]
    ZeroId,
}

/// One position in a distributed trace: W3C Trace Context Level 1, section 3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
}

impl TraceContext {
    /// Starts a trace of its own, for a request that came without a valid `traceparent`.
    #[must_use]
    pub fn root(sampled: bool) -> Self {
        loop {
            let trace_id = (u128::from(random_u64()) << 64) | u128::from(random_u64());
            if trace_id != 0 {
                return Self {
                    trace_id,
                    span_id: new_span_id(),
                    sampled,
                };
            }
        }
    }

    /// Reads a `traceparent` field value.
    ///
    /// Version 00 must be exactly 55 bytes. A later version is read by the rule of section 3.2.2.3 (versioning): the
    /// same four parts, then nothing or a dash and more.
    ///
    /// # Errors
    /// When the value breaks the format; several field lines are one malformed value, too.
    pub fn parse(value: &[u8]) -> Result<Self, TraceParentError> {
        let malformed = TraceParentError::Malformed;
        let (head, rest) = value.split_at_checked(TRACEPARENT_LEN).ok_or(malformed)?;
        let mut parts = head.split(|b| *b == b'-');
        let mut part = |len: usize| {
            let digits = parts.next().filter(|p| p.len() == len).ok_or(malformed)?;
            parse_hex(digits).ok_or(malformed)
        };
        let (version, trace_id, span_id, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        match (version, rest.first()) {
            (0xff, _) => return Err(TraceParentError::Version),
            (_, None) | (1.., Some(b'-')) => {}
            _ => return Err(malformed),
        }
        let span_id = u64::try_from(span_id).map_err(|_| malformed)?;
        if trace_id == 0 || span_id == 0 {
            return Err(TraceParentError::ZeroId);
        }
        Ok(Self {
            trace_id,
            span_id,
            sampled: flags & u128::from(SAMPLED) != 0,
        })
    }

    /// A new span of the same trace: what the upstream is told.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            span_id: new_span_id(),
            ..*self
        }
    }

    /// The trace, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> Hex<32> {
        Hex::of(self.trace_id)
    }

    /// The span, 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> Hex<16> {
        Hex::of(u128::from(self.span_id))
    }

    /// Whether the caller recorded this trace. The other flags are reserved and sent as 0.
    #[must_use]
    pub const fn sampled(&self) -> bool {
        self.sampled
    }

    /// The field value, version 00.
    #[must_use]
    pub fn to_traceparent(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = if self.sampled { "01" } else { "00" };
        write!(f, "00-{}-{}-{flags}", self.trace_id(), self.span_id())
    }
}

/// A span id: random, never 0.
#[must_use]
pub fn new_span_id() -> u64 {
    loop {
        let id = random_u64();
        if id != 0 {
            return id;
        }
    }
}

/// Lower-case digits only, as the format demands; at most 32 of them.
fn parse_hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |value, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some((value << 4) | u128::from(nibble))
    })
}

/// A number no other call in this process gets.
fn next_number() -> u64 {
    static NEXT_BLOCK: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static RANGE: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
    }
    let (mut next, mut end) = RANGE.get();
    if next == end {
        next = NEXT_BLOCK.fetch_add(BLOCK, Ordering::Relaxed);
        end = next.wrapping_add(BLOCK);
    }
    RANGE.set((next.wrapping_add(1), end));
    next
}

/// 64 random bits of this run, from the operating system through the standard hasher's keys.
fn process_seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| RandomState::new().hash_one(std::process::id()))
}

/// Next output of the thread's SplitMix64 (Steele, Lea, Flood 2014), seeded per thread.
fn random_u64() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(next_number()));
    }
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    mix(state)
}

/// The finaliser of SplitMix64: a bijection on 64 bits.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parse(text: &str) -> Result<TraceContext, TraceParentError> {
        TraceContext::parse(text.as_bytes())
    }

    #[test]
    fn request_ids_are_unique_across_threads() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..20_000).map(|_| RequestId::next()).collect::<Vec<_>>()))
            .collect();
        let all: Vec<RequestId> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }

    #[test]
    fn request_id_text_is_sixteen_digits() {
        assert_eq!(RequestId(0xab).to_text().as_str(), "00000000000000ab");
        assert_eq!(RequestId(u64::MAX).to_string(), "ffffffffffffffff");
    }

    #[test]
    fn reads_the_example_of_the_recommendation() {
        let context = parse(EXAMPLE).unwrap();
        assert_eq!(context.trace_id().as_str(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.span_id().as_str(), "00f067aa0ba902b7");
        assert!(context.sampled());
        assert_eq!(context.to_traceparent(), EXAMPLE);
    }

    #[test]
    fn refuses_what_the_recommendation_forbids() {
        use TraceParentError::{Malformed, Version, ZeroId};
        let cases = [
            ("", Malformed),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
                Malformed,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
                Malformed,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
                Malformed,
            ),
            (
                "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                Malformed,
            ),
            (
                "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
                Malformed,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
                Malformed,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0-",
                Malformed,
            ),
            (
                "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.x",
                Malformed,
            ),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Version),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", ZeroId),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", ZeroId),
        ];
        for (text, error) in cases {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn reads_a_later_version_and_answers_in_version_00() {
        let more = EXAMPLE.replacen("00-", "cc-", 1) + "-what-the-future-brings";
        assert_eq!(parse(&more).unwrap().to_traceparent(), EXAMPLE);
        assert!(parse(&EXAMPLE.replacen("00-", "cc-", 1)).is_ok());
    }

    #[test]
    fn reserved_flags_are_not_passed_on() {
        let context = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fe").unwrap();
        assert!(!context.sampled());
        assert!(context.to_traceparent().ends_with("-00"));
    }

    #[test]
    fn a_child_keeps_the_trace_and_changes_the_span() {
        let parent = TraceContext::root(true);
        let child = parent.child();
        assert_eq!(child.trace_id(), parent.trace_id());
        assert_ne!(child.span_id(), parent.span_id());
        assert!(child.sampled());
    }

    proptest! {
        #[test]
        fn format_and_parse_are_inverse(trace_id in 1..=u128::MAX, span_id in 1..=u64::MAX, sampled: bool) {
            let context = TraceContext { trace_id, span_id, sampled };
            prop_assert_eq!(parse(&context.to_traceparent()), Ok(context));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(context) = TraceContext::parse(&bytes) {
                prop_assert_ne!(context.trace_id, 0);
            }
        }

        #[test]
        fn one_changed_byte_is_refused_or_still_well_formed(at in 0..TRACEPARENT_LEN, byte: u8) {
            let mut bytes = EXAMPLE.as_bytes().to_vec();
            bytes[at] = byte;
            if TraceContext::parse(&bytes).is_ok() {
                prop_assert!(byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
            }
        }

        #[test]
        fn mix_has_no_collisions_nearby(seed: u64) {
            let outputs: HashSet<u64> = (0..256).map(|n| mix(seed ^ n)).collect();
            prop_assert_eq!(outputs.len(), 256);
        }
    }
}
