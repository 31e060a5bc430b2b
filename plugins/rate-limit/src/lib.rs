//! Plugin `rate-limit`: how many requests in which time, and how many at the same time, by limits that all have to
//! allow a request. Knows keys, quotas and the fields that tell of them; who the client is, other plugins say.

mod ahead;
mod config;
mod cost;
mod fields;
mod kept;
mod key;
mod limits;
mod number;
mod rule;
mod source;
mod tally;
mod time;

use portcullis::prelude::*;

pub use config::{Absent, Algorithm, Announce, Config, Delay, Limit, Scope, WhenStoreFails};
use fields::Fields;
use limits::{Decision, Limits, Told};
use rule::{Refused, Rule};
use time::wait_seconds;

/// Most limits of one entry.
const MAX_LIMITS: usize = 16;
/// Attribute with the name of the limit that refused.
const REFUSED: &str = "limit.refused";

/// The plugin, its limits ready to be asked.
#[derive(Debug)]
pub struct RateLimit {
    limits: Limits,
    fields: Fields,
}

#[portcullis::plugin(schema = "schema.json")]
impl Plugin for RateLimit {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let announce = config.headers;
        let listed = !config.limits.is_empty();
        let limits = config.into_limits();
        if limits.len() > MAX_LIMITS {
            return Err(format!(
                "`limits` has {} limits: at most {MAX_LIMITS} are possible",
                limits.len()
            ));
        }
        let mut rules: Vec<Rule> = Vec::new();
        for (at, limit) in limits.into_iter().enumerate() {
            let place = |what: String| {
                if listed {
                    format!("limits[{at}]: {what}")
                } else {
                    what
                }
            };
            let rule = Rule::new(limit).map_err(place)?;
            if rules.iter().any(|other| other.name == rule.name) {
                return Err(place(format!(
                    "the name `{}` is taken: give each limit a `name`",
                    rule.name
                )));
            }
            rules.push(rule);
        }
        let limits = Limits::new(rules).map_err(|problem| problem.to_string())?;
        let fields = Fields::new(announce, limits.rules()).map_err(|problem| problem.to_string())?;
        Ok(Self { limits, fields })
    }

    fn on_request(&mut self, request: &mut Request) -> Result<Action, Refusal> {
        match self.limits.judge(request)? {
            Decision::Pass(Told::Something) if self.fields.are_wanted() => {
                self.fields.tell(self.limits.kept(), request)?;
                Ok(Action::Next)
            }
            Decision::Pass(_) => Ok(Action::Next),
            Decision::Refuse(place, refused) => Err(self.refuse(place, refused, request)),
            Decision::Unavailable(place) => {
                self.note(place, request);
                Err(Refusal::new(
                    503,
                    "rate-limit-unavailable",
                    "the limits cannot be asked at the moment",
                ))
            }
            Decision::Keyless(place) => {
                self.note(place, request);
                Err(Refusal::new(
                    400,
                    "rate-limit-key-missing",
                    "the request lacks what its limit counts by",
                ))
            }
        }
    }
}

impl RateLimit {
    /// 429 (RFC 6585 section 4), with the member that the draft of the fields gives to its problem types.
    fn refuse(&self, place: usize, refused: Refused, request: &Request) -> Refusal {
        let name = self.note(place, request);
        let mut refusal = Refusal::new(429, "rate-limited", "too many requests")
            .with("violated-policies", vec![name.to_owned()]);
        if let Some(retry) = refused.retry {
            refusal = refusal.with("retry-after", wait_seconds(retry));
        }
        self.fields.explain(place, refused, refusal)
    }

    /// Counts a refusal and shows it to the access log; gives the limit's name.
    fn note(&self, place: usize, request: &Request) -> &str {
        let name = self.limits.refused(place);
        // Without the grant the metric alone tells.
        let told = request.set_attribute(REFUSED, Some(name));
        log::debug!(limit = name, told = told.is_ok(), "refused");
        name
    }
}

#[cfg(test)]
mod tests;
