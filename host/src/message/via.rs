//! `Via` (RFC 9110 section 7.6.3): what this gateway adds to each request that it forwards, and how often a request has
//! passed it already.
//!
//! Refuses to know where requests go.

use http::header::VIA;
use http::{HeaderMap, HeaderValue, Version};

/// A request that has passed under the same name so often goes round in circles. Gateways that share a name may stand
/// behind each other, so once is not enough.
pub const MAX_PASSES: usize = 8;

/// The values of this gateway's own line, made once.
#[derive(Clone, Debug)]
pub struct Via {
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
}

impl Via {
    /// Those of the pseudonym `name`; none when it is no token.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let value = |version: &str| {
            let token = !name.is_empty() && !name.contains(|c: char| !c.is_ascii_graphic() || c == ',');
            HeaderValue::from_str(&format!("{version} {name}"))
                .ok()
                .filter(|_| token)
        };
        Some(Self {
            http10: value("1.0")?,
            http11: value("1.1")?,
            http2: value("2")?,
        })
    }

    /// The value for a request that came by `version`.
    #[must_use]
    pub fn of(&self, version: Version) -> &HeaderValue {
        match version {
            Version::HTTP_10 | Version::HTTP_09 => &self.http10,
            Version::HTTP_2 => &self.http2,
            _ => &self.http11,
        }
    }
}

/// How often a message says that it has passed under `name`.
#[must_use]
pub fn passes(headers: &HeaderMap, name: &str) -> usize {
    let is_own = |entry: &&[u8]| {
        let mut words = entry
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|word| !word.is_empty());
        words
            .nth(1)
            .is_some_and(|by| by.eq_ignore_ascii_case(name.as_bytes()))
    };
    let entries = headers
        .get_all(VIA)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    entries.filter(is_own).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_counted_over_lines_and_members() {
        let mut headers = HeaderMap::new();
        assert_eq!(passes(&headers, "gate"), 0);
        for line in [
            "1.1 gate, 1.0 other (gate)",
            "HTTP/2  GATE (comment),1.1 gates",
            ", gate, 1.1\tgate",
        ] {
            headers.append(VIA, HeaderValue::from_static(line));
        }
        assert_eq!(passes(&headers, "gate"), 3);
    }

    #[test]
    fn the_line_says_which_version_came() {
        let via = Via::new("gate").unwrap();
        assert_eq!(via.of(Version::HTTP_10), "1.0 gate");
        assert_eq!(via.of(Version::HTTP_11), "1.1 gate");
        assert_eq!(via.of(Version::HTTP_2), "2 gate");
        for name in ["", "a b", "a,b", "a\r\nb", "é"] {
            assert!(Via::new(name).is_none(), "{name:?}");
        }
    }
}
