//! Pure HTTP: what the gateway does to a message as such, whichever route or plugin it meets.
//!
//! Knows the RFCs and the `http` types. Refuses to know sockets, configuration, routes and plugins: whatever
//! these decide (limits, trusted proxies) comes in as an argument.
//!
//! Order of use for a request: [`survey::Survey::of`], [`host::settle`], [`fields::strip_request`],
//! [`forwarded::client_ip`], [`forwarded::rewrite`], [`path::normalise`], [`host::effective`]; all of them
//! before the first plugin sees the request, so that a client's `Connection` field can never take away what
//! the gateway or a plugin has set.

pub mod body;
pub mod capture;
pub mod decode;
pub mod fields;
pub mod forwarded;
pub mod grpc;
pub mod host;
pub mod http1;
pub mod http2;
pub mod path;
pub mod problem;
pub mod statuses;
pub mod survey;
pub mod upgrade;
pub mod via;
pub mod websocket;
