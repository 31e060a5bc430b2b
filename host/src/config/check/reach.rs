//! Warnings about routes that no request can reach.
//!
//! It refuses to know how rules are matched: the route table says which are hidden.

use std::collections::BTreeMap;

use super::super::model::Route;
use super::super::secret::quoted;
use super::Checked;
use super::route::RoutePlace;
use crate::route::{Rule, Table};

/// Warns of routes that are hidden on all of their listeners, or wait for handshakes that none of these does. `places` are
/// those of the routes.
pub(super) fn warn(checked: &Checked, places: &[RoutePlace<'_>]) {
    // A router may choose a route that the table never does.
    if !checked.gateway.routers.is_empty() {
        return;
    }
    for (route, place) in checked.routes.iter().zip(places) {
        if demands_tls_in_clear(checked, route) {
            let name = quoted(&route.name);
            let message = format!("no request can reach route {name}: none of its listeners has TLS");
            let help = "`sni` is the name that a handshake of TLS asks for; `host` is that of the request";
            place.scope.warning(&place.node.span(), message, help);
        }
    }
    let route = |index: usize| checked.routes.get(index);
    for (hidden, by) in hidden(checked) {
        if let (Some(place), Some(hidden), Some(by)) = (places.get(hidden), route(hidden), route(by)) {
            let (name, taker) = (quoted(&hidden.name), quoted(&by.name));
            let message = format!("no request can reach route {name}: {taker} takes them all");
            let help = format!("{taker} is at {}", by.origin);
            place.scope.warning(&place.node.span(), message, help);
        }
    }
}

/// The route demands a name of a handshake, and is on listeners without TLS only.
fn demands_tls_in_clear(checked: &Checked, route: &Route) -> bool {
    let mut own = checked.listeners.iter().enumerate();
    !route.rule.sni.is_empty() && !own.any(|(index, listener)| route.is_on(index) && listener.tls.is_some())
}

/// Routes that nothing can reach, in their order, each with the first route that hides it.
fn hidden(checked: &Checked) -> Vec<(usize, usize)> {
    // Of each route: on how many listeners it is hidden, and by whom first.
    let mut hidden: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    let mut listeners = vec![0_usize; checked.routes.len()];
    // Most listeners have the same routes.
    let (mut known, mut found) = (Vec::new(), Vec::new());
    for listener in 0..checked.listeners.len() {
        let routes = checked.routes.iter().enumerate();
        let routes: Vec<usize> = routes
            .filter(|(_, route)| route.is_on(listener))
            .map(|(index, _)| index)
            .collect();
        for route in &routes {
            if let Some(count) = listeners.get_mut(*route) {
                *count += 1;
            }
        }
        if routes != known {
            found = pairs(checked, &routes);
            known = routes;
        }
        for (route, by) in &found {
            hidden.entry(*route).or_insert((0, *by)).0 += 1;
        }
    }
    let on = |route: usize| listeners.get(route).copied();
    hidden
        .into_iter()
        .filter(|(route, (times, _))| Some(*times) == on(*route))
        .map(|(route, (_, by))| (route, by))
        .collect()
}

/// The hidden ones among `routes`.
fn pairs(checked: &Checked, routes: &[usize]) -> Vec<(usize, usize)> {
    let rules: Vec<Rule> = routes
        .iter()
        .filter_map(|route| Some(checked.routes.get(*route)?.rule.clone()))
        .collect();
    let at = |rule: u32| routes.get(usize::try_from(rule).ok()?).copied();
    let pairs = Table::new(&rules).unreachable();
    pairs
        .into_iter()
        .filter_map(|(rule, by)| Some((at(rule)?, at(by)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::config::Problems;
    use crate::config::tests::parsed;

    const BASE: &str = "listeners.l.address = '127.0.0.1:0'\nlisteners.m.address = '127.0.0.1:0'\n\
                        upstreams.u.endpoints = ['127.0.0.1:1']\n";

    fn warnings(text: &str) -> Problems {
        Problems(parsed(&format!("{BASE}{text}")).warnings)
    }

    fn route(name: &str, more: &str) -> String {
        format!("[[routes]]\nname = '{name}'\nupstream = 'u'\n{more}\n")
    }

    #[test]
    fn a_route_that_nothing_reaches_is_shown_with_the_one_that_hides_it() {
        let text = route("all", "") + &route("never", "") + &route("some", "match.prefix = '/some'");
        insta::assert_snapshot!(warnings(&text), @"
        warning: no request can reach route `never`: `all` takes them all
         --> conf/gateway.toml:8:1
          |
        8 | [[routes]]
          | ^^^^^^^^^^
          = help: `all` is at conf/gateway.toml:4:1
        ");
    }

    #[test]
    fn a_route_that_is_hidden_on_one_of_its_listeners_is_reached_on_the_other() {
        let text =
            route("all", "listeners = ['l']") + &route("both", "") + &route("hidden", "listeners = ['l']");
        let messages: Vec<_> = warnings(&text).0.into_iter().map(|w| w.message).collect();
        assert_eq!(
            messages,
            ["no request can reach route `hidden`: `all` takes them all"]
        );
    }

    #[test]
    fn a_route_for_a_server_name_needs_a_listener_with_tls() {
        let text = route("named", "match.sni = 'a.example'");
        insta::assert_snapshot!(warnings(&text), @"
        warning: no request can reach route `named`: none of its listeners has TLS
         --> conf/gateway.toml:4:1
          |
        4 | [[routes]]
          | ^^^^^^^^^^
          = help: `sni` is the name that a handshake of TLS asks for; `host` is that of the request
        ");
    }

    #[test]
    fn a_router_may_choose_what_the_table_hides() {
        let text =
            "gateway.routers = ['r']\nplugins.r = {}\n".to_owned() + &route("all", "") + &route("never", "");
        assert_eq!(warnings(&text).0, []);
    }
}
