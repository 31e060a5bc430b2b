//! The fields that tell clients their limits. Knows no request.
//!
//! `RateLimit` and `RateLimit-Policy` are those of draft-ietf-httpapi-ratelimit-headers-11: lists of structured fields
//! (RFC 9651), so they stand beside what the upstream sends under these names. The `X-RateLimit` fields are no
//! standard; their reset is in seconds from now. What does not change from request to request is written once.

use portcullis::{Problem, Refusal, Response};

use crate::config::Announce;
use crate::kept::Kept;
use crate::number;
use crate::rule::{Allowance, Refused, Rule};
use crate::time::{seconds, wait_seconds};

/// The fields of all limits.
#[derive(Debug)]
pub(crate) struct Fields {
    standard: bool,
    legacy: bool,
    /// `RateLimit-Policy`.
    policy: String,
    limits: Vec<Words>,
}

/// What the fields say of one limit.
#[derive(Debug)]
struct Words {
    /// `"NAME";r=`
    item: String,
    /// `X-RateLimit-Limit`
    capacity: String,
}

impl Fields {
    /// Of these limits, by their places.
    pub(crate) fn new<'a>(announce: Announce, rules: impl Iterator<Item = &'a Rule>) -> Self {
        let mut policies: Vec<String> = Vec::new();
        let mut limits = Vec::new();
        for rule in rules {
            if !rule.shadow {
                policies.push(policy(&rule.name, rule.allowance));
            }
            let capacity = match rule.allowance {
                Allowance::Cells { capacity, .. } => capacity,
                Allowance::Places(places) => places,
            };
            limits.push(Words {
                item: format!("\"{}\";r=", rule.name),
                capacity: number::text(capacity),
            });
        }
        Self {
            standard: matches!(announce, Announce::All | Announce::Standard),
            legacy: matches!(announce, Announce::All | Announce::Legacy),
            policy: policies.join(", "),
            limits,
        }
    }

    /// There is something to tell of a request that passed.
    pub(crate) fn are_wanted(&self) -> bool {
        self.standard || self.legacy
    }

    /// Tells what was left when the request passed. `t` is the time until the quota is whole again; the `X-RateLimit`
    /// fields are those of the limit with the fewest cells left.
    pub(crate) fn tell(&self, kept: &[Kept], response: &mut Response) -> Result<(), Problem> {
        let mut text = String::with_capacity(64);
        if self.standard {
            response.append_header("ratelimit-policy", &self.policy)?;
            for left in kept {
                if !text.is_empty() {
                    text.push_str(", ");
                }
                self.item(&mut text, left.limit.into(), left.remaining, Some(left.reset));
            }
            if !text.is_empty() {
                response.append_header("ratelimit", &text)?;
            }
        }
        let fewest = kept.iter().min_by_key(|left| left.remaining);
        if self.legacy
            && let Some(left) = fewest
            && let Some(words) = self.limits.get(usize::from(left.limit))
        {
            response.set_header("x-ratelimit-limit", &words.capacity)?;
            for (name, number) in [
                ("x-ratelimit-remaining", left.remaining),
                ("x-ratelimit-reset", left.reset),
            ] {
                text.clear();
                number::push(&mut text, number);
                response.set_header(name, &text)?;
            }
        }
        Ok(())
    }

    /// Tells why a request is refused by the limit at this place. `t` is the time of `Retry-After`, which is not to be
    /// earlier than the end of that window (section 6 of the draft).
    pub(crate) fn explain(&self, place: usize, refused: Refused, mut refusal: Refusal) -> Refusal {
        let retry = refused.retry.map(wait_seconds);
        if let Some(retry) = retry {
            refusal = refusal.header("retry-after", number::text(retry));
        }
        let remaining = refused.left.map_or(0, |left| left.remaining);
        if self.standard {
            let mut item = String::new();
            self.item(&mut item, place, remaining, retry);
            refusal = refusal
                .header("ratelimit-policy", self.policy.as_str())
                .header("ratelimit", item);
        }
        if self.legacy
            && let Some(words) = self.limits.get(place)
        {
            refusal = refusal
                .header("x-ratelimit-limit", words.capacity.as_str())
                .header("x-ratelimit-remaining", number::text(remaining));
            if let Some(left) = refused.left {
                refusal = refusal.header("x-ratelimit-reset", number::text(seconds(left.reset)));
            }
        }
        refusal
    }

    /// Appends `"NAME";r=REMAINING;t=SECONDS`.
    fn item(&self, items: &mut String, place: usize, remaining: u64, window: Option<u64>) {
        let Some(words) = self.limits.get(place) else {
            return;
        };
        items.push_str(&words.item);
        number::push(items, remaining);
        if let Some(window) = window {
            items.push_str(";t=");
            number::push(items, window);
        }
    }
}

/// A quota policy item. The name needs no escapes. A window that is no whole number of seconds is left out: `w` has no
/// fractions, and a rounded one would tell another rate.
fn policy(name: &str, allowance: Allowance) -> String {
    match allowance {
        Allowance::Places(places) => format!("\"{name}\";q={places};qu=\"concurrent-requests\""),
        Allowance::Cells {
            limit,
            period,
            capacity,
        } => {
            let mut policy = format!("\"{name}\";q={limit}");
            if period.subsec_nanos() == 0 {
                policy.push_str(&format!(";w={}", period.as_secs()));
            }
            if capacity != limit {
                policy.push_str(&format!(";portcullis-burst={capacity}"));
            }
            policy
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_policy_says_what_a_structured_field_can_say() {
        let cells = |limit, ms, capacity| Allowance::Cells {
            limit,
            period: Duration::from_millis(ms),
            capacity,
        };
        for (allowance, item) in [
            (cells(100, 60_000, 100), "\"x\";q=100;w=60"),
            (cells(100, 1_000, 200), "\"x\";q=100;w=1;portcullis-burst=200"),
            (cells(10, 100, 10), "\"x\";q=10"),
            (cells(10, 1_500, 10), "\"x\";q=10"),
            (Allowance::Places(7), "\"x\";q=7;qu=\"concurrent-requests\""),
        ] {
            assert_eq!(policy("x", allowance), item);
        }
    }
}
