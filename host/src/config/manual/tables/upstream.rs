//! `[upstreams.NAME]`.
//!
//! It refuses to know how they are shown.

use super::super::Default::{Required, Value, Words};
use super::super::Key;
use super::super::Kind::{Choice, ChoiceOr, Number, Size, Table as Of, TextsOr, Time, UpstreamOr};
use super::DAY;
use super::balance::POLICIES;

pub(super) const UPSTREAM: &[Key] = &[
    Key {
        name: "endpoints",
        kind: TextsOr("127.0.0.1:9001", "endpoint"),
        default: Required,
        text: "`host:port`, IPv6 addresses in brackets, or tables; at most 1024.",
    },
    Key {
        name: "protocol",
        kind: Choice(&["http/1.1", "h2"]),
        default: Value("\"http/1.1\""),
        text: "What the servers speak; with `tls` they must agree on it (ALPN) where it is `h2`. Over HTTP/2 exchanges share connections; trailers and two-way streams of gRPC need it.",
    },
    Key {
        name: "balance",
        kind: ChoiceOr(POLICIES, &["balance", "balancer"]),
        default: Value("\"round-robin\""),
        text: "How the endpoint of a request is chosen. See [load balancing](load-balancing.md).",
    },
    Key {
        name: "slow-start",
        kind: Of("slow-start"),
        default: Words("none"),
        text: "How the load of an endpoint that is new, or healthy again, grows.",
    },
    Key {
        name: "panic-threshold",
        kind: Number(0, 100),
        default: Value("0"),
        text: "When fewer than so many per cent of the endpoints are healthy, all are used as if they were.",
    },
    Key {
        name: "sticky",
        kind: Of("sticky"),
        default: Words("none"),
        text: "A cookie that keeps a client with its endpoint.",
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
    Key {
        name: "health-check",
        kind: Of("health-check"),
        default: Words("none"),
        text: "Active checks of the endpoints.",
    },
    Key {
        name: "outlier",
        kind: Of("outlier"),
        default: Words("none"),
        text: "Endpoints that fail again and again sit out.",
    },
    Key {
        name: "breaker",
        kind: Of("breaker"),
        default: Words("none"),
        text: "Circuit breakers.",
    },
    Key {
        name: "limits",
        kind: Of("upstream-limits"),
        default: Words("none"),
        text: "How much is asked of the upstream at once.",
    },
    Key {
        name: "retries",
        kind: Of("retries"),
        default: Words("none"),
        text: "Further tries.",
    },
    Key {
        name: "retry-budget",
        kind: Of("retry-budget"),
        default: Words("defaults"),
        text: "Bound of the further tries of all requests together.",
    },
    Key {
        name: "hedge",
        kind: Of("hedge"),
        default: Words("none"),
        text: "A second try beside a slow first one.",
    },
    Key {
        name: "fallback",
        kind: UpstreamOr("fallback"),
        default: Words("none"),
        text: "The upstream that a request goes to, or the answer that is given, when no endpoint is available, or the last try has \
               failed. An upstream is asked only where the request may be sent again.",
    },
];
