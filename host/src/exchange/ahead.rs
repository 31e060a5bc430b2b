//! Edits of the response that stages make while there is none: they are kept, and made when the response passes their
//! stage. It refuses to know why a stage is passed or left out.

use std::cmp::Reverse;

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

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets all but the oldest `kept`.
    pub(super) fn truncate(&mut self, kept: usize) {
        self.0.truncate(kept);
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
            edit.clone().make(&mut response.headers);
        }
    }

    /// Makes the edits of every stage below `below` that `passes`, the last stage first. They do not stay: for a
    /// response that nothing can replace any more.
    pub fn make_all_ahead(&mut self, below: usize, passes: impl Fn(usize) -> bool) {
        let Some(response) = &mut self.response else {
            return;
        };
        let mut edits = std::mem::take(&mut self.ahead.0);
        edits.sort_by_key(|(stage, _)| Reverse(*stage));
        for (stage, edit) in edits {
            if stage < below && passes(stage) {
                edit.make(&mut response.headers);
            }
        }
    }
}

impl FieldEdit {
    /// A head may have one field more by it.
    pub(super) fn adds(&self) -> bool {
        matches!(self, Self::Set(..) | Self::Append(..))
    }

    fn make(self, headers: &mut HeaderMap) {
        match self {
            // A response whose fields are that many already goes as it is.
            edit if edit.adds() && headers.len() >= MAX_FIELDS => {}
            Self::Set(name, value) => {
                headers.insert(name, value);
            }
            Self::Append(name, value) => {
                headers.append(name, value);
            }
            Self::Remove(name) => {
                headers.remove(name);
            }
        }
    }
}
