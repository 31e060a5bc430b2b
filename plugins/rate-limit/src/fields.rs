//! The fields that tell clients their limits. Knows no request.
//!
//! `RateLimit` and `RateLimit-Policy` are those of draft-ietf-httpapi-ratelimit-headers-11: lists of structured fields
//! (RFC 9651), so they stand beside what the upstream sends under these names. The `X-RateLimit` fields are no
//! standard; their reset is in seconds from now. What does not change from request to request is written once.

use portcullis::{FieldEdits, FieldName, FieldText, Problem, Refusal, Request};

use crate::config::Announce;
use crate::kept::Kept;
use crate::number;
use crate::rule::{Allowance, Refused, Rule};
use crate::time::{seconds, wait_seconds};

/// The fields of all limits.
#[derive(Debug)]
pub(crate) struct Fields {
    words: Words,
    /// Those of the request at hand, to be written over by the next.
    edits: FieldEdits,
}

/// What does not change from request to request.
#[derive(Debug)]
struct Words {
    standard: bool,
    legacy: bool,
    /// `RateLimit-Policy`.
    policy: String,
    /// What every response tells.
    always: FieldEdits,
    names: Names,
    limits: Vec<OfLimit>,
}

/// Fields whose values are of the request at hand.
#[derive(Debug)]
struct Names {
    item: FieldName,
    remaining: FieldName,
    reset: FieldName,
}

/// What the fields say of one limit.
#[derive(Debug)]
struct OfLimit {
    /// `"NAME";r=`
    item: String,
    /// `X-RateLimit-Limit`
    capacity: String,
}

impl Fields {
    /// Of these limits, by their places.
    ///
    /// # Errors
    /// None: their names are names of fields.
    pub(crate) fn new<'a>(
        announce: Announce,
        rules: impl Iterator<Item = &'a Rule>,
    ) -> Result<Self, Problem> {
        let mut policies: Vec<String> = Vec::new();
        let mut limits = Vec::new();
        let mut cells = None;
        for rule in rules {
            cells = matches!(rule.allowance, Allowance::Cells { .. }).then_some(limits.len());
            if !rule.shadow {
                policies.push(policy(&rule.name, rule.allowance));
            }
            let capacity = match rule.allowance {
                Allowance::Cells { capacity, .. } => capacity,
                Allowance::Places(places) => places,
            };
            limits.push(OfLimit {
                item: format!("\"{}\";r=", rule.name),
                capacity: number::text(capacity),
            });
        }
        let policy = policies.join(", ");
        let standard = matches!(announce, Announce::All | Announce::Standard);
        let legacy = matches!(announce, Announce::All | Announce::Legacy);
        let mut always = FieldEdits::new();
        if standard {
            always.append("ratelimit-policy", &policy);
        }
        if let (true, Some(0), [only]) = (legacy, cells, limits.as_slice()) {
            always.set("x-ratelimit-limit", &only.capacity);
        }
        let words = Words {
            standard,
            legacy,
            policy,
            always,
            names: Names {
                item: FieldName::new("ratelimit")?,
                remaining: FieldName::new("x-ratelimit-remaining")?,
                reset: FieldName::new("x-ratelimit-reset")?,
            },
            limits,
        };
        Ok(Self {
            words,
            edits: FieldEdits::new(),
        })
    }

    /// There is something to tell of a request that passed.
    pub(crate) fn are_wanted(&self) -> bool {
        self.words.standard || self.words.legacy
    }

    /// Has the response, whoever gives it, tell what was left when the request passed. `t` is the time until the quota is whole again; the `X-RateLimit`
    /// fields are those of the limit with the fewest cells left.
    pub(crate) fn tell(&mut self, kept: &[Kept], request: &mut Request) -> Result<(), Problem> {
        let Self { words, edits } = self;
        edits.clone_from(&words.always);
        if words.standard && !kept.is_empty() {
            edits.append_with(&words.names.item, |text| {
                for (at, left) in kept.iter().enumerate() {
                    if at > 0 {
                        text.push(", ");
                    }
                    words.item(text, left.limit.into(), left.remaining, Some(left.reset));
                }
            });
        }
        let fewest = kept.iter().min_by_key(|left| left.remaining);
        if words.legacy
            && let Some(left) = fewest
            && let Some(limit) = words.limits.get(usize::from(left.limit))
        {
            if words.limits.len() > 1 {
                edits.set("x-ratelimit-limit", &limit.capacity);
            }
            edits
                .set_with(&words.names.remaining, |text| text.push_number(left.remaining))
                .set_with(&words.names.reset, |text| text.push_number(left.reset));
        }
        request.edit_response(edits)
    }

    /// Tells why a request is refused by the limit at this place.
    pub(crate) fn explain(&self, place: usize, refused: Refused, refusal: Refusal) -> Refusal {
        self.words.explain(place, refused, refusal)
    }
}

impl Words {
    /// Tells why a request is refused by the limit at this place. `t` is the time of `Retry-After`, which is not to be
    /// earlier than the end of that window (section 6 of the draft).
    fn explain(&self, place: usize, refused: Refused, mut refusal: Refusal) -> Refusal {
        let retry = refused.retry.map(wait_seconds);
        if let Some(retry) = retry {
            refusal = refusal.header("retry-after", number::text(retry));
        }
        let remaining = refused.left.map_or(0, |left| left.remaining);
        if self.standard {
            let mut item = String::new();
            self.item(&mut FieldText::new(&mut item), place, remaining, retry);
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
    fn item(&self, items: &mut FieldText<'_>, place: usize, remaining: u64, window: Option<u64>) {
        let Some(words) = self.limits.get(place) else {
            return;
        };
        items.push(&words.item);
        items.push_number(remaining);
        if let Some(window) = window {
            items.push(";t=");
            items.push_number(window);
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
