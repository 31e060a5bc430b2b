//! How a choice sticks: where the key of a request is, or which cookie carries the choice itself. Knows no weights.

use portcullis::headers;

use crate::config::Sticky as Written;
use crate::cookie::Cookie;
use crate::facts::Facts;
use crate::hash;

/// What a choice sticks to.
#[derive(Debug)]
pub(crate) struct Sticky {
    /// What makes this rule's choices its own.
    pub(crate) salt: u64,
    /// Where to look.
    pub(crate) by: By,
}

/// Where to look.
#[derive(Debug)]
pub(crate) enum By {
    /// The choice is in a cookie.
    Cookie(Cookie),
    /// The key is in a header field, by its name in lower case.
    Header(String),
    /// The key is the client's address.
    ClientIp,
    /// The key is an attribute.
    Attribute(String),
}

impl Sticky {
    /// What the configuration describes.
    ///
    /// # Errors
    /// Which key cannot be so.
    pub(crate) fn new(written: &Written) -> Result<Self, String> {
        let by = match written.by.split_once(':') {
            None if written.by == "cookie" => By::Cookie(Cookie::new(written)?),
            None if written.by == "client-ip" => By::ClientIp,
            Some(("header", name)) if headers::is_name(&name.to_ascii_lowercase()) => {
                By::Header(name.to_ascii_lowercase())
            }
            Some(("attribute", key)) if !key.is_empty() => By::Attribute(key.to_owned()),
            _ => {
                return Err(format!(
                    "`sticky.by` is {:?}: write `cookie`, `header:NAME`, `client-ip` or `attribute:NAME`",
                    written.by
                ));
            }
        };
        let Written {
            by: _,
            salt,
            name,
            max_age,
            path,
            secure,
            http_only,
            same_site,
        } = written;
        let of_cookie = [
            ("name", name.is_some()),
            ("max-age", max_age.is_some()),
            ("path", path.is_some()),
            ("secure", secure.is_some()),
            ("http-only", http_only.is_some()),
            ("same-site", same_site.is_some()),
        ];
        if !matches!(by, By::Cookie(_))
            && let Some((key, _)) = of_cookie.iter().find(|(_, given)| *given)
        {
            return Err(format!(
                "`sticky.{key}` is about a cookie, but `sticky.by` is {:?}",
                written.by
            ));
        }
        Ok(Self {
            salt: hash::of(salt.as_bytes()),
            by,
        })
    }

    /// The key of a request; none when it has none, or none is needed.
    pub(crate) fn key(&self, facts: &Facts<'_>) -> Option<u64> {
        let key = match &self.by {
            By::Cookie(_) => return None,
            By::Header(name) => hash::of(facts.header(name).find(|value| !value.is_empty())?),
            By::ClientIp => hash::of(facts.request().client_ip().as_bytes()),
            By::Attribute(key) => {
                let value = facts.request().attribute(key).filter(|value| !value.is_empty())?;
                hash::of(value.as_bytes())
            }
        };
        Some(hash::join(self.salt, key))
    }
}
