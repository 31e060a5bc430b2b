//! What a request says, read from the gateway when a rule first asks and kept for the rules after it. One call brings all
//! header fields. Knows no rule.

use std::borrow::Cow;
use std::sync::OnceLock;

use portcullis::{Headers, Request};

use crate::pairs;

/// A request, read piece by piece.
#[derive(Debug)]
pub(crate) struct Facts<'r> {
    request: &'r Request,
    // `OnceLock` and not `OnceCell`: what an expression reads must be `Sync`.
    method: OnceLock<String>,
    query: OnceLock<String>,
    headers: OnceLock<Headers>,
}

impl<'r> Facts<'r> {
    /// Nothing is read yet.
    pub(crate) fn of(request: &'r Request) -> Self {
        Self {
            request,
            method: OnceLock::new(),
            query: OnceLock::new(),
            headers: OnceLock::new(),
        }
    }

    /// The request itself, for what is asked at most once.
    pub(crate) fn request(&self) -> &'r Request {
        self.request
    }

    pub(crate) fn method(&self) -> &str {
        self.method.get_or_init(|| self.request.method())
    }

    /// The query; "" where there is none.
    pub(crate) fn query(&self) -> &str {
        self.query
            .get_or_init(|| self.request.query().unwrap_or_default())
    }

    pub(crate) fn headers(&self) -> &Headers {
        self.headers.get_or_init(|| self.request.headers())
    }

    /// The values of a field; `name` in lower case.
    pub(crate) fn header<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s [u8]> {
        let fields = self.headers().iter();
        fields
            .filter(move |(field, _)| *field == name)
            .map(|(_, value)| value)
    }

    /// All cookies, in order; a request may have several `Cookie` fields (RFC 9113 section 8.2.3).
    pub(crate) fn cookies(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.header("cookie").flat_map(pairs::cookies)
    }

    /// The values of a cookie.
    pub(crate) fn cookie<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s [u8]> {
        let cookies = self.cookies();
        cookies
            .filter(move |(cookie, _)| *cookie == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// The values of a query parameter.
    pub(crate) fn parameter<'s>(&'s self, name: &'s str) -> impl Iterator<Item = Cow<'s, [u8]>> {
        let parameters = pairs::parameters(self.query());
        parameters
            .filter(move |(parameter, _)| **parameter == *name.as_bytes())
            .map(|(_, value)| value)
    }
}
