//! One stream: waits for its exchange's response and sends it, and ends the exchange when the client wants it no more.
//! It refuses to know other streams.

use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Response, StatusCode, response};
use http_body::Body;

use super::streams::Guard;
use super::tunnel;
use crate::mux::{Duplex, Outflow, OutflowError, Waits};
use crate::net::{Answer, Phase, date};

/// Whether the client wants to be asked for its body (RFC 9110 section 10.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// It waits to be asked.
    Awaited,
    /// It sends it.
    Taken,
}

/// What the client says of its body.
pub(super) fn awaits_leave(headers: &HeaderMap) -> Leave {
    let expects = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if headers.get(EXPECT).is_some_and(expects) {
        Leave::Awaited
    } else {
        Leave::Taken
    }
}

/// Sends the response of `exchange`, or carries the tunnel that it opens; `tunnelled` is what the client sends in that. A
/// reset by the client drops the exchange and what it does at an upstream.
pub(super) async fn answer<F, B, T, G>(
    exchange: F,
    mut respond: SendResponse<Bytes>,
    mut leave: Leave,
    tunnelled: Option<RecvStream>,
    stream: Guard,
) where
    F: Future<Output = Answer<B, T>>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    T: FnOnce(Duplex) -> G,
    G: Future<Output = ()>,
{
    let conn = stream.conn();
    let mut exchange = pin!(exchange);
    let response = poll_fn(|cx| {
        conn.driven_by(cx.waker());
        if let Poll::Ready(response) = exchange.as_mut().poll(cx) {
            return Poll::Ready(Ok(response));
        }
        if leave == Leave::Awaited && conn.phase() == Phase::Body {
            leave = Leave::Taken;
            go_on(&mut respond);
        }
        respond.poll_reset(cx).map(Err)
    });
    let (mut parts, body) = match response.await {
        Ok(Answer::Response(response)) => response.into_parts(),
        Ok(Answer::Tunnel(mut head, run)) => {
            head.version = http::Version::HTTP_2;
            without_connection(&mut head.headers);
            return tunnel::open(head, respond, tunnelled, run, &stream).await;
        }
        Err(reset) => {
            if let Ok(reason) = reset {
                tracing::debug!(%reason, "the client took its request back");
                stream.reset_early();
            }
            return;
        }
    };
    if tunnelled.is_some() && parts.status.is_success() {
        // It would tell the client that the tunnel is open (RFC 9113 section 8.5).
        tracing::debug!(status = %parts.status, "a success where a tunnel was asked for and there is none");
        respond.send_reset(Reason::INTERNAL_ERROR);
        return;
    }
    let ends = body.is_end_stream();
    complete(&mut parts, &body);
    let sent = match respond.send_response(Response::from_parts(parts, ()), ends) {
        Ok(sent) => sent,
        Err(error) => {
            tracing::debug!(%error, "a response could not be sent");
            respond.send_reset(Reason::INTERNAL_ERROR);
            return;
        }
    };
    if ends {
        return;
    }
    let mut outflow = Outflow::new(sent, body);
    let end = poll_fn(|cx| {
        conn.driven_by(cx.waker());
        let before = outflow.taken();
        let polled = outflow.poll(cx);
        if polled.is_pending() {
            let moved = outflow.taken() != before;
            match outflow.waits() {
                Waits::Peer if moved || conn.phase() != Phase::Writing => conn.enter(Phase::Writing),
                Waits::Body if conn.phase() == Phase::Writing => conn.enter(Phase::Busy),
                Waits::Peer | Waits::Body => {}
            }
        }
        polled
    });
    match end.await {
        Ok(()) => {}
        Err(OutflowError::Body(error)) => {
            let error: Box<dyn Error + Send + Sync> = error.into();
            tracing::debug!(%error, "a response broke off");
            outflow.reset(Reason::INTERNAL_ERROR);
        }
        Err(OutflowError::Reset(reason)) => {
            tracing::debug!(%reason, "the client wants no more of a response")
        }
        Err(OutflowError::Stream(error)) => tracing::debug!(%error, "a stream broke"),
    }
}

/// Asks for the body.
fn go_on(respond: &mut SendResponse<Bytes>) {
    let mut interim = Response::new(());
    *interim.status_mut() = StatusCode::CONTINUE;
    if let Err(error) = respond.send_informational(interim) {
        tracing::debug!(%error, "the client could not be asked for its body");
    }
}

/// Takes out the fields that the protocol does not take (RFC 9113 section 8.2.2).
fn without_connection(headers: &mut HeaderMap) {
    const OF_CONNECTIONS: [HeaderName; 4] = [CONNECTION, TRANSFER_ENCODING, UPGRADE, TE];
    for name in &OF_CONNECTIONS {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
}

/// Fields that the protocol wants or does not take.
fn complete<B: Body>(parts: &mut response::Parts, body: &B) {
    parts.version = http::Version::HTTP_2;
    without_connection(&mut parts.headers);
    if !body.is_end_stream()
        && let Some(length) = body.size_hint().exact()
    {
        parts
            .headers
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| length.into());
    }
    parts.headers.entry(DATE).or_insert_with(date::now);
}
