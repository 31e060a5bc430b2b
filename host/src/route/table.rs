//! The route table: rules in order of precedence, found by host, then path, then predicates.
//!
//! Refuses to know what a rule leads to.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use hashbrown::HashMap;
use http::{HeaderMap, Method};

use super::Rule;
use super::explain::PathKind;
use super::pattern::{HostPattern, HostScope, PathScope};
use super::predicate::{Predicates, Unmet};
use super::tree::Tree;
use crate::clock::give_way;

/// The head of a request, as the table looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// In lower case, without port ([`crate::message::host::effective`]); "" = none.
    pub host: &'a str,
    /// Normalised ([`crate::message::path::normalise`]).
    pub path: &'a str,
    /// As it came, without the `?`.
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The fields.
    pub headers: &'a HeaderMap,
    /// The client's address.
    pub client_ip: IpAddr,
    /// The name that its handshake of TLS asked for, in lower case; none in clear.
    pub sni: Option<&'a str>,
}

/// Rules, ready to be found. Immutable: a new set of rules is a new table.
///
/// Precedence: exact host, longest wildcard, any host; then whole paths (at the first segment where two
/// differ, static goes before parameter), then prefixes, longer ones first; then more predicates; then the
/// order of the rules. When no rule of the most specific path fits, the next less specific one is asked,
/// through all paths and then all hosts.
#[derive(Clone, Debug)]
pub struct Table {
    rules: Vec<Predicates>,
    sites: Vec<Site>,
    exact: HashMap<Box<str>, u32>,
    below: HashMap<Box<str>, u32>,
    any: Option<u32>,
}

/// The rules of one host pattern.
#[derive(Clone, Debug)]
struct Site {
    whole: Tree,
    prefix: Tree,
}

impl Table {
    /// Makes the table. A rule beyond the first 2^32 - 1 has no name and is left out.
    pub fn new(rules: &[Rule]) -> Self {
        let mut table = Self {
            rules: rules.iter().map(Predicates::new).collect(),
            sites: Vec::new(),
            exact: HashMap::new(),
            below: HashMap::new(),
            any: None,
        };
        for (index, rule) in (0..u32::MAX).zip(rules) {
            give_way();
            if rule.hosts.is_empty() {
                table.place(None, rule, index);
            }
            for host in &rule.hosts {
                table.place(Some(host), rule, index);
            }
        }
        let Self { rules, sites, .. } = &mut table;
        for site in sites {
            let rank = |rule| {
                (
                    Reverse(predicates(rules, rule).map_or(0, Predicates::count)),
                    rule,
                )
            };
            site.whole.sort(rank);
            site.prefix.sort(rank);
        }
        table
    }

    /// The index of the rule that the request falls under.
    pub fn find(&self, lookup: &Lookup<'_>) -> Option<u32> {
        let rules = &self.rules;
        self.search(lookup, &First { rules, lookup })
    }

    /// The first rule that `search` takes, of those whose host and path fit, in order of precedence.
    #[inline]
    pub(super) fn search(&self, lookup: &Lookup<'_>, search: &impl Search) -> Option<u32> {
        let find =
            |site: u32, host: Option<(HostScope, &str)>| self.site(site)?.find(lookup.path, host, search);
        if !self.exact.is_empty()
            && let Some(site) = self.exact.get(lookup.host)
            && let Some(rule) = find(*site, Some((HostScope::Exact, lookup.host)))
        {
            return Some(rule);
        }
        if !self.below.is_empty() {
            let mut host = lookup.host;
            while let Some((_, parent)) = host.split_once('.') {
                if let Some(site) = self.below.get(parent)
                    && let Some(rule) = find(*site, Some((HostScope::Below, parent)))
                {
                    return Some(rule);
                }
                host = parent;
            }
        }
        find(self.any?, None)
    }

    /// The first demand of a rule that a request does not meet.
    pub(super) fn unmet(&self, rule: u32, lookup: &Lookup<'_>) -> Option<Unmet> {
        predicates(&self.rules, rule)?.unmet(lookup)
    }

    /// How many demands a rule has.
    pub(super) fn count(&self, rule: u32) -> usize {
        predicates(&self.rules, rule).map_or(0, Predicates::count)
    }

    /// The rules that stand under a host pattern, none = any host.
    pub(super) fn under(&self, host: Option<&HostPattern>) -> impl Iterator<Item = u32> {
        let site = match host {
            None => self.any,
            Some(host) => match host.scope {
                HostScope::Exact => self.exact.get(host.name.as_str()).copied(),
                HostScope::Below => self.below.get(host.name.as_str()).copied(),
            },
        };
        let site = site.and_then(|site| self.site(site)).into_iter();
        site.flat_map(Site::groups).flatten().copied()
    }

    /// Whether two rules stand at one path of one host.
    pub(super) fn is_same_path(&self, one: u32, other: u32) -> bool {
        let mut groups = self.sites.iter().flat_map(Site::groups);
        groups.any(|group| group.contains(&one) && group.contains(&other))
    }

    /// Rules that no request can reach, each with the rule that takes its requests: a rule of the same host
    /// and path that goes before it and whose predicates hold whenever its own do. A rule with several hosts
    /// counts only if it is unreachable under each; the first of the takers is named.
    ///
    /// For the check of a configuration: the cost is the square of the number of rules of one path.
    pub fn unreachable(&self) -> Vec<(u32, u32)> {
        // Of each rule: at how many places it stands, at how many it is covered, and by whom first.
        let mut places: BTreeMap<u32, (usize, usize, Option<u32>)> = BTreeMap::new();
        for group in self.sites.iter().flat_map(Site::groups) {
            for (position, &rule) in group.iter().enumerate() {
                let by = group
                    .iter()
                    .take(position)
                    .copied()
                    .find(|&before| self.covers(before, rule));
                let place = places.entry(rule).or_default();
                place.0 += 1;
                place.1 += usize::from(by.is_some());
                place.2 = place.2.or(by);
            }
        }
        places
            .into_iter()
            .filter(|(_, (stands, covered, _))| stands == covered)
            .filter_map(|(rule, (.., by))| by.map(|by| (rule, by)))
            .collect()
    }

    fn covers(&self, before: u32, rule: u32) -> bool {
        match (predicates(&self.rules, before), predicates(&self.rules, rule)) {
            (Some(before), Some(rule)) => before.cover(rule),
            _ => false,
        }
    }

    fn place(&mut self, host: Option<&HostPattern>, rule: &Rule, index: u32) {
        let next = u32::try_from(self.sites.len()).unwrap_or(u32::MAX);
        let site = match host {
            None => *self.any.get_or_insert(next),
            Some(HostPattern {
                scope: HostScope::Exact,
                name,
            }) => *self.exact.entry_ref(name.as_str()).or_insert(next),
            Some(HostPattern {
                scope: HostScope::Below,
                name,
            }) => *self.below.entry_ref(name.as_str()).or_insert(next),
        };
        if site == next {
            self.sites.push(Site {
                whole: Tree::new(),
                prefix: Tree::new(),
            });
        }
        let site = usize::try_from(site)
            .ok()
            .and_then(|site| self.sites.get_mut(site));
        if let Some(site) = site {
            match rule.path.scope {
                PathScope::Whole => site.whole.add(&rule.path.segments, index),
                PathScope::Prefix => site.prefix.add(&rule.path.segments, index),
            }
        }
    }

    fn site(&self, site: u32) -> Option<&Site> {
        self.sites.get(usize::try_from(site).ok()?)
    }
}

impl Site {
    #[inline]
    fn find(&self, path: &str, host: Option<(HostScope, &str)>, search: &impl Search) -> Option<u32> {
        let path = path.as_bytes().strip_prefix(b"/");
        let takes = |rule| search.takes(rule);
        search.enter(host, PathKind::Whole);
        path.and_then(|path| self.whole.find_whole(path, &takes))
            .or_else(|| {
                search.enter(host, PathKind::Prefix);
                self.prefix.find_prefix(path, &takes)
            })
    }

    /// The rules of each path.
    fn groups(&self) -> impl Iterator<Item = &[u32]> {
        self.whole.groups().chain(self.prefix.groups())
    }
}

/// What a search of the table is for.
pub(super) trait Search {
    /// From now on, rules of this host pattern (none = any host) and of this kind of path are shown.
    fn enter(&self, host: Option<(HostScope, &str)>, path: PathKind);
    /// Whether the search ends with this rule, whose host and path fit.
    fn takes(&self, rule: u32) -> bool;
}

/// The search for the first rule whose predicates hold.
struct First<'t, 'l> {
    rules: &'t [Predicates],
    lookup: &'t Lookup<'l>,
}

impl Search for First<'_, '_> {
    #[inline]
    fn enter(&self, _: Option<(HostScope, &str)>, _: PathKind) {}

    #[inline]
    fn takes(&self, rule: u32) -> bool {
        predicates(self.rules, rule).is_some_and(|predicates| predicates.hold(self.lookup))
    }
}

fn predicates(rules: &[Predicates], rule: u32) -> Option<&Predicates> {
    rules.get(usize::try_from(rule).ok()?)
}
