//! Plugin entries, their budgets, and elements of pipelines.
//!
//! It refuses to know how they are shown.

use super::super::Default::{Required, Value, Words};
use super::super::Key;
use super::super::Kind::{Choice, Flag, Free, Members, Number, Size, Table as Of, Text, Texts, Time};

pub(super) const BUDGET: &[Key] = &[
    Key {
        name: "max-memory",
        kind: Size("64KiB", "4GiB"),
        default: Value("\"64MiB\""),
        text: "Linear memory of one instance.",
    },
    Key {
        name: "cpu",
        kind: Time("10us", "1m"),
        default: Value("\"5ms\""),
        text: "CPU time for each call of a hook. Above 10 ms the entry runs on a fiber, so that it does not stall its core.",
    },
    Key {
        name: "timeout",
        kind: Time("1ms", "1h"),
        default: Value("\"1s\""),
        text: "Wall time for each call of a hook, waiting included.",
    },
    Key {
        name: "on-fault",
        kind: Choice(&["reject", "skip"]),
        default: Value("\"reject\""),
        text: "What happens to an exchange whose plugin fails: it is answered with 503, or goes on as if the plugin were not there.",
    },
    Key {
        name: "max-body",
        kind: Size("0B", "4GiB"),
        default: Value("\"1MiB\""),
        text: "A body that a hook is shown as a whole, after decoding.",
    },
    Key {
        name: "body-overflow",
        kind: Choice(&["reject", "skip", "prefix"]),
        default: Value("\"reject\""),
        text: "What happens to a longer body: 413 (of a response, 502), the hook is not called, or it is shown the beginning.",
    },
    Key {
        name: "max-decoded-ratio",
        kind: Number(1, 1_000_000),
        default: Value("100"),
        text: "How many times its size a compressed body may become.",
    },
    Key {
        name: "shared",
        kind: Size("0B", "64GiB"),
        default: Value("\"4MiB\""),
        text: "Memory of the entry's shared map.",
    },
    Key {
        name: "max-outbound",
        kind: Number(0, 10_000),
        default: Value("32"),
        text: "Requests that the plugin may send for one exchange, those that others sent for it included.",
    },
    Key {
        name: "max-instances",
        kind: Number(1, 1_000),
        default: Value("100"),
        text: "Instances that live at once on one worker. More than one are made only where guests wait, and given up when nobody needs them.",
    },
    Key {
        name: "max-age",
        kind: Time("0s", "8760h"),
        default: Value("\"0s\""),
        text: "An instance is replaced after this time; `0s` = never. One that uses seven eighths of `max-memory` is replaced, too.",
    },
    Key {
        name: "max-calls",
        kind: Number(0, 4_294_967_295),
        default: Value("0"),
        text: "An instance is replaced after so many calls; 0 = never.",
    },
    Key {
        name: "max-leases",
        kind: Number(1, 10_000),
        default: Value("100"),
        text: "Instances that a worker may have leased to bodies which `body-filter` hooks of the plugin filter; further ones wait for `timeout`, then 503.",
    },
];

pub(super) const PIPELINE: &str = "Plugins in order. An element is the name of an entry, an entry with overrides, a named list (`\"@base\"`) or \
                        a choice (`{ any = [..] }`). At most 64 stages, those of the listener, of lists and of choices counted one by one.";

const CONFIG: Key = Key {
    name: "config",
    kind: Free,
    default: Value("{}"),
    text: "The plugin's own configuration; its README and `portcullis inspect` say what it understands.",
};

pub(super) const PLUGIN: &[Key] = &[
    Key {
        name: "wasm",
        kind: Text("limiter"),
        default: Words("the entry's name"),
        text: "The component: a name in `plugin-dir`, or a path that has a `/` or ends with `.wasm`, relative to the file.",
    },
    Key {
        name: "sha256",
        kind: Text("0000000000000000000000000000000000000000000000000000000000000000"),
        default: Words("any"),
        text: "The digest that the component must have, 64 hexadecimal digits.",
    },
    CONFIG,
    Key {
        name: "allow",
        kind: Of("allow"),
        default: Words("nothing"),
        text: "Grants.",
    },
    Key {
        name: "allow-fail-open",
        kind: Flag,
        default: Value("false"),
        text: "Lets `on-fault = \"skip\"` apply to a plugin that labels itself `security`.",
    },
    Key {
        name: "tick",
        kind: Time("10ms", "24h"),
        default: Words("the plugin's own period"),
        text: "How often the background work of the plugin (`on-tick`) runs, from the beginning of one call to that of the next; see `docs/ticks.md`.",
    },
    Key {
        name: "tick-cpu",
        kind: Time("10us", "1m"),
        default: Value("\"100ms\""),
        text: "CPU time for each call of `on-tick`.",
    },
    Key {
        name: "tick-timeout",
        kind: Time("1ms", "1h"),
        default: Value("\"10s\""),
        text: "Wall time for each call of `on-tick`, waiting included.",
    },
];

pub(super) const ALLOW: &[Key] = &[
    Key {
        name: "attributes",
        kind: Texts("auth."),
        default: Value("[]"),
        text: "Prefixes of reserved attributes that the plugin may write.",
    },
    Key {
        name: "http",
        kind: Texts("https://login.example.com"),
        default: Value("[]"),
        text: "Where the plugin may send requests to (`http-client`): `SCHEME://HOST[:PORT]`, where the host may be `*.NAME`, every \
               name below it; or `upstream://NAME`, an upstream with its balancing and breaker. A name that stands for an address \
               of private use is refused, unless `private-networks` has it; an address that is written here is granted with it.",
    },
    Key {
        name: "private-networks",
        kind: Texts("10.0.0.0/8"),
        default: Value("[]"),
        text: "Networks of private use (loopback, link-local, RFC 1918 and the like) that names of `http` may stand for.",
    },
    Key {
        name: "store",
        kind: Text("store"),
        default: Words("none"),
        text: "The store (`[store.NAME]`) that the plugin may keep counters and values in, which gateways share \
               (`cluster-counters`, `cluster-map`).",
    },
    Key {
        name: "flights",
        kind: Flag,
        default: Value("false"),
        text: "Whether the plugin may wait for another exchange that does the same work (`flights`).",
    },
];

pub(super) const OVERRIDES: &[Key] = &[
    Key {
        name: "plugin",
        kind: Text("plugin"),
        default: Required,
        text: "The entry to start from.",
    },
    Key {
        default: Words("that of the entry"),
        text: "Replaces the entry's `config` as a whole.",
        ..CONFIG
    },
];

pub(super) const ANY: &[Key] = &[Key {
    name: "any",
    kind: Members,
    default: Required,
    text: "Two to eight entries, by name or with overrides.",
}];
