//! An HTTP/1.1 client for the hot path, and one for HTTP/2 beside it: one [`Cluster`] per worker thread and upstream, with its own pool of
//! connections. It refuses to know plugins, routes, the configuration file and other threads.
//!
//! Request and response of an exchange are one state machine that runs inside the caller's task: no channel, no
//! spawned task. A connection owns one buffer in and one out, which are reused as long as it lives; the values of
//! response fields are slices of the buffer in, so a field that is kept for long keeps up to 8 KiB alive: copy
//! what is stored.

mod body;
mod chunked;
mod cluster;
mod connect;
mod connection;
mod exchange;
mod failure;
mod fields;
mod http2;
mod pool;
mod reply;
mod request;
mod response;
mod settings;
mod stream;
mod timer;
mod trailers;
mod upgraded;
mod upload;

pub use body::ResponseBody;
pub use cluster::{Cluster, Until};
pub use failure::{BodyLength, Failure, FailureKind, RetrySafety};
pub use http2::Http2Body;
pub use pool::EndpointStats;
pub use reply::Reply;
pub use request::RequestHead;
pub use settings::{Endpoint, Protocol, Settings};
pub use upgraded::Upgraded;

#[cfg(test)]
mod tests;
