//! `[[routes]]` and what they match.
//!
//! It refuses to know how they are shown.

use super::super::Default::{Required, Value, Words};
use super::super::Key;
use super::super::Kind::{Fields, Flag, OneOrMore, Pipeline, Size, Table as Of, Target, Text, Texts, Time};
use super::DAY;
use super::plugin::PIPELINE;

pub(super) const ROUTE: &[Key] = &[
    Key {
        name: "name",
        kind: Text("route"),
        default: Required,
        text: "For logs, metrics, routers and `explain`.",
    },
    Key {
        name: "match",
        kind: Of("match"),
        default: Words("every request"),
        text: "Which requests.",
    },
    Key {
        name: "listeners",
        kind: Texts("listener"),
        default: Words("all"),
        text: "The listeners that the route is on.",
    },
    Key {
        name: "pipeline",
        kind: Pipeline,
        default: Value("[]"),
        text: PIPELINE,
    },
    Key {
        name: "inherit",
        kind: Flag,
        default: Value("true"),
        text: "Whether the listener's pipeline runs before the route's own.",
    },
    Key {
        name: "upstream",
        kind: Target,
        default: Required,
        text: "The name of an upstream, or `{ plugin = \"NAME\" }` (overrides are possible) for a plugin that answers.",
    },
    Key {
        name: "timeout",
        kind: Time("1ms", DAY),
        default: Words("none"),
        text: "Bound of the whole exchange.",
    },
    Key {
        name: "max-body",
        kind: Size("0B", "18446744073709551615B"),
        default: Words("that of the listener"),
        text: "A request body.",
    },
    Key {
        name: "upgrades",
        kind: Texts("websocket"),
        default: Value("[\"websocket\"]"),
        text: "Protocols that a connection may go over to when the client asks for it and the upstream agrees; not HTTP, not TLS.",
    },
    Key {
        name: "upgrade-idle-timeout",
        kind: Time("1s", DAY),
        default: Value("\"5m\""),
        text: "How long neither side may send anything after an upgrade.",
    },
    Key {
        name: "retries",
        kind: Of("retries"),
        default: Words("those of the upstream"),
        text: "Further tries.",
    },
    Key {
        name: "mirror",
        kind: Of("mirror"),
        default: Words("none"),
        text: "A second upstream that gets copies of requests.",
    },
];

pub(super) const MATCH: &[Key] = &[
    Key {
        name: "host",
        kind: OneOrMore("api.example.com"),
        default: Words("any"),
        text: "`api.example.com`, or `*.example.com` for every host below it at any depth; one or a list.",
    },
    Key {
        name: "path",
        kind: Text("/v1/orders/{id}"),
        default: Words("any"),
        text: "A whole path; `{id}` stands for one segment that is not empty. Not together with `prefix`.",
    },
    Key {
        name: "prefix",
        kind: Text("/v1/orders"),
        default: Words("any"),
        text: "A path and all paths below it, by whole segments.",
    },
    Key {
        name: "methods",
        kind: Texts("GET"),
        default: Words("any"),
        text: "Methods, in upper case. `GET` does not include `HEAD`.",
    },
    Key {
        name: "headers",
        kind: Fields,
        default: Words("any"),
        text: "Header fields by name, each with its value, `{ present = true }` or `{ prefix = \"..\" }`.",
    },
    Key {
        name: "query",
        kind: Fields,
        default: Words("any"),
        text: "The same for parameters of the query, compared with escapes decoded.",
    },
    Key {
        name: "client-ip",
        kind: Texts("10.0.0.0/8"),
        default: Words("any"),
        text: "Networks, one of which the client is in.",
    },
    Key {
        name: "sni",
        kind: OneOrMore("api.example.com"),
        default: Words("any"),
        text: "The name that the client's TLS handshake asked for, written as in `host`; no request in clear matches. One or a list.",
    },
];

pub(super) const FIELD: &[Key] = &[
    Key {
        name: "present",
        kind: Flag,
        default: Words("not tested"),
        text: "`true`: it is there, with any value.",
    },
    Key {
        name: "prefix",
        kind: Text("v1."),
        default: Words("not tested"),
        text: "Its value begins so.",
    },
];
