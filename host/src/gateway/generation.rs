//! A generation: everything that one version of the configuration and its plugins amounts to, immutable
//! and shared by all workers. Each worker makes its own view of it.

use std::collections::HashMap;
use std::sync::Arc;

use super::upstreams;
use crate::clock::give_way;
use crate::config::{Config, Element, PluginEntry, Step, Target};
use crate::plugin::{Hook, Slot};
use crate::route::Table;
use crate::tls::{Acceptor, Sessions};
use crate::upstream::Shared;

/// One version of the gateway.
#[derive(Debug)]
pub struct Generation {
    /// Counts up from 1.
    pub number: u64,
    /// The configuration.
    pub config: Arc<Config>,
    /// What runs for each of its plugin entries, in its order.
    pub slots: Vec<Slot>,
    /// For each of its listeners, in its order.
    pub tables: Vec<Routing>,
    /// TLS of each of its listeners, in its order; none for those in clear.
    pub acceptors: Vec<Option<Acceptor>>,
    /// What all workers share of its upstreams, in its order.
    pub upstreams: Vec<Arc<Shared>>,
}

/// The routes of one listener.
#[derive(Debug)]
pub struct Routing {
    /// Finds a place.
    pub table: Table,
    /// For each place, the route's index in the configuration.
    pub routes: Vec<usize>,
    /// Places by name, where routers may ask for them.
    named: HashMap<Arc<str>, usize>,
}

impl Routing {
    /// The place of the route with this name; none where there are no routers.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<usize> {
        self.named.get(name).copied()
    }
}

impl Generation {
    /// Works out the tables. What `before` knows of upstreams is taken over.
    #[must_use]
    pub fn new(number: u64, config: Config, slots: Vec<Slot>, before: Option<&Self>) -> Self {
        let tables = (0..config.listeners.len())
            .map(|listener| {
                let (routes, rules): (Vec<_>, Vec<_>) = config
                    .routes
                    .iter()
                    .enumerate()
                    .filter(|(_, route)| route.is_on(listener))
                    .inspect(|_| give_way())
                    .map(|(index, route)| (index, route.rule.clone()))
                    .unzip();
                let names = routes.iter().filter_map(|&at| config.routes.get(at)).enumerate();
                let named = names.filter(|_| !config.gateway.routers.is_empty());
                Routing {
                    named: named
                        .map(|(place, route)| (Arc::clone(&route.name), place))
                        .collect(),
                    table: Table::new(&rules),
                    routes,
                }
            })
            .collect();
        Self {
            number,
            upstreams: upstreams::shared(&config, before),
            config: Arc::new(config),
            slots,
            tables,
            acceptors: Vec::new(),
        }
    }

    /// The same with TLS where its listeners have it. Without, it serves nothing but in clear.
    #[must_use]
    pub fn secured(mut self, sessions: &Sessions) -> Self {
        let listeners = self.config.listeners.iter();
        let acceptors = listeners.map(|listener| {
            let tls = listener.tls.as_ref()?;
            Some(sessions.acceptor(&listener.name, &tls.server))
        });
        self.acceptors = acceptors.collect();
        self
    }

    /// TLS of a listener.
    #[must_use]
    pub fn acceptor(&self, listener: usize) -> Option<&Acceptor> {
        self.acceptors.get(listener)?.as_ref()
    }

    /// The pipeline of a route on a listener, or of requests without a route: the listener's, unless the route does not
    /// inherit, then its own.
    pub fn pipeline(&self, listener: usize, route: Option<usize>) -> impl Iterator<Item = &Element> {
        let route = route.and_then(|index| self.config.routes.get(index));
        let inherited = match route {
            Some(route) if !route.inherit => &[][..],
            _ => self
                .config
                .listeners
                .get(listener)
                .map_or(&[][..], |l| &l.pipeline),
        };
        inherited.iter().chain(route.map_or(&[][..], |r| &r.pipeline))
    }

    /// What its elements run.
    #[must_use]
    pub fn stages(&self, listener: usize, route: Option<usize>) -> Vec<Step> {
        self.pipeline(listener, route)
            .map(|element| element.step.clone())
            .collect()
    }

    /// The entries of `routers` that are no routers.
    pub fn useless_routers(&self) -> impl Iterator<Item = &PluginEntry> {
        let slots = self.config.gateway.routers.iter();
        let units = slots.filter_map(|&index| self.slots.get(index)?.unit());
        units
            .filter(|unit| !unit.has(Hook::Router))
            .map(|unit| &unit.entry)
    }

    /// Logs them.
    pub fn warn_of_routers(&self) {
        for entry in self.useless_routers() {
            tracing::warn!(
                plugin = &*entry.name,
                "an entry of `routers` has no hook `router` and is never asked"
            );
        }
    }

    /// The responder of a route.
    #[must_use]
    pub fn responder(&self, route: usize) -> Option<usize> {
        match self.config.routes.get(route)?.target {
            Target::Responder(plugin) => Some(plugin),
            Target::Upstream(_) => None,
        }
    }
}
