//! `[upstreams.NAME]`.
//!
//! It refuses to know how they are shown.

use super::super::Default::{Required, Value, Words};
use super::super::Key;
use super::super::Kind::{Choice, Number, Size, Table as Of, Texts, Time};
use super::DAY;

pub(super) const UPSTREAM: &[Key] = &[
    Key {
        name: "endpoints",
        kind: Texts("127.0.0.1:9001"),
        default: Required,
        text: "`host:port`, IPv6 addresses in brackets; at most 1024.",
    },
    Key {
        name: "protocol",
        kind: Choice(&["http/1.1", "h2"]),
        default: Value("\"http/1.1\""),
        text: "What the servers speak; with `tls` they must agree on it (ALPN) where it is `h2`. Over HTTP/2 exchanges share connections; trailers and two-way streams of gRPC need it.",
    },
    Key {
        name: "connect-timeout",
        kind: Time("1ms", DAY),
        default: Value("\"5s\""),
        text: "To make a connection.",
    },
    Key {
        name: "first-byte-timeout",
        kind: Time("1ms", DAY),
        default: Value("\"60s\""),
        text: "From the end of the request to the head of the response.",
    },
    Key {
        name: "idle-timeout",
        kind: Time("1ms", DAY),
        default: Value("\"60s\""),
        text: "Between two pieces of a body.",
    },
    Key {
        name: "max-idle",
        kind: Number(0, 100_000),
        default: Value("128"),
        text: "Kept connections for each worker and endpoint.",
    },
    Key {
        name: "max-idle-time",
        kind: Time("1ms", DAY),
        default: Value("\"60s\""),
        text: "How long an unused connection is kept.",
    },
    Key {
        name: "max-header-bytes",
        kind: Size("256B", "16MiB"),
        default: Value("\"64KiB\""),
        text: "Status line and header fields of a response.",
    },
    Key {
        name: "tls",
        kind: Of("upstream-tls"),
        default: Words("in clear"),
        text: "TLS to the upstream.",
    },
];
