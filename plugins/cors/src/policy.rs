//! What is permitted, as the header fields that say so. Knows the protocol; where the fields go is the hooks' matter.

use portcullis::{Reply, Request, headers};

use crate::config::Config;
use crate::origin::Origins;

/// Names of headers that a page may ask for at once, and the length of their list, where what it asks for is permitted.
const MAX_REFLECTED: usize = 100;
const MAX_REFLECTED_BYTES: usize = 4096;

/// What a preflight's answer depends on: more than the method OPTIONS lets any cache keep, but a cache that keeps it
/// must know.
const PREFLIGHT_VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

/// What is permitted to whom.
#[derive(Debug)]
pub(crate) struct Policy {
    origins: Origins,
    credentials: bool,
    expose: String,
    methods: String,
    headers: RequestHeaders,
    max_age: Option<String>,
    private_network: bool,
}

/// Request headers that a page may set.
#[derive(Debug)]
enum RequestHeaders {
    /// These.
    Listed(String),
    /// Whatever it asks for.
    Asked,
}

impl Policy {
    /// The policy of a configuration.
    ///
    /// # Errors
    /// The first key with a value that cannot be, or that a browser would not take for what it looks like.
    pub(crate) fn new(config: &Config) -> Result<Self, String> {
        let origins = Origins::new(&config.origins).map_err(|what| format!("`origins` {what}"))?;
        if config.credentials {
            if matches!(origins, Origins::Any) {
                return Err(
                    "`credentials` cannot go with `origins = [\"*\"]`: any page could act as the user"
                        .to_owned(),
                );
            }
            if origins.has_null() {
                return Err(
                    "`credentials` cannot go with the origin `null`: any page can become one without origin"
                        .to_owned(),
                );
            }
            let lists = [
                ("methods", &config.methods),
                ("headers", &config.headers),
                ("expose", &config.expose),
            ];
            for (key, list) in lists {
                if list.iter().any(|name| name == "*") {
                    return Err(format!(
                        "`{key}` has `*`, which is a mere name to browsers where there are `credentials`: write the names"
                    ));
                }
            }
        }
        if config.reflect_headers && !config.headers.is_empty() {
            return Err("`headers` has no effect beside `reflect-headers`: leave one of them out".to_owned());
        }
        let max_age = config.max_age.map(|span| match span.0.subsec_nanos() {
            0 => Ok(span.0.as_secs().to_string()),
            _ => Err("`max-age` is not in whole seconds".to_owned()),
        });
        Ok(Self {
            methods: methods(&config.methods)?,
            headers: match config.reflect_headers {
                true => RequestHeaders::Asked,
                false => RequestHeaders::Listed(names("headers", &config.headers)?),
            },
            expose: names("expose", &config.expose)?,
            max_age: max_age.transpose()?,
            credentials: config.credentials,
            private_network: config.private_network,
            origins,
        })
    }

    /// Whether pages of this origin may use the API.
    pub(crate) fn allows(&self, origin: &str) -> bool {
        self.origins.contains(origin)
    }

    /// Whether all may, so that no answer depends on who asks. Such answers carry their permission whether or not an
    /// origin was sent, as the Fetch standard advises for caches (section "CORS protocol and HTTP caches").
    pub(crate) fn is_for_any(&self) -> bool {
        matches!(self.origins, Origins::Any)
    }

    /// The fields of a response to a request from this origin, if it is one that is allowed.
    pub(crate) fn fields<'a>(
        &'a self,
        origin: Option<&'a str>,
    ) -> impl Iterator<Item = (&'static str, &'a str)> {
        let origin = if self.is_for_any() { Some("*") } else { origin };
        let credentials = (origin.is_some() && self.credentials).then_some("true");
        let expose = Some(self.expose.as_str()).filter(|names| origin.is_some() && !names.is_empty());
        [
            ("access-control-allow-origin", origin),
            ("access-control-allow-credentials", credentials),
            ("access-control-expose-headers", expose),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }

    /// The answer to a preflight request from this origin, which is allowed. It says what is permitted; whether that is
    /// enough for what was asked is the browser's to judge.
    pub(crate) fn preflight(&self, request: &Request, origin: &str) -> Reply {
        let mut reply = Self::bare_preflight();
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() {
                reply.headers.push((name.to_owned(), value.to_owned()));
            }
        };
        for (name, value) in self.fields(Some(origin)) {
            if name != "access-control-expose-headers" {
                add(name, value);
            }
        }
        add("access-control-allow-methods", &self.methods);
        match &self.headers {
            RequestHeaders::Listed(names) => add("access-control-allow-headers", names),
            RequestHeaders::Asked => add("access-control-allow-headers", &asked(request)),
        }
        if let Some(seconds) = &self.max_age {
            add("access-control-max-age", seconds);
        }
        if self.private_network
            && request
                .header("access-control-request-private-network")
                .is_some_and(|value| value == "true")
        {
            add("access-control-allow-private-network", "true");
        }
        reply
    }

    /// The answer to a preflight request that permits nothing.
    pub(crate) fn bare_preflight() -> Reply {
        Reply::new(204).header("vary", PREFLIGHT_VARY)
    }
}

/// The names of `Access-Control-Request-Headers`; none when they are no names or too many.
fn asked(request: &Request) -> String {
    let list = request
        .header_values("access-control-request-headers")
        .join(",")
        .to_ascii_lowercase();
    let names: Vec<&str> = list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let fits = list.len() <= MAX_REFLECTED_BYTES && names.len() <= MAX_REFLECTED;
    match fits && names.iter().copied().all(headers::is_name) {
        true => names.join(", "),
        false => String::new(),
    }
}

/// A list of methods. They are case-sensitive, and none of those in use has a lower-case letter.
fn methods(list: &[String]) -> Result<String, String> {
    for method in list {
        let is_token = headers::is_name(&method.to_ascii_lowercase());
        if !is_token || method.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return Err(format!(
                "`methods` has `{}`, which is no method in upper case",
                shown(method)
            ));
        }
    }
    Ok(list.join(", "))
}

/// A list of names of headers.
fn names(key: &str, list: &[String]) -> Result<String, String> {
    let mut names = Vec::new();
    for name in list {
        let name = name.to_ascii_lowercase();
        if !headers::is_name(&name) {
            return Err(format!(
                "`{key}` has `{}`, which is no name of a header",
                shown(&name)
            ));
        }
        names.push(name);
    }
    Ok(names.join(", "))
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}
