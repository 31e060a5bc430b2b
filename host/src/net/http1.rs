//! A client's connection that speaks HTTP/1.1 (RFC 9112): its requests become exchanges, one after the other, each polled
//! by the task that drives the connection. It refuses to know what a request means.

mod content;
mod head;
mod reply;
mod search;
mod sender;
mod wire;

use std::cell::RefCell;
use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use http::{request, response};
use http_body::Body;

use self::content::Line;
pub use self::content::{Content, ContentError};
use self::head::{Head, Manner, Persistence};
use self::reply::Size;
use self::search::{Refusal, Search};
use self::sender::Sender;
use super::{Answer, Conn, Inlet, Phase, Watched, unparsed};
use crate::message::problem::ErrorKind;

/// What a connection lets its client do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Fields of a request.
    pub max_headers: usize,
    /// Bytes of a request's line and fields together.
    pub header_bytes: usize,
}

/// Serves a connection to its end: `service` answers each request. One may be answered by a tunnel; the connection then is
/// one, and what the client sent behind the request is the tunnel's first piece.
///
/// # Errors
/// When the connection broke, or the body of a response did.
pub async fn serve<S, F, B, T, G>(
    watched: Watched,
    settings: Settings,
    service: S,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    S: Fn(request::Parts, Inlet, Rc<Conn>) -> F,
    F: Future<Output = Answer<B, T>>,
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    T: FnOnce(Watched, Bytes) -> G,
    G: Future<Output = ()>,
{
    let conn = Rc::clone(watched.conn());
    let line = Line::new(wire::Wire::new(watched));
    let _end = End(Rc::clone(&line));
    loop {
        let mut search = Search::default();
        let next = poll_fn(|cx| {
            conn.driven_by(cx.waker());
            search.poll(&mut line.borrow_mut(), &conn, &settings, cx)
        });
        if let Err(refusal) = next.await? {
            if let Refusal::Answer(kind) = refusal {
                refuse(&line, &conn, kind);
            }
            break;
        }
        let Some(Head {
            parts,
            framing,
            manner,
        }) = search.head.take()
        else {
            break;
        };
        let content = Line::begin(&line, framing, manner.leave);
        let answer = {
            let mut exchange = pin!(service(parts, Inlet::Http1(content), Rc::clone(&conn)));
            let answer = poll_fn(|cx| {
                conn.driven_by(cx.waker());
                if let Poll::Ready(answer) = exchange.as_mut().poll(cx) {
                    return Poll::Ready(Some(answer));
                }
                line.borrow_mut().poll_gone(cx).map(|()| None)
            });
            answer.await
        };
        let response = match answer {
            Some(Answer::Response(response)) => response,
            Some(Answer::Tunnel(head, run)) => return tunnel(&line, &conn, &head, manner, run).await,
            // The client has left: the exchange has ended with it.
            None => return Ok(()),
        };
        let (head, body) = response.into_parts();
        let mut body = pin!(body);
        let mut sender = Sender::begin(&mut line.borrow_mut(), &head, &*body, manner, &conn)?;
        drop(head);
        let sent = poll_fn(|cx| {
            conn.driven_by(cx.waker());
            sender.poll(&line, body.as_mut(), cx)
        });
        sent.await?;
        if sender.persistence == Persistence::Close {
            break;
        }
    }
    Ok(poll_fn(|cx| {
        conn.driven_by(cx.waker());
        line.borrow_mut().wire.poll_close(cx)
    })
    .await?)
}

/// Ends the stream with the connection, whoever still holds a body of it.
struct End(Rc<RefCell<Line>>);

impl Drop for End {
    fn drop(&mut self) {
        if let Ok(mut line) = self.0.try_borrow_mut() {
            line.pass_over();
            drop(line.wire.take_stream());
        }
    }
}

/// Answers what is no request.
fn refuse(line: &RefCell<Line>, conn: &Conn, kind: ErrorKind) {
    let (unparsed, answer) = unparsed::answer(kind);
    conn.refuse(unparsed);
    let wire = &mut line.borrow_mut().wire;
    wire.rest();
    wire.head().extend_from_slice(&answer);
}

/// The connection has gone over to another protocol.
async fn tunnel<T, G>(
    line: &RefCell<Line>,
    conn: &Conn,
    head: &response::Parts,
    asked: Manner,
    run: T,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    T: FnOnce(Watched, Bytes) -> G,
    G: Future<Output = ()>,
{
    reply::write(head, Size::Known(0), asked, line.borrow_mut().wire.head());
    poll_fn(|cx| {
        conn.driven_by(cx.waker());
        line.borrow_mut().wire.poll_flush(cx)
    })
    .await?;
    conn.enter(Phase::Tunnel);
    let (stream, early) = {
        let mut line = line.borrow_mut();
        (line.wire.take_stream(), line.wire.read.split().freeze())
    };
    if let Some(stream) = stream {
        // Boxed: connections that stay what they are do not pay for its size.
        Box::pin(run(stream, early)).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
