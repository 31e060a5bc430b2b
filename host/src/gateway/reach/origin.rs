//! Origins outside the configuration that plugins send requests to: what their names stand for, and connections to them.
//! It refuses to know requests.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::lookup_host;
use tokio::time::Instant;

use crate::abi::HttpError;
use crate::config::{HostPattern, HttpScheme, is_private};
use crate::tls::{Client, ClientSettings, HTTP_1_1, MinVersion, Trust, Verification};
use crate::upstream::{CareRules, Cluster, Endpoint, Entry, Policy, Protocol, Settings, Shared};

/// Origins that connections are kept to; of more, those that were not used for longest are forgotten.
const MAX_ORIGINS: usize = 256;
/// How long what a name stands for is believed.
const BELIEVED: Duration = Duration::from_secs(30);
/// Addresses of a name that are used.
const MAX_ADDRESSES: usize = 16;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const IDLE_TIME: Duration = Duration::from_secs(60);
/// Idle connections to one origin.
const MAX_IDLE: usize = 16;
const MAX_HEADER_BYTES: usize = 64 << 10;
const MAX_HEADERS: usize = 200;

/// The origins of one worker.
#[derive(Debug, Default)]
pub(super) struct Origins {
    found: RefCell<HashMap<(String, u16), Found>>,
    clusters: RefCell<HashMap<Key, Kept>>,
}

/// What a name stands for.
#[derive(Debug)]
struct Found {
    addresses: Vec<SocketAddr>,
    since: Instant,
}

/// An origin by the addresses that may be used for it: entries with other grants may not share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    scheme: HttpScheme,
    host: String,
    addresses: Vec<SocketAddr>,
}

#[derive(Debug)]
struct Kept {
    cluster: Rc<Cluster>,
    used: Instant,
}

impl Origins {
    /// Connections to an origin that is granted by `pattern`, at addresses that are public or in one of `networks`.
    ///
    /// # Errors
    /// When its name stands for nothing, or for nothing that may be used.
    pub(super) async fn cluster(
        &self,
        scheme: HttpScheme,
        host: &str,
        port: u16,
        pattern: &HostPattern,
        networks: &[IpNet],
    ) -> Result<Rc<Cluster>, HttpError> {
        let host = host.to_ascii_lowercase();
        let addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => self.resolve(&host, port).await?,
        };
        let usable = |address: &SocketAddr| {
            let address = address.ip().to_canonical();
            matches!(pattern, HostPattern::Address(_))
                || !is_private(address)
                || networks.iter().any(|net| net.contains(&address))
        };
        let addresses: Vec<_> = addresses.into_iter().filter(usable).take(MAX_ADDRESSES).collect();
        if addresses.is_empty() {
            return Err(HttpError::Denied(format!(
                "`{host}` stands for addresses of private use, which are not granted (`allow.private-networks`)"
            )));
        }
        let key = Key {
            scheme,
            host,
            addresses,
        };
        let now = Instant::now();
        if let Some(kept) = self.clusters.borrow_mut().get_mut(&key) {
            kept.used = now;
            return Ok(Rc::clone(&kept.cluster));
        }
        let tls = match scheme {
            HttpScheme::Http => None,
            HttpScheme::Https => Some(client(&key.host).await?),
        };
        let cluster = Cluster::new(Shared::new(Arc::new(settings(&key, tls)), None));
        let mut clusters = self.clusters.borrow_mut();
        if clusters.len() >= MAX_ORIGINS {
            let oldest = clusters.iter().min_by_key(|(_, kept)| kept.used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                clusters.remove(&oldest);
            }
        }
        let kept = clusters.entry(key).or_insert(Kept { cluster, used: now });
        Ok(Rc::clone(&kept.cluster))
    }

    /// Drops connections and names that nobody used for long.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.clusters.borrow_mut().retain(|_, kept| {
            kept.cluster.sweep();
            now.duration_since(kept.used) < 2 * IDLE_TIME
        });
        self.found
            .borrow_mut()
            .retain(|_, found| now.duration_since(found.since) < 10 * BELIEVED);
    }

    /// What a name stands for. An answer that has expired serves on when there is no new one.
    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, HttpError> {
        let key = (host.to_owned(), port);
        let now = Instant::now();
        let known = self.found.borrow().get(&key).map(|found| {
            let fresh = now.duration_since(found.since) < BELIEVED;
            (found.addresses.clone(), fresh)
        });
        if let Some((addresses, true)) = known {
            return Ok(addresses);
        }
        let answer = lookup_host((host, port)).await;
        let mut addresses: Vec<_> = answer.map(Iterator::collect).unwrap_or_default();
        addresses.sort_unstable();
        addresses.dedup();
        match known {
            Some((addresses_before, _)) if addresses.is_empty() => return Ok(addresses_before),
            None if addresses.is_empty() => {
                return Err(HttpError::Failed(format!(
                    "the name `{host}` stands for no address"
                )));
            }
            _ => {}
        }
        let mut found = self.found.borrow_mut();
        if found.len() >= MAX_ORIGINS {
            found.retain(|_, found| now.duration_since(found.since) < BELIEVED);
        }
        if found.len() < MAX_ORIGINS {
            let addresses = addresses.clone();
            found.insert(
                key,
                Found {
                    addresses,
                    since: now,
                },
            );
        }
        Ok(addresses)
    }
}

fn settings(key: &Key, tls: Option<Arc<Client>>) -> Settings {
    let endpoint = |address: &SocketAddr| {
        Entry::from(Endpoint {
            host: address.ip().to_string(),
            port: address.port(),
        })
    };
    Settings {
        name: key.host.as_str().into(),
        endpoints: key.addresses.iter().map(endpoint).collect(),
        protocol: Protocol::Http1,
        policy: Policy::RoundRobin,
        slow_start: None,
        panic_percent: 0,
        zone: None,
        care: CareRules::default(),
        connect_timeout: CONNECT_TIMEOUT,
        first_byte_timeout: ANSWER_TIMEOUT,
        idle_timeout: ANSWER_TIMEOUT,
        max_idle: MAX_IDLE,
        max_idle_time: IDLE_TIME,
        max_header_bytes: MAX_HEADER_BYTES,
        max_headers: MAX_HEADERS,
        tls,
    }
}

/// TLS to a host, verified by the system's authorities.
async fn client(host: &str) -> Result<Arc<Client>, HttpError> {
    let failed = |error: &dyn std::fmt::Display| HttpError::Failed(format!("TLS cannot be had: {error}"));
    let trust = match TRUST.get() {
        Some(trust) => trust.clone(),
        None => {
            // Reading and parsing more than a hundred certificates takes milliseconds.
            let read = tokio::task::spawn_blocking(|| Trust::of_system().map_err(|error| error.to_string()));
            let read = read.await.map_err(|error| failed(&error))?;
            TRUST.get_or_init(|| read).clone()
        }
    };
    let settings = ClientSettings {
        verification: Verification::By(trust.map_err(|error| failed(&error))?),
        name: Some(host.to_owned()),
        identity: None,
        min_version: MinVersion::Tls12,
        protocol: HTTP_1_1,
    };
    Client::new(&settings)
        .map(Arc::new)
        .map_err(|error| failed(&error))
}

/// The system's authorities, read once.
static TRUST: OnceLock<Result<Trust, String>> = OnceLock::new();
