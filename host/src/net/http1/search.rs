//! The next head of a connection: found in what was read, refused when it is none. It refuses to know what becomes of it.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};

use super::Settings;
use super::content::Line;
use super::head::{self, Glimpse, Head, HeadLines};
use crate::message::problem::ErrorKind;
use crate::net::{Conn, Phase};

/// Why what came is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The client is told.
    Answer(ErrorKind),
    /// It is the beginning of HTTP/2 (RFC 9113 section 3.4): no answer of ours would be understood.
    OtherProtocol,
}

impl Refusal {
    fn of(kind: ErrorKind, begun: &[u8]) -> Self {
        if begun.starts_with(b"PRI * HTTP/2.0\r\n") {
            Self::OtherProtocol
        } else {
            Self::Answer(kind)
        }
    }
}

/// A search for the next head.
#[derive(Default)]
pub(super) struct Search {
    lines: Option<HeadLines>,
    glimpse: Glimpse,
    /// What was found; moved once.
    pub(super) head: Option<Head>,
}

impl Search {
    /// Ready with a head, without one at the connection's end, or with a refusal of what is none.
    pub(super) fn poll(
        &mut self,
        line: &mut Line,
        conn: &Conn,
        settings: &Settings,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Result<(), Refusal>>> {
        let wire = &mut line.wire;
        if !wire.read.is_empty()
            && let Some(found) = self.look(&mut wire.read, conn, settings)
        {
            return Poll::Ready(Ok(found));
        }
        loop {
            if wire.read.is_empty() {
                if conn.is_draining() {
                    return Poll::Ready(Ok(Ok(())));
                }
                // Most heads come whole: they get memory of their own size, and a connection that waits has none.
                let seen = ready!(wire.poll_glance(cx, |wire, bytes| {
                    if bytes.is_empty() {
                        return None;
                    }
                    if let Some(found) = self.look_at_whole(bytes, settings) {
                        return Some(Some(found));
                    }
                    wire.read = BytesMut::from(bytes);
                    Some(self.look(&mut wire.read, conn, settings))
                }))?;
                match seen {
                    None => return Poll::Ready(Ok(Ok(()))),
                    Some(Some(found)) => return Poll::Ready(Ok(found)),
                    Some(None) => {}
                }
            } else {
                if ready!(wire.poll_fill(0, cx))? == 0 {
                    return Poll::Ready(Ok(Ok(())));
                }
                if let Some(found) = self.look(&mut wire.read, conn, settings) {
                    return Poll::Ready(Ok(found));
                }
            }
        }
    }

    /// A head that is exactly what has come, as most are.
    fn look_at_whole(&mut self, bytes: &[u8], settings: &Settings) -> Option<Result<(), Refusal>> {
        if self.lines.is_some() || bytes.len() > settings.header_bytes {
            return None;
        }
        let mut lines = HeadLines::lenient();
        match lines.find(bytes) {
            Ok(Some(length)) if length == bytes.len() && length > 2 => {
                Some(self.read(&Bytes::copy_from_slice(bytes), &lines, settings))
            }
            _ => None,
        }
    }

    /// Looks for a head at the beginning of what was read.
    fn look(&mut self, read: &mut BytesMut, conn: &Conn, settings: &Settings) -> Option<Result<(), Refusal>> {
        let lines = match &mut self.lines {
            Some(lines) => lines,
            None => {
                // RFC 9112 section 2.2: empty lines before a request are read over.
                while matches!(read.first(), Some(b'\r' | b'\n')) {
                    if !matches!(**read, [b'\n', ..] | [b'\r', b'\n', ..] | [b'\r']) {
                        return Some(Err(Refusal::Answer(ErrorKind::BadRequest)));
                    }
                    if **read == *b"\r" {
                        self.wait(conn);
                        return None;
                    }
                    read.advance(1);
                }
                if read.is_empty() {
                    return None;
                }
                self.lines.insert(HeadLines::lenient())
            }
        };
        let Ok(found) = lines.find(read) else {
            return Some(Err(Refusal::Answer(ErrorKind::BadRequest)));
        };
        if found.unwrap_or(read.len()) > settings.header_bytes {
            return Some(Err(Refusal::Answer(ErrorKind::HeadersTooLarge)));
        }
        let Some(length) = found else {
            if !self.glimpse.may_become_one(read) {
                return Some(Err(Refusal::of(ErrorKind::BadRequest, read)));
            }
            self.wait(conn);
            return None;
        };
        let lines = *lines;
        self.lines = None;
        Some(self.read(&read.split_to(length).freeze(), &lines, settings))
    }

    fn read(&mut self, head: &Bytes, lines: &HeadLines, settings: &Settings) -> Result<(), Refusal> {
        let parsed = head::parse(head, lines, settings.max_headers);
        self.head = Some(parsed.map_err(|kind| Refusal::of(kind, head))?);
        Ok(())
    }

    /// The rest of a head is owed.
    fn wait(&self, conn: &Conn) {
        if conn.phase() == Phase::Idle {
            conn.enter(Phase::Head);
        }
    }
}
