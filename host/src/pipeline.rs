//! The pipeline of a route: its plugins in order, which hooks they have, and running them. The order of
//! hooks, verdicts and the fault policy live here; sockets, routing and reload do not.

mod any;
mod balancer;
mod bodies;
mod fail;
mod filter;
mod finish;
mod passing;
mod payload;
mod router;
mod run;
mod stage;
mod witness;

use std::ops::Range;
use std::rc::Rc;

pub use self::balancer::{Balancer, Unbalanced};
pub use self::fail::{Failed, Retry, upstream_failure, upstream_problem};
pub use self::filter::Opened;
pub use self::payload::Payload;
pub use self::run::{Run, Stop};
pub use self::stage::Stage;
pub use self::witness::Told;
pub(crate) use self::witness::Verdict;
use crate::plugin::Hook;

/// Stages that a pipeline may have: the run keeps one bit for each.
pub const MAX_STAGES: usize = 64;

/// The plugins of one route on one worker, with the places of each hook worked out once.
#[derive(Debug)]
pub struct Pipeline {
    stages: Vec<Stage>,
    responder: Option<Stage>,
    /// Stages of each `any`, by their places; in order, without overlap.
    groups: Vec<Range<usize>>,
    request: Vec<usize>,
    request_body: Vec<usize>,
    request_filter: Vec<usize>,
    response: Vec<usize>,
    response_body: Vec<usize>,
    response_filter: Vec<usize>,
    error: Vec<usize>,
    finish: Vec<usize>,
}

impl Pipeline {
    /// A pipeline of `stages` in front of an upstream or of `responder`. Each range of `groups` is the stages of one `any`:
    /// one of them has to let the request pass, and one without `on-request` cannot say so and counts as not available.
    /// The ranges are in order and do not overlap.
    #[must_use]
    pub fn new(mut stages: Vec<Stage>, groups: Vec<Range<usize>>, responder: Option<Stage>) -> Rc<Self> {
        for stage in groups.iter().flat_map(Clone::clone) {
            if let Some(stage) = stages.get_mut(stage).filter(|stage| !stage.has(Hook::OnRequest)) {
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
            request_filter: with(Hook::BodyFilter),
            response: reversed(Hook::OnResponse),
            response_body: reversed(Hook::OnResponseBody),
            response_filter: reversed(Hook::BodyFilter),
            error: reversed(Hook::OnError),
            finish: with(Hook::OnFinish),
            stages,
            responder,
            groups,
        })
    }

    /// The same with nothing but the `on-finish` hooks of the stages below `reached`.
    #[must_use]
    fn only_finish(&self, reached: usize) -> Rc<Self> {
        let finish: Vec<usize> = self.finish.iter().copied().filter(|&at| at < reached).collect();
        let stages = self.stages.iter().enumerate().map(|(at, stage)| Stage {
            pool: stage.pool.clone().filter(|_| finish.contains(&at)),
            ..stage.clone()
        });
        Rc::new(Self {
            stages: if finish.is_empty() {
                Vec::new()
            } else {
                stages.collect()
            },
            responder: None,
            groups: Vec::new(),
            request: Vec::new(),
            request_body: Vec::new(),
            request_filter: Vec::new(),
            response: Vec::new(),
            response_body: Vec::new(),
            response_filter: Vec::new(),
            error: Vec::new(),
            finish,
        })
    }

    /// It has neither stages nor a responder.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty() && self.responder.is_none()
    }

    /// Stages, without the responder.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stages.len()
    }
}
