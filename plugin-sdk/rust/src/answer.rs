//! The two answers a plugin can give in place of the upstream: a reply that is meant, a refusal that is an error.
//! Knows nothing of the hooks that carry them.

use std::borrow::Cow;

use serde::Serialize;

use crate::{Content, Problem, log};

/// An answer that the plugin means as such: a redirect, a stored object, a page.
///
/// ```
/// # use portcullis::Reply;
/// let reply = Reply::new(200).header("content-type", "text/plain").body("hello");
/// assert_eq!(reply.status, 200);
/// ```
#[derive(Debug)]
pub struct Reply {
    /// Status code, 200 to 599.
    pub status: u16,
    /// Header fields in order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Content,
}

impl Reply {
    /// An answer with this status, no header and no body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Content::Empty,
        }
    }

    /// An answer of `text/plain; charset=utf-8`.
    #[must_use]
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status)
            .header("content-type", "text/plain; charset=utf-8")
            .body(text.into())
    }

    /// An answer of `application/json`.
    ///
    /// # Errors
    /// [`Problem::Invalid`] when the value has no JSON form (a map with keys that are no strings).
    pub fn json<T: Serialize + ?Sized>(status: u16, value: &T) -> Result<Self, Problem> {
        let body = serde_json::to_vec(value).map_err(|error| Problem::Invalid(error.to_string()))?;
        Ok(Self::new(status)
            .header("content-type", "application/json")
            .body(body))
    }

    /// A redirect by 301, 302, 303, 307 or 308 to `location` (RFC 9110 section 15.4).
    #[must_use]
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::new(status).header("location", location)
    }

    /// Adds a header field; a second one of the same name stands beside the first.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Content>) -> Self {
        self.body = body.into();
        self
    }
}

/// An error answer. The host builds the problem document of RFC 9457 from it, with request id and instance, runs
/// the `on-error` hooks and counts it under its code.
#[derive(Debug)]
pub struct Refusal {
    /// Status code, 400 to 599.
    pub status: u16,
    /// Stable, kebab-case, documented by the plugin: `key-missing`, `rate-limited`.
    pub code: Cow<'static, str>,
    /// For the client: never a secret, never internals.
    pub detail: Cow<'static, str>,
    /// Further header fields.
    pub headers: Vec<(String, String)>,
    pub(crate) extra: String,
    cause: Option<String>,
}

impl Refusal {
    /// An error answer with this status and code; `detail` is read by the client.
    #[must_use]
    pub fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            detail: detail.into(),
            headers: Vec::new(),
            extra: String::new(),
            cause: None,
        }
    }

    /// 500 `plugin-error`: the plugin could not do its work. The cause is logged at `error` and not sent.
    #[must_use]
    pub fn internal(cause: impl Into<String>) -> Self {
        let mut refusal = Self::new(500, "plugin-error", "a plugin of this gateway failed");
        refusal.cause = Some(cause.into());
        refusal
    }

    /// Adds a header field, such as `www-authenticate` or `retry-after`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds a member to the problem document (an extension member of RFC 9457 section 3.2).
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<serde_json::Value>) -> Self {
        // Text from the start, so that a refusal without members brings no JSON writer into the component.
        let value: serde_json::Value = value.into();
        self.extra.pop();
        self.extra.push(if self.extra.is_empty() { '{' } else { ',' });
        self.extra.push_str(&serde_json::Value::from(member).to_string());
        self.extra.push(':');
        self.extra.push_str(&value.to_string());
        self.extra.push('}');
        self
    }

    /// The extension members as the JSON text that the host joins to the document; "" when there are none.
    #[must_use]
    pub fn extra(&self) -> &str {
        &self.extra
    }

    /// What [`Refusal::internal`] will log.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Logs the cause, once, when the refusal leaves the plugin.
    pub(crate) fn report(&self) {
        if let Some(cause) = &self.cause {
            log::write(
                log::Level::Error,
                "the plugin failed and refused the request",
                &[("cause", cause)],
            );
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::internal(problem.to_string())
    }
}

impl From<String> for Refusal {
    fn from(cause: String) -> Self {
        Self::internal(cause)
    }
}

impl From<&str> for Refusal {
    fn from(cause: &str) -> Self {
        Self::internal(cause)
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn extension_members_are_one_object() {
        let refusal = Refusal::new(429, "rate-limited", "too many requests");
        assert_eq!(refusal.extra(), "");
        let refusal = refusal
            .with("limit", 10)
            .with("a \"quote\"", json!({ "list": [1, 2] }));
        let extra: Value = serde_json::from_str(refusal.extra()).unwrap();
        assert_eq!(extra, json!({ "limit": 10, "a \"quote\"": { "list": [1, 2] } }));
    }

    #[test]
    fn the_cause_is_not_for_the_client() {
        let refusal = Refusal::from(Problem::Denied("a secret".to_owned()));
        assert_eq!((refusal.status, refusal.code.as_ref()), (500, "plugin-error"));
        assert!(!refusal.detail.contains("secret"));
        assert_eq!(refusal.cause(), Some("denied: a secret"));
    }
}
