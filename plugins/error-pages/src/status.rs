//! Which statuses a page is for: `404`, `"5xx"`, or a list of them. Knows no page.

use std::borrow::Cow;
use std::fmt;

use portcullis::schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use portcullis::serde::de::{Deserialize, Deserializer, Error, SeqAccess, Unexpected, Visitor};

/// One status of an error, or all of one class (RFC 9110 section 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// From 400 to 599.
    Exact(u16),
    /// 4 or 5: `4xx` or `5xx`.
    Class(u16),
}

impl Status {
    /// Whether this status is meant.
    pub(crate) fn fits(self, status: u16) -> bool {
        match self {
            Self::Exact(exact) => status == exact,
            Self::Class(class) => status / 100 == class,
        }
    }
}

/// Any number of statuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(pub Vec<Status>);

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(One)
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany)
    }
}

struct One;

impl Visitor<'_> for One {
    type Value = Status;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a status from 400 to 599, \"4xx\" or \"5xx\"")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Status, E> {
        u16::try_from(number)
            .ok()
            .filter(|status| (400..600).contains(status))
            .map(Status::Exact)
            .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Status, E> {
        match text {
            "4xx" => Ok(Status::Class(4)),
            "5xx" => Ok(Status::Class(5)),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Statuses;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a status from 400 to 599, \"4xx\", \"5xx\", or a list of them")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Statuses, E> {
        One.visit_u64(number).map(|status| Statuses(vec![status]))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Statuses, E> {
        One.visit_str(text).map(|status| Statuses(vec![status]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Statuses, A::Error> {
        let mut statuses = Vec::new();
        while let Some(status) = list.next_element()? {
            statuses.push(status);
        }
        Ok(Statuses(statuses))
    }
}

impl JsonSchema for Statuses {
    fn schema_name() -> Cow<'static, str> {
        "Statuses".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = json_schema!({
            "anyOf": [{ "type": "integer", "minimum": 400, "maximum": 599 }, { "enum": ["4xx", "5xx"] }]
        });
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

#[cfg(test)]
mod tests {
    use portcullis::serde_json::from_str;

    use super::*;

    #[test]
    fn one_status_or_a_list_is_accepted() {
        let read = |text| from_str::<Statuses>(text).map(|statuses| statuses.0);
        assert_eq!(read("404").unwrap(), [Status::Exact(404)]);
        assert_eq!(read("\"5xx\"").unwrap(), [Status::Class(5)]);
        assert_eq!(
            read("[404, \"4xx\"]").unwrap(),
            [Status::Exact(404), Status::Class(4)]
        );
        assert_eq!(read("[]").unwrap(), []);
        for bad in [
            "399", "600", "-1", "70000", "\"404\"", "\"3xx\"", "[200]", "true", "{}",
        ] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains("a status from 400 to 599"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_class_is_all_its_hundred() {
        for (status, fits) in [(399, false), (400, true), (499, true), (500, false)] {
            assert_eq!(Status::Class(4).fits(status), fits, "{status}");
        }
        assert!(Status::Exact(404).fits(404) && !Status::Exact(404).fits(405));
    }
}
