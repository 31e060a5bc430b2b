//! From a store of the configuration to the store itself. It refuses to connect.

use crate::config::{Store, StoreAddress, StorePlace, StoreServers};
use crate::store::redis::{Place, Servers, Settings};

impl From<&Store> for Settings {
    fn from(store: &Store) -> Self {
        let servers = match &store.servers {
            StoreServers::One(address) => Servers::One(place(address), address.database),
            StoreServers::Cluster(nodes) => Servers::Cluster(nodes.iter().map(place).collect()),
        };
        let shown = |secret: &Option<crate::config::Secret>| secret.as_ref().map(|secret| secret.0.clone());
        Self {
            name: store.name.clone(),
            servers,
            ca: shown(&store.ca),
            user: shown(&store.user),
            password: shown(&store.password),
            key_prefix: store.key_prefix.clone(),
            timeout: store.timeout,
            connect_timeout: store.connect_timeout,
            max_pending: store.max_pending,
        }
    }
}

fn place(address: &StoreAddress) -> Place {
    match &address.place {
        StorePlace::Clear(endpoint) => Place::Clear(endpoint.host.clone(), endpoint.port),
        StorePlace::Tls(endpoint) => Place::Tls(endpoint.host.clone(), endpoint.port),
        StorePlace::Socket(path) => Place::Socket(path.clone()),
    }
}
