//! The one place that turns a failure into an HTTP answer: an RFC 9457 document, the same for errors of the
//! host and of plugins.
//!
//! Refuses to know how a failure came about, and how an answer is sent.

mod kind;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value};

pub use kind::{ErrorKind, Origin};

/// Longest JSON text that a plugin may add to a document, in bytes.
pub const MAX_EXTRA: usize = 64 * 1024;

/// Longest code of a plugin, in bytes.
pub const MAX_CODE: usize = 64;

/// Members of the document that are the host's.
const RESERVED: [&str; 6] = ["type", "title", "status", "detail", "instance", "code"];

/// What is wrong with a plugin's refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusalError {
    /// Not 400 to 599.
    #[error("the status {0} of the refusal is no error")]
    Status(u16),
    /// Not lower-case letters, digits and inner hyphens, or longer than [`MAX_CODE`].
    #[error("the code of the refusal is not kebab-case")]
    Code,
    /// Not "" and no JSON object, or longer than [`MAX_EXTRA`].
    #[error("the extra members of the refusal are no JSON object")]
    Extra,
}

/// An error answer in the making.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Which error of the host it is.
    pub kind: ErrorKind,
    /// The answer's status: the kind's own, or a plugin's.
    pub status: StatusCode,
    /// The stable code, kebab-case: the kind's own, or a plugin's.
    pub code: Cow<'static, str>,
    /// A few words that are the same for every such error.
    pub title: Cow<'static, str>,
    /// What is particular to this one, for the client: never a secret, never internals. "" = nothing.
    pub detail: Cow<'static, str>,
    /// A URI that names this occurrence; see [`Problem::with_request_id`].
    pub instance: Option<String>,
    /// More members of the document. The names of the host's own members are passed over.
    pub extra: Map<String, Value>,
    /// More fields of the answer. Those that describe the document or the connection are passed over.
    pub headers: HeaderMap,
}

impl Problem {
    /// An error of the host.
    pub fn new(kind: ErrorKind) -> Self {
        Self {
            kind,
            status: kind.status(),
            code: Cow::Borrowed(kind.code()),
            title: Cow::Borrowed(kind.title()),
            detail: Cow::Borrowed(""),
            instance: None,
            extra: Map::new(),
            headers: HeaderMap::new(),
        }
    }

    /// A plugin's refusal. `extra` is a JSON object as text, or "".
    ///
    /// # Errors
    /// [`RefusalError`]; the caller treats it as a fault of the plugin.
    pub fn refused(status: u16, code: String, detail: String, extra: &str) -> Result<Self, RefusalError> {
        let checked = StatusCode::from_u16(status)
            .ok()
            .filter(|status| status.is_client_error() || status.is_server_error())
            .ok_or(RefusalError::Status(status))?;
        if !is_code(&code) {
            return Err(RefusalError::Code);
        }
        let extra = match extra {
            "" => Map::new(),
            text if text.len() > MAX_EXTRA => return Err(RefusalError::Extra),
            text => serde_json::from_str(text).map_err(|_| RefusalError::Extra)?,
        };
        let title = checked
            .canonical_reason()
            .unwrap_or(ErrorKind::PluginRefused.title());
        Ok(Self {
            status: checked,
            code: Cow::Owned(code),
            title: Cow::Borrowed(title),
            detail: Cow::Owned(detail),
            extra,
            ..Self::new(ErrorKind::PluginRefused)
        })
    }

    /// Says what is particular to this error.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Sets `instance` to `urn:portcullis:request:ID`: no address that could be fetched, but the same text in
    /// the answer, the access log and the trace. What a URN may not hold is percent-encoded.
    #[must_use]
    pub fn with_request_id(mut self, id: &str) -> Self {
        let mut urn = String::from("urn:portcullis:request:");
        for byte in id.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':') {
                urn.push(char::from(byte));
            } else {
                urn.push_str(&format!("%{byte:02X}"));
            }
        }
        self.instance = Some(urn);
        self
    }

    /// Sets `Retry-After` (RFC 9110 section 10.2.3), in whole seconds, rounded up.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        let seconds = after
            .as_secs()
            .saturating_add(u64::from(after.subsec_nanos() > 0));
        self.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        self
    }

    /// Adds a field to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// The document.
    pub fn document(&self) -> Bytes {
        // Strings and JSON values always serialize; the fall-back only spares a panic.
        serde_json::to_vec(&Document(self))
            .unwrap_or_else(|_| b"{}".to_vec())
            .into()
    }

    /// Status, fields and body of the answer to a request of `method`. A HEAD gets the fields of the whole
    /// answer and no body. Nothing may store it, unless the headers say otherwise: some of these statuses are
    /// cacheable by default (RFC 9110 section 15.1).
    pub fn answer(self, method: &Method) -> (StatusCode, HeaderMap, Bytes) {
        let document = self.document();
        let mut headers = self.headers;
        let misplaced: Vec<HeaderName> = headers
            .keys()
            .filter(|name| super::fields::is_connection_field(name.as_str()) || *name == CONTENT_ENCODING)
            .cloned()
            .collect();
        for name in misplaced {
            headers.remove(name);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(document.len()));
        headers
            .entry(CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        let body = if *method == Method::HEAD {
            Bytes::new()
        } else {
            document
        };
        (self.status, headers, body)
    }

    /// Gives the fields of this error to an answer that takes the document's place: those that the answer does
    /// not have itself and that are not about the document (`Content-*`, validators, digests). Nothing may store the
    /// answer, unless it or the error says otherwise.
    pub fn lend_headers(&self, answer: &mut HeaderMap) {
        for name in self.headers.keys() {
            let text = name.as_str();
            let is_documents = text.starts_with("content-")
                || matches!(text, "etag" | "last-modified" | "digest" | "repr-digest")
                || super::fields::is_connection_field(text);
            if is_documents || answer.contains_key(name) {
                continue;
            }
            for value in self.headers.get_all(name) {
                answer.append(name, value.clone());
            }
        }
        answer
            .entry(CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
    }

    /// `urn:portcullis:error:CODE`, or `urn:portcullis:plugin-error:CODE` for a plugin's code, which could be
    /// the same word.
    fn type_uri(&self) -> String {
        let space = if self.kind == ErrorKind::PluginRefused {
            "plugin-error"
        } else {
            "error"
        };
        format!("urn:portcullis:{space}:{}", self.code)
    }
}

struct Document<'a>(&'a Problem);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let problem = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &problem.type_uri())?;
        map.serialize_entry("title", &problem.title)?;
        map.serialize_entry("status", &problem.status.as_u16())?;
        if !problem.detail.is_empty() {
            map.serialize_entry("detail", &problem.detail)?;
        }
        if let Some(instance) = &problem.instance {
            map.serialize_entry("instance", instance)?;
        }
        map.serialize_entry("code", &problem.code)?;
        for (name, value) in &problem.extra {
            if !RESERVED.contains(&name.as_str()) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

fn is_code(code: &str) -> bool {
    code.len() <= MAX_CODE
        && code.split('-').all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests;
