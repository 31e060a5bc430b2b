//! Listening sockets: one for each worker on the same address (`SO_REUSEPORT`), so that the kernel spreads
//! connections and no core waits for another.

use std::net::SocketAddr;

use socket2::{Domain, Protocol, Type};
use tokio::net::{TcpListener, TcpStream};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4_096;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why not.
    pub source: std::io::Error,
}

/// A bound socket that no runtime serves yet.
#[derive(Debug)]
pub struct Socket(std::net::TcpListener);

impl Socket {
    /// Serves it in the current runtime.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub fn listen(self) -> std::io::Result<Listening> {
        TcpListener::from_std(self.0).map(Listening)
    }
}

/// A socket that connections are accepted from.
#[derive(Debug)]
pub struct Listening(TcpListener);

impl Listening {
    /// The next connection and its peer. Small answers on it do not wait for the peer's acknowledgement.
    ///
    /// # Errors
    /// The system's; most pass by (an aborted connection), a lack of descriptors needs time.
    pub async fn accept(&self) -> std::io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, peer))
    }
}

/// Opens `count` sockets on `address`; port 0 takes a free port, the same for all. The address is first
/// bound exclusively: with `SO_REUSEPORT` alone a second gateway on the port would quietly take half of
/// the connections.
///
/// # Errors
/// When the address is in use or not this machine's.
pub fn bind(address: SocketAddr, count: usize) -> Result<(SocketAddr, Vec<Socket>), BindError> {
    let failed = |source| BindError { address, source };
    let probe = socket(address, Share::No).map_err(failed)?;
    let bound = probe.local_addr().map_err(failed)?.as_socket().unwrap_or(address);
    drop(probe);
    bind_beside(bound, count)
}

/// The same beside sockets of this process that listen there and are about to be closed, which share the
/// connections until then. The port is not 0.
///
/// # Errors
/// When the address is in use by others or not this machine's.
pub fn bind_beside(address: SocketAddr, count: usize) -> Result<(SocketAddr, Vec<Socket>), BindError> {
    let sockets = (0..count).map(|_| {
        let socket = socket(address, Share::Yes)?;
        socket.listen(BACKLOG)?;
        Ok(Socket(socket.into()))
    });
    let sockets = sockets.collect::<Result<_, _>>();
    Ok((address, sockets.map_err(|source| BindError { address, source })?))
}

#[derive(Clone, Copy)]
enum Share {
    Yes,
    No,
}

fn socket(address: SocketAddr, share: Share) -> std::io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    // Connections in TIME_WAIT must not keep a restarted gateway from its port.
    socket.set_reuse_address(true)?;
    if matches!(share, Share::Yes) {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_workers_share_one_port_and_a_second_gateway_is_refused() {
        let any = "127.0.0.1:0".parse().unwrap();
        let (address, sockets) = bind(any, 3).unwrap();
        assert_eq!(sockets.len(), 3);
        assert!(sockets.iter().all(|s| s.0.local_addr().unwrap() == address));
        let second = bind(address, 1).unwrap_err();
        assert_eq!(second.source.kind(), std::io::ErrorKind::AddrInUse);
    }
}
