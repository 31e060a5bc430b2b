//! The targets of a rule and the choice among them: by chance, by a key, or by the token of a cookie. Knows no request.

use std::collections::BTreeSet;

use crate::config::{Target as Written, To};
use crate::hash;

/// Targets that one rule may have.
const MAX_TARGETS: usize = 64;
/// Largest weight.
const MAX_WEIGHT: u32 = 1_000_000;
/// Bytes of a target's name.
const MAX_NAME: usize = 256;

/// In which hook a rule speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its targets are upstreams: as a stage of a pipeline.
    Upstream,
    /// Its targets are routes: as one of the gateway's routers.
    Route,
    /// Its target is a mere name: in both.
    Either,
}

/// One target.
#[derive(Debug)]
pub(crate) struct Target {
    /// Name of the upstream or route.
    pub(crate) name: String,
    weight: u32,
    hash: u64,
}

/// The targets of a rule.
#[derive(Debug)]
pub(crate) struct Split {
    targets: Vec<Target>,
    total: u64,
}

impl Split {
    /// The targets as they are written, and what they are.
    ///
    /// # Errors
    /// Which part of `to` cannot be.
    pub(crate) fn new(to: To) -> Result<(Kind, Self), String> {
        let written = match to {
            To::Name(name) => return Ok((Kind::Either, Self::of(vec![(name, 1)])?)),
            To::One(target) => vec![target],
            To::Split(targets) => targets,
        };
        let mut kinds = BTreeSet::new();
        let mut named = Vec::new();
        for target in written {
            let Written {
                upstream,
                route,
                weight,
            } = target;
            named.push(match (upstream, route) {
                (Some(name), None) => {
                    kinds.insert("upstream");
                    (name, weight)
                }
                (None, Some(name)) => {
                    kinds.insert("route");
                    (name, weight)
                }
                _ => return Err("`to`: a target has either `upstream` or `route`".to_owned()),
            });
        }
        let kind = match (kinds.contains("upstream"), kinds.contains("route")) {
            (true, true) => {
                return Err("`to` mixes upstreams and routes: they are chosen at different times".to_owned());
            }
            (false, true) => Kind::Route,
            _ => Kind::Upstream,
        };
        Ok((kind, Self::of(named)?))
    }

    fn of(named: Vec<(String, u32)>) -> Result<Self, String> {
        if named.len() > MAX_TARGETS {
            return Err(format!("`to` has more than {MAX_TARGETS} targets"));
        }
        let mut names = BTreeSet::new();
        for (name, weight) in &named {
            if name.is_empty() || name.len() > MAX_NAME {
                return Err(format!("`to`: a name has 1 to {MAX_NAME} bytes"));
            }
            if *weight > MAX_WEIGHT {
                return Err(format!("`to`: the weight of `{name}` is more than {MAX_WEIGHT}"));
            }
            if !names.insert(name.as_str()) {
                return Err(format!("`to` has `{name}` twice"));
            }
        }
        let total = named.iter().map(|(_, weight)| u64::from(*weight)).sum();
        if total == 0 {
            return Err("`to` has no target with a weight above 0".to_owned());
        }
        let targets = named.into_iter().map(|(name, weight)| Target {
            hash: hash::of(name.as_bytes()),
            name,
            weight,
        });
        Ok(Self {
            targets: targets.collect(),
            total,
        })
    }

    /// The target for a number that is evenly distributed over all of `u64`, in proportion to the weights. `random` is
    /// asked only where there is a choice.
    pub(crate) fn by_chance(&self, random: impl FnOnce() -> u64) -> Option<&Target> {
        let mut open = self.open();
        if let (Some(only), None) = (open.next(), open.next()) {
            return Some(only);
        }
        // The high half of the product is below `total`.
        let mut left = u64::try_from((u128::from(random()) * u128::from(self.total)) >> 64).unwrap_or(0);
        self.open().find(|target| {
            let weight = u64::from(target.weight);
            let here = left < weight;
            left = left.saturating_sub(weight);
            here
        })
    }

    /// The target for a key, in proportion to the weights over many keys: the one with the highest score
    /// `weight / -ln(h)`, where `h` in (0, 1) is made of key and target. A target whose weight changes takes keys from
    /// the others or gives some up, and no key moves between two others.
    ///
    /// Rendezvous hashing: Thaler and Ravishankar, Using Name-Based Mappings to Increase Hit Rates, IEEE/ACM ToN 1998;
    /// with weights as in Schindelhauer and Schomaker, Weighted Distributed Hash Tables, SPAA 2005.
    pub(crate) fn by_key(&self, key: u64) -> Option<&Target> {
        self.open()
            .map(|target| (target.score(key), target))
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .map(|(_, target)| target)
    }

    /// The target whose token this is, unless it gets nothing any more.
    pub(crate) fn by_token(&self, salt: u64, token: &[u8]) -> Option<&Target> {
        let token = std::str::from_utf8(token)
            .ok()
            .filter(|token| token.len() == 16)?;
        let token = u64::from_str_radix(token, 16).ok()?;
        self.open().find(|target| hash::join(salt, target.hash) == token)
    }

    /// Targets that get anything.
    fn open(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().filter(|target| target.weight > 0)
    }
}

impl Target {
    /// What a cookie says in its place: the client learns no name, and the same on every gateway.
    pub(crate) fn token(&self, salt: u64) -> String {
        format!("{:016x}", hash::join(salt, self.hash))
    }

    fn score(&self, key: u64) -> f64 {
        // 53 bits are what an f64 holds; the half keeps the number off 0, and its logarithm finite.
        let part = ((hash::join(key, self.hash) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        f64::from(self.weight) / -part.ln()
    }
}

#[cfg(test)]
mod tests;
