//! Plugin `cors`: tells browsers which pages of other origins may use this API, by the CORS protocol of the Fetch
//! standard (<https://fetch.spec.whatwg.org/#http-cors-protocol>). Knows headers only: CORS keeps a page from reading,
//! it keeps nobody from sending.

mod config;
mod origin;
mod policy;
mod vary;

use portcullis::prelude::*;

pub use config::Config;
use policy::Policy;

/// The plugin, its headers prepared.
#[derive(Debug)]
pub struct Cors {
    policy: Policy,
    reject: bool,
}

/// What the response hook needs of the request.
#[portcullis::state]
#[derive(Debug)]
pub struct Allowed {
    /// The origin that may read the response.
    origin: String,
}

/// Response fields of the protocol. Those of the upstream do not count: two answers to one question would be none.
const FIELDS: [&str; 7] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-expose-headers",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-max-age",
    "access-control-allow-private-network",
];

#[portcullis::plugin(schema = "schema.json")]
impl Plugin for Cors {
    type Config = Config;
    type State = Allowed;

    fn new(config: Config) -> Result<Self, String> {
        Ok(Self {
            reject: config.reject,
            policy: Policy::new(&config)?,
        })
    }

    fn on_request(&mut self, request: &mut Request) -> Result<Action<Allowed>, Refusal> {
        let mut origins = request.header_values("origin");
        let Some(origin) = origins.pop() else {
            return Ok(Action::Next);
        };
        // A browser sends one origin; of two, none is believed.
        let allowed = origins.is_empty() && self.policy.allows(&origin);
        if !allowed && self.reject && !is_own(request, &origin) {
            return Err(Refusal::new(
                403,
                "cors-origin-denied",
                "pages of this origin may not use this API",
            )
            .header("vary", "Origin"));
        }
        let is_preflight =
            request.method() == "OPTIONS" && request.header("access-control-request-method").is_some();
        Ok(match (is_preflight, allowed) {
            (true, true) => Action::respond(self.policy.preflight(request, &origin)),
            (true, false) => Action::respond(Policy::bare_preflight()),
            (false, true) if !self.policy.is_for_any() => Action::next_with(Allowed { origin }),
            (false, _) => Action::Next,
        })
    }

    fn on_response(&mut self, response: &mut Response, state: Option<Allowed>) -> Result<(), Problem> {
        let present = response.headers();
        for name in FIELDS {
            if present.get(name).is_some() {
                response.remove_header(name)?;
            }
        }
        for (name, value) in self
            .policy
            .fields(state.as_ref().map(|allowed| allowed.origin.as_str()))
        {
            response.set_header(name, value)?;
        }
        if !self.policy.is_for_any() && !vary::lists(&present, "origin") {
            response.append_header("vary", "Origin")?;
        }
        Ok(())
    }
}

/// Whether the page is of the API's own host: a browser names the origin of its own pages, too, where they post.
fn is_own(request: &Request, origin: &str) -> bool {
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some_and(|host| host.eq_ignore_ascii_case(&request.authority()))
}

#[cfg(test)]
mod tests;
