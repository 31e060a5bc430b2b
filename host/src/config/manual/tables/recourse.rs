//! `retries`, `retry-budget`, `hedge`, `fallback` and `mirror`.
//!
//! It refuses to know how they are shown.

use super::super::Default::{Required, Value, Words};
use super::super::Key;
use super::super::Kind::{Number, Size, Text, Texts, Time, ValuesByName};
use super::DAY;

pub(super) const RETRIES: &[Key] = &[
    Key {
        name: "attempts",
        kind: Number(0, 10),
        default: Value("2"),
        text: "Tries after the first.",
    },
    Key {
        name: "on",
        kind: Texts("503"),
        default: Value("[\"connect-failure\", \"reset\", \"timeout\", \"503\"]"),
        text: "What is tried again: `connect-failure`; `reset`, a connection that was closed before the head of a response; \
               `timeout`, no head in time; `5xx` and `gateway-error` (502, 503, 504), each with any try without a response; \
               statuses from `400` to `599`; and of gRPC calls that end before anything else of their answer came, whatever the \
               `methods`, those that end with `cancelled`, `deadline-exceeded`, `internal`, `resource-exhausted` or `unavailable`.",
    },
    Key {
        name: "per-try-timeout",
        kind: Time("1ms", DAY),
        default: Words("the upstream's time-outs"),
        text: "From the begin of a try to the head of its response.",
    },
    Key {
        name: "back-off",
        kind: Time("0s", "1h"),
        default: Value("\"25ms\""),
        text: "The pause before a further try is random, up to this; twice as long for each one after it.",
    },
    Key {
        name: "max-back-off",
        kind: Time("0s", "1h"),
        default: Value("\"250ms\""),
        text: "Longest pause.",
    },
    Key {
        name: "max-retry-after",
        kind: Time("0s", "1h"),
        default: Value("\"1s\""),
        text: "Longest `Retry-After` that is waited for. A response that asks for more, or for a date, is passed on.",
    },
    Key {
        name: "methods",
        kind: Texts("GET"),
        default: Words("the idempotent ones"),
        text: "Methods of requests that may be sent again although the upstream may have acted on them. Any request is sent again \
               when nothing of it was sent.",
    },
    Key {
        name: "buffer",
        kind: Size("0B", "16MiB"),
        default: Value("\"64KiB\""),
        text: "How much of a request body is kept for a further try. Once more than this was read, there is none.",
    },
];

pub(super) const RETRY_BUDGET: &[Key] = &[
    Key {
        name: "percent",
        kind: Number(0, 100),
        default: Value("20"),
        text: "Further tries per hundred requests of the last ten seconds.",
    },
    Key {
        name: "min-per-second",
        kind: Number(0, 10_000),
        default: Value("10"),
        text: "Further tries a second on top, for when there are few requests.",
    },
];

pub(super) const HEDGE: &[Key] = &[Key {
    name: "after",
    kind: Time("1ms", "1h"),
    default: Required,
    text: "How long the first try has for the head of its response before the second is sent.",
}];

pub(super) const FALLBACK: &[Key] = &[
    Key {
        name: "status",
        kind: Number(200, 599),
        default: Value("503"),
        text: "Its status.",
    },
    Key {
        name: "headers",
        kind: ValuesByName,
        default: Words("none"),
        text: "Its header fields.",
    },
    Key {
        name: "content-type",
        kind: Text("application/json"),
        default: Words("`text/plain; charset=utf-8` where there is a body"),
        text: "What the body is.",
    },
    Key {
        name: "body",
        kind: Text("Back soon."),
        default: Words("none"),
        text: "Its body, at most 64 KiB.",
    },
];

pub(super) const MIRROR: &[Key] = &[
    Key {
        name: "upstream",
        kind: Text("upstream"),
        default: Required,
        text: "Who gets the copies. Its retries, hedging and fallback do not apply.",
    },
    Key {
        name: "percent",
        kind: Number(0, 100),
        default: Value("100"),
        text: "How many of the requests are copied, at random.",
    },
    Key {
        name: "max-body",
        kind: Size("0B", "16MiB"),
        default: Value("\"64KiB\""),
        text: "Requests with longer bodies are not copied.",
    },
    Key {
        name: "max-concurrent",
        kind: Number(1, 10_000),
        default: Value("64"),
        text: "Copies under way in each worker. Requests beyond this are not copied.",
    },
];
