//! A client's connection that speaks HTTP/2 (RFC 9113): its streams become exchanges, each a task of its own, so that
//! one that waits holds up no other. Framing, field compression and the states of streams are the crate h2's. It refuses
//! to know what a request means.

mod stream;
mod streams;
mod tunnel;

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::Builder;
use h2::{Ping, PingPong, Reason};
use http::request;
use http_body::Body;

use self::streams::EARLY_RESETS;
pub(super) use self::streams::Streams;
use super::{Answer, Conn, Inlet, Phase, Watched};
use crate::mux::{Duplex, Inflow};

/// Bytes of a stream's answer that may wait in the connection, whatever the client's window is.
const SEND_BUFFER: usize = 64 << 10;
/// What DATA frames of less than 256 bytes may lack of that size, as long as nobody has taken them, in connection windows.
/// Four let a stream that is held back fill its window of the usual size with pieces of four bytes; more would make small
/// frames cost many times the memory that the windows allow.
const SMALL_FRAMES: usize = 4;

/// What a connection lets its client do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Streams at the same time.
    pub max_streams: u32,
    /// Bytes of a request's body that a client may send before somebody takes them.
    pub stream_window: u32,
    /// The same for all streams of the connection together.
    pub connection_window: u32,
    /// The size of a field section as RFC 9113 section 6.5.2 counts it.
    pub header_bytes: u32,
    /// How often a connection that has streams is asked whether it is still there; none = never.
    pub ping_interval: Option<Duration>,
    /// How long the answer to that may take.
    pub ping_timeout: Duration,
}

/// Serves a connection to its end: `service` answers each request. One by extended CONNECT (RFC 8441), which has a
/// [`Protocol`] among its extensions, has no body and may be answered by a tunnel. Dropping the future ends the connection
/// and all that it serves.
///
/// # Errors
/// When the connection broke, or its client broke the protocol.
pub async fn serve<S, F, B, T, G>(watched: Watched, settings: Settings, service: S) -> Result<(), h2::Error>
where
    S: Fn(request::Parts, Inlet, Rc<Conn>) -> F,
    F: Future<Output = Answer<B, T>> + 'static,
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    T: FnOnce(Duplex) -> G + 'static,
    G: Future<Output = ()> + 'static,
{
    let conn = Rc::clone(watched.conn());
    let streams = Streams::new(&settings, &conn);
    let _bound = streams.bound();
    conn.multiplex(Rc::clone(&streams));
    // From here on the phase says only whether the client takes what is written.
    conn.enter(Phase::Busy);
    let mut handshake = builder(&settings).handshake::<_, Bytes>(watched);
    let connection = poll_fn(|cx| {
        conn.driven_by(cx.waker());
        Pin::new(&mut handshake).poll(cx)
    });
    let mut connection = connection.await?;
    let mut pings = connection.ping_pong();
    let mut told = false;
    let mut cut = false;
    poll_fn(|cx| {
        conn.driven_by(cx.waker());
        if conn.is_draining() && !told {
            told = true;
            connection.graceful_shutdown();
        }
        if streams.is_flooded() && !cut {
            cut = true;
            streams.abort();
            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        }
        if let Some(pings) = &mut pings {
            ping(pings, &streams, cx);
        }
        loop {
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    let (parts, body) = request.into_parts();
                    let (body, tunnelled) = match parts.extensions.get::<Protocol>() {
                        None => (Inlet::Http2(Inflow::new(body, &parts.headers)), None),
                        Some(_) => (Inlet::Tunnelled, Some(body)),
                    };
                    let of_stream = Conn::of_stream();
                    let waits = stream::awaits_leave(&parts.headers);
                    let exchange = service(parts, body, Rc::clone(&of_stream));
                    streams.spawn(of_stream, |guard| {
                        stream::answer(exchange, respond, waits, tunnelled, guard)
                    });
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

fn builder(settings: &Settings) -> Builder {
    let window = usize::try_from(settings.connection_window).unwrap_or(usize::MAX);
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(settings.max_streams)
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_header_list_size(settings.header_bytes)
        .max_pending_accept_reset_streams(usize::try_from(EARLY_RESETS).unwrap_or(usize::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(window.saturating_mul(SMALL_FRAMES))
        .enable_connect_protocol();
    builder
}

/// Asks the client whether it is still there, when it is time, and hears its answer.
fn ping(pings: &mut PingPong, streams: &Streams, cx: &mut Context<'_>) {
    if streams.take_ping() && pings.send_ping(Ping::opaque()).is_err() {
        streams.ponged();
    }
    // Fails only with the connection, which says so itself.
    if streams.is_pinging() && matches!(pings.poll_pong(cx), Poll::Ready(Ok(_))) {
        streams.ponged();
    }
}
