//! What the configuration says of protocols, in the words of `net` and `upstream`. It refuses to know connections.

use crate::config::{Listener, Protocols, UpstreamProtocol};
use crate::net::http2::Settings;
use crate::net::{Protocol, Spoken};
use crate::upstream;

/// What clients of a listener may speak.
pub(super) fn spoken(listener: &Listener) -> Spoken {
    match listener.protocols {
        Protocols::Http1 => Spoken::Only(Protocol::Http1),
        Protocols::Http2 => Spoken::Only(Protocol::Http2),
        Protocols::Both => Spoken::Both,
    }
}

/// What the servers of an upstream speak.
pub(super) fn of_upstream(protocol: UpstreamProtocol) -> upstream::Protocol {
    match protocol {
        UpstreamProtocol::Http1 => upstream::Protocol::Http1,
        UpstreamProtocol::Http2 => upstream::Protocol::Http2,
    }
}

/// What its connections may hold that speak HTTP/2.
pub(super) fn settings(listener: &Listener) -> Settings {
    let http2 = &listener.http2;
    Settings {
        max_streams: http2.max_concurrent_streams,
        stream_window: http2.stream_window,
        connection_window: http2.connection_window,
        header_bytes: u32::try_from(listener.limits.header_bytes).unwrap_or(u32::MAX),
        ping_interval: Some(http2.ping_interval),
        ping_timeout: http2.ping_timeout,
    }
}
