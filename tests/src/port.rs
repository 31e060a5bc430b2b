//! A free port of loopback. Knows no protocol.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::net::TcpListener;

/// Ports to try, below those that the kernel gives to outgoing connections (32768 on, on Linux): a port that is free
/// now is then not taken by a connection before the binary binds it.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;

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

/// A port for another process: nobody listens on it, and no other test of this process was given it.
///
/// # Panics
/// Without a free port.
#[must_use]
pub fn later() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Several test processes may run at once: each begins elsewhere.
    let begin = u16::try_from(std::process::id() % u32::from(PORTS)).expect("less than PORTS");
    for _ in 0..PORTS {
        let port = FIRST_PORT + (begin + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS) % PORTS;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if StdListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port from {FIRST_PORT} on");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_not_given_twice() {
        assert_ne!(later(), later());
    }
}
