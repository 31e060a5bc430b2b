//! A free port of loopback. Knows no protocol.

use std::net::{SocketAddr, TcpListener as StdListener};

use tokio::net::TcpListener;

/// Listens at a free port at once, in the runtime of the test.
///
/// # Panics
/// Without a free port, or outside a runtime.
pub(crate) fn listen() -> (TcpListener, SocketAddr) {
    let listener = StdListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    listener
        .set_nonblocking(true)
        .expect("a listener that does not block");
    let listener = TcpListener::from_std(listener).expect("a runtime around it");
    (listener, address)
}
