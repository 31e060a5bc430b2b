//! Patterns of hosts and paths, as an operator writes them.
//!
//! Refuses to know requests: matching is the table's.

use std::fmt;

use crate::message::host::{self, Port};
use crate::message::path::{Separators, normalise};

/// Longest path pattern, in segments: bounds the depth of a lookup.
pub const MAX_SEGMENTS: usize = 64;

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// No host name, or a wildcard elsewhere than as the whole first label.
    #[error("{0:?} is no host: expected a name like \"api.example.com\" or \"*.example.com\"")]
    Host(String),
    /// `*` as a host.
    #[error("\"*\" is no host: a rule without hosts matches any")]
    AnyHost,
    /// A host outside ASCII.
    #[error("{0:?} is not ASCII: write an internationalised name in its \"xn--\" form")]
    HostNotAscii(String),
    /// A host with a port.
    #[error("{0:?} names a port: hosts are matched without it")]
    HostPort(String),
    /// An address where only a name can stand.
    #[error("{0:?} is an address: clients ask for names only")]
    Address(String),
    /// A path that does not begin with `/`.
    #[error("{0:?} does not begin with a slash")]
    NotAbsolute(String),
    /// A path segment that no request can have, because requests are normalised first.
    #[error("the segment {segment:?} of {path:?} is not normalised{}", hint(.normal))]
    NotNormal {
        /// The pattern.
        path: String,
        /// Its segment.
        segment: String,
        /// The same segment in normal form, if it has one.
        normal: Option<String>,
    },
    /// `{` or `}` elsewhere than around a whole segment.
    #[error("the segment {segment:?} of {path:?} is no parameter: expected \"{{name}}\" as a whole segment")]
    Parameter {
        /// The pattern.
        path: String,
        /// Its segment.
        segment: String,
    },
    /// Two parameters of one name.
    #[error("{path:?} names the parameter {name:?} twice")]
    Twice {
        /// The pattern.
        path: String,
        /// The parameter.
        name: String,
    },
    /// A parameter in a prefix.
    #[error("the prefix {0:?} holds a parameter: only patterns may")]
    ParameterInPrefix(String),
    /// More than [`MAX_SEGMENTS`].
    #[error("{0:?} has more than {MAX_SEGMENTS} segments")]
    TooLong(String),
}

fn hint(normal: &Option<String>) -> String {
    normal
        .as_ref()
        .map(|normal| format!(": write {normal:?}"))
        .unwrap_or_default()
}

/// A host, or every host under one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    pub(super) scope: HostScope,
    /// In lower case, without the wildcard.
    pub(super) name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum HostScope {
    Exact,
    /// At least one label more than the name.
    Below,
}

impl HostPattern {
    /// Reads `api.example.com`, or `*.example.com` for every host below `example.com` at any depth, but not
    /// `example.com` itself. Letters may be of either case; a final dot is dropped.
    ///
    /// # Errors
    /// [`PatternError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text == "*" {
            return Err(PatternError::AnyHost);
        }
        if !text.is_ascii() {
            return Err(PatternError::HostNotAscii(text.to_owned()));
        }
        let (scope, rest) = match text.strip_prefix("*.") {
            Some(rest) => (HostScope::Below, rest),
            None => (HostScope::Exact, text),
        };
        match host::name(rest) {
            Ok((_, Port::Present)) => Err(PatternError::HostPort(text.to_owned())),
            Ok((name, Port::Absent)) if scope == HostScope::Exact || !name.starts_with('[') => Ok(Self {
                scope,
                name: name.into_owned(),
            }),
            _ => Err(PatternError::Host(text.to_owned())),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wildcard = match self.scope {
            HostScope::Exact => "",
            HostScope::Below => "*.",
        };
        write!(f, "{wildcard}{}", self.name)
    }
}

/// A whole path, or every path under one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    pub(super) scope: PathScope,
    pub(super) segments: Vec<Segment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PathScope {
    Whole,
    Prefix,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    Static(String),
    /// Any one segment that is not empty; the name is for people.
    Parameter(String),
}

impl PathPattern {
    /// Reads a whole path like `/v1/orders/{id}`. A parameter stands for one segment that is not empty.
    /// `/v1/orders` and `/v1/orders/` are two paths.
    ///
    /// # Errors
    /// [`PatternError`], also for a path that is not in normal form and so could never match.
    pub fn pattern(text: &str) -> Result<Self, PatternError> {
        let segments = segments(text)?;
        let mut names: Vec<&str> = Vec::new();
        for segment in &segments {
            if let Segment::Parameter(name) = segment {
                if names.contains(&name.as_str()) {
                    return Err(PatternError::Twice {
                        path: text.to_owned(),
                        name: name.clone(),
                    });
                }
                names.push(name);
            }
        }
        Ok(Self {
            scope: PathScope::Whole,
            segments,
        })
    }

    /// Reads a prefix of whole segments: `/v1/orders` matches `/v1/orders`, `/v1/orders/` and `/v1/orders/7`,
    /// not `/v1/ordersx`. `/` matches every path, and `*` of `OPTIONS *` too. A final slash makes no
    /// difference.
    ///
    /// # Errors
    /// As [`PathPattern::pattern`], and for a parameter.
    pub fn prefix(text: &str) -> Result<Self, PatternError> {
        let mut segments = segments(text)?;
        if segments.last() == Some(&Segment::Static(String::new())) {
            segments.pop();
        }
        if segments
            .iter()
            .any(|segment| matches!(segment, Segment::Parameter(_)))
        {
            return Err(PatternError::ParameterInPrefix(text.to_owned()));
        }
        Ok(Self {
            scope: PathScope::Prefix,
            segments,
        })
    }
}

impl PathPattern {
    /// Whether it matches every path under it.
    pub fn is_prefix(&self) -> bool {
        self.scope == PathScope::Prefix
    }

    /// The names of its parameters with the segments of `path` that they stand for, when `path` matches.
    pub fn captures<'p>(&'p self, path: &'p str) -> impl Iterator<Item = (&'p str, &'p str)> {
        let segments = path.strip_prefix('/').unwrap_or_default().split('/');
        self.segments
            .iter()
            .zip(segments)
            .filter_map(|(pattern, segment)| match pattern {
                Segment::Parameter(name) => Some((name.as_str(), segment)),
                Segment::Static(_) => None,
            })
    }
}

impl fmt::Display for PathPattern {
    /// The text that would be read as this pattern or prefix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Static(text) => write!(f, "/{text}")?,
                Segment::Parameter(name) => write!(f, "/{{{name}}}")?,
            }
        }
        let ends_empty = self
            .segments
            .last()
            .is_none_or(|last| *last == Segment::Static(String::new()));
        if self.scope == PathScope::Prefix && ends_empty {
            f.write_str("/")?;
        }
        Ok(())
    }
}

fn segments(path: &str) -> Result<Vec<Segment>, PatternError> {
    let rest = path
        .strip_prefix('/')
        .ok_or_else(|| PatternError::NotAbsolute(path.to_owned()))?;
    if rest.split('/').count() > MAX_SEGMENTS {
        return Err(PatternError::TooLong(path.to_owned()));
    }
    rest.split('/').map(|text| segment(text, path)).collect()
}

fn segment(text: &str, path: &str) -> Result<Segment, PatternError> {
    if text.contains(['{', '}']) {
        return match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some(name) if is_name(name) => Ok(Segment::Parameter(name.to_owned())),
            _ => Err(PatternError::Parameter {
                path: path.to_owned(),
                segment: text.to_owned(),
            }),
        };
    }
    let alone = format!("/{text}");
    // Dot segments vanish from their path, so they have no normal form of their own.
    let normal = normalise(&alone, Separators::Keep).ok();
    let normal = normal.as_deref().and_then(|normal| normal.strip_prefix('/'));
    match normal {
        Some(normal) if normal == text => Ok(Segment::Static(text.to_owned())),
        _ => Err(PatternError::NotNormal {
            path: path.to_owned(),
            segment: text.to_owned(),
            normal: normal.filter(|normal| !normal.is_empty()).map(str::to_owned),
        }),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_are_read() {
        for (text, shown) in [
            ("api.example.com", "api.example.com"),
            ("API.Example.COM.", "api.example.com"),
            ("*.Example.com", "*.example.com"),
            ("localhost", "localhost"),
            ("*.com", "*.com"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(
                HostPattern::parse(text).map(|host| host.to_string()),
                Ok(shown.to_owned())
            );
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        use PatternError::{AnyHost, Host, HostNotAscii, HostPort};
        let refused = |text: &str| HostPattern::parse(text).unwrap_err();
        for text in [
            "", "*.", "*.*.com", "a.*.com", "*a.com", "a b", "a..b", ".a", "http://a", "a/b", "*.[::1]",
        ] {
            assert_eq!(refused(text), Host(text.to_owned()));
        }
        assert_eq!(refused("*"), AnyHost);
        assert_eq!(refused("a:80"), HostPort("a:80".into()));
        assert_eq!(refused("bücher.example"), HostNotAscii("bücher.example".into()));
    }

    #[test]
    fn paths_are_read() {
        for text in [
            "/",
            "/v1/orders/{id}",
            "/v1/orders/",
            "/{a}/{b}",
            "//",
            "/a%2Fb",
            "/caf%C3%A9",
            "/...",
        ] {
            assert_eq!(
                PathPattern::pattern(text).map(|path| path.to_string()),
                Ok(text.to_owned())
            );
        }
        for (text, shown) in [
            ("/", "/"),
            ("/v1", "/v1"),
            ("/v1/", "/v1"),
            ("/v1/orders", "/v1/orders"),
        ] {
            assert_eq!(
                PathPattern::prefix(text).map(|path| path.to_string()),
                Ok(shown.to_owned())
            );
        }
    }

    #[test]
    fn what_no_request_could_match_is_refused() {
        for (text, message) in [
            ("", r#""" does not begin with a slash"#),
            ("v1", r#""v1" does not begin with a slash"#),
            ("/a/../b", r#"the segment ".." of "/a/../b" is not normalised"#),
            ("/a/%2e/b", r#"the segment "%2e" of "/a/%2e/b" is not normalised"#),
            (
                "/%61",
                r#"the segment "%61" of "/%61" is not normalised: write "a""#,
            ),
            (
                "/café",
                r#"the segment "café" of "/café" is not normalised: write "caf%C3%A9""#,
            ),
            ("/a b", r#"the segment "a b" of "/a b" is not normalised"#),
            ("/a?b", r#"the segment "a?b" of "/a?b" is not normalised"#),
            (
                "/x{id}",
                r#"the segment "x{id}" of "/x{id}" is no parameter: expected "{name}" as a whole segment"#,
            ),
            (
                "/{}",
                r#"the segment "{}" of "/{}" is no parameter: expected "{name}" as a whole segment"#,
            ),
            ("/{a}/{a}", r#""/{a}/{a}" names the parameter "a" twice"#),
        ] {
            assert_eq!(PathPattern::pattern(text).unwrap_err().to_string(), message);
        }
        assert_eq!(
            PathPattern::prefix("/{a}"),
            Err(PatternError::ParameterInPrefix("/{a}".into()))
        );
        assert!(matches!(
            PathPattern::pattern(&"/a".repeat(65)),
            Err(PatternError::TooLong(_))
        ));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in any::<String>()) {
            HostPattern::parse(&text).ok();
            PathPattern::pattern(&text).ok();
            PathPattern::prefix(&text).ok();
        }

        #[test]
        fn a_pattern_is_read_from_what_it_shows(text in "(/[a-z{}.%0-9]{0,4}){1,4}") {
            if let Ok(path) = PathPattern::pattern(&text) {
                prop_assert_eq!(PathPattern::pattern(&path.to_string()), Ok(path));
            }
            if let Ok(path) = PathPattern::prefix(&text) {
                prop_assert_eq!(PathPattern::prefix(&path.to_string()), Ok(path));
            }
        }
    }
}
