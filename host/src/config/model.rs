//! The checked configuration: plain types, every name resolved to an index, every default filled in.
//!
//! It refuses to know how the file looked, except for the place of each part.

mod dns;
mod grants;
mod http2;
mod mirror;
mod pipeline;
mod store;
mod tick;
mod tls;
mod upgrade;
mod upstream;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::diagnostic::Diagnostic;
use super::origin::Origin;
use super::plugin_config::PluginConfig;
use crate::route::Rule;

pub use dns::{Dns, Family};
pub use grants::{Grants, HostPattern, HttpGrant, HttpScheme};
pub use http2::{Http2, Protocols, UpstreamProtocol};
pub use mirror::Mirror;
pub use pipeline::{Element, Step};
pub use store::{Secret, Store, StoreAddress, StorePlace, StoreServers};
pub use tick::TickRules;
pub use tls::ListenerTls;
pub use upgrade::Upgrades;
pub use upstream::{
    Balance, Condition, Endpoint, Fallback, HashOn, Listed, Policy, Recourse, Retries, RetryBudget, SameSite,
    SlowStart, Source, StaticAnswer, Sticky, Upstream,
};
pub use upstream::{
    Breaker, BreakerScope, Care, GrpcCheck, HealthCheck, HealthProbe, HttpCheck, Outlier, UpstreamLimits,
};

/// A whole configuration that passed every check.
#[derive(Debug)]
pub struct Config {
    /// `[gateway]`.
    pub gateway: Gateway,
    /// `[listeners.NAME]`, in the order of the file.
    pub listeners: Vec<Listener>,
    /// `[plugins.NAME]` in the order of the file, then the entries with overrides that pipelines and routes made.
    pub plugins: Vec<PluginEntry>,
    /// `[[routes]]`, in the order of the file.
    pub routes: Vec<Route>,
    /// `[upstreams.NAME]`, in the order of the file.
    pub upstreams: Vec<Upstream>,
    /// Every file that was read, the configuration file included, and the folder of every glob: what to watch.
    pub inputs: Vec<PathBuf>,
    /// SHA-256 of the text and of everything that its references brought in: equal ones mean the same configuration.
    pub fingerprint: [u8; 32],
    /// What is allowed but doubtful.
    pub warnings: Vec<Diagnostic>,
}

impl Config {
    /// The entry that picks the endpoints of an upstream, if one does.
    #[must_use]
    pub fn balancer(&self, upstream: &Upstream) -> Option<&PluginEntry> {
        match upstream.balance.policy {
            Policy::Plugin { entry, .. } => self.plugins.get(entry),
            _ => None,
        }
    }
}

/// `[gateway]`: settings of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// `plugin-dir`: the folder that components are looked up in, default `plugins`.
    pub plugin_dir: PathBuf,
    /// `cache-dir`: where compiled components are kept; absent = nowhere.
    pub cache_dir: Option<PathBuf>,
    /// `admin`: address of the admin listener; absent = none.
    pub admin: Option<SocketAddr>,
    /// `workers`: number of worker threads, 1 to 1024; absent = one per core.
    pub workers: Option<usize>,
    /// `[gateway.dns]`.
    pub dns: Dns,
    /// `zone`: where the gateway is.
    pub zone: Option<Arc<str>>,
    /// `shutdown-timeout`: how long exchanges in flight may take at shutdown, default 30 s.
    pub shutdown_timeout: Duration,
    /// `[gateway.log]`.
    pub log: Log,
    /// `[gateway.access-log]`; absent = no access log.
    pub access_log: Option<AccessLog>,
    /// `[gateway.plugin-defaults]`.
    pub plugin_defaults: Budget,
    /// `routers`: indices into [`Config::plugins`], asked in this order before the route table, each at most once.
    pub routers: Vec<usize>,
    /// `via`: the name that this gateway goes by in `Via`, default `portcullis`; absent = it adds none.
    pub via: Option<Arc<str>>,
}

/// `[gateway.log]`: the gateway's own log, on standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `format`, default `text`.
    pub format: LogFormat,
    /// `level`: a level or a list of `target=level` directives of tracing-subscriber's `EnvFilter`, default `info`.
    pub level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[gateway.access-log]`: one line per exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// `format`, default `json`.
    pub format: LogFormat,
    /// `path`, default `-`.
    pub sink: AccessLogSink,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogSink {
    /// `-`: standard output.
    Stdout,
    /// A file that is appended to.
    File(PathBuf),
}

/// `[listeners.NAME]`: one listening address.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its name.
    pub name: Arc<str>,
    /// `address`.
    pub address: SocketAddr,
    /// `pipeline`, run before the route's own.
    pub pipeline: Vec<Element>,
    /// `trusted-proxies`: peers whose forwarding headers are believed, default none.
    pub trusted_proxies: Vec<IpNet>,
    /// `encoded-separators`, default `refuse`.
    pub encoded_separators: EncodedSeparators,
    /// `protocols`, default both.
    pub protocols: Protocols,
    /// `[listeners.NAME.http2]`.
    pub http2: Http2,
    /// `[listeners.NAME.limits]`.
    pub limits: ListenerLimits,
    /// `[listeners.NAME.tls]`; absent = in clear.
    pub tls: Option<ListenerTls>,
    /// Where it is written.
    pub origin: Origin,
}

/// What is done with a path that holds an encoded `/`, `\` or NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EncodedSeparators {
    /// The request is refused.
    Refuse,
    /// They stay encoded.
    Keep,
}

/// `[listeners.NAME.limits]`: bounds on what a client may send and hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerLimits {
    /// `header-bytes`: request line and header fields together, default 64 KiB.
    pub header_bytes: usize,
    /// `headers`: number of header fields, default 100.
    pub headers: usize,
    /// `uri-bytes`: the request target, default 8 KiB.
    pub uri_bytes: usize,
    /// `body`: a request body in bytes, default 1 GiB.
    pub body: u64,
    /// `header-timeout`: from the first byte of a request to the end of its head, default 10 s.
    pub header_timeout: Duration,
    /// `body-timeout`: between two reads of a request body, default 30 s.
    pub body_timeout: Duration,
    /// `keep-alive`: an idle client connection is closed after this, default 75 s.
    pub keep_alive: Duration,
    /// `connections`: at the same time, default 10000.
    pub connections: usize,
}

/// `[plugins.NAME]`, or such an entry with overrides: a component with its configuration, grants and budget.
#[derive(Debug, Clone)]
pub struct PluginEntry {
    /// Its name; `NAME@OWNER#INDEX` for an entry with overrides, where the owner is a listener, a route or
    /// `pipelines.LIST`.
    pub name: Arc<str>,
    /// The component's file.
    pub wasm: PathBuf,
    /// `sha256`: the digest that the file must have.
    pub sha256: Option<[u8; 32]>,
    /// `config`.
    pub config: PluginConfig,
    /// `allow`: what it may do beyond its own exchange.
    pub grants: Grants,
    /// `allow-fail-open`: whether a plugin that labels itself `security` may be skipped after a fault.
    pub allow_fail_open: bool,
    /// What it may use.
    pub budget: Budget,
    /// When its background work runs, and what that may use.
    pub tick: TickRules,
    /// That an upstream names it as its balancer, as the problem that it is if the component has no such hook.
    pub balances: Option<Box<Diagnostic>>,
    /// Where it is written.
    pub origin: Origin,
}

impl PluginEntry {
    /// Whether a unit that was made for `other` serves this entry as well: same configuration, grants, budget and use. The
    /// component is compared by whoever has its bytes.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.name == other.name
            && self.wasm == other.wasm
            && self.sha256 == other.sha256
            && self.config.hash() == other.config.hash()
            && self.grants == other.grants
            && self.allow_fail_open == other.allow_fail_open
            && self.tick == other.tick
            && self.balances.is_some() == other.balances.is_some()
            && self.budget == other.budget
    }
}

/// What one plugin entry may use, and what happens when it uses more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Budget {
    /// `max-memory`: linear memory of one instance in bytes, default 64 MiB.
    pub max_memory: u64,
    /// `cpu`: CPU time per hook, default 5 ms.
    pub cpu: Duration,
    /// `timeout`: wall time per hook, waiting included, default 1 s.
    pub timeout: Duration,
    /// `on-fault`, default `reject`.
    pub on_fault: OnFault,
    /// `max-body`: a buffered body in bytes, default 1 MiB.
    pub max_body: u64,
    /// `body-overflow`: what happens to a longer body, default `reject`.
    pub body_overflow: BodyOverflow,
    /// `max-decoded-ratio`: how many times its size a compressed body may become, default 100.
    pub max_decoded_ratio: u32,
    /// `shared`: memory of the entry's `shared` map in bytes, default 4 MiB.
    pub shared: u64,
    /// `max-outbound`: requests that plugins may send for one exchange, default 32.
    pub max_outbound: u32,
    /// `max-instances`: instances that live at once on one worker, default 100.
    pub max_instances: usize,
    /// `max-age`: an instance is replaced after this time, default 0 = never.
    pub max_age: Duration,
    /// `max-calls`: an instance is replaced after this many calls, default 0 = never.
    pub max_calls: u64,
    /// `max-leases`: instances that bodies hold while they stream, in one worker, default 100.
    pub max_leases: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            max_memory: 64 << 20,
            cpu: Duration::from_millis(5),
            timeout: Duration::from_secs(1),
            on_fault: OnFault::Reject,
            max_body: 1 << 20,
            body_overflow: BodyOverflow::Reject,
            max_decoded_ratio: 100,
            shared: 4 << 20,
            max_outbound: 32,
            max_instances: 100,
            max_age: Duration::ZERO,
            max_calls: 0,
            max_leases: 100,
        }
    }
}

/// What happens to the exchange when a plugin fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnFault {
    /// It is answered with an error.
    Reject,
    /// It goes on as if the plugin were not there.
    Skip,
}

/// What happens when a body is longer than `max-body`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyOverflow {
    /// The exchange is answered with an error.
    Reject,
    /// The plugin's body hook is not called.
    Skip,
    /// The plugin gets the first `max-body` bytes.
    Prefix,
}

/// `[[routes]]`: which requests, through which plugins, to where.
#[derive(Clone)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// `match`.
    pub rule: Rule,
    /// `listeners`: indices into [`Config::listeners`]; absent = all.
    pub listeners: Option<Vec<usize>>,
    /// `pipeline`.
    pub pipeline: Vec<Element>,
    /// `inherit`: whether the listener's pipeline runs first, default true.
    pub inherit: bool,
    /// `upstream`.
    pub target: Target,
    /// `retries`, in place of the upstream's.
    pub retries: Option<Retries>,
    /// `mirror`.
    pub mirror: Option<Mirror>,
    /// `timeout` of the whole exchange; absent = no bound.
    pub timeout: Option<Duration>,
    /// `max-body`: a request body in bytes; absent = the listener's limit.
    pub max_body: Option<u64>,
    /// `upgrades` and `upgrade-idle-timeout`.
    pub upgrades: Upgrades,
    /// Where it is written.
    pub origin: Origin,
}

impl Route {
    /// Whether it takes requests of this listener, an index into [`Config::listeners`].
    #[must_use]
    pub fn is_on(&self, listener: usize) -> bool {
        self.listeners.as_ref().is_none_or(|on| on.contains(&listener))
    }
}

/// Without the rule: a value that a header must have can be a secret.
impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("name", &self.name)
            .field("listeners", &self.listeners)
            .field("pipeline", &self.pipeline)
            .field("inherit", &self.inherit)
            .field("target", &self.target)
            .field("retries", &self.retries)
            .field("mirror", &self.mirror)
            .field("timeout", &self.timeout)
            .field("max_body", &self.max_body)
            .field("upgrades", &self.upgrades)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Who answers the requests of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// An index into [`Config::upstreams`].
    Upstream(usize),
    /// An index into [`Config::plugins`]: a plugin that is the upstream itself.
    Responder(usize),
}
