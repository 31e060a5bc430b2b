//! A stream that carries another protocol from its answer on (RFC 8441). It refuses to know which, and where the bytes go.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Response, response};

use super::streams::Guard;
use crate::mux::Duplex;
use crate::net::Phase;

/// Tells the client that the tunnel is open and carries it to its end, which a reset by the client is at once: a stream that
/// was reset is not among those that a client may have at the same time, so that nothing else would bound what is left
/// of it.
pub(super) async fn open<T, G>(
    head: response::Parts,
    mut respond: SendResponse<Bytes>,
    tunnelled: Option<RecvStream>,
    run: T,
    stream: &Guard,
) where
    T: FnOnce(Duplex) -> G,
    G: Future<Output = ()>,
{
    let Some(inflow) = tunnelled else {
        tracing::debug!("a tunnel that nobody asked for");
        respond.send_reset(Reason::INTERNAL_ERROR);
        return;
    };
    let conn = stream.conn();
    conn.enter(Phase::Tunnel);
    let sent = match respond.send_response(Response::from_parts(head, ()), false) {
        Ok(sent) => sent,
        Err(error) => {
            tracing::debug!(%error, "a tunnel could not be opened");
            respond.send_reset(Reason::INTERNAL_ERROR);
            return;
        }
    };
    let (duplex, mut reset) = Duplex::new(inflow, sent);
    // Boxed: streams that carry nothing else than a response do not pay for its size.
    let mut run = Box::pin(run(duplex));
    poll_fn(|cx| {
        conn.driven_by(cx.waker());
        if let Poll::Ready(reason) = reset.poll(cx) {
            tracing::debug!(?reason, "the client has reset a tunnel");
            return Poll::Ready(());
        }
        run.as_mut().poll(cx)
    })
    .await;
}
