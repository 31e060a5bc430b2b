//! Every table of the configuration with its keys.
//!
//! It refuses to know how they are shown.

mod balance;
mod care;
mod gateway;
mod http2;
mod listener;
mod plugin;
mod recourse;
mod route;
mod store;
mod tls;
mod upstream;

use super::Default::{Value, Words};
use super::Kind::{Many, Named, Pipelines, Table as Of, Texts};
use super::{Key, Table};
use balance::{BALANCE, BALANCER, ENDPOINT, SLOW_START, STICKY};
use care::{BREAKER, HEALTH_CHECK, OUTLIER, UPSTREAM_LIMITS};
use gateway::{ACCESS_LOG, DNS, GATEWAY, LOG};
use http2::HTTP2;
use listener::{LIMITS, LISTENER};
use plugin::{ALLOW, ANY, BUDGET, OVERRIDES, PLUGIN};
use recourse::{FALLBACK, HEDGE, MIRROR, RETRIES, RETRY_BUDGET};
use route::{FIELD, MATCH, ROUTE};
use store::STORE;
use tls::{CERTIFICATE, CLIENT_AUTH, LISTENER_TLS, UPSTREAM_TLS};
use upstream::UPSTREAM;

const DAY: &str = "24h";

/// All tables; the first is the file.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "file",
        title: "The file",
        text: "An included file has the same tables, but neither `gateway` nor `include`.",
        keys: &[FILE],
    },
    Table {
        name: "gateway",
        title: "[gateway]",
        text: "Settings of the process. `admin`, `workers`, `cache-dir` and the logs are read at the start only.",
        keys: &[GATEWAY],
    },
    Table {
        name: "log",
        title: "[gateway.log]",
        text: "The gateway's own log, on standard error.",
        keys: &[LOG],
    },
    Table {
        name: "access-log",
        title: "[gateway.access-log]",
        text: "One line for each exchange. Without the table there is no access log; an empty table turns it on.",
        keys: &[ACCESS_LOG],
    },
    Table {
        name: "dns",
        title: "[gateway.dns]",
        text: "How names of endpoints are resolved. A name with several addresses is several endpoints. A lookup that fails, or whose \
               answer is empty, leaves what was known.",
        keys: &[DNS],
    },
    Table {
        name: "plugin-defaults",
        title: "[gateway.plugin-defaults]",
        text: "What plugin entries may use that do not say otherwise.",
        keys: &[BUDGET],
    },
    Table {
        name: "listener",
        title: "[listeners.NAME]",
        text: "An address that requests come in by.",
        keys: &[LISTENER],
    },
    Table {
        name: "limits",
        title: "[listeners.NAME.limits]",
        text: "What a client may send and hold.",
        keys: &[LIMITS],
    },
    Table {
        name: "http2",
        title: "[listeners.NAME.http2]",
        text: "What a connection that speaks HTTP/2 may hold.",
        keys: &[HTTP2],
    },
    Table {
        name: "listener-tls",
        title: "[listeners.NAME.tls]",
        text: "TLS on the listener; without the table it is in clear. Files that are named are watched: when they change, new \
               handshakes have the new certificates, and connections go on. `docs/tls.md` says more.",
        keys: &[LISTENER_TLS],
    },
    Table {
        name: "certificate",
        title: "[[listeners.NAME.tls.certificates]]",
        text: "A certificate of the listener.",
        keys: &[CERTIFICATE],
    },
    Table {
        name: "client-auth",
        title: "[listeners.NAME.tls.client-auth]",
        text: "Certificates of clients. Plugins read them as the properties `tls.client-cert*`.",
        keys: &[CLIENT_AUTH],
    },
    Table {
        name: "plugin",
        title: "[plugins.NAME]",
        text: "A plugin entry: a component with a configuration, grants and a budget.",
        keys: &[PLUGIN, BUDGET],
    },
    Table {
        name: "allow",
        title: "[plugins.NAME.allow]",
        text: "What the plugin may do beyond reading and editing the exchange. What it asks for and is not granted is denied.",
        keys: &[ALLOW],
    },
    Table {
        name: "overrides",
        title: "{ plugin = \"NAME\", .. }",
        text: "An entry with overrides, in a pipeline or as an `upstream`: an entry of its own, with its own instances, shared \
               map and counters. Its name is `NAME@OWNER#INDEX`, where the owner is the listener, the route or `pipelines.LIST`; \
               all who use a list share its entries. Grants are those of the entry that it starts from.",
        keys: &[OVERRIDES, BUDGET],
    },
    Table {
        name: "any",
        title: "{ any = [..] }",
        text: "A choice, in a pipeline: the entries are tried in order until one lets the request in. What an entry that answers \
               401 or 403 changed is taken back; the last answer is sent when all refuse.",
        keys: &[ANY],
    },
    Table {
        name: "route",
        title: "[[routes]]",
        text: "Which requests go where. The most specific route wins: an exact host before a wildcard, a longer wildcard before a \
               shorter one, a whole path before a prefix, a literal segment before a parameter, a longer prefix before a shorter \
               one, more demands before fewer, then the order of the files. `portcullis explain` shows it.",
        keys: &[ROUTE],
    },
    Table {
        name: "match",
        title: "[routes.match]",
        text: "What a request must be like. All of it must fit; what is absent fits every request.",
        keys: &[MATCH],
    },
    Table {
        name: "field",
        title: "{ present = true } or { prefix = \"..\" }",
        text: "A test of a header field or query parameter, in place of the value that it must have. Exactly one of the keys.",
        keys: &[FIELD],
    },
    Table {
        name: "mirror",
        title: "[routes.mirror]",
        text: "A second upstream that gets copies of requests, after the plugins and with the same fields and body. What it answers \
               is dropped. A copy holds nothing up: one that cannot be sent is left out.",
        keys: &[MIRROR],
    },
    Table {
        name: "store",
        title: "[store.NAME]",
        text: "A Redis or Valkey, stand-alone or a cluster, that gateways share. Plugins use it by the grant `store`. See \
               [stores](stores.md).",
        keys: &[STORE],
    },
    Table {
        name: "upstream",
        title: "[upstreams.NAME]",
        text: "Servers that answer alike.",
        keys: &[UPSTREAM],
    },
    Table {
        name: "upstream-tls",
        title: "[upstreams.NAME.tls]",
        text: "TLS to the upstream; without the table it is in clear. An empty table is enough for a server with a certificate of \
               a public authority.",
        keys: &[UPSTREAM_TLS],
    },
    Table {
        name: "health-check",
        title: "[upstreams.NAME.health-check]",
        text: "Each endpoint is asked, on a connection of its own each time, whether it works; one that does not is not used. An \
               endpoint counts as healthy until its first check, which comes at once and decides alone. One process checks each \
               endpoint once per interval, whatever its number of workers. See [health of upstreams](upstream-health.md).",
        keys: &[HEALTH_CHECK],
    },
    Table {
        name: "outlier",
        title: "[upstreams.NAME.outlier]",
        text: "An endpoint that fails so many exchanges in a row is not used for a while. Exchanges that the client gave up \
               do not count. An empty table turns it on.",
        keys: &[OUTLIER],
    },
    Table {
        name: "breaker",
        title: "[upstreams.NAME.breaker]",
        text: "Lets nothing through for a while when too many exchanges fail or are slow, then so many trials, then everything \
               again. What is not let through is answered with 503 `circuit-open`. An empty table turns it on.",
        keys: &[BREAKER],
    },
    Table {
        name: "upstream-limits",
        title: "[upstreams.NAME.limits]",
        text: "Bounds over all workers of the process. What is beyond them is answered with 503 `upstream-overloaded`.",
        keys: &[UPSTREAM_LIMITS],
    },
    Table {
        name: "endpoint",
        title: "{ address = \"..\" } or { srv = \"..\" }",
        text: "One of the `endpoints` of an upstream, where it needs more than an address.",
        keys: &[ENDPOINT],
    },
    Table {
        name: "balance",
        title: "[upstreams.NAME.balance]",
        text: "The long form of `balance`.",
        keys: &[BALANCE],
    },
    Table {
        name: "balancer",
        title: "[upstreams.NAME.balance] with a plugin",
        text: "A plugin picks the endpoint of each try. Where it has no preference, the endpoints take turns by weight.",
        keys: &[BALANCER],
    },
    Table {
        name: "slow-start",
        title: "[upstreams.NAME.slow-start]",
        text: "The load of an endpoint that comes by a reload or by DNS, or is healthy again, grows for a while. It has no effect \
               on `ring-hash` and `maglev`.",
        keys: &[SLOW_START],
    },
    Table {
        name: "sticky",
        title: "[upstreams.NAME.sticky]",
        text: "The first answer sets a cookie that stands for the endpoint; requests with it go there as long as the endpoint may \
               be chosen. An empty table turns it on.",
        keys: &[STICKY],
    },
    Table {
        name: "retries",
        title: "[upstreams.NAME.retries] or [routes.retries]",
        text: "Further tries at the upstream, at another endpoint where there is one, as long as nothing of a response was passed on. \
               Without the table there are none; an empty table turns them on. That of a route takes the place of that of its \
               upstream. See [upstream failures](upstream-failures.md).",
        keys: &[RETRIES],
    },
    Table {
        name: "retry-budget",
        title: "[upstreams.NAME.retry-budget]",
        text: "How many further tries, hedges included, all requests to the upstream together may have.",
        keys: &[RETRY_BUDGET],
    },
    Table {
        name: "hedge",
        title: "[upstreams.NAME.hedge]",
        text: "A second try beside a first that takes long, at another endpoint where there is one, for requests with an idempotent \
               method and without a body. The first good response counts, the other try is given up.",
        keys: &[HEDGE],
    },
    Table {
        name: "fallback",
        title: "[upstreams.NAME.fallback]",
        text: "The answer in place of an upstream that failed.",
        keys: &[FALLBACK],
    },
];

const FILE: &[Key] = &[
    Key {
        name: "include",
        kind: Texts("routes.d/*.toml"),
        default: Value("[]"),
        text: "More files of this configuration: paths or patterns (`*`, `?`, `[..]`, `**`), relative to this file. Their tables \
               are added to those of this file, in the order of their paths; names are unique across all files. Changes of the \
               files, and new files in their folders, are noticed. At most 1024 files, each of at most 1 MiB, together 32 MiB.",
    },
    Key {
        name: "gateway",
        kind: Of("gateway"),
        default: Words("defaults"),
        text: "Settings of the process.",
    },
    Key {
        name: "listeners",
        kind: Named("listener"),
        default: Words("none"),
        text: "Addresses that requests come in by.",
    },
    Key {
        name: "plugins",
        kind: Named("plugin"),
        default: Words("none"),
        text: "Plugin entries.",
    },
    Key {
        name: "store",
        kind: Named("store"),
        default: Words("none"),
        text: "Stores that gateways share.",
    },
    Key {
        name: "pipelines",
        kind: Pipelines,
        default: Words("none"),
        text: "Named lists: `base = [\"first\", \"second\"]` is put in wherever a pipeline has the element `\"@base\"`. Lists may \
               name lists, to a depth of 16.",
    },
    Key {
        name: "routes",
        kind: Many("route"),
        default: Words("none"),
        text: "Which requests go where.",
    },
    Key {
        name: "upstreams",
        kind: Named("upstream"),
        default: Words("none"),
        text: "Servers that requests are sent to.",
    },
];
