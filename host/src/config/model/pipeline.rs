//! What a pipeline is made of once its named lists are put in.
//!
//! It refuses to know what plugins do with a request.

use std::slice;
use std::sync::Arc;

use super::super::origin::Origin;

/// One element of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// What runs.
    pub step: Step,
    /// Where it is written: in the named list, if it came out of one.
    pub origin: Origin,
    /// The named lists that it came through, the one that the pipeline itself names first.
    pub lists: Vec<Arc<str>>,
}

/// What an element runs, as indices into [`Config::plugins`](super::Config::plugins).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// This entry.
    Stage(usize),
    /// `{ any = [..] }`: the first of these entries (two to eight) that does not answer 401 or 403; the last answer
    /// counts when all do.
    Any(Vec<usize>),
}

impl Step {
    /// The entries, in order.
    #[must_use]
    pub fn entries(&self) -> &[usize] {
        match self {
            Self::Stage(entry) => slice::from_ref(entry),
            Self::Any(entries) => entries,
        }
    }
}
