//! The pipeline of a route: its plugins in order, which hooks they have, and running them. The order of
//! hooks, verdicts and the fault policy live here; sockets, routing and reload do not.

mod any;
mod bodies;
mod fail;
mod finish;
mod payload;
mod run;
mod stage;

use std::ops::Range;
use std::rc::Rc;

pub use self::fail::{Failed, Retry, upstream_failure, upstream_problem};
pub use self::payload::Payload;
pub use self::run::{Run, Stop};
pub use self::stage::Stage;
use crate::plugin::Hook;

/// Stages that a pipeline may have: the run keeps one bit for each.
pub const MAX_STAGES: usize = 64;

/// The plugins of one route on one worker, with the places of each hook worked out once.
#[derive(Debug)]
pub struct Pipeline {
    stages: Vec<Stage>,
    /// Alternatives, as ranges of stages.
    groups: Vec<Range<usize>>,
    responder: Option<Stage>,
    request: Vec<usize>,
    request_body: Vec<usize>,
    response: Vec<usize>,
    response_body: Vec<usize>,
    error: Vec<usize>,
    finish: Vec<usize>,
}

impl Pipeline {
    /// A pipeline of `stages` in front of an upstream or of `responder`. Of the stages of a group one has to let the
    /// request pass; one without `on-request` cannot say so and counts as not available.
    #[must_use]
    pub fn new(mut stages: Vec<Stage>, groups: Vec<Range<usize>>, responder: Option<Stage>) -> Rc<Self> {
        for (index, stage) in stages.iter_mut().enumerate() {
            let is_alternative = groups.iter().any(|group| group.contains(&index));
            if is_alternative && !stage.has(Hook::OnRequest) {
                stage.pool = None;
            }
        }
        let with = |hook: Hook| -> Vec<usize> {
            // A stage that is not available stops the request where it stands.
            stages
                .iter()
                .enumerate()
                .filter(|(_, s)| s.has(hook) || (hook == Hook::OnRequest && !s.is_available()))
                .map(|(i, _)| i)
                .collect()
        };
        let reversed = |hook| {
            let mut list = with(hook);
            list.reverse();
            list
        };
        Rc::new(Self {
            request: with(Hook::OnRequest),
            request_body: with(Hook::OnRequestBody),
            response: reversed(Hook::OnResponse),
            response_body: reversed(Hook::OnResponseBody),
            error: reversed(Hook::OnError),
            finish: with(Hook::OnFinish),
            stages,
            groups,
            responder,
        })
    }

    /// It has neither stages nor a responder.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty() && self.responder.is_none()
    }

    /// A plugin answers in place of an upstream.
    #[must_use]
    pub fn has_responder(&self) -> bool {
        self.responder.is_some()
    }

    /// Stages, without the responder.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stages.len()
    }
}
