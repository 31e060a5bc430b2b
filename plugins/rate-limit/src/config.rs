//! The configuration of `rate-limit` as it is written. Knows no request; what its parts mean is checked where they
//! are used.

use std::collections::BTreeMap;

use portcullis::{Strings, TimeSpan};

/// The configuration and one limit of its list have the same keys, with the same manual.
macro_rules! keys_of_a_limit {
    ($($(#[$manual:meta])* $field:ident: $of_type:ty,)+) => {
        /// Configuration of the plugin. What stands beside `limits` is the one limit, or what its limits have in common.
        #[portcullis::config]
        #[derive(Debug, Default)]
        pub struct Config {
            /// Several limits, all of which must allow a request; none = the one that stands beside this key. At most 16.
            #[serde(default)]
            pub limits: Vec<Limit>,
            /// Which fields tell the client its limits.
            #[serde(default)]
            pub headers: Announce,
            $($(#[$manual])* #[serde(default)] pub $field: Option<$of_type>,)+
        }

        /// One limit.
        #[portcullis::config]
        #[derive(Debug, Default)]
        pub struct Limit {
            $($(#[$manual])* #[serde(default)] pub $field: Option<$of_type>,)+
        }

        impl Config {
            /// The limits, each with what it does not say itself taken from beside the list.
            pub(crate) fn into_limits(self) -> Vec<Limit> {
                if self.limits.is_empty() {
                    return vec![Limit { $($field: self.$field,)+ }];
                }
                let limits = self.limits.into_iter();
                limits.map(|own| Limit { $($field: own.$field.or_else(|| self.$field.clone()),)+ }).collect()
            }
        }
    };
}

keys_of_a_limit! {
    /// Name in header fields, metrics and logs: up to 64 letters, digits, `-`, `_`, `.`; `default` when left out.
    name: String,
    /// What is counted apart: `client-ip`, `client-ip/24/64` (prefixes of IPv4 and IPv6), `header:NAME`,
    /// `attribute:NAME`, `route`, `method`, `path`, `global` (nothing), or a list of them; `client-ip` when left out.
    key: Strings,
    /// What happens to a request that lacks a part of the key; `share` when left out.
    absent: Absent,
    /// How cells come back; `gcra` when left out.
    algorithm: Algorithm,
    /// Cells per period; with `concurrency`: requests at the same time.
    #[schemars(range(min = 1, max = 999_999_999_999_999_u64))]
    limit: u64,
    /// The time in which `limit` cells come back, `1ms` to ten years. Not with `concurrency`.
    period: TimeSpan,
    /// Cells that may go at once, only with `gcra`; `limit` when left out.
    #[schemars(range(min = 1, max = 999_999_999_999_999_u64))]
    burst: u64,
    /// Cells that a request takes; 1 when left out.
    #[schemars(range(min = 1, max = 999_999_999_999_999_u64))]
    cost: u64,
    /// Cells that a request of this method takes in place of `cost`; 0 = such requests are not counted.
    cost_of_methods: BTreeMap<String, u64>,
    /// `header:NAME` or `attribute:NAME` with the number of cells that a request takes, where it is there and a whole
    /// number above 0.
    cost_from: String,
    /// Most cells that `cost-from` can make a request take; `burst` or `limit` when left out.
    #[schemars(range(min = 1, max = 999_999_999_999_999_u64))]
    cost_max: u64,
    /// Let requests wait rather than refuse them, only with `gcra`.
    delay: Delay,
    /// Whether the limit only counts and never refuses.
    shadow: bool,
    /// Where cells are counted; `node` when left out. Not with `concurrency`.
    scope: Scope,
    /// What happens to requests while the store of `scope = "cluster"` fails; `local` when left out.
    when_store_fails: WhenStoreFails,
}

/// How cells come back.
#[portcullis::config]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// `burst` cells at once, then one more each period / limit.
    #[default]
    Gcra,
    /// `limit` cells from the first request until a period later.
    FixedWindow,
    /// Two such windows back to back, the one before weighted by the part of it that the last period still covers.
    SlidingWindow,
    /// `limit` requests at the same time.
    Concurrency,
}

/// Where cells are counted.
#[portcullis::config]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// In this gateway.
    #[default]
    Node,
    /// In the store that the entry is granted, for all gateways together.
    Cluster,
}

/// What happens to requests while the store fails.
#[portcullis::config]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenStoreFails {
    /// This gateway counts them for itself.
    #[default]
    Local,
    /// They pass, uncounted.
    Allow,
    /// They are refused: 503 `rate-limit-unavailable`.
    Deny,
}

/// What happens to a request that lacks a part of the key.
#[portcullis::config]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Absent {
    /// All that lack it count as one.
    #[default]
    Share,
    /// The limit is not for it.
    Skip,
    /// It is refused: 400 `rate-limit-key-missing`.
    Refuse,
}

/// Which fields tell the client its limits. `Retry-After` always does.
#[portcullis::config]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Announce {
    /// Those of both.
    #[default]
    All,
    /// `RateLimit` and `RateLimit-Policy`.
    Standard,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`.
    Legacy,
    /// No further ones.
    None,
}

/// Waiting in place of a refusal.
#[portcullis::config]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    /// Longest wait; a request that would have to wait longer is refused.
    pub max: TimeSpan,
}
