//! Media types and the patterns for them: `application/json`, `text/*`, `application/*+json`. Knows no header.

use std::borrow::Cow;
use std::fmt;

use portcullis::headers::is_name;
use portcullis::schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use portcullis::serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// What compresses well and is common.
const USUAL: [&str; 15] = [
    "text/*",
    "application/json",
    "application/*+json",
    "application/xml",
    "application/*+xml",
    "application/javascript",
    "application/yaml",
    "application/toml",
    "application/wasm",
    "application/rtf",
    "application/vnd.ms-fontobject",
    "font/otf",
    "font/ttf",
    "image/svg+xml",
    "image/bmp",
];

/// Streams of events are never held back (WHATWG HTML, server-sent events).
const NEVER: &str = "text/event-stream";

/// The media types that are compressed unless the configuration says which.
pub(crate) fn usual() -> Vec<MediaType> {
    USUAL.iter().filter_map(|text| MediaType::parse(text)).collect()
}

/// A pattern of media types (RFC 9110 section 8.3.1), in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    kind: String,
    subtype: Subtype,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Subtype {
    Any,
    /// All with this structured syntax suffix (RFC 6838 section 4.2.8), the `+` included.
    Suffix(String),
    Exact(String),
}

impl MediaType {
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (kind, subtype) = text.split_once('/')?;
        let is_plain = |name: &str| is_name(name) && !name.contains('*');
        let subtype = match (subtype, subtype.strip_prefix("*+")) {
            ("*", _) => Subtype::Any,
            (_, Some(suffix)) if is_plain(suffix) => Subtype::Suffix(format!("+{suffix}")),
            (exact, None) if is_plain(exact) => Subtype::Exact(exact.to_owned()),
            _ => return None,
        };
        is_plain(kind).then(|| Self {
            kind: kind.to_owned(),
            subtype,
        })
    }

    /// Whether this media type, in lower case and without parameters, is one of these.
    pub(crate) fn fits(&self, media_type: &str) -> bool {
        let Some((kind, subtype)) = media_type.split_once('/') else {
            return false;
        };
        self.kind == kind
            && media_type != NEVER
            && match &self.subtype {
                Subtype::Any => true,
                Subtype::Suffix(suffix) => subtype.ends_with(suffix),
                Subtype::Exact(exact) => subtype == exact,
            }
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = MediaType;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a media type such as \"application/json\", \"text/*\" or \"application/*+json\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<MediaType, E> {
        MediaType::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl JsonSchema for MediaType {
    fn schema_name() -> Cow<'static, str> {
        "MediaType".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[^/* ]+/([^/* ]+|\\*|\\*\\+[^/* ]+)$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, media_type: &str) -> bool {
        MediaType::parse(pattern).unwrap().fits(media_type)
    }

    #[test]
    fn a_pattern_is_a_type_all_of_a_kind_or_all_with_a_suffix() {
        for (pattern, fitting, other) in [
            ("application/json", "application/json", "application/json5"),
            ("Application/JSON", "application/json", "text/json"),
            ("text/*", "text/html", "image/svg+xml"),
            (
                "application/*+json",
                "application/problem+json",
                "application/json",
            ),
            ("image/svg+xml", "image/svg+xml", "image/svg"),
        ] {
            assert!(fits(pattern, fitting), "{pattern} {fitting}");
            assert!(!fits(pattern, other), "{pattern} {other}");
        }
    }

    #[test]
    fn event_streams_never_fit() {
        assert!(!fits("text/*", "text/event-stream"));
        assert!(!fits("text/event-stream", "text/event-stream"));
    }

    #[test]
    fn every_usual_type_is_a_pattern() {
        assert_eq!(usual().len(), USUAL.len());
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "json",
            "*/*",
            "text/",
            "/html",
            "text/a*",
            "*/json",
            "text/*json",
            "text/*+",
            "a b/c",
            "text/html;q=1",
        ] {
            assert!(MediaType::parse(text).is_none(), "{text}");
        }
    }
}
