//! `[listeners.NAME]` and its limits.
//!
//! It refuses to know how they are shown.

use super::super::Default::{Required, Value, Words};
use super::super::Key;
use super::super::Kind::{Choice, Number, Pipeline, Size, Table as Of, Text, Texts, Time};
use super::DAY;
use super::plugin::PIPELINE;

pub(super) const LISTENER: &[Key] = &[
    Key {
        name: "address",
        kind: Text("0.0.0.0:8080"),
        default: Required,
        text: "IP address and port; IPv6 in brackets. Port 0 is any free one.",
    },
    Key {
        name: "pipeline",
        kind: Pipeline,
        default: Value("[]"),
        text: PIPELINE,
    },
    Key {
        name: "trusted-proxies",
        kind: Texts("10.0.0.0/8"),
        default: Value("[]"),
        text: "Networks of peers whose `Forwarded` and `X-Forwarded-*` fields are believed; those of others are dropped.",
    },
    Key {
        name: "encoded-separators",
        kind: Choice(&["refuse", "keep"]),
        default: Value("\"refuse\""),
        text: "What is done with a path that has an encoded `/`, `\\` or NUL: 400, or they stay encoded.",
    },
    Key {
        name: "protocols",
        kind: Texts("h2"),
        default: Value("[\"http/1.1\", \"h2\"]"),
        text: "What clients may speak. With TLS they agree on it (ALPN); without, an HTTP/2 client is one that begins with the preface of RFC 9113.",
    },
    Key {
        name: "http2",
        kind: Of("http2"),
        default: Words("defaults"),
        text: "What a connection that speaks HTTP/2 may hold.",
    },
    Key {
        name: "limits",
        kind: Of("limits"),
        default: Words("defaults"),
        text: "What a client may send and hold.",
    },
    Key {
        name: "tls",
        kind: Of("listener-tls"),
        default: Words("in clear"),
        text: "TLS on the listener.",
    },
];

pub(super) const LIMITS: &[Key] = &[
    Key {
        name: "header-bytes",
        kind: Size("256B", "16MiB"),
        default: Value("\"64KiB\""),
        text: "Request line and header fields together.",
    },
    Key {
        name: "headers",
        kind: Number(1, 10_000),
        default: Value("100"),
        text: "Number of header fields.",
    },
    Key {
        name: "uri-bytes",
        kind: Size("16B", "16MiB"),
        default: Value("\"8KiB\""),
        text: "The request target.",
    },
    Key {
        name: "body",
        kind: Size("0B", "18446744073709551615B"),
        default: Value("\"1GiB\""),
        text: "A request body.",
    },
    Key {
        name: "header-timeout",
        kind: Time("1ms", DAY),
        default: Value("\"10s\""),
        text: "From the first byte of a request to the end of its head.",
    },
    Key {
        name: "body-timeout",
        kind: Time("1ms", DAY),
        default: Value("\"30s\""),
        text: "Between two pieces of a request body.",
    },
    Key {
        name: "keep-alive",
        kind: Time("1ms", DAY),
        default: Value("\"75s\""),
        text: "An idle connection is closed after this.",
    },
    Key {
        name: "connections",
        kind: Number(1, 1_000_000),
        default: Value("10000"),
        text: "Connections at the same time.",
    },
];
