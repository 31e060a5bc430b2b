//! The halves of an HTTP/2 stream as bodies: what comes in and what goes out, each as fast as the other side takes it
//! (RFC 9113 section 5.2). It refuses to know connections, and which side is the client.

mod inflow;
mod outflow;

pub use self::inflow::Inflow;
pub use self::outflow::{Outflow, OutflowError, Waits};
