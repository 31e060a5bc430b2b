//! Plugin `auth-key`: lets a request through that carries a known API key, and says whose it is. Knows keys and
//! consumers; groups, limits and rights are other plugins'.

mod config;
mod credential;
mod keys;

use portcullis::prelude::*;

pub use config::Config;
use credential::Presented;
use keys::Keys;

/// The plugin, ready to check requests.
#[derive(Debug)]
pub struct AuthKey {
    keys: Keys,
    header: Option<String>,
    query: Option<String>,
    hide: bool,
    upstream_header: Option<String>,
    challenge: String,
}

#[portcullis::plugin(label(security), schema = "schema.json")]
impl Plugin for AuthKey {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        config.check()?;
        let present = |name: String| Some(name).filter(|name| !name.is_empty());
        Ok(Self {
            keys: Keys::new(&config.keys)?,
            challenge: config.challenge(),
            header: present(config.header),
            query: present(config.query),
            hide: config.hide,
            upstream_header: present(config.upstream_header),
        })
    }

    fn on_request(&mut self, request: &mut Request) -> Result<Action, Refusal> {
        let presented = self.presented(request)?;
        let Some(consumer) = self.keys.consumer_of(&presented.key) else {
            return Err(self.unauthorized("key-invalid", "the API key is not valid"));
        };
        if self.hide {
            presented.hide(request)?;
        }
        if let Some(name) = &self.upstream_header {
            // Replaces whatever the client sent under this name.
            request.set_header(name, consumer)?;
        }
        // Without the grant this is an error: a route must not run half authenticated.
        request.set_attribute("auth.subject", Some(consumer))?;
        Ok(Action::Next)
    }
}

impl AuthKey {
    /// The one credential of the request.
    fn presented(&self, request: &Request) -> Result<Presented, Refusal> {
        let mut found = Vec::new();
        if let Some(name) = &self.header {
            found.extend(
                request
                    .header_values(name)
                    .into_iter()
                    .filter_map(|value| Presented::in_header(name, value)),
            );
        }
        if let Some(name) = &self.query
            && let Some(query) = request.query()
        {
            found.extend(Presented::in_query(name, &query));
        }
        let first = found
            .pop()
            .ok_or_else(|| self.unauthorized("key-missing", "this API needs an API key"))?;
        if found.is_empty() {
            Ok(first)
        } else {
            Err(Refusal::new(
                400,
                "key-ambiguous",
                "the request carries more than one API key",
            ))
        }
    }

    /// A 401 with the challenge that RFC 9110 section 11.6.1 asks for.
    fn unauthorized(&self, code: &'static str, detail: &'static str) -> Refusal {
        Refusal::new(401, code, detail).header("www-authenticate", self.challenge.as_str())
    }
}

#[cfg(test)]
mod tests;
