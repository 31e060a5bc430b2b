//! What hooks may change, and in which hook: every edit is checked, done, and noted for undo. It refuses to know who asks.

use bytes::Bytes;
use http::header::HeaderValue;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};

use super::field::{field_name, field_value, final_status, settable_name};
use super::journal::{Edit, Old};
use super::{Exchange, Phase, Section};
use crate::message::path::normalise;

/// Bytes that one stage may keep in [`Exchange::set_state`].
pub const MAX_STATE: usize = 64 << 10;
/// Fields that a head may have after edits.
const MAX_FIELDS: usize = 512;

/// Why an edit was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The value does not parse.
    #[error("{0}")]
    Invalid(String),
    /// Not possible in this hook.
    #[error("not possible in this hook")]
    WrongPhase,
    /// Over a bound.
    #[error("{0}")]
    Limit(&'static str),
    /// Not granted in TOML.
    #[error("{0}")]
    Denied(String),
}

impl Exchange {
    fn fields_mut(&mut self, phase: Phase, section: Section) -> Result<&mut HeaderMap, EditError> {
        let editable = match section {
            Section::Request => matches!(phase, Phase::Request | Phase::RequestBody),
            Section::Response => matches!(phase, Phase::Response | Phase::ResponseBody),
            Section::RequestTrailers | Section::ResponseTrailers => false,
        };
        match (editable, section, &mut self.response) {
            (true, Section::Request, _) => Ok(&mut self.request.headers),
            (true, Section::Response, Some(response)) => Ok(&mut response.headers),
            _ => Err(EditError::WrongPhase),
        }
    }

    /// Replaces every value of a field.
    ///
    /// # Errors
    /// When the hook may not, the name or value is no field's (RFC 9110, section 5), or the field frames the
    /// message or belongs to the connection: a wrong length would let one message be taken for two.
    pub fn set_header(
        &mut self,
        phase: Phase,
        section: Section,
        name: &str,
        value: &str,
    ) -> Result<(), EditError> {
        let (name, value) = (settable_name(name)?, field_value(value)?);
        let headers = self.fields_mut(phase, section)?;
        if headers.len() >= MAX_FIELDS {
            return Err(EditError::Limit("too many fields"));
        }
        let old = if headers.get_all(&name).iter().nth(1).is_some() {
            let old = Old::of(headers, &name);
            headers.insert(name.clone(), value);
            old
        } else {
            Old::from(headers.insert(name.clone(), value))
        };
        self.journal.push(Edit::Field(section, name, old));
        Ok(())
    }

    /// Adds a value to a field.
    ///
    /// # Errors
    /// As [`set_header`](Self::set_header).
    pub fn append_header(
        &mut self,
        phase: Phase,
        section: Section,
        name: &str,
        value: &str,
    ) -> Result<(), EditError> {
        let (name, value) = (settable_name(name)?, field_value(value)?);
        let headers = self.fields_mut(phase, section)?;
        if headers.len() >= MAX_FIELDS {
            return Err(EditError::Limit("too many fields"));
        }
        let old = Old::of(headers, &name);
        headers.append(name.clone(), value);
        self.journal.push(Edit::Field(section, name, old));
        Ok(())
    }

    /// Removes every value of a field.
    ///
    /// # Errors
    /// As [`set_header`](Self::set_header).
    pub fn remove_header(&mut self, phase: Phase, section: Section, name: &str) -> Result<(), EditError> {
        let name = field_name(name)?;
        let headers = self.fields_mut(phase, section)?;
        let old = Old::of(headers, &name);
        if !old.is_none() {
            headers.remove(&name);
            self.journal.push(Edit::Field(section, name, old));
        }
        Ok(())
    }

    /// Sets the request method.
    ///
    /// # Errors
    /// When the request has been sent or the text is no token; CONNECT is refused.
    pub fn set_method(&mut self, phase: Phase, method: &str) -> Result<(), EditError> {
        request_phase(phase)?;
        let method = Method::from_bytes(method.as_bytes())
            .ok()
            .filter(|method| method != Method::CONNECT)
            .ok_or_else(|| EditError::Invalid("not a method that can be sent".to_owned()))?;
        let old = std::mem::replace(&mut self.request.method, method);
        self.journal.push(Edit::Method(old));
        Ok(())
    }

    /// Sets what the upstream gets as Host.
    ///
    /// # Errors
    /// When the request has been sent or the text is no authority (RFC 3986, section 3.2).
    pub fn set_authority(&mut self, phase: Phase, authority: &str) -> Result<(), EditError> {
        request_phase(phase)?;
        let parsed: http::uri::Authority = authority
            .parse()
            .map_err(|_| EditError::Invalid("not an authority".to_owned()))?;
        if parsed.as_str().contains('@') {
            return Err(EditError::Invalid(
                "an authority of HTTP has no user information".to_owned(),
            ));
        }
        let value = HeaderValue::from_str(parsed.as_str())
            .map_err(|_| EditError::Invalid("not an authority".to_owned()))?;
        let old = std::mem::replace(&mut self.request.authority, value);
        self.journal.push(Edit::Authority(old));
        Ok(())
    }

    /// Sets path and query; the path is normalised like a client's.
    ///
    /// # Errors
    /// When the request has been sent or the text is no origin-form target.
    pub fn set_target(&mut self, phase: Phase, target: &str) -> Result<(), EditError> {
        request_phase(phase)?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        if !path.starts_with('/') || target.contains('#') {
            return Err(EditError::Invalid(
                "a target begins with / and has no fragment".to_owned(),
            ));
        }
        let path = normalise(path, self.separators).map_err(|e| EditError::Invalid(e.to_string()))?;
        let text = match query {
            Some(query) => format!("{path}?{query}"),
            None => path.into_owned(),
        };
        let target = PathAndQuery::from_maybe_shared(Bytes::from(text))
            .map_err(|_| EditError::Invalid("not a path and query".to_owned()))?;
        let old = std::mem::replace(&mut self.request.target, target);
        // What the client asked for stays known, for the log and the property.
        self.raw_target.get_or_insert_with(|| old.clone());
        self.journal.push(Edit::Target(old));
        Ok(())
    }

    /// Sets the response's status.
    ///
    /// # Errors
    /// When there is no response to edit, or the number is no final status.
    pub fn set_status(&mut self, phase: Phase, status: u16) -> Result<(), EditError> {
        let (Phase::Response | Phase::ResponseBody, Some(response)) = (phase, &mut self.response) else {
            return Err(EditError::WrongPhase);
        };
        let status = final_status(status)
            .ok_or_else(|| EditError::Invalid("a final status is from 200 to 599".to_owned()))?;
        let old = std::mem::replace(&mut response.status, status);
        self.journal.push(Edit::Status(old));
        Ok(())
    }

    /// Sets or removes an attribute. `granted` are the prefixes that the entry may write.
    ///
    /// # Errors
    /// When the key's prefix is reserved and not granted, or a bound is passed.
    pub fn set_attribute(
        &mut self,
        phase: Phase,
        granted: &[String],
        key: &str,
        value: Option<String>,
    ) -> Result<(), EditError> {
        if phase == Phase::Finish {
            return Err(EditError::WrongPhase);
        }
        let old = self.attributes.set(granted, key, value)?;
        self.journal.push(Edit::Attribute(key.to_owned(), old));
        Ok(())
    }

    /// A stage's own bytes.
    #[must_use]
    pub fn state(&self, stage: usize) -> Option<&Bytes> {
        self.stages.get(stage)?.state.as_ref()
    }

    /// Sets a stage's own bytes.
    ///
    /// # Errors
    /// When they are more than [`MAX_STATE`], no pipeline runs yet, or the exchange is over.
    pub fn set_state(&mut self, phase: Phase, stage: usize, bytes: Option<Vec<u8>>) -> Result<(), EditError> {
        if matches!(phase, Phase::Route | Phase::Finish) {
            return Err(EditError::WrongPhase);
        }
        if bytes.as_ref().is_some_and(|b| b.len() > MAX_STATE) {
            return Err(EditError::Limit("state is at most 64 KiB"));
        }
        if let Some(slot) = self.stages.get_mut(stage) {
            let old = std::mem::replace(&mut slot.state, bytes.map(Bytes::from));
            self.journal.push(Edit::State(stage, old));
        }
        Ok(())
    }

    /// Sends to this upstream instead of the route's own.
    ///
    /// # Errors
    /// When the request has been sent or no upstream has the name.
    pub fn set_upstream(&mut self, phase: Phase, name: &str) -> Result<(), EditError> {
        request_phase(phase)?;
        let index = self
            .upstream_named(name)
            .ok_or_else(|| EditError::Invalid(format!("no upstream is called `{name}`")))?;
        let old = self.upstream.replace(index);
        self.journal.push(Edit::Upstream(old));
        Ok(())
    }
}

pub(super) fn request_phase(phase: Phase) -> Result<(), EditError> {
    match phase {
        Phase::Request | Phase::RequestBody => Ok(()),
        _ => Err(EditError::WrongPhase),
    }
}
