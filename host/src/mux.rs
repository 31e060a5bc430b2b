//! The halves of an HTTP/2 stream as bodies, or both as one byte stream: what comes in and what goes out, each as fast as
//! the other side takes it (RFC 9113 section 5.2). It refuses to know connections, and which side is the client.

mod duplex;
mod inflow;
mod outflow;
mod room;

use h2::Reason;

pub use self::duplex::{Duplex, Reset};
pub use self::inflow::Inflow;
pub use self::outflow::{Outflow, OutflowError, Waits};

/// The peer has reset the stream and says that nothing was wrong with it.
fn is_no_error(error: &h2::Error) -> bool {
    error.is_reset() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR)
}
