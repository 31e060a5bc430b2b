//! Plugin `router`: sends requests to an upstream, or names their route, by what they say, by weight, and so that the same
//! client stays where it is. Knows rules and targets; what an upstream or a route is, the gateway knows.

mod config;
mod cookie;
mod expression;
mod facts;
mod hash;
mod pairs;
mod rule;
mod split;
mod sticky;
mod test;

use portcullis::metrics::Counter;
use portcullis::prelude::*;

pub use config::{Config, OtherTest, Rule as WrittenRule, SameSite, Sticky, Target, Test, To, When};
use expression::{Failure, Language, Variables};
use facts::Facts;
use rule::{Choice, Rule};
use split::Kind;

/// Rules that an entry may have.
const MAX_RULES: usize = 256;

/// The plugin, its rules prepared.
#[derive(Debug)]
pub struct Router {
    rules: Vec<Rule>,
    language: Language,
    failures: Option<Counter>,
}

#[portcullis::plugin(schema = "schema.json")]
impl Plugin for Router {
    type Config = Config;
    type State = String;

    fn new(config: Config) -> Result<Self, String> {
        if config.rules.is_empty() || config.rules.len() > MAX_RULES {
            return Err(format!("`rules` has 1 to {MAX_RULES} rules"));
        }
        let mut language = Language::new();
        let mut rules = Vec::with_capacity(config.rules.len());
        for (at, rule) in config.rules.into_iter().enumerate() {
            rules.push(Rule::new(rule, &mut language).map_err(|what| format!("rules[{at}]: {what}"))?);
        }
        let failures = rules.iter().any(Rule::has_expression).then(|| {
            Counter::new(
                "router_expression_errors_total",
                "Requests for which the expression of a rule had no answer.",
                &["rule"],
            )
        });
        Ok(Self {
            rules,
            language,
            failures: failures.transpose().map_err(|problem| problem.to_string())?,
        })
    }

    fn route(&mut self, request: &Request) -> Option<String> {
        let facts = Facts::of(request);
        let choice = self.choice(Kind::Route, &facts)?;
        Some(choice.name.to_owned())
    }

    fn on_request(&mut self, request: &mut Request) -> Result<Action<String>, Problem> {
        let facts = Facts::of(request);
        let Some(Choice { name, set_cookie }) = self.choice(Kind::Upstream, &facts) else {
            return Ok(Action::Next);
        };
        request.set_upstream(name)?;
        Ok(set_cookie.map_or(Action::Next, Action::NextWith))
    }

    fn on_response(&mut self, response: &mut Response, state: Option<String>) -> Result<(), Problem> {
        match state {
            Some(set_cookie) => response.append_header("set-cookie", &set_cookie),
            None => Ok(()),
        }
    }
}

impl Router {
    /// What the first rule that speaks in this hook and fits chooses.
    fn choice(&self, hook: Kind, facts: &Facts<'_>) -> Option<Choice<'_>> {
        let variables = Variables::of(facts);
        let speaks = |rule: &Rule| rule.kind == hook || rule.kind == Kind::Either;
        let mut rules = self.rules.iter().enumerate().filter(|(_, rule)| speaks(rule));
        let (_, rule) = rules.find(|(at, rule)| {
            rule.fits(&variables, &self.language).unwrap_or_else(|failure| {
                self.failed(*at, &failure);
                false
            })
        })?;
        rule.choose(facts)
    }

    /// An expression had no answer: its rule does not fit.
    fn failed(&self, rule: usize, failure: &Failure) {
        // That a field is not there is an answer of a kind, and nothing to look after.
        let (Failure::Value(cause) | Failure::Type(cause)) = failure else {
            return;
        };
        log::debug!(rule = rule, cause = cause, "an expression failed");
        if let Some(failures) = &self.failures {
            failures.increment(&[&rule.to_string()]);
        }
    }
}

#[cfg(test)]
mod tests;
