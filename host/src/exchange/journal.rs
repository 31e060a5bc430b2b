//! Undo entries of the hook that is running: the old value of each thing it changed.

use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode};

use super::capture::Orders;
use super::{Section, Tries};

/// Edits of one hook, oldest first.
#[derive(Debug, Default)]
pub(super) struct Journal(Vec<Edit>);

impl Journal {
    pub(super) fn push(&mut self, edit: Edit) {
        self.0.push(edit);
    }
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
    pub(super) fn pop(&mut self) -> Option<Edit> {
        self.0.pop()
    }
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// One change, by what was there before.
#[derive(Debug)]
pub(super) enum Edit {
    Method(Method),
    Authority(HeaderValue),
    Target(PathAndQuery),
    Status(StatusCode),
    Field(Section, HeaderName, Old),
    /// One more edit for when there is a response.
    Ahead,
    Attribute(String, Option<String>),
    State(usize, Option<Bytes>),
    Upstream(Option<u32>),
    Captures(Orders),
    Pause(Option<Duration>),
    Tries(Tries),
}

/// The old values of a field; almost always none or one.
#[derive(Debug)]
pub(super) enum Old {
    None,
    One(HeaderValue),
    Many(Vec<HeaderValue>),
}

impl Old {
    pub(super) fn of(headers: &HeaderMap, name: &HeaderName) -> Self {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::None,
            (Some(one), None) => Self::One(one.clone()),
            (Some(_), Some(_)) => Self::Many(headers.get_all(name).iter().cloned().collect()),
        }
    }

    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn restore(self, headers: &mut HeaderMap, name: HeaderName) {
        headers.remove(&name);
        match self {
            Self::None => {}
            Self::One(value) => {
                headers.insert(name, value);
            }
            Self::Many(values) => {
                for value in values {
                    headers.append(name.clone(), value);
                }
            }
        }
    }
}
