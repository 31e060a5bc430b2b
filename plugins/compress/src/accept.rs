//! Which coding a client prefers: `Accept-Encoding` by RFC 9110 section 12.5.3. Knows codings and weights, no body.

use portcullis::Headers;
use portcullis::headers::weight;

use crate::coding::Coding;

/// At most so many codings are looked at; there are not so many registered.
const MAX_CODINGS: usize = 64;

/// What the client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The coding to use, if any.
    pub(crate) coding: Option<Coding>,
    /// Whether it takes the body as it is.
    pub(crate) identity: bool,
}

impl Accepted {
    /// The coding of `offered` with the highest weight; the first of equals. None where the client says nothing: it may
    /// be one that knows no coding. None, too, where it prefers the body as it is, or asks that nobody transforms it
    /// (RFC 9111 section 5.2.1.6).
    pub(crate) fn of(request: &Headers, offered: &[Coding]) -> Self {
        let mut weights = Vec::new();
        for (name, value) in request.iter() {
            let value = std::str::from_utf8(value).unwrap_or_default();
            if name == "cache-control" && has_word(value, "no-transform") {
                return Self {
                    coding: None,
                    identity: true,
                };
            }
            if name == "accept-encoding" {
                weights.extend(value.split(',').filter_map(parse));
            }
        }
        weights.truncate(MAX_CODINGS);
        choose(&weights, offered)
    }
}

fn choose(weights: &[(&str, u16)], offered: &[Coding]) -> Accepted {
    let weight = |is: &dyn Fn(&str) -> bool| {
        let mut named = weights.iter().filter(|(name, _)| is(name));
        named.next().map(|(_, weight)| *weight)
    };
    let others = weight(&|name| name == "*");
    let identity = weight(&|name| name.eq_ignore_ascii_case("identity"));
    let mut best: Option<(u16, Coding)> = None;
    for &coding in offered {
        let weight = weight(&|name| coding.is_called(name)).or(others).unwrap_or(0);
        if weight > best.map_or(0, |(weight, _)| weight) {
            best = Some((weight, coding));
        }
    }
    Accepted {
        // Unlisted it is acceptable, but less than what is listed.
        coding: best
            .filter(|(weight, _)| identity.is_none_or(|identity| *weight >= identity))
            .map(|(_, coding)| coding),
        identity: identity.or(others) != Some(0),
    }
}

/// A coding and its weight in thousandths; none for a weight that is none.
fn parse(element: &str) -> Option<(&str, u16)> {
    let mut parts = element.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    Some((name, weight(parts)?))
}

/// Whether a comma-separated list has this element, in any case.
pub(crate) fn has_word(list: &str, word: &str) -> bool {
    list.split(',')
        .any(|element| element.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Coding; 3] = [Coding::Zstd, Coding::Br, Coding::Gzip];

    fn accepted(text: &str) -> Accepted {
        let weights: Vec<_> = text.split(',').filter_map(parse).collect();
        choose(&weights, &ALL)
    }

    #[test]
    fn the_highest_weight_wins_and_of_equals_the_first_offered() {
        for (text, coding) in [
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip, deflate, br", Some(Coding::Br)),
            ("gzip", Some(Coding::Gzip)),
            ("GZIP", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("gzip;q=1, br;q=0.9, zstd;q=0.8", Some(Coding::Gzip)),
            ("gzip;q=0.001", Some(Coding::Gzip)),
            ("gzip ; Q=0.5 , br ; q=0.6", Some(Coding::Br)),
            ("*", Some(Coding::Zstd)),
            ("*;q=0.5, zstd;q=0", Some(Coding::Br)),
            ("br;q=0.2, *;q=0.3", Some(Coding::Zstd)),
            ("deflate", None),
            ("gzip;q=0", None),
            ("", None),
        ] {
            assert_eq!(accepted(text).coding, coding, "{text:?}");
        }
    }

    #[test]
    fn the_body_as_it_is_can_be_preferred_or_refused() {
        for (text, coding, identity) in [
            ("identity, gzip;q=0.5", None, true),
            ("identity;q=0.5, gzip", Some(Coding::Gzip), true),
            ("identity, gzip", Some(Coding::Gzip), true),
            ("identity;q=0, gzip", Some(Coding::Gzip), false),
            ("identity;q=0", None, false),
            ("*;q=0, br", Some(Coding::Br), false),
            ("*;q=0, identity;q=0.1", None, true),
            ("gzip;q=0.1", Some(Coding::Gzip), true),
            ("", None, true),
        ] {
            assert_eq!(accepted(text), Accepted { coding, identity }, "{text:?}");
        }
    }

    #[test]
    fn only_what_is_offered_is_chosen() {
        let weights = [("zstd", 1000), ("gzip", 500)];
        assert_eq!(
            choose(&weights, &[Coding::Br, Coding::Gzip]).coding,
            Some(Coding::Gzip)
        );
        assert_eq!(choose(&weights, &[Coding::Br]).coding, None);
    }

    #[test]
    fn a_weight_that_is_none_takes_its_coding_out() {
        for text in ["zstd;q=2", "zstd;q=1.001", "zstd;q=0.1234", "zstd;q=x", "zstd;q="] {
            assert_eq!(
                accepted(&format!("{text}, gzip;q=0.1")).coding,
                Some(Coding::Gzip),
                "{text}"
            );
        }
    }

    #[test]
    fn a_word_is_a_whole_element() {
        assert!(has_word("max-age=5, No-Transform", "no-transform"));
        assert!(!has_word("x-no-transform, no-transforms", "no-transform"));
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_refusals_hold(text in "([a-z*;=0-9., -]{0,60})") {
            let accepted = accepted(&format!("{text}, br;q=0"));
            if !text.contains("br") {
                prop_assert_ne!(accepted.coding, Some(Coding::Br));
            }
        }
    }
}
