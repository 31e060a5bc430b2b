//! `protocols` and `[listeners.NAME.http2]`.
//!
//! It refuses to know how they are shown.

use super::super::Default::Value;
use super::super::Key;
use super::super::Kind::{Number, Size, Time};
use super::DAY;

pub(super) const HTTP2: &[Key] = &[
    Key {
        name: "max-concurrent-streams",
        kind: Number(1, 100_000),
        default: Value("100"),
        text: "Streams of a connection at the same time.",
    },
    Key {
        name: "stream-window",
        kind: Size("65535B", "1GiB"),
        default: Value("\"64KiB\""),
        text: "What a client may send of a request body before it is taken.",
    },
    Key {
        name: "connection-window",
        kind: Size("65535B", "1GiB"),
        default: Value("\"1MiB\""),
        text: "The same for all streams of a connection together.",
    },
    Key {
        name: "ping-interval",
        kind: Time("1ms", DAY),
        default: Value("\"30s\""),
        text: "How often a client with open streams is asked whether it is still there.",
    },
    Key {
        name: "ping-timeout",
        kind: Time("1ms", DAY),
        default: Value("\"20s\""),
        text: "How long its answer may take; then the connection is closed.",
    },
];
