//! One limit, ready to be asked: its key, its cost, and what stands behind it in the gateway's counters. Knows no
//! other limit and no answer.

use std::time::Duration;

use portcullis::counters::{self, NEVER, Quota};
use portcullis::{Problem, Request};

use crate::ahead::Ahead;
use crate::config::{Absent, Algorithm, Limit};
use crate::cost::Cost;
use crate::key::{Key, Presence};
use crate::source::{Purse, Source, Taken};
use crate::time::is_within;

/// Longest name, in bytes.
const MAX_NAME: usize = 64;
/// Most cells of a quota: the largest integer of a structured field (RFC 9651 section 3.3.1).
const MAX_CELLS: u64 = 999_999_999_999_999;
/// Longest period: what the gateway's counters take, ten years.
const MAX_PERIOD: Duration = Duration::from_secs(3_652 * 86_400);

/// One limit.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Name in fields, metrics and logs.
    pub(crate) name: String,
    /// It only counts.
    pub(crate) shadow: bool,
    /// What it allows.
    pub(crate) allowance: Allowance,
    absent: Absent,
    key: Key,
    cost: Cost,
    means: Means,
    source: Source,
    /// The key of the request at hand: the limit's own beginning, then the request's part.
    text: String,
    own: usize,
    /// Cells that the request at hand took.
    taken: u64,
    purse: Purse,
}

/// What a limit allows, as it is told to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// `limit` cells in `period`, at most `capacity` at once.
    Cells {
        limit: u64,
        period: Duration,
        capacity: u64,
    },
    /// So many requests at the same time.
    Places(u64),
}

/// What is asked in the gateway.
#[derive(Debug)]
enum Means {
    Now(Quota),
    Ahead(Ahead),
    Places(u64),
}

/// What a limit says of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It is not for this request.
    Beside,
    /// The request may pass.
    Allowed(Allowed),
    /// It may not.
    Refused(Refused),
    /// It lacks a part of the key.
    Keyless,
    /// Nobody knows, and then it may not.
    Unavailable,
}

/// What is left after a request that may pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// None of a limit of requests at the same time.
    pub(crate) left: Option<Left>,
    /// How long it has to wait first.
    pub(crate) wait: Duration,
}

/// What is left of a quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// Whole cells.
    pub(crate) remaining: u64,
    /// Until the quota is whole again, if nobody takes meanwhile.
    pub(crate) reset: Duration,
}

/// Why a request may not pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// None of a limit of requests at the same time.
    pub(crate) left: Option<Left>,
    /// After which the same request passes, if nobody takes meanwhile; none if nobody knows.
    pub(crate) retry: Option<Duration>,
}

impl Rule {
    /// A limit as it is configured.
    ///
    /// # Errors
    /// What is wrong with it, with the name of the key.
    pub(crate) fn new(limit: Limit) -> Result<Self, String> {
        let (allowance, means) = allowance(&limit)?;
        let capacity = match allowance {
            Allowance::Cells { capacity, .. } => capacity,
            Allowance::Places(_) => 1,
        };
        let source = Source::of(&limit)?;
        if matches!(means, Means::Places(_)) && source != Source::Node {
            return Err(
                "`scope` is not for the algorithm `concurrency`: each gateway has places of its own"
                    .to_owned(),
            );
        }
        let cost = Cost::new(&limit, capacity)?;
        let parts = limit
            .key
            .map_or_else(|| vec!["client-ip".to_owned()], |parts| parts.0);
        let key = Key::new(&parts).map_err(|what| format!("`key` {what}"))?;
        let name = limit.name.unwrap_or_else(|| "default".to_owned());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(plain) {
            return Err(format!(
                "`name` is {name:?}: use 1 to {MAX_NAME} letters, digits, `-`, `_` and `.`"
            ));
        }
        let text = format!("{name}:");
        Ok(Self {
            shadow: limit.shadow.unwrap_or(false),
            absent: limit.absent.unwrap_or_default(),
            own: text.len(),
            name,
            allowance,
            key,
            cost,
            means,
            source,
            text,
            taken: 0,
            purse: Purse::Node,
        })
    }

    /// It limits requests at the same time, whose places only the end of the exchange gives back.
    pub(crate) fn is_of_places(&self) -> bool {
        matches!(self.means, Means::Places(_))
    }

    /// It counts for all gateways together.
    pub(crate) fn is_of_cluster(&self) -> bool {
        self.source != Source::Node
    }

    /// Forgets the request before.
    pub(crate) fn forget(&mut self) {
        self.taken = 0;
    }

    /// Asks whether the request may pass, and takes what it costs if so.
    ///
    /// # Errors
    /// Those of the counters.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Finding, Problem> {
        self.forget();
        self.text.truncate(self.own);
        if self.key.append(request, &mut self.text) == Presence::Lacking {
            match self.absent {
                Absent::Share => {}
                Absent::Skip => return Ok(Finding::Beside),
                Absent::Refuse => return Ok(Finding::Keyless),
            }
        }
        let cost = self.cost.of(request);
        if cost == 0 {
            return Ok(Finding::Beside);
        }
        let finding = match &self.means {
            Means::Now(quota) => {
                let (verdict, purse) = match self.source.take(&self.text, quota, cost)? {
                    Taken::Told(verdict, purse) => (verdict, purse),
                    Taken::Uncounted => return Ok(Finding::Allowed(Allowed::default())),
                    Taken::Unavailable => return Ok(Finding::Unavailable),
                };
                self.purse = purse;
                let left = Some(Left {
                    remaining: verdict.remaining,
                    reset: verdict.reset_after,
                });
                if verdict.allowed {
                    Finding::Allowed(Allowed {
                        left,
                        wait: Duration::ZERO,
                    })
                } else {
                    let retry = Some(verdict.retry_after).filter(|retry| *retry != NEVER);
                    Finding::Refused(Refused { left, retry })
                }
            }
            Means::Ahead(ahead) => match self.source.take(&self.text, ahead.quota(), cost)? {
                Taken::Told(verdict, purse) => {
                    self.purse = purse;
                    ahead.judge(verdict, &self.text, cost, purse)?
                }
                Taken::Uncounted => return Ok(Finding::Allowed(Allowed::default())),
                Taken::Unavailable => return Ok(Finding::Unavailable),
            },
            Means::Places(places) if counters::acquire(&self.text, *places)? => {
                return Ok(Finding::Allowed(Allowed::default()));
            }
            Means::Places(_) => Finding::Refused(Refused::default()),
        };
        if matches!(finding, Finding::Allowed(_)) {
            self.taken = cost;
        }
        Ok(finding)
    }

    /// Gives back what the request at hand took. A place stays taken until the exchange ends.
    ///
    /// # Errors
    /// Those of the counters.
    pub(crate) fn give_back(&mut self) -> Result<(), Problem> {
        let taken = std::mem::take(&mut self.taken);
        match &self.means {
            Means::Now(quota) if taken > 0 => self.purse.give_back(&self.text, quota, taken),
            Means::Ahead(ahead) if taken > 0 => self.purse.give_back(&self.text, ahead.quota(), taken),
            _ => Ok(()),
        }
    }
}

/// What the limit allows and how that is asked.
fn allowance(limit: &Limit) -> Result<(Allowance, Means), String> {
    let algorithm = limit.algorithm.unwrap_or_default();
    let cells = limit
        .limit
        .ok_or("`limit` is missing: how many cells or requests there are")?;
    for (key, cells) in [("limit", Some(cells)), ("burst", limit.burst)] {
        if cells.is_some_and(|cells| !(1..=MAX_CELLS).contains(&cells)) {
            return Err(format!("`{key}` is not between 1 and {MAX_CELLS}"));
        }
    }
    if algorithm != Algorithm::Gcra {
        let given = [("burst", limit.burst.is_some()), ("delay", limit.delay.is_some())];
        if let Some((key, _)) = given.iter().find(|(_, given)| *given) {
            return Err(format!("`{key}` is only for the algorithm `gcra`"));
        }
    }
    if algorithm == Algorithm::Concurrency {
        let given = [
            ("period", limit.period.is_some()),
            ("cost", limit.cost.is_some()),
            ("cost-from", limit.cost_from.is_some()),
            ("cost-of-methods", limit.cost_of_methods.is_some()),
        ];
        return match given.iter().find(|(_, given)| *given) {
            Some((key, _)) => Err(format!("`{key}` is not for the algorithm `concurrency`")),
            None => Ok((Allowance::Places(cells), Means::Places(cells))),
        };
    }
    let period = limit
        .period
        .ok_or("`period` is missing: the time in which `limit` cells come back")?
        .0;
    if !is_within(period, MAX_PERIOD) {
        return Err("`period` is not a number of whole milliseconds between 1ms and 87648h".to_owned());
    }
    let capacity = limit.burst.unwrap_or(cells);
    let allowance = Allowance::Cells {
        limit: cells,
        period,
        capacity,
    };
    let quota = Quota::new(cells, period);
    let means = match (algorithm, limit.delay) {
        (Algorithm::FixedWindow, _) => Means::Now(quota.algorithm("fixed-window")),
        (Algorithm::SlidingWindow, _) => Means::Now(quota.algorithm("sliding-window")),
        (_, Some(delay)) => Means::Ahead(Ahead::new(cells, period, capacity, delay.max.0)?),
        (_, None) => Means::Now(quota.burst(capacity)),
    };
    Ok((allowance, means))
}
