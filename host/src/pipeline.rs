//! The pipeline of a route: its plugins in order, which hooks they have, and running them. The order of
//! hooks, verdicts and the fault policy live here; sockets, routing and reload do not.

mod bodies;
mod fail;
mod finish;
mod payload;
mod run;
mod stage;

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
    responder: Option<Stage>,
    request: Vec<usize>,
    request_body: Vec<usize>,
    response: Vec<usize>,
    response_body: Vec<usize>,
    error: Vec<usize>,
    finish: Vec<usize>,
}

impl Pipeline {
    /// A pipeline of `stages` in front of an upstream or of `responder`.
    #[must_use]
    pub fn new(stages: Vec<Stage>, responder: Option<Stage>) -> Rc<Self> {
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
