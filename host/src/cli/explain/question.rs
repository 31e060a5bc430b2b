//! The request that `explain` is asked about: as a client would send it, and to which listener.
//!
//! It refuses to know what comes of it.

use anyhow::{Context, bail};
use http::header::HOST;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::config::{Config, Listener};

/// A request to a listener.
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
    pub(super) headers: HeaderMap,
    /// Index of the listener in the configuration.
    pub(super) listener: usize,
}

impl Question {
    /// The request for a URL. Its authority becomes the field `Host`, unless there is one; without both, the listener's
    /// address does.
    ///
    /// # Errors
    /// When the URL is none, or which listener is meant is not clear.
    pub(super) fn new(
        method: Method,
        url: &str,
        fields: Vec<(HeaderName, HeaderValue)>,
        listener: Option<&str>,
        config: &Config,
    ) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| {
            format!("`{url}` is no URL; a request with such a target is answered with 400 `bad-request`")
        })?;
        let path = uri.path_and_query().cloned();
        let port = uri.scheme_str().map(|scheme| match uri.port_u16() {
            Some(port) => port,
            None if scheme == "https" => 443,
            None => 80,
        });
        if uri.scheme().is_none() && !url.starts_with('/') && url != "*" {
            bail!("`{url}` is neither a URL like `http://host/path` nor a path like `/path`");
        }
        let (listener, chosen) = choose(&config.listeners, listener, port)?;
        let mut headers: HeaderMap = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        if !headers.contains_key(HOST) {
            let host = match uri.authority() {
                Some(authority) => without_user(authority).to_owned(),
                None => chosen.address.to_string(),
            };
            headers.insert(HOST, HeaderValue::from_str(&host)?);
        }
        Ok(Self {
            method,
            target: path.unwrap_or_else(|| PathAndQuery::from_static("/")),
            headers,
            listener,
        })
    }

    /// Whether the listener has TLS.
    pub(super) fn is_secured(&self, config: &Config) -> bool {
        let listener = config.listeners.get(self.listener);
        listener.is_some_and(|listener| listener.tls.is_some())
    }

    /// The head of the request.
    pub(super) fn parts(&self) -> Parts {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = self.method.clone();
        parts.uri = Uri::from(self.target.clone());
        parts.version = Version::HTTP_11;
        parts.headers = self.headers.clone();
        parts
    }
}

/// The listener of that name, or the only one, or the only one on the port.
fn choose<'c>(
    listeners: &'c [Listener],
    name: Option<&str>,
    port: Option<u16>,
) -> anyhow::Result<(usize, &'c Listener)> {
    let names: Vec<&str> = listeners.iter().map(|listener| &*listener.name).collect();
    let names = names.join(", ");
    let mut all = listeners.iter().enumerate();
    if let Some(name) = name {
        let found = all.find(|(_, listener)| &*listener.name == name);
        return found.with_context(|| format!("there is no listener `{name}`; there are: {names}"));
    }
    let mut fits: Vec<_> = all.collect();
    if fits.len() > 1 {
        fits.retain(|(_, listener)| Some(listener.address.port()) == port);
    }
    match fits.as_slice() {
        [only] => Ok(*only),
        _ if listeners.is_empty() => bail!("the configuration has no listener"),
        _ => bail!("which listener takes the request? say `--listener NAME`, one of: {names}"),
    }
}

/// `host:port` of `user@host:port`.
fn without_user(authority: &Authority) -> &str {
    let text = authority.as_str();
    text.rsplit_once('@').map_or(text, |(_, host)| host)
}
