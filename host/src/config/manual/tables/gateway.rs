//! `[gateway]` and its tables.
//!
//! It refuses to know how they are shown.

use super::super::Default::{Value, Words};
use super::super::Key;
use super::super::Kind::{Choice, Number, Table as Of, Text, Texts, Time};
use super::DAY;

pub(super) const GATEWAY: &[Key] = &[
    Key {
        name: "plugin-dir",
        kind: Text("plugins"),
        default: Value("\"plugins\""),
        text: "Folder of the components, relative to the file. It is watched.",
    },
    Key {
        name: "cache-dir",
        kind: Text("cache"),
        default: Words("none"),
        text: "Folder for compiled components and for the last good version of each, which only the gateway may write. Without it \
               every start compiles.",
    },
    Key {
        name: "admin",
        kind: Text("127.0.0.1:9901"),
        default: Words("none"),
        text: "Address of the admin listener, for metrics and status. Whoever reaches it controls the gateway.",
    },
    Key {
        name: "workers",
        kind: Number(1, 1024),
        default: Words("one per core"),
        text: "Worker threads. The environment variable `PORTCULLIS_WORKERS` goes before it.",
    },
    Key {
        name: "routers",
        kind: Texts("canary"),
        default: Value("[]"),
        text: "Plugin entries that are asked for a route, in this order, before the route table; at most 16.",
    },
    Key {
        name: "via",
        kind: Text("edge"),
        default: Value("\"portcullis\""),
        text: "The name of this gateway in the `Via` field of forwarded requests; a request that has passed it 8 times already \
               is answered 508. `\"\"`: no `Via`, no such answer.",
    },
    Key {
        name: "dns",
        kind: Of("dns"),
        default: Words("defaults"),
        text: "How names of endpoints are resolved.",
    },
    Key {
        name: "zone",
        kind: Text("a"),
        default: Words("none"),
        text: "Where the gateway is. Endpoints of the same zone are preferred. See [load balancing](load-balancing.md).",
    },
    Key {
        name: "shutdown-timeout",
        kind: Time("0s", DAY),
        default: Value("\"30s\""),
        text: "How long exchanges in flight may take at shutdown.",
    },
    Key {
        name: "log",
        kind: Of("log"),
        default: Words("defaults"),
        text: "The gateway's own log.",
    },
    Key {
        name: "access-log",
        kind: Of("access-log"),
        default: Words("none"),
        text: "One line for each exchange.",
    },
    Key {
        name: "plugin-defaults",
        kind: Of("plugin-defaults"),
        default: Words("defaults"),
        text: "What plugin entries may use.",
    },
];

pub(super) const LOG: &[Key] = &[
    Key {
        name: "format",
        kind: Choice(&["text", "json"]),
        default: Value("\"text\""),
        text: "Lines for people, or one JSON object a line.",
    },
    Key {
        name: "level",
        kind: Text("info"),
        default: Value("\"info\""),
        text: "`off`, `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,portcullis_host=debug`.",
    },
];

pub(super) const ACCESS_LOG: &[Key] = &[
    Key {
        name: "format",
        kind: Choice(&["text", "json"]),
        default: Value("\"json\""),
        text: "Lines for people, or one JSON object a line.",
    },
    Key {
        name: "path",
        kind: Text("-"),
        default: Value("\"-\""),
        text: "A file that is appended to, relative to this file; `-` is standard output.",
    },
];

pub(super) const DNS: &[Key] = &[
    Key {
        name: "servers",
        kind: Texts("10.0.0.53"),
        default: Words("those of `/etc/resolv.conf`"),
        text: "IP addresses, with a port where it is not 53; at most 8. `/etc/hosts` is looked at first in any case.",
    },
    Key {
        name: "family",
        kind: Choice(&["ipv4-first", "ipv6-first", "ipv4", "ipv6", "both"]),
        default: Value("\"ipv4-first\""),
        text: "Which addresses of a name are used. With `..-first`, those of the other family only when there are none.",
    },
    Key {
        name: "min-ttl",
        kind: Time("1s", DAY),
        default: Value("\"1s\""),
        text: "An answer counts at least so long, whatever its TTL.",
    },
    Key {
        name: "max-ttl",
        kind: Time("1s", DAY),
        default: Value("\"5m\""),
        text: "An answer counts at most so long, whatever its TTL.",
    },
];
