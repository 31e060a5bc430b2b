//! What comes of a request, whichever protocol the client speaks. It refuses to know how it is written.

use http::{Response, response};

/// What comes of a request.
#[derive(Debug)]
pub enum Answer<B, T> {
    /// A response like any other.
    Response(Response<B>),
    /// The connection, or the stream, is a tunnel behind this head: a 101 (RFC 9110 section 15.2.2), or a success of extended
    /// CONNECT (RFC 9113 section 8.5). The function carries it to its end.
    Tunnel(response::Parts, T),
}
