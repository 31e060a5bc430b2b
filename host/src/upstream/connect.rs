//! Opens a connection to one endpoint. It refuses to know which endpoint comes next.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::connection::Connection;
use super::failure::{FailureKind, Fault};
use super::pool::{Lease, Slot, Ticket};
use super::settings::Protocol;
use super::shared::Outcome;
use super::stream::Stream;
use crate::tls::HTTP_2;

/// How many addresses of a name are tried.
const MAX_ADDRESSES: usize = 16;

/// Resolves and connects, within the connect timeout and until `deadline` at most.
///
/// # Errors
/// `Resolve`, `Connect`, `Tls`, `ConnectTimeout`, or `Deadline` if that came first.
pub(super) async fn open(slot: &Rc<Slot>, deadline: Option<Instant>) -> Result<Lease, Fault> {
    let mut ticket = Ticket::new(slot);
    let stream = within(&mut ticket, deadline, stream(slot)).await?;
    Ok(Lease::fresh(Connection::new(stream, Instant::now()), ticket))
}

/// Does what opens a connection, within the connect timeout and until `deadline` at most. `ticket` hears of a failure.
///
/// # Errors
/// Those of `work`, `ConnectTimeout`, or `Deadline` if that came first.
pub(super) async fn within<T>(
    ticket: &mut Ticket,
    deadline: Option<Instant>,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let result = in_time(ticket.slot().settings.connect_timeout, deadline, work).await;
    if let Err(fault) = &result {
        ticket.heard(Outcome::Failed(fault.kind));
    }
    result
}

async fn in_time<T>(
    timeout: Duration,
    deadline: Option<Instant>,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let now = Instant::now();
    let limit = now.checked_add(timeout);
    let (due, kind) = match (limit, deadline) {
        (Some(limit), Some(deadline)) if limit < deadline => (Some(limit), FailureKind::ConnectTimeout),
        (_, Some(deadline)) => (Some(deadline), FailureKind::Deadline),
        (limit, None) => (limit, FailureKind::ConnectTimeout),
    };
    if deadline.is_some_and(|deadline| deadline <= now) {
        return Err(FailureKind::Deadline.into());
    }
    match due {
        Some(due) => timeout_at(due, work).await.map_err(|_| Fault::from(kind))?,
        None => work.await,
    }
}

/// Resolves, connects, and does the handshake of TLS, where there is one.
///
/// # Errors
/// `Resolve`, `Connect` or `Tls`.
pub(super) async fn stream(slot: &Slot) -> Result<Stream, Fault> {
    let tcp = connect(slot).await?;
    let Some(tls) = &slot.settings.tls else {
        return Ok(Stream::Tcp(tcp));
    };
    let name = tls
        .name_of(slot.member.endpoint().bare_host())
        .map_err(|error| Fault::with(FailureKind::Tls, error))?;
    let handshake = TlsConnector::from(Arc::clone(tls.config())).connect(name, tcp);
    let stream = Box::pin(handshake)
        .await
        .map_err(|error| Fault::with(FailureKind::Tls, error))?;
    // Nothing else is offered, but a server may agree on nothing at all (RFC 9113 section 3.2).
    if slot.settings.protocol == Protocol::Http2 && stream.get_ref().1.alpn_protocol() != Some(HTTP_2) {
        return Err(Fault::with(FailureKind::Tls, "the server does not agree on h2"));
    }
    Ok(Stream::Tls(Box::new(stream)))
}

async fn connect(slot: &Slot) -> Result<TcpStream, Fault> {
    if let Some(address) = slot.member.address() {
        return connect_to(address)
            .await
            .map_err(|error| Fault::with(FailureKind::Connect, error));
    }
    let endpoint = slot.member.endpoint();
    let found = lookup_host((endpoint.host.as_str(), endpoint.port)).await;
    let addresses = found.map_err(|error| Fault::with(FailureKind::Resolve, error))?;
    let mut last = Fault::from(FailureKind::Resolve);
    for address in addresses.take(MAX_ADDRESSES) {
        match connect_to(address).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = Fault::with(FailureKind::Connect, error),
        }
    }
    Err(last)
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}
