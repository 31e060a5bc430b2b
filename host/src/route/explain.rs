//! Why the table finds what it finds: the walk of [`Table::find`], with every rule that it could have taken.
//!
//! Refuses to match anything by itself: it watches the search, and asks the predicates for their reasons.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::Lookup;
use super::pattern::{HostPattern, HostScope};
use super::predicate::Unmet;
use super::table::{Search, Table};

/// What the table makes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The rule that the request falls under, and where it stands.
    pub found: Option<(u32, Stand)>,
    /// Every other rule, in the order in which the table would ask them; those that it would not ask come last, nearer
    /// ones first.
    pub passed: Vec<(u32, Passed)>,
}

/// Where a rule stands in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// The host pattern that fits; none for a rule of any host.
    pub host: Option<HostPattern>,
    /// How much of the path it takes.
    pub path: PathKind,
}

/// How much of a request's path a rule takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// All of it.
    Whole,
    /// What follows may be anything.
    Prefix,
}

/// Why a rule was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// None of its hosts is the request's.
    Host,
    /// Its path is not the request's.
    Path,
    /// Host and path fit, and this does not.
    Unmet(Unmet),
    /// All of it fits, but the rule that was found has a more specific host.
    LessSpecificHost,
    /// The same with the path.
    LessSpecificPath,
    /// Host and path are the same, and the rule that was found has more predicates.
    FewerPredicates,
    /// Nothing but the order decides.
    Later,
}

impl Table {
    /// Why [`Table::find`] finds what it finds. `rules` is the number of rules that the table was made of.
    ///
    /// For people who ask: the cost is that of a look at every rule.
    pub fn explain(&self, lookup: &Lookup<'_>, rules: u32) -> Explanation {
        let watch = Watch::default();
        self.search(lookup, &watch);
        let Watch { hosts, asked, .. } = watch;
        let mut explanation = Explanation {
            found: None,
            passed: Vec::new(),
        };
        let mut seen: BTreeSet<u32> = BTreeSet::new();
        let mut winner: Option<Asked> = None;
        for asked in asked.into_inner() {
            // A rule with two hosts that fit is asked twice; the first time decides.
            if !seen.insert(asked.rule) {
                continue;
            }
            let unmet = self.unmet(asked.rule, lookup);
            let passed = match (unmet, &winner) {
                (Some(unmet), _) => Passed::Unmet(unmet),
                (None, Some(winner)) => self.lost(&asked, winner),
                (None, None) => {
                    explanation.found = Some((asked.rule, asked.stand.clone()));
                    winner = Some(asked);
                    continue;
                }
            };
            explanation.passed.push((asked.rule, passed));
        }
        let hosts = hosts.into_inner();
        let near: BTreeSet<u32> = hosts.iter().flat_map(|host| self.under(host.as_ref())).collect();
        for (is_near, passed) in [(true, Passed::Path), (false, Passed::Host)] {
            let left = (0..rules).filter(|rule| !seen.contains(rule) && near.contains(rule) == is_near);
            explanation.passed.extend(left.map(|rule| (rule, passed.clone())));
        }
        explanation
    }

    /// Why a rule that fits is not the one that was found.
    fn lost(&self, rule: &Asked, winner: &Asked) -> Passed {
        if rule.stand.host != winner.stand.host {
            Passed::LessSpecificHost
        } else if rule.stand.path != winner.stand.path || !self.is_same_path(rule.rule, winner.rule) {
            Passed::LessSpecificPath
        } else if self.count(rule.rule) < self.count(winner.rule) {
            Passed::FewerPredicates
        } else {
            Passed::Later
        }
    }
}

/// A search that takes nothing, and so is led to all that it could take.
#[derive(Default)]
struct Watch {
    /// Host patterns whose rules were looked through; none = those of any host.
    hosts: RefCell<Vec<Option<HostPattern>>>,
    at: RefCell<Option<Stand>>,
    asked: RefCell<Vec<Asked>>,
}

/// A rule whose host and path fit.
struct Asked {
    rule: u32,
    stand: Stand,
}

impl Search for Watch {
    fn enter(&self, host: Option<(HostScope, &str)>, path: PathKind) {
        let host = host.map(|(scope, name)| HostPattern {
            scope,
            name: name.to_owned(),
        });
        let mut hosts = self.hosts.borrow_mut();
        if hosts.last() != Some(&host) {
            hosts.push(host.clone());
        }
        *self.at.borrow_mut() = Some(Stand { host, path });
    }

    fn takes(&self, rule: u32) -> bool {
        if let Some(stand) = self.at.borrow().clone() {
            self.asked.borrow_mut().push(Asked { rule, stand });
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::super::tests::table;
    use super::*;

    /// For `GET http://api.b.c/v1/x?q=1` from 192.0.2.1: where the first rule stands, and why the others lost.
    fn explain(rules: &[&str]) -> (Stand, Vec<Passed>) {
        let lookup = Lookup {
            host: "api.b.c",
            path: "/v1/x",
            query: Some("q=1"),
            method: &Method::GET,
            headers: &HeaderMap::new(),
            client_ip: [192, 0, 2, 1].into(),
            sni: None,
        };
        let explanation = table(rules).explain(&lookup, u32::try_from(rules.len()).unwrap());
        let (rule, stand) = explanation.found.unwrap();
        assert_eq!(rule, 0);
        let mut passed = explanation.passed;
        passed.sort_by_key(|(rule, _)| *rule);
        (stand, passed.into_iter().map(|(_, passed)| passed).collect())
    }

    #[test]
    fn every_reason_is_told_from_the_others() {
        let (stand, passed) = explain(&[
            "api.b.c /v1/{id} GET",
            "api.b.d /v1/x",
            "api.b.c /v1/y",
            "api.b.c /v1/x POST",
            "api.b.c /v1/x h:x-a=1",
            "- /v1/x q:q=2",
            "- /v1/x ip:10.0.0.0/8",
            "- /v1/x sni:api.b.c",
            "*.b.c /v1/x GET",
            "api.b.c /v1* GET h:x-b",
            "api.b.c /* GET q:q=1",
            "api.b.c /v1/{other}",
            "api.b.c /v1/{more} GET",
        ]);
        let host = HostPattern::parse("api.b.c").ok();
        assert_eq!(
            stand,
            Stand {
                host,
                path: PathKind::Whole
            }
        );
        let unmet = Passed::Unmet;
        let expected = [
            Passed::Host,
            Passed::Path,
            unmet(Unmet::Method),
            unmet(Unmet::Header("x-a".to_owned())),
            unmet(Unmet::Query("q".to_owned())),
            unmet(Unmet::ClientIp),
            unmet(Unmet::Sni),
            Passed::LessSpecificHost,
            unmet(Unmet::Header("x-b".to_owned())),
            Passed::LessSpecificPath,
            Passed::FewerPredicates,
            Passed::Later,
        ];
        assert_eq!(passed, expected);
    }

    #[test]
    fn a_rule_with_two_hosts_that_fit_has_one_reason() {
        let (_, passed) = explain(&["api.b.c /v1*", "*.b.c,*.c,x.y /v1*"]);
        assert_eq!(passed, [Passed::LessSpecificHost]);
        let (stand, passed) = explain(&["*.b.c,*.c /v1*", "- /v1*"]);
        assert_eq!(stand.host.unwrap().to_string(), "*.b.c");
        assert_eq!(passed, [Passed::LessSpecificHost]);
    }

    #[test]
    fn no_rule_is_found_and_every_rule_says_why() {
        let lookup = Lookup {
            host: "",
            path: "*",
            query: None,
            method: &Method::OPTIONS,
            headers: &HeaderMap::new(),
            client_ip: [192, 0, 2, 1].into(),
            sni: None,
        };
        let explanation = table(&["- /a", "a.b /*"]).explain(&lookup, 2);
        assert_eq!(explanation.found, None);
        assert_eq!(explanation.passed, [(0, Passed::Path), (1, Passed::Host)]);
    }
}
