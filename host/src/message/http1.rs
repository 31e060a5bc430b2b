//! HTTP/1.1 as bytes (RFC 9112), for both sides of the gateway: the lines of a head, the chunked coding, trailers, and how
//! fields are written. It refuses to know requests, responses and sockets.

pub(crate) mod chunked;
pub(crate) mod lines;
pub(crate) mod trailers;
pub(crate) mod values;
pub(crate) mod write;
