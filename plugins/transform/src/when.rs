//! Conditions on a request or a response. Knows no edit.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis::{Request, Response, headers};

use crate::config;
use crate::pattern::{Captures, Pattern};
use crate::template;

/// Conditions on a request.
#[derive(Debug)]
pub(crate) struct RequestWhen {
    methods: Vec<String>,
    scheme: Option<String>,
    host: Option<String>,
    path: Option<Pattern>,
    headers: Vec<(String, Pattern)>,
}

/// Conditions on a response.
#[derive(Debug)]
pub(crate) struct ResponseWhen {
    status: Vec<Status>,
    headers: Vec<(String, Pattern)>,
}

/// A request that meets its conditions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Met {
    /// What the condition on the path found, where there is one.
    pub(crate) captures: Option<Arc<Captures>>,
}

/// The facts of a request that conditions ask for, each fetched once.
#[derive(Debug)]
pub(crate) struct Facts<'r> {
    request: &'r Request,
    method: OnceCell<String>,
    scheme: OnceCell<String>,
    host: OnceCell<String>,
    path: OnceCell<String>,
}

impl<'r> Facts<'r> {
    /// Nothing is fetched yet.
    pub(crate) fn of(request: &'r Request) -> Self {
        Self {
            request,
            method: OnceCell::new(),
            scheme: OnceCell::new(),
            host: OnceCell::new(),
            path: OnceCell::new(),
        }
    }

    fn method(&self) -> &str {
        self.method.get_or_init(|| self.request.method())
    }

    fn scheme(&self) -> &str {
        self.scheme.get_or_init(|| template::scheme(self.request))
    }

    fn host(&self) -> &str {
        self.host.get_or_init(|| {
            let host = template::host(&self.request.authority()).to_ascii_lowercase();
            host.strip_suffix('.').map(str::to_owned).unwrap_or(host)
        })
    }

    fn path(&self) -> &str {
        self.path.get_or_init(|| self.request.path())
    }
}

impl RequestWhen {
    /// Compiles the conditions that stand in the table `key`.
    pub(crate) fn new(key: &str, config: &config::RequestWhen) -> Result<Self, String> {
        for method in config.methods.iter() {
            if !headers::is_name(&method.to_ascii_lowercase()) {
                return Err(format!("`{key}.methods` holds {method:?}, which is no method"));
            }
        }
        if let Some(scheme) = &config.scheme
            && !matches!(scheme.as_str(), "http" | "https")
        {
            return Err(format!("`{key}.scheme` is `http` or `https`, not {scheme:?}"));
        }
        if let Some(host) = &config.host
            && (host.is_empty() || host.contains(['/', '*', ' ']) || template::host(host) != host)
        {
            return Err(format!(
                "`{key}.host` is the name of a host without port, not {host:?}"
            ));
        }
        let path_key = format!("{key}.path-regex");
        let path = config
            .path_regex
            .as_ref()
            .map(|source| Pattern::new(&path_key, source));
        Ok(Self {
            methods: config.methods.to_vec(),
            scheme: config.scheme.clone(),
            host: config.host.as_ref().map(|host| host.to_ascii_lowercase()),
            path: path.transpose()?,
            headers: patterns(key, &config.header_regex)?,
        })
    }

    /// The pattern of the path, whose groups templates may name.
    pub(crate) fn pattern(&self) -> Option<&Pattern> {
        self.path.as_ref()
    }

    /// Whether a request meets all conditions.
    pub(crate) fn holds(&self, facts: &Facts<'_>) -> Option<Met> {
        let holds = (self.methods.is_empty() || self.methods.iter().any(|method| method == facts.method()))
            && self.scheme.as_ref().is_none_or(|scheme| scheme == facts.scheme())
            && self.host.as_ref().is_none_or(|host| host == facts.host())
            && all_match(&self.headers, |name| facts.request.header_values(name));
        if !holds {
            return None;
        }
        let captures = match &self.path {
            Some(pattern) => Some(Arc::new(pattern.captures(facts.path())?)),
            None => None,
        };
        Some(Met { captures })
    }
}

impl ResponseWhen {
    /// Compiles the conditions that stand in the table `key`.
    pub(crate) fn new(key: &str, config: &config::ResponseWhen) -> Result<Self, String> {
        let status = config.status.iter().map(|text| {
            Status::read(text).ok_or_else(|| {
                format!("`{key}.status` holds {text:?}: write a code as \"404\", a class as \"5xx\"")
            })
        });
        Ok(Self {
            status: status.collect::<Result<_, _>>()?,
            headers: patterns(key, &config.header_regex)?,
        })
    }

    /// Whether a response meets all conditions.
    pub(crate) fn holds(&self, response: &Response) -> bool {
        let has_status = || {
            let found = response.status();
            self.status.iter().any(|status| status.is(found))
        };
        (self.status.is_empty() || has_status())
            && all_match(&self.headers, |name| response.header_values(name))
    }
}

/// A status code, or all of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Code(u16),
    Class(u16),
}

impl Status {
    fn read(text: &str) -> Option<Self> {
        match text.strip_suffix("xx") {
            Some(class) => class
                .parse()
                .ok()
                .filter(|class| (2..=5).contains(class))
                .map(Self::Class),
            None => text
                .parse()
                .ok()
                .filter(|code| (200..600).contains(code))
                .map(Self::Code),
        }
    }

    fn is(self, status: u16) -> bool {
        match self {
            Self::Code(code) => code == status,
            Self::Class(class) => class == status / 100,
        }
    }
}

fn patterns(key: &str, config: &BTreeMap<String, String>) -> Result<Vec<(String, Pattern)>, String> {
    let compiled = config.iter().map(|(name, source)| {
        let key = format!("{key}.header-regex.{name}");
        let name = name.to_ascii_lowercase();
        if !headers::is_name(&name) {
            return Err(format!("`{key}` is not the name of a header"));
        }
        Ok((name, Pattern::new(&key, source)?))
    });
    compiled.collect()
}

/// Whether each header has a value in which its pattern matches.
fn all_match(wanted: &[(String, Pattern)], values: impl Fn(&str) -> Vec<String>) -> bool {
    wanted.iter().all(|(name, pattern)| {
        values(name)
            .into_iter()
            .any(|value| pattern.matches(&template::header_text(value)))
    })
}
