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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(problem: &Problem) -> String {
        String::from_utf8(problem.document().to_vec()).unwrap()
    }

    #[test]
    fn the_document_of_a_host_error() {
        let problem = Problem::new(ErrorKind::NoRoute)
            .with_detail("no route for GET /x")
            .with_request_id("00f1 é/");
        assert_eq!(
            text(&problem),
            r#"{"type":"urn:portcullis:error:no-route","title":"No route","status":404,"detail":"no route for GET /x","instance":"urn:portcullis:request:00f1%20%C3%A9%2F","code":"no-route"}"#
        );
    }

    #[test]
    fn the_document_of_a_refusal() {
        let extra = r#"{"status":200,"code":"x","pointers":["/a"],"type":"y"}"#;
        let problem = Problem::refused(401, "jwt-expired".into(), "expired".into(), extra).unwrap();
        assert_eq!(
            text(&problem),
            r#"{"type":"urn:portcullis:plugin-error:jwt-expired","title":"Unauthorized","status":401,"detail":"expired","code":"jwt-expired","pointers":["/a"]}"#
        );
        assert_eq!(problem.kind, ErrorKind::PluginRefused);
    }

    #[test]
    fn a_bad_refusal_is_named() {
        let refused = |status, code: &str, extra: &str| {
            Problem::refused(status, code.into(), String::new(), extra)
                .map(|_| ())
                .unwrap_err()
        };
        for status in [0, 99, 200, 302, 399, 600, 999] {
            assert_eq!(refused(status, "x", ""), RefusalError::Status(status));
        }
        for code in [
            "",
            "-",
            "a-",
            "-a",
            "a--b",
            "A",
            "a b",
            "a_b",
            "é",
            "a\n",
            &"a".repeat(65),
        ] {
            assert_eq!(refused(403, code, ""), RefusalError::Code, "{code:?}");
        }
        let long = format!("{{\"a\":\"{}\"}}", "a".repeat(MAX_EXTRA));
        for extra in ["[]", "1", "null", "{", "{}x", " ", &"[".repeat(10_000), &long] {
            assert_eq!(refused(403, "x", extra), RefusalError::Extra);
        }
    }

    #[test]
    fn the_answer_has_its_fields() {
        let (status, headers, body) = Problem::new(ErrorKind::Overloaded)
            .with_retry_after(Duration::from_millis(1001))
            .answer(&Method::GET);
        assert_eq!(status, 503);
        assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
        assert_eq!(headers[CONTENT_LENGTH], body.len().to_string());
        assert_eq!(headers[RETRY_AFTER], "2");
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert_eq!(headers.len(), 4);
    }

    #[test]
    fn a_head_gets_the_same_fields() {
        let problem = Problem::new(ErrorKind::NoRoute);
        let (_, get, document) = problem.clone().answer(&Method::GET);
        let (_, head, body) = problem.answer(&Method::HEAD);
        assert_eq!(get, head);
        assert!(body.is_empty() && !document.is_empty());
    }

    #[test]
    fn fields_of_the_connection_and_the_document_cannot_be_set() {
        let mut problem = Problem::new(ErrorKind::NoRoute);
        for name in [
            "connection",
            "transfer-encoding",
            "content-encoding",
            "content-length",
            "content-type",
        ] {
            problem = problem.with_header(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        problem = problem
            .with_header(
                HeaderName::from_static("www-authenticate"),
                HeaderValue::from_static("Bearer"),
            )
            .with_header(CACHE_CONTROL, HeaderValue::from_static("max-age=1"));
        let (_, headers, body) = problem.answer(&Method::GET);
        assert_eq!(headers.len(), 4);
        assert_eq!(headers["www-authenticate"], "Bearer");
        assert_eq!(headers[CACHE_CONTROL], "max-age=1");
        assert_eq!(headers[CONTENT_LENGTH], body.len().to_string());
    }

    proptest! {
        #[test]
        fn any_text_makes_a_valid_document(detail in any::<String>(), id in any::<String>(), key in any::<String>()) {
            let mut problem =
                Problem::new(ErrorKind::PluginFault).with_detail(detail.clone()).with_request_id(&id);
            problem.extra.insert(key.clone(), Value::String(detail.clone()));
            let document: Value = serde_json::from_slice(&problem.document()).unwrap();
            prop_assert_eq!(&document["code"], "plugin-fault");
            prop_assert_eq!(document.get("detail").is_none(), detail.is_empty());
            prop_assert!(document["instance"].as_str().unwrap().is_ascii());
            if !RESERVED.contains(&key.as_str()) {
                prop_assert_eq!(&document[&key], &Value::String(detail));
            }
        }

        #[test]
        fn any_refusal_is_survived(status in any::<u16>(), code in any::<String>(), extra in any::<String>()) {
            Problem::refused(status, code, String::new(), &extra).ok();
        }
    }
}
