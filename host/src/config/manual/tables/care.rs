//! `health-check`, `outlier`, `breaker` and `limits` of an upstream.
//!
//! It refuses to know how they are shown.

use super::super::Default::{Value, Words};
use super::super::Key;
use super::super::Kind::{Choice, Number, Text, Texts, Time};
use super::DAY;

pub(super) const HEALTH_CHECK: &[Key] = &[
    Key {
        name: "protocol",
        kind: Choice(&["http", "tcp", "grpc"]),
        default: Value("\"http\""),
        text: "What a check is: a request, a connection alone, or a call of `grpc.health.v1.Health/Check`, for which the upstream needs \
               `protocol = \"h2\"`. `method`, `path` and `expect` belong to `http`, `service` to `grpc`, and `host` to both.",
    },
    Key {
        name: "method",
        kind: Text("HEAD"),
        default: Value("\"GET\""),
        text: "The method of the request.",
    },
    Key {
        name: "path",
        kind: Text("/live"),
        default: Value("\"/\""),
        text: "Path and query of the request.",
    },
    Key {
        name: "host",
        kind: Text("orders.example"),
        default: Words("the endpoint"),
        text: "The Host field of the request.",
    },
    Key {
        name: "service",
        kind: Text("orders.v1.Orders"),
        default: Words("the server as a whole"),
        text: "The gRPC service that is asked for.",
    },
    Key {
        name: "expect",
        kind: Texts("200-399"),
        default: Value("[\"200-399\"]"),
        text: "The good answers: statuses (`204`), classes (`2xx`) and ranges.",
    },
    Key {
        name: "interval",
        kind: Time("10ms", DAY),
        default: Value("\"5s\""),
        text: "From the end of a check to the next one of the same endpoint, up to a tenth more or less.",
    },
    Key {
        name: "timeout",
        kind: Time("1ms", "1h"),
        default: Value("\"2s\""),
        text: "How long a check may take in all.",
    },
    Key {
        name: "healthy-threshold",
        kind: Number(1, 1000),
        default: Value("2"),
        text: "Good checks in a row until an endpoint that was unhealthy is used again.",
    },
    Key {
        name: "unhealthy-threshold",
        kind: Number(1, 1000),
        default: Value("3"),
        text: "Bad checks in a row until an endpoint that was healthy is not used any more.",
    },
    Key {
        name: "port",
        kind: Number(1, 65_535),
        default: Words("that of the endpoint"),
        text: "The port that is checked.",
    },
];

pub(super) const OUTLIER: &[Key] = &[
    Key {
        name: "consecutive-gateway-errors",
        kind: Number(0, 100_000),
        default: Value("5"),
        text: "Answers 502, 503 and 504 and exchanges without an answer, so many in a row; 0 for never.",
    },
    Key {
        name: "consecutive-5xx",
        kind: Number(0, 100_000),
        default: Value("5"),
        text: "Answers 500 to 599 and exchanges without an answer, so many in a row; 0 for never.",
    },
    Key {
        name: "base-time",
        kind: Time("1ms", DAY),
        default: Value("\"30s\""),
        text: "How long the endpoint is not used, the first time. Each further time twice as long; each time as long as this \
               without an ejection takes one doubling back.",
    },
    Key {
        name: "max-time",
        kind: Time("1ms", DAY),
        default: Value("\"5m\""),
        text: "The longest time that an endpoint is not used.",
    },
    Key {
        name: "max-percent",
        kind: Number(0, 100),
        default: Value("50"),
        text: "The part of the endpoints that may be ejected at once, rounded down; but one of several always may, unless it is 0.",
    },
];

pub(super) const BREAKER: &[Key] = &[
    Key {
        name: "scope",
        kind: Choice(&["upstream", "endpoint", "both"]),
        default: Value("\"upstream\""),
        text: "What has a breaker: the upstream as a whole, each of its endpoints (the others go on), or both.",
    },
    Key {
        name: "consecutive-errors",
        kind: Number(0, 100_000),
        default: Value("10"),
        text: "It opens after so many failures in a row; 0 for never.",
    },
    Key {
        name: "error-percent",
        kind: Number(0, 100),
        default: Value("50"),
        text: "It opens when so many per cent of the window failed; 0 for never.",
    },
    Key {
        name: "slow-percent",
        kind: Number(0, 100),
        default: Value("0"),
        text: "It opens when so many per cent of the window were slow; 0 for never.",
    },
    Key {
        name: "slow-after",
        kind: Time("1ms", DAY),
        default: Value("\"1s\""),
        text: "What is slow: the time to the head of the response.",
    },
    Key {
        name: "min-requests",
        kind: Number(1, 100_000),
        default: Value("20"),
        text: "Requests in the window below which its percentages say nothing.",
    },
    Key {
        name: "window",
        kind: Time("1s", "1h"),
        default: Value("\"10s\""),
        text: "How far back the percentages look.",
    },
    Key {
        name: "open-time",
        kind: Time("10ms", DAY),
        default: Value("\"5s\""),
        text: "How long it stays open; twice as long each time that the trials fail.",
    },
    Key {
        name: "max-open-time",
        kind: Time("10ms", DAY),
        default: Value("\"60s\""),
        text: "The longest time that it stays open.",
    },
    Key {
        name: "trials",
        kind: Number(1, 1000),
        default: Value("3"),
        text: "Requests that are let through after it, in all, until it is known how they end.",
    },
    Key {
        name: "successes",
        kind: Number(1, 1000),
        default: Words("`trials`"),
        text: "How many of the trials must end well for it to close; at most `trials`.",
    },
    Key {
        name: "statuses",
        kind: Texts("5xx"),
        default: Value("[\"500\", \"502-504\"]"),
        text: "Statuses that are failures, beside connections that fail or break and times that run out.",
    },
];

pub(super) const UPSTREAM_LIMITS: &[Key] = &[
    Key {
        name: "connections",
        kind: Number(1, 10_000_000),
        default: Words("none"),
        text: "Connections in use at once; kept idle ones do not count. What is beyond waits. This and the next two keys are not \
               for `protocol = \"h2\"`, where requests share connections.",
    },
    Key {
        name: "pending",
        kind: Number(0, 10_000_000),
        default: Value("1024"),
        text: "Requests that may wait for a connection, served in turn.",
    },
    Key {
        name: "pending-timeout",
        kind: Time("1ms", DAY),
        default: Value("\"5s\""),
        text: "How long a request may wait for a connection.",
    },
    Key {
        name: "requests",
        kind: Number(1, 10_000_000),
        default: Words("none"),
        text: "Requests at once, those that wait included. What is beyond is refused at once.",
    },
];
