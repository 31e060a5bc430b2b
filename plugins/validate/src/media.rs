//! Media types of bodies (RFC 9110 section 8.3) and patterns for them. Knows no body.

/// Patterns of one list, at most.
const MAX_PATTERNS: usize = 64;

/// Media types that are taken.
#[derive(Debug)]
pub(crate) struct MediaTypes(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    kind: String,
    subtype: Subtype,
}

#[derive(Debug)]
enum Subtype {
    Any,
    Is(String),
    /// All that end with this, which begins with the plus (RFC 6838 section 4.2.8).
    Suffix(String),
}

impl MediaTypes {
    /// The types of these patterns.
    ///
    /// # Errors
    /// The first one that is no pattern, with what is expected.
    pub(crate) fn new(list: &[String]) -> Result<Self, String> {
        if list.is_empty() || list.len() > MAX_PATTERNS {
            return Err(format!("has none or more than {MAX_PATTERNS} media types"));
        }
        list.iter()
            .map(|text| {
                Pattern::new(text).ok_or_else(|| {
                    format!(
                        "has `{}`; expected the like of `application/json`, `application/*`, `application/*+json` or `*/*`",
                        text.chars().take(64).collect::<String>()
                    )
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a body with these fields `Content-Type` is taken. JSON is UTF-8 (RFC 8259 section 8.1): a body that calls
    /// itself something else is not, for an upstream that believes it would read another text. A body without a type
    /// is taken where all are.
    pub(crate) fn take(&self, content_types: &[String]) -> bool {
        match content_types {
            [] => self
                .0
                .iter()
                .any(|pattern| pattern.kind == "*" && matches!(pattern.subtype, Subtype::Any)),
            [one] => {
                let lowered = one.to_ascii_lowercase();
                // Also cuts inside of quoted values: what is then found too much is refused.
                let mut parts = lowered.split(';').map(str::trim);
                let essence = parts.next().unwrap_or_default();
                parts.all(is_harmless) && self.0.iter().any(|pattern| pattern.fits(essence))
            }
            _ => false,
        }
    }
}

impl Pattern {
    fn new(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (kind, subtype) = text.split_once('/')?;
        let subtype = match subtype.strip_prefix('*') {
            Some("") => Subtype::Any,
            Some(suffix) if kind != "*" && is_token(suffix.strip_prefix('+')?) => {
                Subtype::Suffix(suffix.to_owned())
            }
            None if kind != "*" && is_token(subtype) => Subtype::Is(subtype.to_owned()),
            _ => return None,
        };
        (kind == "*" || is_token(kind)).then(|| Self {
            kind: kind.to_owned(),
            subtype,
        })
    }

    fn fits(&self, essence: &str) -> bool {
        let Some((kind, subtype)) = essence.split_once('/') else {
            return false;
        };
        let subtype_fits = match &self.subtype {
            Subtype::Any => is_token(subtype),
            Subtype::Is(own) => own == subtype,
            Subtype::Suffix(suffix) => subtype.strip_suffix(suffix.as_str()).is_some_and(is_token),
        };
        subtype_fits && (self.kind == "*" || self.kind == kind)
    }
}

/// Whether a parameter, in lower case, leaves the text as it is.
fn is_harmless(parameter: &str) -> bool {
    match parameter.split_once('=') {
        Some((name, value)) if name.trim() == "charset" => {
            matches!(value.trim(), "utf-8" | "\"utf-8\"" | "us-ascii" | "\"us-ascii\"")
        }
        _ => true,
    }
}

/// A restricted name (RFC 6838 section 4.2) in lower case.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| {
            matches!(byte,
                b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'&' | b'-' | b'^' | b'_' | b'.' | b'+')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(list: &[&str]) -> Result<MediaTypes, String> {
        MediaTypes::new(&list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    fn check(list: &[&str], expected: &[(&str, bool)]) {
        let types = types(list).unwrap();
        for (content_type, expected) in expected {
            assert_eq!(
                types.take(&[(*content_type).to_owned()]),
                *expected,
                "{content_type}"
            );
        }
    }

    #[test]
    fn json_is_taken_under_its_names_and_nothing_else() {
        check(
            &["application/json", "application/*+json"],
            &[
                ("application/json", true),
                ("Application/JSON", true),
                ("application/json ; profile=\"a\"", true),
                ("application/vnd.acme.v2+json", true),
                ("application/problem+json;x", true),
                ("application/+json", false),
                ("application/json5", false),
                ("application/jsonp", false),
                ("application/json, text/plain", false),
                ("text/json", false),
                ("text/plain", false),
                ("json", false),
                ("", false),
            ],
        );
    }

    #[test]
    fn a_text_in_another_charset_is_not_taken() {
        check(
            &["*/*"],
            &[
                ("application/json; charset=utf-8", true),
                ("application/json;charset=\"UTF-8\"", true),
                ("application/json; charset=us-ascii", true),
                ("application/json; charset=utf-7", false),
                ("application/json; charset=utf-16", false),
                ("application/json; charset=", false),
                ("application/json; charset=utf-8; charset=utf-7", false),
                ("application/json; a=\"x;charset=utf-7\"", false),
                ("application/json; charset=\"utf-8;x\"", false),
            ],
        );
    }

    #[test]
    fn patterns_leave_parts_open() {
        check(
            &["application/*"],
            &[
                ("application/xml", true),
                ("text/xml", false),
                ("application/", false),
            ],
        );
        check(&["*/*"], &[("text/xml", true), ("text", false)]);
    }

    #[test]
    fn no_type_is_taken_where_all_are_and_two_never() {
        assert!(types(&["*/*"]).unwrap().take(&[]));
        assert!(!types(&["application/*"]).unwrap().take(&[]));
        let twice = ["application/json".to_owned(), "application/json".to_owned()];
        assert!(!types(&["*/*"]).unwrap().take(&twice));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in [
            "",
            "json",
            "*/json",
            "*/*+json",
            "application/*json",
            "application/*+",
            "application/a*",
            "application/json; charset=utf-8",
            "application/",
            "/json",
        ] {
            let error = types(&[bad]).unwrap_err();
            assert!(error.contains("application/*+json"), "{bad}: {error}");
        }
        assert!(types(&[]).is_err());
    }
}
