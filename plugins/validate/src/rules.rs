//! What bodies of one side have to be: which of them have a schema, and whether they fit it. Knows no verdict.

use std::collections::BTreeMap;

use portcullis::{Blob, Request, Response};

use crate::config::{RequestConfig, ResponseConfig};
use crate::fault::Fault;
use crate::json::{self, Reading};
use crate::media::MediaTypes;
use crate::schema::Schema;

/// Methods whose requests are nothing without a body.
const METHODS_WITH_BODY: [&str; 3] = ["POST", "PUT", "PATCH"];

/// What request bodies have to be.
#[derive(Debug)]
pub(crate) struct RequestRules {
    schema: Schema,
    media_types: MediaTypes,
    required: bool,
    reading: Reading,
}

impl RequestRules {
    /// The rules of a configuration.
    ///
    /// # Errors
    /// What is wrong with it, with its key.
    pub(crate) fn new(config: &RequestConfig, reading: &Reading) -> Result<Self, String> {
        Ok(Self {
            schema: Schema::new(&config.schema, reading)
                .map_err(|what| format!("`request.schema` {what}"))?,
            media_types: MediaTypes::new(&config.content_types)
                .map_err(|what| format!("`request.content-types` {what}"))?,
            required: config.required,
            reading: *reading,
        })
    }

    /// Checks what the head says of the body, so that one that is not taken is not even read.
    ///
    /// # Errors
    /// Why the body is not taken.
    pub(crate) fn check_head(&self, request: &Request) -> Result<(), Fault> {
        if request.property("request.body").as_deref() == Some("none") {
            return self.missing(request);
        }
        match self.media_types.take(&request.header_values("content-type")) {
            true => Ok(()),
            false => Err(Fault::MediaType),
        }
    }

    /// Checks the body.
    ///
    /// # Errors
    /// Why it is not taken.
    pub(crate) fn check_body(&self, request: &Request, body: &Blob) -> Result<(), Fault> {
        if body.is_empty() {
            return self.missing(request);
        }
        // Of a prefix that happens to be JSON the rest could be anything.
        if request.property("request.body").as_deref() == Some("prefix") {
            return Err(Fault::Incomplete);
        }
        fits(&self.schema, body, &self.reading)
    }

    fn missing(&self, request: &Request) -> Result<(), Fault> {
        match self.required && METHODS_WITH_BODY.contains(&request.method().as_str()) {
            true => Err(Fault::Missing),
            false => Ok(()),
        }
    }
}

/// What response bodies have to be.
#[derive(Debug)]
pub(crate) struct ResponseRules {
    by_status: BTreeMap<u16, Schema>,
    by_class: BTreeMap<u16, Schema>,
    default: Option<Schema>,
    media_types: MediaTypes,
    required: bool,
    reading: Reading,
}

impl ResponseRules {
    /// The rules of a configuration.
    ///
    /// # Errors
    /// What is wrong with it, with its key.
    pub(crate) fn new(config: &ResponseConfig, reading: &Reading) -> Result<Self, String> {
        let mut rules = Self {
            by_status: BTreeMap::new(),
            by_class: BTreeMap::new(),
            default: None,
            media_types: MediaTypes::new(&config.content_types)
                .map_err(|what| format!("`response.content-types` {what}"))?,
            required: config.required,
            reading: *reading,
        };
        if let Some(source) = &config.schema {
            let schema = Schema::new(source, reading).map_err(|what| format!("`response.schema` {what}"))?;
            rules.by_class.insert(2, schema);
        }
        for (key, source) in &config.by_status {
            let at = |what: String| format!("`response.by-status.{}` {what}", key.escape_debug());
            let schema = Schema::new(source, reading).map_err(at)?;
            let replaced = match Place::of(key).map_err(at)? {
                Place::Status(status) => rules.by_status.insert(status, schema),
                Place::Class(class) => rules.by_class.insert(class, schema),
                Place::Default => rules.default.replace(schema),
            };
            if replaced.is_some() {
                return Err(at(
                    "is there twice (`response.schema` is that of `2xx`)".to_owned()
                ));
            }
        }
        if rules.by_status.is_empty() && rules.by_class.is_empty() && rules.default.is_none() {
            return Err("`response` has neither `schema` nor `by-status`".to_owned());
        }
        Ok(rules)
    }

    /// Whether the body of this response has a schema. Errors of the gateway itself have none of the operator's.
    pub(crate) fn concern(&self, response: &Response) -> bool {
        self.schema(response.status()).is_some()
            && response.property("error.kind").is_none()
            && response.request().method() != "HEAD"
    }

    /// Checks what the head says of the body.
    ///
    /// # Errors
    /// Why the body is not taken.
    pub(crate) fn check_head(&self, response: &Response) -> Result<(), Fault> {
        if response.header("content-length").as_deref() == Some("0") {
            return self.missing();
        }
        match self.media_types.take(&response.header_values("content-type")) {
            true => Ok(()),
            false => Err(Fault::MediaType),
        }
    }

    /// Checks the body.
    ///
    /// # Errors
    /// Why it is not taken.
    pub(crate) fn check_body(&self, status: u16, body: &Blob) -> Result<(), Fault> {
        match self.schema(status) {
            Some(_) if body.is_empty() => self.missing(),
            Some(schema) => fits(schema, body, &self.reading),
            None => Ok(()),
        }
    }

    /// The schema of a status: its own, its class's, the default one. Interim answers and those that have no body by their
    /// status (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5) have none.
    fn schema(&self, status: u16) -> Option<&Schema> {
        if !has_body(status) {
            return None;
        }
        let own = self.by_status.get(&status);
        own.or_else(|| self.by_class.get(&class(status)))
            .or(self.default.as_ref())
    }

    fn missing(&self) -> Result<(), Fault> {
        match self.required {
            true => Err(Fault::Missing),
            false => Ok(()),
        }
    }
}

/// What a key of `by-status` is for.
enum Place {
    Status(u16),
    Class(u16),
    Default,
}

impl Place {
    fn of(key: &str) -> Result<Self, String> {
        if key == "default" {
            return Ok(Self::Default);
        }
        let class = key.strip_suffix("xx").or_else(|| key.strip_suffix("XX"));
        if let Some(class @ ("2" | "3" | "4" | "5")) = class {
            return class.parse().map(Self::Class).map_err(|_| key.to_owned());
        }
        let digits = Some(key).filter(|key| key.len() == 3 && !key.starts_with('+'));
        match digits.and_then(|key| key.parse().ok()) {
            Some(status) if has_body(status) => Ok(Self::Status(status)),
            Some(204 | 205 | 304) => Err("is for an answer that has no body".to_owned()),
            _ => Err("is no status; expected 200 to 599, `2xx` to `5xx`, or `default`".to_owned()),
        }
    }
}

fn has_body(status: u16) -> bool {
    (200..600).contains(&status) && !matches!(status, 204 | 205 | 304)
}

fn class(status: u16) -> u16 {
    status.checked_div(100).unwrap_or_default()
}

/// Whether a body is JSON and fits a schema.
fn fits(schema: &Schema, body: &Blob, reading: &Reading) -> Result<(), Fault> {
    let document = json::read(&body.to_vec(), reading).map_err(Fault::Unreadable)?;
    let violations = schema.check(&document, reading);
    match violations.is_empty() {
        true => Ok(()),
        false => Err(Fault::Invalid(violations)),
    }
}
