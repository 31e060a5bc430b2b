//! A generation: everything that one version of the configuration and its plugins amounts to, immutable
//! and shared by all workers. Each worker makes its own view of it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{Config, Target};
use crate::plugin::Slot;
use crate::route::Table;

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
}

/// The routes of one listener.
#[derive(Debug)]
pub struct Routing {
    /// Finds a place.
    pub table: Table,
    /// For each place, the route's index in the configuration.
    pub routes: Vec<usize>,
}

impl Generation {
    /// Works out the tables.
    #[must_use]
    pub fn new(number: u64, config: Config, slots: Vec<Slot>) -> Self {
        let tables = (0..config.listeners.len())
            .map(|listener| {
                let (routes, rules): (Vec<_>, Vec<_>) = config
                    .routes
                    .iter()
                    .enumerate()
                    .filter(|(_, route)| route.listeners.as_ref().is_none_or(|on| on.contains(&listener)))
                    .map(|(index, route)| (index, route.rule.clone()))
                    .unzip();
                Routing {
                    table: Table::new(&rules),
                    routes,
                }
            })
            .collect();
        Self {
            number,
            config: Arc::new(config),
            slots,
            tables,
        }
    }

    /// The stages of a route on a listener: the listener's, unless the route does not inherit, then its own.
    #[must_use]
    pub fn stages(&self, listener: usize, route: Option<usize>) -> Vec<usize> {
        let route = route.and_then(|index| self.config.routes.get(index));
        let inherited = match route {
            Some(route) if !route.inherit => &[][..],
            _ => self
                .config
                .listeners
                .get(listener)
                .map_or(&[][..], |l| &l.pipeline),
        };
        inherited
            .iter()
            .chain(route.map_or(&[][..], |r| &r.pipeline))
            .copied()
            .collect()
    }

    /// Routes that nothing can reach, by index, with the route that hides each.
    #[must_use]
    pub fn unreachable(&self) -> Vec<(usize, usize)> {
        let mut hidden: HashMap<usize, (usize, usize)> = HashMap::new();
        for routing in &self.tables {
            for (rule, by) in routing.table.unreachable() {
                let at = |n: u32| {
                    usize::try_from(n)
                        .ok()
                        .and_then(|n| routing.routes.get(n))
                        .copied()
                };
                if let (Some(rule), Some(by)) = (at(rule), at(by)) {
                    let seen = hidden.entry(rule).or_insert((by, 0));
                    seen.1 += 1;
                }
            }
        }
        let listeners = |route: usize| self.tables.iter().filter(|t| t.routes.contains(&route)).count();
        let mut list: Vec<_> = hidden
            .into_iter()
            .filter(|(rule, (_, times))| *times == listeners(*rule))
            .map(|(rule, (by, _))| (rule, by))
            .collect();
        list.sort_unstable();
        list
    }

    /// Logs them.
    pub fn warn_of_unreachable(&self) {
        let name = |index: usize| self.config.routes.get(index).map(|route| Arc::clone(&route.name));
        for (route, by) in self.unreachable() {
            tracing::warn!(
                route = name(route).as_deref(),
                hidden_by = name(by).as_deref(),
                "no request can reach a route"
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
