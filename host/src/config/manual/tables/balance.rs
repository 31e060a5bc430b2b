//! `balance`, `slow-start`, `sticky` and the elements of `endpoints`.
//!
//! It refuses to know how they are shown.

use super::super::Default::{Required, Value, Words};
use super::super::Key;
use super::super::Kind::{Choice, Flag, Number, Text, Time, ValuesByName};
use super::DAY;

/// The policies.
pub(super) const POLICIES: &[&str] = &[
    "round-robin",
    "random",
    "least-request",
    "peak-ewma",
    "ring-hash",
    "maglev",
];

pub(super) const ENDPOINT: &[Key] = &[
    Key {
        name: "address",
        kind: Text("127.0.0.1:9001"),
        default: Words("none"),
        text: "`host:port`, IPv6 addresses in brackets. It, or `srv`.",
    },
    Key {
        name: "srv",
        kind: Text("_http._tcp.orders.example"),
        default: Words("none"),
        text: "The name of SRV records (RFC 2782), which give hosts, ports and weights; those of the lowest priority are used.",
    },
    Key {
        name: "weight",
        kind: Number(1, 10_000),
        default: Value("1"),
        text: "Its share of the requests, beside those of the others. Weights of SRV records are multiplied by it.",
    },
    Key {
        name: "zone",
        kind: Text("a"),
        default: Words("none"),
        text: "Where it is. Endpoints in the zone of the gateway are preferred.",
    },
    Key {
        name: "labels",
        kind: ValuesByName,
        default: Words("none"),
        text: "What a plugin that picks endpoints is told of it: at most 16, names and values of at most 128 bytes. `zone` is told, too.",
    },
];

pub(super) const BALANCE: &[Key] = &[
    Key {
        name: "policy",
        kind: Choice(POLICIES),
        default: Required,
        text: "How the endpoint of a request is chosen.",
    },
    Key {
        name: "hash-on",
        kind: Text("header:x-user"),
        default: Value("\"client-ip\""),
        text: "What `ring-hash` and `maglev` hash: `client-ip`, `path` (without the query), `header:NAME`, `cookie:NAME` or \
               `query:NAME`. A request that has none goes to the endpoints in turn.",
    },
    Key {
        name: "decay",
        kind: Time("1ms", "1h"),
        default: Value("\"10s\""),
        text: "How long a slow answer counts for `peak-ewma`.",
    },
];

pub(super) const BALANCER: &[Key] = &[
    Key {
        name: "plugin",
        kind: Text("plugin"),
        default: Required,
        text: "The plugin entry that picks; its component has the hook `balancer`.",
    },
    Key {
        name: "max-candidates",
        kind: Number(1, 1000),
        default: Value("100"),
        text: "Endpoints that it is shown at most. Of more, which are left out is drawn anew for each try.",
    },
];

pub(super) const SLOW_START: &[Key] = &[
    Key {
        name: "window",
        kind: Time("1ms", DAY),
        default: Required,
        text: "How long the load grows.",
    },
    Key {
        name: "aggression",
        kind: Number(1, 10_000),
        default: Value("100"),
        text: "In per cent: the part of the weight is (time / window)^(100 / aggression), so 100 is evenly, more is faster.",
    },
    Key {
        name: "min-weight",
        kind: Number(1, 100),
        default: Value("10"),
        text: "The least part of the weight, in per cent.",
    },
];

pub(super) const STICKY: &[Key] = &[
    Key {
        name: "cookie",
        kind: Text("orders-server"),
        default: Value("\"portcullis\""),
        text: "Its name.",
    },
    Key {
        name: "path",
        kind: Text("/orders"),
        default: Value("\"/\""),
        text: "`Path` of the cookie.",
    },
    Key {
        name: "ttl",
        kind: Time("1s", "9600h"),
        default: Words("as long as the browser is open"),
        text: "`Max-Age` of the cookie.",
    },
    Key {
        name: "secure",
        kind: Flag,
        default: Value("false"),
        text: "Whether the cookie is sent over TLS only.",
    },
    Key {
        name: "http-only",
        kind: Flag,
        default: Value("true"),
        text: "Whether scripts do not see the cookie.",
    },
    Key {
        name: "same-site",
        kind: Choice(&["strict", "lax", "none"]),
        default: Value("\"lax\""),
        text: "Whether requests that other sites cause carry the cookie. `none` needs `secure`.",
    },
];
