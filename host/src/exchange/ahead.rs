//! Edits of the response that stages make while there is none: they are kept, and made when the response passes their
//! stage. It refuses to know why a stage is passed or left out.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::edit::MAX_FIELDS;
use super::{EditError, Exchange};

/// Edits of all stages, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(super) struct Ahead(Vec<(usize, FieldEdit)>);

/// One change of a head's fields.
#[derive(Debug, Clone)]
pub(super) enum FieldEdit {
    Set(HeaderName, HeaderValue),
    Append(HeaderName, HeaderValue),
    Remove(HeaderName),
}

impl Ahead {
    pub(super) fn push(&mut self, stage: usize, edit: FieldEdit) -> Result<(), EditError> {
        if self.0.len() >= MAX_FIELDS {
            return Err(EditError::Limit("too many fields"));
        }
        if self.0.is_empty() {
            self.0.reserve(8);
        }
        self.0.push((stage, edit));
        Ok(())
    }

    /// Forgets the newest.
    pub(super) fn pop(&mut self) {
        self.0.pop();
    }
}

impl Exchange {
    /// Some stage has edits of the response that it has not come to yet.
    #[must_use]
    pub fn has_ahead(&self) -> bool {
        !self.ahead.0.is_empty()
    }

    /// Makes the edits that a stage asked for before there was a response. They stay: an error may yet become the
    /// response in place of this one.
    pub fn make_ahead(&mut self, stage: usize) {
        let Some(response) = &mut self.response else {
            return;
        };
        for (_, edit) in self.ahead.0.iter().filter(|(of, _)| *of == stage) {
            edit.make(&mut response.headers);
        }
    }
}

impl FieldEdit {
    /// A head may have one field more by it.
    pub(super) fn adds(&self) -> bool {
        matches!(self, Self::Set(..) | Self::Append(..))
    }

    fn make(&self, headers: &mut HeaderMap) {
        match self {
            // A response whose fields are that many already goes as it is.
            edit if edit.adds() && headers.len() >= MAX_FIELDS => {}
            Self::Set(name, value) => {
                headers.insert(name.clone(), value.clone());
            }
            Self::Append(name, value) => {
                headers.append(name.clone(), value.clone());
            }
            Self::Remove(name) => {
                headers.remove(name);
            }
        }
    }
}
