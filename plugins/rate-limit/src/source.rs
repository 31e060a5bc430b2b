//! Where cells are counted: in this gateway, or in the store that gateways share, with what holds while that fails. Knows no
//! request.

use portcullis::counters::{self, Quota, Verdict};
use portcullis::{Problem, cluster_counters, log};

use crate::config::{Limit, Scope, WhenStoreFails};

/// Where a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Node,
    Cluster(WhenStoreFails),
}

/// Where cells were taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purse {
    Node,
    Cluster,
}

/// What became of a take.
#[derive(Debug)]
pub(crate) enum Taken {
    /// The verdict of this place.
    Told(Verdict, Purse),
    /// The store fails, and requests pass uncounted.
    Uncounted,
    /// The store fails, and requests do not pass.
    Unavailable,
}

impl Source {
    /// Where a limit of this configuration counts.
    ///
    /// # Errors
    /// When the store is not granted.
    pub(crate) fn of(limit: &Limit) -> Result<Self, String> {
        match (limit.scope.unwrap_or_default(), limit.when_store_fails) {
            // The other key may stand beside a list for limits of the other scope.
            (Scope::Node, _) => Ok(Self::Node),
            (Scope::Cluster, then) => match cluster_counters::take_all(&[]) {
                Ok(_) => Ok(Self::Cluster(then.unwrap_or_default())),
                Err(_) => Err(
                    "`scope = \"cluster\"` needs the grant of a store: `allow = { store = \"NAME\" }`"
                        .to_owned(),
                ),
            },
        }
    }

    /// Takes cells.
    ///
    /// # Errors
    /// Those of this gateway's counters; that the store fails is none.
    pub(crate) fn take(self, key: &str, quota: &Quota, cost: u64) -> Result<Taken, Problem> {
        let told = |verdict| Taken::Told(verdict, Purse::Node);
        let then = match self {
            Self::Node => return counters::take(key, quota, cost).map(told),
            Self::Cluster(then) => then,
        };
        match cluster_counters::take(key, quota, cost) {
            Ok(verdict) => return Ok(Taken::Told(verdict, Purse::Cluster)),
            Err(problem @ Problem::Invalid(_)) => return Err(problem),
            Err(problem) => log::debug!(cause = problem, "the store fails"),
        }
        match then {
            WhenStoreFails::Local => counters::take(key, quota, cost).map(told),
            WhenStoreFails::Allow => Ok(Taken::Uncounted),
            WhenStoreFails::Deny => Ok(Taken::Unavailable),
        }
    }
}

impl Purse {
    /// Gives cells back. What a store that fails keeps comes back with time.
    ///
    /// # Errors
    /// Those of this gateway's counters.
    pub(crate) fn give_back(self, key: &str, quota: &Quota, cost: u64) -> Result<(), Problem> {
        match self {
            Self::Node => counters::give_back(key, quota, cost),
            Self::Cluster => {
                if let Err(problem) = cluster_counters::give_back(key, quota, cost) {
                    log::debug!(cause = problem, "the store fails");
                }
                Ok(())
            }
        }
    }
}
