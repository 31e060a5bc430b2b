//! What the names of endpoints stand for. DNS is asked again when an answer has expired; one that is empty or fails leaves
//! what was known. It refuses to know exchanges: it runs beside the workers, and they see the list that it leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use tokio::sync::{Semaphore, oneshot};

use super::settings::{Endpoint, Source};
use super::shared::Shared;

/// Questions under way at the same time.
const AT_ONCE: usize = 16;
/// Addresses of one listed name, at most; of more, the first in their order are used.
const MAX_PLACES: usize = 256;
/// The time that one server has to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Tries at each server.
const TRIES: usize = 2;
/// The pause after a question without a usable answer; it doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whom to ask, and how long answers count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// Servers; empty = those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// Which addresses of a name are wanted.
    pub family: Family,
    /// An answer counts at least so long.
    pub min_ttl: Duration,
    /// An answer counts at most so long.
    pub max_ttl: Duration,
}

/// Which addresses of a name are endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4, and IPv6 only when there are none.
    V4First,
    /// IPv6, and IPv4 only when there are none.
    V6First,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// All.
    Both,
}

/// Why a name stands for nothing.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The system's settings cannot be read, or nobody gave an answer.
    #[error("the lookup failed")]
    Lookup(#[from] NetError),
    /// There is an answer, and it names no endpoint.
    #[error("the answer names no endpoint")]
    Empty,
}

/// How a lookup ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// With an answer that names an endpoint.
    Found,
    /// Without.
    Failed,
}

impl Lookup {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Found, Self::Failed];

    /// The word for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Failed => "failed",
        }
    }
}

/// How many lookups ended how.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    found: AtomicU64,
    failed: AtomicU64,
}

impl Lookups {
    pub(super) fn of(&self, lookup: Lookup) -> &AtomicU64 {
        match lookup {
            Lookup::Found => &self.found,
            Lookup::Failed => &self.failed,
        }
    }
}

/// One server that a listed name stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The host that the address belongs to, and the port.
    pub endpoint: Endpoint,
    /// The address.
    pub address: SocketAddr,
    /// Its weight among those of the name, at least 1.
    pub weight: u32,
}

/// What a listed name stands for.
#[derive(Debug)]
struct Answer {
    places: Vec<Place>,
    ttl: Duration,
}

/// Asks DNS, for the whole process.
#[derive(Debug)]
pub struct Dns {
    resolver: TokioResolver,
    settings: DnsSettings,
    at_once: Semaphore,
}

impl Dns {
    /// Reads the system's settings, also `/etc/hosts`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn new(settings: DnsSettings) -> Result<Rc<Self>, DnsError> {
        let mut builder = if settings.servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = settings.servers.iter().map(server).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        tune(builder.options_mut(), settings.family);
        Ok(Rc::new(Self {
            resolver: builder.build()?,
            settings,
            at_once: Semaphore::new(AT_ONCE),
        }))
    }

    async fn find(&self, source: &Source) -> Result<Answer, DnsError> {
        // Never closed: it lives as long as this.
        let _turn = self.at_once.acquire().await.ok();
        let mut answer = match source {
            Source::Address(endpoint) => self.addresses(endpoint, 1).await?,
            Source::Srv(name) => self.services(name).await?,
        };
        answer.places.sort_unstable();
        answer.places.dedup();
        answer.places.truncate(MAX_PLACES);
        if answer.places.is_empty() {
            return Err(DnsError::Empty);
        }
        Ok(answer)
    }

    async fn addresses(&self, endpoint: &Endpoint, weight: u32) -> Result<Answer, DnsError> {
        let found = self.resolver.lookup_ip(endpoint.host.as_str()).await?;
        let ttls = found.as_lookup().answers().iter().map(|record| record.ttl);
        let ttl = seconds(ttls.min().unwrap_or(0));
        let place = |ip: IpAddr| Place {
            endpoint: endpoint.clone(),
            address: SocketAddr::new(ip, endpoint.port),
            weight,
        };
        Ok(Answer {
            places: found.iter().map(place).collect(),
            ttl,
        })
    }

    /// The servers of the lowest priority number, by RFC 2782. Weight 0 is taken for 1.
    async fn services(&self, name: &str) -> Result<Answer, DnsError> {
        let found = self.resolver.srv_lookup(name).await?;
        let mut ttl = u32::MAX;
        let mut by_priority: BTreeMap<u16, BTreeSet<(String, u16, u16)>> = BTreeMap::new();
        for record in found.answers() {
            if let RData::SRV(srv) = &record.data {
                ttl = ttl.min(record.ttl);
                let target = srv.target.to_ascii();
                // "." says that there is no such service.
                if target != "." && srv.port != 0 {
                    let services = by_priority.entry(srv.priority).or_default();
                    services.insert((target, srv.port, srv.weight));
                }
            }
        }
        let mut answer = Answer {
            places: Vec::new(),
            ttl: seconds(ttl),
        };
        let mut problem = DnsError::Empty;
        let best = by_priority.into_values().next().unwrap_or_default();
        for (host, port, weight) in best.into_iter().take(MAX_PLACES) {
            let endpoint = Endpoint { host, port };
            match self.addresses(&endpoint, u32::from(weight).max(1)).await {
                Ok(found) => {
                    answer.ttl = answer.ttl.min(found.ttl);
                    answer.places.extend(found.places.into_iter().map(named));
                }
                Err(error) => problem = error,
            }
        }
        if answer.places.is_empty() {
            return Err(problem);
        }
        Ok(answer)
    }

    /// How long an answer with this TTL counts.
    fn bounded(&self, ttl: Duration) -> Duration {
        ttl.max(self.settings.min_ttl).min(self.settings.max_ttl)
    }
}

/// The places of the upstream's names, in the order of its settings: what has to be [`follow`]ed.
pub fn names(shared: &Shared) -> impl Iterator<Item = usize> {
    let entries = shared.settings().endpoints.iter().enumerate();
    entries.filter_map(|(index, entry)| match &entry.source {
        Source::Address(endpoint) if endpoint.bare_host().parse::<IpAddr>().is_ok() => None,
        Source::Address(_) | Source::Srv(_) => Some(index),
    })
}

/// Keeps the upstream's list of what the name at `index` of its settings stands for up to date, for ever. `first` is told
/// when there was an answer, or none.
pub async fn follow(shared: Arc<Shared>, index: usize, dns: Rc<Dns>, first: oneshot::Sender<()>) {
    let Some(entry) = shared.settings().endpoints.get(index).cloned() else {
        return;
    };
    let (upstream, name) = (Arc::clone(&shared.settings().name), entry.source.to_string());
    let mut first = Some(first);
    let mut failures = 0_u32;
    loop {
        let pause = match dns.find(&entry.source).await {
            Ok(answer) => {
                if failures > 0 {
                    tracing::info!(
                        upstream = &*upstream,
                        name,
                        "the name of an endpoint is resolved again"
                    );
                }
                failures = 0;
                shared.count_lookup(Lookup::Found);
                let ttl = dns.bounded(answer.ttl);
                shared.found(index, answer.places);
                ttl
            }
            Err(error) => {
                if failures == 0 {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(
                        upstream = &*upstream,
                        name,
                        error,
                        "the name of an endpoint cannot be resolved; what was known of it stays in use"
                    );
                }
                failures = failures.saturating_add(1);
                shared.count_lookup(Lookup::Failed);
                let pause = PAUSE.saturating_mul(2_u32.saturating_pow(failures.min(16) - 1));
                pause.min(LONGEST_PAUSE)
            }
        };
        if let Some(first) = first.take() {
            // Whoever waited may have given up.
            first.send(()).ok();
        }
        tokio::time::sleep(pause).await;
    }
}

/// The host of a place without the dot at its end, as it stands in a Host field or certificate.
fn named(mut place: Place) -> Place {
    if place.endpoint.host.ends_with('.') {
        place.endpoint.host.pop();
    }
    place
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(u64::from(ttl))
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let with_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(with_port);
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn tune(options: &mut ResolverOpts, family: Family) {
    options.ip_strategy = match family {
        Family::V4First => LookupIpStrategy::Ipv4thenIpv6,
        Family::V6First => LookupIpStrategy::Ipv6thenIpv4,
        Family::V4 => LookupIpStrategy::Ipv4Only,
        Family::V6 => LookupIpStrategy::Ipv6Only,
        Family::Both => LookupIpStrategy::Ipv4AndIpv6,
    };
    // Each answer is asked for once, when the one before has expired.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Always;
    options.timeout = PATIENCE;
    options.attempts = TRIES;
}
