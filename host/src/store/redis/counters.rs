//! Limiters and plain counters that gateways share: the WIT interface `cluster-counters`.
//!
//! It knows keys, quotas and the store's clock; not who is limited. The algorithms run in the store, in `limit.lua`, and
//! are those of `limit`.

use std::borrow::Cow;
use std::time::Duration;

use redis::{Cmd, Value};

use super::script::Script;
use super::{EntryRemote, RemoteError};
use crate::store::counters::short;
use crate::store::limit::{Algorithm, NEVER_MS, Quota, Verdict};

/// Most quotas that are taken at once.
pub const MAX_AT_ONCE: usize = 64;

/// Most cells of a quota, and largest cost: what the store's arithmetic is exact for.
pub const MAX_CELLS: u64 = 1_000_000_000_000_000;

static LIMIT: Script = Script::new(include_str!("limit.lua"));
static TOTAL: Script = Script::new(include_str!("total.lua"));

/// One quota of several that are taken at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Whose quota.
    pub key: String,
    /// The quota.
    pub quota: Quota,
    /// Cells; 0 only looks.
    pub cost: u64,
}

/// The clock of a limiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// The store's own.
    Store,
    /// So many microseconds; nothing expires.
    #[cfg(test)]
    At(u64),
}

impl Clock {
    fn text(self) -> String {
        match self {
            Self::Store => String::new(),
            #[cfg(test)]
            Self::At(us) => us.to_string(),
        }
    }
}

impl EntryRemote {
    /// Takes from one quota; the caller has so much time `left`.
    ///
    /// # Errors
    /// When the store does not do it, or the quota is too large for it.
    pub async fn take(&self, want: &Want, left: Duration) -> Result<Verdict, RemoteError> {
        let verdicts = self.take_all(std::slice::from_ref(want), left).await?;
        verdicts.into_iter().next().ok_or_else(strange)
    }

    /// Takes from all quotas or from none, in one round trip. A refusal tells of each quota whether it would have allowed
    /// its part.
    ///
    /// # Errors
    /// As [`take`](Self::take); `Limit` for more than [`MAX_AT_ONCE`] quotas.
    pub async fn take_all(&self, wants: &[Want], left: Duration) -> Result<Vec<Verdict>, RemoteError> {
        self.take_all_at(Clock::Store, wants, left).await
    }

    pub(super) async fn take_all_at(
        &self,
        clock: Clock,
        wants: &[Want],
        left: Duration,
    ) -> Result<Vec<Verdict>, RemoteError> {
        if wants.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self.limit(clock, "take", wants, left).await?;
        let Value::Array(numbers) = answer else {
            return Err(strange());
        };
        if numbers.len() != wants.len() * 4 {
            return Err(strange());
        }
        numbers.chunks_exact(4).map(verdict).collect()
    }

    /// Gives `cost` cells back, at most as many as are taken.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn give_back(&self, want: &Want, left: Duration) -> Result<(), RemoteError> {
        self.give_back_at(Clock::Store, want, left).await
    }

    pub(super) async fn give_back_at(
        &self,
        clock: Clock,
        want: &Want,
        left: Duration,
    ) -> Result<(), RemoteError> {
        let wants = std::slice::from_ref(want);
        self.limit(clock, "back", wants, left).await.map(drop)
    }

    /// Adds `delta` to a plain counter and gives its new value, which stays within `i64`. The counter is gone `ttl_ms`
    /// after the write that made it (0 = never); delta 0 only looks.
    ///
    /// # Errors
    /// When the store does not do it.
    pub async fn add(&self, key: &str, delta: i64, ttl_ms: u64, left: Duration) -> Result<i64, RemoteError> {
        let key = format!("{}t:{}", self.counters, short(key));
        // Redis adds it to the time of day, in 63 bits.
        let ttl_ms = ttl_ms.min(MAX_CELLS);
        let until = self.until(left);
        let answer = TOTAL.run(self, until, |command| {
            command.arg(1).arg(&key).arg(delta).arg(ttl_ms);
        });
        match answer.await? {
            Value::BulkString(digits) => {
                let digits = str::from_utf8(&digits).ok().and_then(|text| text.parse().ok());
                digits.ok_or_else(strange)
            }
            _ => Err(strange()),
        }
    }

    async fn limit(
        &self,
        clock: Clock,
        operation: &str,
        wants: &[Want],
        left: Duration,
    ) -> Result<Value, RemoteError> {
        if wants.len() > MAX_AT_ONCE {
            let text = format!("at most {MAX_AT_ONCE} quotas are taken at once");
            return Err(RemoteError::Limit(text));
        }
        let within = |want: &Want| want.quota.limit().max(want.quota.capacity()).max(want.cost) <= MAX_CELLS;
        if !wants.iter().all(within) {
            let text = format!("quotas of a store, and costs, have at most {MAX_CELLS} cells");
            return Err(RemoteError::Invalid(text));
        }
        let clock = clock.text();
        let rest = |command: &mut Cmd| {
            command.arg(wants.len());
            for want in wants {
                let key: Cow<'_, str> = short(&want.key);
                command.arg(format!("{}l:{key}", self.counters));
            }
            command.arg(&clock).arg(operation);
            for Want { quota, cost, .. } in wants {
                let algorithm = match quota.algorithm() {
                    Algorithm::Gcra => "b",
                    Algorithm::FixedWindow => "w",
                    Algorithm::SlidingWindow => "s",
                };
                let numbers = [quota.limit(), quota.capacity(), quota.period_us(), *cost];
                command.arg(algorithm).arg(&numbers);
            }
        };
        LIMIT.run(self, self.until(left), rest).await
    }
}

fn verdict(numbers: &[Value]) -> Result<Verdict, RemoteError> {
    let &[
        Value::Int(allowed),
        Value::Int(remaining),
        Value::Int(retry),
        Value::Int(reset),
    ] = numbers
    else {
        return Err(strange());
    };
    // Negative: never.
    let ms = |number: i64| u64::try_from(number).unwrap_or(NEVER_MS);
    Ok(Verdict {
        allowed: allowed == 1,
        remaining: u64::try_from(remaining).unwrap_or(0),
        retry_after_ms: ms(retry),
        reset_after_ms: ms(reset),
    })
}

pub(super) fn strange() -> RemoteError {
    RemoteError::Refused("its answer is not what was asked for".to_owned())
}

#[cfg(test)]
mod tests;
