//! What a template can name, looked up in the gateway when it is printed and not before. Knows no place that a text goes to.

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind};
use portcullis::{Request, Response};

use super::{Form, unicode};
use crate::pattern::Captures;
use crate::percent;

/// What there is to look up.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// Whether parts of a URL are to be marked as such.
    pub(super) form: Form,
    /// Whether there is an exchange; without one every text is "" and every entry of a table is absent.
    pub(super) source: Source,
    /// What the pattern of the condition found, where there is one.
    pub(super) captures: Option<Arc<Captures>>,
}

/// Where values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The exchange of the running hook.
    Exchange,
    /// Nowhere: the template is tried out.
    Nothing,
}

impl Scope {
    /// The variables as the context of a template.
    pub(super) fn into_value(self) -> Value {
        Value::from_object(Table {
            scope: self,
            at: At::Root,
        })
    }
}

/// A table of variables.
#[derive(Clone, Debug)]
struct Table {
    scope: Scope,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Root,
    Request,
    RequestHeaders,
    Params,
    Response,
    ResponseHeaders,
    Attributes,
    Captures,
}

impl At {
    /// The members that it has; none when the names are open.
    fn members(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Root => Some(ROOT),
            Self::Request => Some(REQUEST),
            Self::Response => Some(RESPONSE),
            _ => None,
        }
    }
}

const ROOT: &[&str] = &[
    "request",
    "response",
    "client_ip",
    "route",
    "attributes",
    "captures",
];
const REQUEST: &[&str] = &[
    "method",
    "scheme",
    "host",
    "authority",
    "path",
    "query",
    "params",
    "headers",
];
const RESPONSE: &[&str] = &["status", "headers"];

/// Whether a dotted name, as a template writes it, is one of a variable; the text names what there is.
pub(super) fn check(name: &str) -> Result<(), String> {
    let mut parts = name.split('.');
    let first = parts.next().unwrap_or_default();
    let members = |at: At| at.members().unwrap_or_default();
    let (table, member) = match (first, parts.next()) {
        ("request", Some(member)) => (At::Request, member),
        ("response", Some(member)) => (At::Response, member),
        (first, _) => (At::Root, first),
    };
    if members(table).contains(&member) {
        return Ok(());
    }
    let known = members(table).join("`, `");
    Err(format!("there is no `{name}` in templates; there are `{known}`"))
}

impl Object for Table {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str() {
            Some(name) => self.get_value_by_str(name),
            None => self.get_value_by_str(&key.to_string()),
        }
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        let known = self.at.members().is_none_or(|members| members.contains(&name));
        match self.at {
            // A function of the engine's, or a name of the template's own.
            At::Root if !known => return None,
            _ if !known => {
                let what = format!("there is no `{name}` here");
                return Some(Error::new(ErrorKind::UndefinedError, what).into());
            }
            _ => {}
        }
        match self.at {
            At::Root => Some(self.root(name)),
            At::Request => Some(self.request(name)),
            At::Response => Some(self.response(name)),
            At::Captures => Some(self.capture(name)),
            _ if self.scope.source == Source::Nothing => None,
            At::RequestHeaders => Request::current()
                .header(name)
                .map(|text| unicode::decode(text).into()),
            At::ResponseHeaders => Response::current()
                .header(name)
                .map(|text| unicode::decode(text).into()),
            At::Attributes => Request::current().attribute(name).map(Value::from),
            At::Params => {
                let query = Request::current().query().unwrap_or_default();
                let mut pairs = query
                    .split('&')
                    .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
                let (_, value) = pairs.find(|(key, _)| percent::decode_form(key) == name)?;
                Some(percent::decode_form(value).into())
            }
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

impl Table {
    fn root(&self, name: &str) -> Value {
        match name {
            "request" => self.table(At::Request),
            "response" => self.table(At::Response),
            "attributes" => self.table(At::Attributes),
            "captures" => self.table(At::Captures),
            "route" => self.text(|| Request::current().route()),
            _ => self.text(|| Request::current().client_ip()),
        }
    }

    fn request(&self, name: &str) -> Value {
        let request = Request::current();
        match name {
            "headers" => self.table(At::RequestHeaders),
            "params" => self.table(At::Params),
            "method" => self.text(|| request.method()),
            "scheme" => self.text(|| scheme(request)),
            "host" => self.url(|| host(&request.authority()).to_owned()),
            "authority" => self.url(|| request.authority()),
            "query" => self.text(|| request.query().unwrap_or_default()),
            _ => self.url(|| request.path()),
        }
    }

    fn response(&self, name: &str) -> Value {
        match (name, self.scope.source) {
            ("headers", _) => self.table(At::ResponseHeaders),
            (_, Source::Exchange) => Response::current().status().into(),
            (_, Source::Nothing) => 200_u16.into(),
        }
    }

    fn capture(&self, name: &str) -> Value {
        match self
            .scope
            .captures
            .as_ref()
            .and_then(|captures| captures.get(name))
        {
            Some(text) => self.url_text(text.to_owned()),
            None => {
                let what = format!("the path's pattern has no group `{name}`");
                Error::new(ErrorKind::UndefinedError, what).into()
            }
        }
    }

    fn table(&self, at: At) -> Value {
        Value::from_object(Self {
            scope: self.scope.clone(),
            at,
        })
    }

    fn text(&self, get: impl FnOnce() -> String) -> Value {
        match self.scope.source {
            Source::Exchange => get().into(),
            Source::Nothing => "".into(),
        }
    }

    fn url(&self, get: impl FnOnce() -> String) -> Value {
        match self.scope.source {
            Source::Exchange => self.url_text(get()),
            Source::Nothing => self.url_text(String::new()),
        }
    }

    /// A text that is percent-encoded already. In a template for a URL it says so.
    fn url_text(&self, text: String) -> Value {
        match self.scope.form {
            Form::Url => Value::from_safe_string(text),
            Form::Plain => text.into(),
        }
    }
}

/// How the client came to the gateway, or to the trusted proxy before it: the gateway writes this field itself, unless a
/// trusted proxy did.
pub(crate) fn scheme(request: &Request) -> String {
    let told = request.header("x-forwarded-proto").unwrap_or_default();
    if told.eq_ignore_ascii_case("https") {
        "https"
    } else {
        "http"
    }
    .to_owned()
}

/// The host of an authority, without the port (RFC 3986 section 3.2).
pub(crate) fn host(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        // The colons of an IPv6 literal are inside its brackets.
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}
