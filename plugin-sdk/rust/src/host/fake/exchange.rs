//! The fake exchange and the rules of the contract about it: who may edit what and when.

use std::collections::BTreeMap;

use super::with_exchange;
use crate::{Blob, Problem, Section, Side, WhenClientLeaves, headers};

/// Prefixes that need a grant.
const RESERVED: [&str; 6] = ["auth.", "api.", "cache.", "waf.", "gateway.", "limit."];
/// Bytes that `set-state` keeps.
const MAX_STATE: usize = 64 << 10;
/// Bytes of an attribute's value, and how many there may be.
const MAX_VALUE: usize = 8 << 10;
const MAX_ATTRIBUTES: usize = 64;

/// The hook that runs: it decides what may be edited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    Route,
    #[default]
    Request,
    RequestBody,
    Response,
    ResponseBody,
    Error,
    Finish,
    Respond,
    Balance,
}

/// All of one exchange.
#[derive(Debug, Default)]
pub(crate) struct Data {
    pub(crate) phase: Phase,
    pub(crate) route: String,
    pub(crate) client_ip: String,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) grants: Vec<String>,
    pub(crate) upstreams: Vec<String>,
    pub(crate) method: String,
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) status: u16,
    pub(crate) request: Fields,
    pub(crate) response: Fields,
    /// Edits of the response that request hooks asked for.
    pub(crate) ahead: Vec<FieldEdit>,
    pub(crate) request_body: Vec<u8>,
    pub(crate) response_body: Vec<u8>,
    pub(crate) state: Option<Vec<u8>>,
    pub(crate) upstream: Option<String>,
    pub(crate) retry: Option<(u32, u8)>,
    pub(crate) delay_ms: Option<u32>,
    pub(crate) skipped: Vec<Side>,
    pub(crate) captures: Vec<(Side, u64, WhenClientLeaves)>,
}

/// Header fields in order: name in lower case, value as text of U+0000 to U+00FF.
#[derive(Debug, Default)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn append(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        let name = name.to_ascii_lowercase();
        if !headers::is_name(&name) {
            return Err(Problem::Invalid(format!(
                "`{}` is not a field name",
                name.escape_debug()
            )));
        }
        if !value
            .chars()
            .all(|c| c == '\t' || (c >= ' ' && c != '\u{7f}' && c <= '\u{ff}'))
        {
            return Err(Problem::Invalid(
                "not a field value (control character, or above U+00FF)".to_owned(),
            ));
        }
        self.0.push((name, value.to_owned()));
        Ok(())
    }

    fn edit(&mut self, edits: &[FieldEdit]) -> Result<(), Problem> {
        for edit in edits {
            match edit {
                FieldEdit::Set(name, value) => {
                    Self::default().append(name, value)?;
                    self.remove(name);
                    self.append(name, value)?;
                }
                FieldEdit::Append(name, value) => self.append(name, value)?,
                FieldEdit::Remove(name) => self.remove(name),
            }
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
    }
}

/// One change of fields.
#[derive(Debug)]
pub(crate) enum FieldEdit {
    Set(String, String),
    Append(String, String),
    Remove(String),
}

impl Data {
    /// The response passes the plugin: what was asked of it before there was one is done.
    pub(crate) fn pass(&mut self) {
        let edited = self.response.edit(&std::mem::take(&mut self.ahead));
        debug_assert!(edited.is_ok(), "they were tried when they were asked for");
    }

    fn fields(&self, section: Section) -> Option<&Fields> {
        match section {
            Section::Request => Some(&self.request),
            Section::Response => Some(&self.response),
            Section::RequestTrailers | Section::ResponseTrailers => None,
        }
    }

    fn fields_mut(&mut self, section: Section) -> Result<&mut Fields, Problem> {
        match (section, self.phase) {
            (Section::Request, Phase::Request | Phase::RequestBody) => Ok(&mut self.request),
            (Section::Response, Phase::Response | Phase::ResponseBody) => Ok(&mut self.response),
            _ => Err(Problem::WrongPhase),
        }
    }

    /// The property `request.body`.
    fn body_seen(&self) -> &'static str {
        match self.phase {
            _ if self.request_body.is_empty() => "none",
            Phase::Route | Phase::Request => "unread",
            _ => "whole",
        }
    }

    /// This exchange where the request can still be edited.
    fn request_edit(&mut self) -> Result<&mut Self, Problem> {
        match self.phase {
            Phase::Request | Phase::RequestBody => Ok(self),
            _ => Err(Problem::WrongPhase),
        }
    }
}

pub(crate) fn id() -> u64 {
    1
}

pub(crate) fn route() -> String {
    with_exchange(|exchange| match exchange.phase {
        Phase::Route => String::new(),
        _ => exchange.route.clone(),
    })
}

pub(crate) fn client_ip() -> String {
    with_exchange(|exchange| exchange.client_ip.clone())
}

pub(crate) fn property(key: &str) -> Option<String> {
    with_exchange(|exchange| {
        let told = exchange.properties.get(key).cloned();
        told.or_else(|| (key == "request.body").then(|| exchange.body_seen().to_owned()))
    })
}

pub(crate) fn elapsed_us() -> u64 {
    0
}

pub(crate) fn remaining_us() -> u64 {
    1_000_000
}

pub(crate) fn method() -> String {
    with_exchange(|exchange| exchange.method.clone())
}

pub(crate) fn set_method(method: &str) -> Result<(), Problem> {
    with_exchange(|exchange| {
        let exchange = exchange.request_edit()?;
        if !headers::is_name(&method.to_ascii_lowercase()) || method == "CONNECT" {
            return Err(Problem::Invalid("not a method that can be sent".to_owned()));
        }
        method.clone_into(&mut exchange.method);
        Ok(())
    })
}

pub(crate) fn authority() -> String {
    with_exchange(|exchange| exchange.authority.clone())
}

pub(crate) fn set_authority(authority: &str) -> Result<(), Problem> {
    with_exchange(|exchange| {
        let exchange = exchange.request_edit()?;
        let bad = |c: char| !c.is_ascii_graphic() || "/?#@".contains(c);
        if authority.is_empty() || authority.contains(bad) {
            return Err(Problem::Invalid("not an authority".to_owned()));
        }
        authority.clone_into(&mut exchange.authority);
        Ok(())
    })
}

pub(crate) fn path() -> String {
    with_exchange(|exchange| exchange.path.clone())
}

pub(crate) fn query() -> Option<String> {
    with_exchange(|exchange| exchange.query.clone())
}

pub(crate) fn set_target(target: &str) -> Result<(), Problem> {
    with_exchange(|exchange| {
        let exchange = exchange.request_edit()?;
        if !target.starts_with('/') || !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(Problem::Invalid(
                "a target begins with / and has no fragment".to_owned(),
            ));
        }
        let (path, query) = split(target);
        exchange.path = path;
        exchange.query = query;
        Ok(())
    })
}

pub(crate) fn status() -> u16 {
    with_exchange(|exchange| exchange.status)
}

pub(crate) fn set_status(status: u16) -> Result<(), Problem> {
    with_exchange(|exchange| {
        if !matches!(exchange.phase, Phase::Response | Phase::ResponseBody) {
            return Err(Problem::WrongPhase);
        }
        if !(200..600).contains(&status) {
            return Err(Problem::Invalid("a final status is from 200 to 599".to_owned()));
        }
        exchange.status = status;
        Ok(())
    })
}

pub(crate) fn header(section: Section, name: &str) -> Option<String> {
    with_exchange(|exchange| exchange.fields(section)?.get(name).map(str::to_owned))
}

pub(crate) fn header_values(section: Section, name: &str) -> Vec<String> {
    with_exchange(|exchange| {
        exchange
            .fields(section)
            .map(|fields| fields.values(name).map(str::to_owned).collect())
            .unwrap_or_default()
    })
}

pub(crate) fn header_block(section: Section) -> Vec<u8> {
    with_exchange(|exchange| {
        let mut block = Vec::new();
        for (name, value) in exchange
            .fields(section)
            .map(|fields| &fields.0)
            .into_iter()
            .flatten()
        {
            block.extend_from_slice(name.as_bytes());
            block.extend_from_slice(b": ");
            block.extend(headers::to_bytes(value.clone()).unwrap_or_default());
            block.extend_from_slice(b"\r\n");
        }
        block
    })
}

pub(crate) fn set_header(section: Section, name: &str, value: &str) -> Result<(), Problem> {
    edit(section, vec![FieldEdit::Set(name.to_owned(), value.to_owned())])
}

pub(crate) fn append_header(section: Section, name: &str, value: &str) -> Result<(), Problem> {
    edit(
        section,
        vec![FieldEdit::Append(name.to_owned(), value.to_owned())],
    )
}

pub(crate) fn remove_header(section: Section, name: &str) -> Result<(), Problem> {
    edit(section, vec![FieldEdit::Remove(name.to_owned())])
}

pub(crate) fn edit_headers(section: Section, set: &[u8], append: &[u8]) -> Result<(), Problem> {
    let lines = |block: &[u8], edit: fn(String, String) -> FieldEdit| {
        let headers = headers::Headers::from_block(block.to_vec());
        let fields = headers
            .iter()
            .map(|(name, value)| edit(name.to_owned(), headers::to_text(value.trim_ascii())));
        fields.collect::<Vec<_>>()
    };
    let mut edits = lines(set, FieldEdit::Set);
    edits.extend(lines(append, FieldEdit::Append));
    edit(section, edits)
}

/// All of the edits or none.
fn edit(section: Section, edits: Vec<FieldEdit>) -> Result<(), Problem> {
    with_exchange(|exchange| {
        if section == Section::Response && matches!(exchange.phase, Phase::Request | Phase::RequestBody) {
            Fields::default().edit(&edits)?;
            exchange.ahead.extend(edits);
            return Ok(());
        }
        let fields = exchange.fields_mut(section)?;
        let mut edited = Fields(fields.0.clone());
        edited.edit(&edits)?;
        *fields = edited;
        Ok(())
    })
}

pub(crate) fn state() -> Option<Vec<u8>> {
    with_exchange(|exchange| {
        exchange
            .state
            .clone()
            .filter(|_| exchange.phase != Phase::Balance)
    })
}

pub(crate) fn set_state(bytes: Option<&[u8]>) -> Result<(), Problem> {
    with_exchange(|exchange| {
        if matches!(exchange.phase, Phase::Route | Phase::Balance | Phase::Finish) {
            return Err(Problem::WrongPhase);
        }
        if bytes.is_some_and(|bytes| bytes.len() > MAX_STATE) {
            return Err(Problem::Limit("state is at most 64 KiB".to_owned()));
        }
        exchange.state = bytes.map(<[u8]>::to_vec);
        Ok(())
    })
}

pub(crate) fn attribute(key: &str) -> Option<String> {
    with_exchange(|exchange| exchange.attributes.get(key).cloned())
}

pub(crate) fn set_attribute(key: &str, value: Option<&str>) -> Result<(), Problem> {
    with_exchange(|exchange| {
        if exchange.phase == Phase::Finish {
            return Err(Problem::WrongPhase);
        }
        let granted = exchange
            .grants
            .iter()
            .any(|prefix| key.starts_with(prefix.as_str()));
        if RESERVED.iter().any(|prefix| key.starts_with(prefix)) && !granted {
            return Err(Problem::Denied(format!(
                "writing the attribute `{key}` needs a grant"
            )));
        }
        if key.is_empty() || key.len() > 128 || key.chars().any(char::is_control) {
            return Err(Problem::Invalid("an attribute's key".to_owned()));
        }
        let Some(value) = value else {
            exchange.attributes.remove(key);
            return Ok(());
        };
        let full = exchange.attributes.len() >= MAX_ATTRIBUTES && !exchange.attributes.contains_key(key);
        if full || value.len() > MAX_VALUE {
            return Err(Problem::Limit(
                "an exchange has at most 64 attributes of 8 KiB".to_owned(),
            ));
        }
        exchange.attributes.insert(key.to_owned(), value.to_owned());
        Ok(())
    })
}

pub(crate) fn set_upstream(name: &str) -> Result<(), Problem> {
    with_exchange(|exchange| {
        let exchange = exchange.request_edit()?;
        if !exchange.upstreams.iter().any(|upstream| upstream == name) {
            return Err(Problem::Invalid(format!("no upstream is called `{name}`")));
        }
        exchange.upstream = Some(name.to_owned());
        Ok(())
    })
}

pub(crate) fn set_retry(per_try_ms: u32, extra_tries: u8) -> Result<(), Problem> {
    with_exchange(|exchange| {
        exchange.request_edit()?.retry = Some((per_try_ms, extra_tries));
        Ok(())
    })
}

pub(crate) fn delay(ms: u32) -> Result<(), Problem> {
    with_exchange(|exchange| {
        let exchange = exchange.request_edit()?;
        if u64::from(ms) * 1_000 >= remaining_us() {
            return Err(Problem::Limit(
                "the wait is longer than the exchange may last".to_owned(),
            ));
        }
        exchange.delay_ms = Some(ms);
        Ok(())
    })
}

pub(crate) fn skip_body(side: Side) {
    with_exchange(|exchange| {
        if exchange.phase != Phase::Balance {
            exchange.skipped.push(side);
        }
    });
}

pub(crate) fn capture_body(side: Side, max: u64, when_client_leaves: WhenClientLeaves) {
    with_exchange(|exchange| {
        if exchange.phase != Phase::Balance {
            exchange.captures.push((side, max, when_client_leaves));
        }
    });
}

pub(crate) fn captured(side: Side) -> Option<Blob> {
    with_exchange(|exchange| {
        let max = exchange
            .captures
            .iter()
            .find(|(captured, ..)| *captured == side)?
            .1;
        let body = match side {
            Side::Request => &exchange.request_body,
            Side::Response => &exchange.response_body,
        };
        (body.len() as u64 <= max).then(|| Blob::from_bytes(body))
    })
}

/// Path and query of a target.
pub(crate) fn split(target: &str) -> (String, Option<String>) {
    match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target.to_owned(), None),
    }
}
