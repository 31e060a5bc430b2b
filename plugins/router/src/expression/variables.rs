//! The variables of an expression, read when it asks for them. Knows no syntax tree.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use cel::ExecutionError;
use cel::common::traits::{Container, Indexer};
use cel::common::types::{CelMap, CelMapKey, CelString, MAP_TYPE, Type};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use portcullis::Request;

use crate::facts::Facts;
use crate::pairs::{self, text};

/// The variables of one request.
#[derive(Debug)]
pub(crate) struct Variables<'f> {
    /// What they are made of.
    pub(crate) facts: &'f Facts<'f>,
    attributes: Attributes<'f>,
    headers: OnceLock<CelMap<'static>>,
    cookies: OnceLock<CelMap<'static>>,
    params: OnceLock<CelMap<'static>>,
}

impl<'f> Variables<'f> {
    /// Nothing is read yet.
    pub(crate) fn of(facts: &'f Facts<'f>) -> Self {
        Self {
            facts,
            attributes: Attributes(facts.request()),
            headers: OnceLock::new(),
            cookies: OnceLock::new(),
            params: OnceLock::new(),
        }
    }
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let facts = self.facts;
        let request = facts.request();
        // Fields come with the name of their variable before them.
        Some(match variable {
            "request.method" => CowVal::owned(CelString::from(facts.method())),
            "request.path" => CowVal::owned(CelString::from(request.path())),
            "request.query" => CowVal::owned(CelString::from(facts.query())),
            "request.host" => CowVal::owned(CelString::from(host(&request.authority()))),
            "request.headers" => CowVal::Borrowed(self.headers.get_or_init(|| {
                map(
                    facts
                        .headers()
                        .iter()
                        .map(|(name, value)| (name.as_bytes(), value)),
                    Several::Join,
                )
            })),
            "request.cookies" => {
                CowVal::Borrowed(self.cookies.get_or_init(|| map(facts.cookies(), Several::First)))
            }
            "request.params" => CowVal::Borrowed(
                self.params
                    .get_or_init(|| map(pairs::parameters(facts.query()), Several::First)),
            ),
            "client_ip" => CowVal::owned(CelString::from(request.client_ip())),
            "attributes" => CowVal::Borrowed(&self.attributes),
            _ => return None,
        })
    }
}

/// The variables of a request that has nothing.
#[derive(Debug, Default)]
pub(super) struct Blank(CelMap<'static>);

impl VariableResolver for Blank {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        Some(match variable {
            "request.method" => CowVal::owned(CelString::from("GET")),
            "request.path" => CowVal::owned(CelString::from("/")),
            "request.query" | "request.host" => CowVal::owned(CelString::from("")),
            "client_ip" => CowVal::owned(CelString::from("192.0.2.1")),
            "request.headers" | "request.cookies" | "request.params" | "attributes" => {
                CowVal::Borrowed(&self.0)
            }
            _ => return None,
        })
    }
}

/// The host of an authority: lower case, without port, as the route table compares it.
fn host(authority: &str) -> String {
    let host = match authority.rsplit_once(':') {
        // The colons of an IPv6 literal are inside its brackets.
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// What becomes of several values of one name.
#[derive(Clone, Copy)]
enum Several {
    /// One list (RFC 9110 section 5.3).
    Join,
    /// The first counts.
    First,
}

fn map<T: AsRef<[u8]>>(pairs: impl Iterator<Item = (T, T)>, several: Several) -> CelMap<'static> {
    let mut texts: HashMap<String, String> = HashMap::new();
    for (name, value) in pairs {
        let value = text(value.as_ref()).into_owned();
        match texts.entry(text(name.as_ref()).into_owned()) {
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(value);
            }
            std::collections::hash_map::Entry::Occupied(mut place) => {
                if matches!(several, Several::Join) {
                    let list = place.get_mut();
                    list.push_str(", ");
                    list.push_str(&value);
                }
            }
        }
    }
    let entries = texts.into_iter().map(|(name, value)| {
        let value: Box<dyn Val> = Box::new(CelString::from(value));
        (CelMapKey::String(CelString::from(name)), value)
    });
    CelMap::from(entries.collect::<HashMap<_, _>>())
}

/// The attributes of the exchange: looked up one by one, for they cannot be listed.
#[derive(Clone, Copy, Debug)]
struct Attributes<'r>(&'r Request);

impl Attributes<'_> {
    fn find(self, key: &dyn Val) -> Result<Option<String>, ExecutionError> {
        match key.downcast_ref::<CelString<'_>>() {
            Some(key) => Ok(self.0.attribute(key.inner())),
            None => Err(ExecutionError::UnexpectedType {
                got: key.get_type().name().to_owned(),
                want: "string".to_owned(),
            }),
        }
    }
}

impl Val for Attributes<'_> {
    fn get_type(&self) -> &Type {
        <Self as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}

impl Container for Attributes<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.find(key)?.is_some())
    }
}

impl Indexer for Attributes<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        match self.find(key)? {
            Some(value) => Ok(CowVal::owned(CelString::from(value))),
            None => Err(ExecutionError::NoSuchKey(Arc::new("attribute".to_owned()))),
        }
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(key).map(CowVal::into_owned)
    }
}
