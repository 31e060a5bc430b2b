//! The faults, one deed each. Knows no hook's verdict.

use std::hint::black_box;
use std::time::Duration;

use portcullis::{clock, log};

/// Bytes of a state that the host must refuse.
pub(crate) const BIG_STATE: usize = 65 << 10;

/// A hook to fail in.
#[portcullis::config]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `configure`.
    Configure,
    /// `router`.
    Router,
    /// `on-request`.
    OnRequest,
    /// `on-request-body`.
    OnRequestBody,
    /// `on-response`.
    OnResponse,
    /// `on-response-body`.
    OnResponseBody,
    /// `on-error`.
    OnError,
    /// `on-finish`.
    OnFinish,
    /// `balancer`.
    Balancer,
    /// `responder`.
    Responder,
    /// `on-tick`.
    OnTick,
}

/// A way to fail.
#[portcullis::config]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None: the half-done edits stay.
    None,
    /// Executes `unreachable`.
    Trap,
    /// Panics with a text.
    Panic,
    /// Never returns.
    Spin,
    /// Computes for a while, then goes on.
    Late,
    /// Allocates until there is no more.
    Memory,
    /// Recurses without end.
    Stack,
    /// Keeps blobs for ever.
    Leak,
    /// Answers with a status that is none.
    BadStatus,
    /// Answers with a header that cannot be.
    BadHeader,
    /// Refuses with a code that is not kebab-case.
    BadCode,
    /// Picks an endpoint that is none.
    BadIndex,
    /// Keeps more state than the host takes.
    BigState,
    /// Logs 10,000 lines.
    LogFlood,
    /// Answers with an error.
    Err,
}

/// Does the fault, if it is a deed.
pub(crate) fn act(fault: Fault, millis: u64) {
    match fault {
        Fault::Trap => trap(),
        #[expect(clippy::panic, reason = "the fault is a panic")]
        Fault::Panic => panic!("the rogue panics"),
        Fault::Spin => loop {
            black_box(());
        },
        Fault::Late => {
            let end = clock::monotonic() + Duration::from_millis(millis);
            while clock::monotonic() < end {
                black_box(());
            }
        }
        Fault::Memory => {
            let mut blocks: Vec<Vec<u8>> = Vec::new();
            loop {
                blocks.push(vec![1; 1 << 20]);
                black_box(&blocks);
            }
        }
        Fault::Stack => {
            black_box(recurse(1));
        }
        Fault::LogFlood => {
            let line = "x".repeat(1 << 10);
            for number in 0..10_000 {
                log::warn!(number = number, "{line}");
            }
        }
        _ => {}
    }
}

/// Never returns a useful value; each call needs some stack.
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    let below = if depth == 0 {
        0
    } else {
        recurse(black_box(depth + 1))
    };
    frame.iter().fold(below, |sum, value| sum.wrapping_add(*value))
}

#[cfg(target_arch = "wasm32")]
fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

#[cfg(not(target_arch = "wasm32"))]
fn trap() -> ! {
    unreachable!("only wasm traps")
}
