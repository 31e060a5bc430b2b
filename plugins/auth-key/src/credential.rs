//! A key as a request carries it, and how it is taken out of the request. Knows no consumer.

use portcullis::percent::decode;
use portcullis::{Problem, Request, headers};

/// A key that a request carries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Presented {
    /// The bytes of the key.
    pub(crate) key: Vec<u8>,
    place: Place,
}

/// Where it stood.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// In this header.
    Header(String),
    /// In the query, which is this without it.
    Query(Option<String>),
}

impl Presented {
    /// The key of one header field; none when it is empty.
    pub(crate) fn in_header(name: &str, value: String) -> Option<Self> {
        let key = headers::to_bytes(value).filter(|key| !key.is_empty())?;
        Some(Self {
            key,
            place: Place::Header(name.to_owned()),
        })
    }

    /// The keys of the query: every parameter of that name, percent-decoded; a `+` is a plus.
    pub(crate) fn in_query(name: &str, query: &str) -> Vec<Self> {
        let mut rest: Vec<&str> = Vec::new();
        let mut keys = Vec::new();
        for pair in query.split('&') {
            let (field, value) = pair.split_once('=').unwrap_or((pair, ""));
            if *decode(field) == *name.as_bytes() {
                keys.push(decode(value).into_owned());
            } else {
                rest.push(pair);
            }
        }
        let without = (!rest.is_empty()).then(|| rest.join("&"));
        let present = keys.into_iter().filter(|key| !key.is_empty());
        present
            .map(|key| Self {
                key,
                place: Place::Query(without.clone()),
            })
            .collect()
    }

    /// Takes the key out of the request.
    pub(crate) fn hide(self, request: &mut Request) -> Result<(), Problem> {
        match self.place {
            Place::Header(name) => request.remove_header(&name),
            Place::Query(Some(query)) => {
                let path = request.path();
                request.set_target(&format!("{path}?{query}"))
            }
            Place::Query(None) => {
                let path = request.path();
                request.set_target(&path)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(query: &str) -> Vec<(String, Option<String>)> {
        let found = Presented::in_query("key", query).into_iter();
        found
            .map(|presented| {
                let Place::Query(rest) = presented.place else {
                    unreachable!()
                };
                (String::from_utf8(presented.key).unwrap(), rest)
            })
            .collect()
    }

    #[test]
    fn a_parameter_is_found_and_left_out() {
        assert_eq!(keys("key=s"), [("s".to_owned(), None)]);
        assert_eq!(
            keys("a=1&key=s&b=2"),
            [("s".to_owned(), Some("a=1&b=2".to_owned()))]
        );
        assert_eq!(keys("a=1&monkey=s"), []);
        assert_eq!(keys("key=&a"), []);
    }

    #[test]
    fn escapes_do_not_hide_a_parameter() {
        assert_eq!(keys("%6Bey=a%2Fb+c%zz"), [("a/b+c%zz".to_owned(), None)]);
    }

    #[test]
    fn every_parameter_of_the_name_counts() {
        assert_eq!(keys("key=a&key=b").len(), 2);
    }
}
