//! What hooks may change, and in which hook: every edit is checked, done, and noted for undo. It refuses to know who asks.

use bytes::Bytes;
use http::header::{Entry, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};

use super::ahead::FieldEdit;
use super::block::Lines;
use super::field::{field_value, final_status};
use super::journal::{Edit, Old};
use super::names::FieldNames;
use super::{Exchange, Phase, Section};
use crate::message::path::normalise;

/// Bytes that one stage may keep in [`Exchange::set_state`].
pub const MAX_STATE: usize = 64 << 10;
/// Fields that a head may have after edits.
pub(super) const MAX_FIELDS: usize = 512;

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

/// What an edit of fields is about, and from where.
#[derive(Debug, Clone, Copy)]
pub struct Aim {
    /// The running hook.
    pub phase: Phase,
    /// Its stage in the pipeline.
    pub stage: usize,
    /// The fields.
    pub section: Section,
}

impl Aim {
    /// There is no response yet, so what is done to it is kept until there is.
    fn is_ahead(self) -> bool {
        self.section == Section::Response && matches!(self.phase, Phase::Request | Phase::RequestBody)
    }
}

impl Exchange {
    fn fields_mut(&mut self, aim: Aim) -> Result<&mut HeaderMap, EditError> {
        let editable = match aim.section {
            Section::Request => matches!(aim.phase, Phase::Request | Phase::RequestBody),
            Section::Response => matches!(aim.phase, Phase::Response | Phase::ResponseBody),
            Section::RequestTrailers => aim.phase == Phase::RequestEnd,
            Section::ResponseTrailers => aim.phase == Phase::ResponseEnd,
        };
        let fields = match aim.section {
            _ if !editable => None,
            Section::Request => Some(&mut self.request.headers),
            Section::Response => self.response.as_mut().map(|response| &mut response.headers),
            Section::RequestTrailers => self.request_trailers.as_mut(),
            Section::ResponseTrailers => self.response_trailers.as_mut(),
        };
        fields.ok_or(EditError::WrongPhase)
    }

    /// Replaces every value of a field. Of the response in a request hook: when the response passes the stage.
    ///
    /// # Errors
    /// When the hook may not, the name or value is no field's (RFC 9110, section 5), or the field frames the
    /// message or belongs to the connection: a wrong length would let one message be taken for two.
    pub fn set_header(
        &mut self,
        aim: Aim,
        names: &mut FieldNames,
        name: &str,
        value: &str,
    ) -> Result<(), EditError> {
        let (name, value) = (names.settable(name.as_bytes())?, field_value(value)?);
        self.edit_field(aim, FieldEdit::Set(name, value))
    }

    /// Adds a value to a field, likewise.
    ///
    /// # Errors
    /// As [`set_header`](Self::set_header).
    pub fn append_header(
        &mut self,
        aim: Aim,
        names: &mut FieldNames,
        name: &str,
        value: &str,
    ) -> Result<(), EditError> {
        let (name, value) = (names.settable(name.as_bytes())?, field_value(value)?);
        self.edit_field(aim, FieldEdit::Append(name, value))
    }

    /// Removes every value of a field, likewise.
    ///
    /// # Errors
    /// As [`set_header`](Self::set_header).
    pub fn remove_header(&mut self, aim: Aim, names: &mut FieldNames, name: &str) -> Result<(), EditError> {
        let name = names.any(name.as_bytes())?;
        self.edit_field(aim, FieldEdit::Remove(name))
    }

    /// Sets the fields of one block and adds those of another, all or none; a block is lines `name: value` CR LF.
    ///
    /// # Errors
    /// As [`set_header`](Self::set_header), and for what is no such line.
    pub fn edit_headers(
        &mut self,
        aim: Aim,
        names: &mut FieldNames,
        set: &Bytes,
        append: &Bytes,
    ) -> Result<(), EditError> {
        let before = self.journal.len();
        let result = self.edit_blocks(aim, names, set, append);
        if result.is_err() {
            self.undo_to(before);
        }
        result
    }

    fn edit_blocks(
        &mut self,
        aim: Aim,
        names: &mut FieldNames,
        set: &Bytes,
        append: &Bytes,
    ) -> Result<(), EditError> {
        if aim.is_ahead() {
            self.journal.push(Edit::Ahead(self.ahead.len()));
        }
        for (block, edit) in [
            (set, FieldEdit::Set as fn(_, _) -> _),
            (append, FieldEdit::Append),
        ] {
            for line in Lines::of(block) {
                let (name, value) = line?;
                let edit = edit(names.settable(name)?, value);
                if aim.is_ahead() {
                    self.ahead.push(aim.stage, edit)?;
                } else {
                    self.edit_now(aim, edit)?;
                }
            }
        }
        Ok(())
    }

    /// Every edit of a field: kept until there is a response, or done and noted for undo.
    fn edit_field(&mut self, aim: Aim, edit: FieldEdit) -> Result<(), EditError> {
        if aim.is_ahead() {
            let before = self.ahead.len();
            self.ahead.push(aim.stage, edit)?;
            self.journal.push(Edit::Ahead(before));
            return Ok(());
        }
        self.edit_now(aim, edit)
    }

    fn edit_now(&mut self, aim: Aim, edit: FieldEdit) -> Result<(), EditError> {
        let headers = self.fields_mut(aim)?;
        if edit.adds() && headers.len() >= MAX_FIELDS {
            return Err(EditError::Limit("too many fields"));
        }
        let (name, old) = match edit {
            FieldEdit::Set(name, value) => (name.clone(), set(headers, name, value)),
            FieldEdit::Append(name, value) => {
                let old = Old::of(headers, &name);
                headers.append(name.clone(), value);
                (name, old)
            }
            FieldEdit::Remove(name) => {
                let old = Old::of(headers, &name);
                if old.is_none() {
                    return Ok(());
                }
                headers.remove(&name);
                (name, old)
            }
        };
        self.journal.push(Edit::Field(aim.section, name, old));
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
        if matches!(phase, Phase::Route | Phase::Balance | Phase::Finish) {
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

/// Sets a field, and gives what it was. The name is hashed once.
fn set(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Old {
    match headers.entry(name) {
        Entry::Vacant(free) => {
            free.insert(value);
            Old::None
        }
        Entry::Occupied(mut taken) if taken.iter().nth(1).is_some() => {
            let old = Old::Many(taken.iter().cloned().collect());
            taken.insert(value);
            old
        }
        Entry::Occupied(mut taken) => Old::One(taken.insert(value)),
    }
}

pub(super) fn request_phase(phase: Phase) -> Result<(), EditError> {
    match phase {
        Phase::Request | Phase::RequestBody => Ok(()),
        _ => Err(EditError::WrongPhase),
    }
}
