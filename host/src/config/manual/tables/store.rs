//! `[store.NAME]`.
//!
//! It refuses to know how it is shown.

use super::super::Default::{Value, Words};
use super::super::Key;
use super::super::Kind::{Number, Pem, Text, Texts, Time};

pub(super) const STORE: &[Key] = &[
    Key {
        name: "url",
        kind: Text("redis://127.0.0.1:6379/0"),
        default: Words("none; either this or `cluster`"),
        text: "One server: `redis://HOST[:PORT][/DATABASE]`, `rediss://` with TLS (`valkey://` and `valkeys://` mean the same), or \
               `unix:///PATH[?db=DATABASE]`. At least Redis 6.0 or any Valkey.",
    },
    Key {
        name: "cluster",
        kind: Texts("redis://10.0.0.1:6379"),
        default: Words("none; either this or `url`"),
        text: "Some nodes of a cluster, which tell of the others; at most 64, all in clear or all with TLS.",
    },
    Key {
        name: "ca",
        kind: Pem("ca.pem"),
        default: Words("the system's authorities"),
        text: "The authorities whose certificates servers may have, in PEM; then the system's do not count.",
    },
    Key {
        name: "user",
        kind: Text("gateway"),
        default: Words("the server's default user"),
        text: "Who the gateway is there.",
    },
    Key {
        name: "password",
        kind: Text("secret"),
        default: Words("none"),
        text: "Its password; best from outside of the file: `{ env = \"NAME\" }` or `{ file = \"PATH\" }`.",
    },
    Key {
        name: "key-prefix",
        kind: Text("portcullis:"),
        default: Value("\"portcullis:\""),
        text: "What every key begins with, at most 128 bytes. Gateways that share limits have the same.",
    },
    Key {
        name: "timeout",
        kind: Time("1ms", "60s"),
        default: Value("\"20ms\""),
        text: "The longest time for one command; never longer than what the exchange has left.",
    },
    Key {
        name: "connect-timeout",
        kind: Time("1ms", "60s"),
        default: Value("\"1s\""),
        text: "The longest time for a connection with its handshakes. No request waits for one but the first.",
    },
    Key {
        name: "max-pending",
        kind: Number(1, 100_000),
        default: Value("1024"),
        text: "Commands of one worker that wait for their answer; more fail at once.",
    },
];
