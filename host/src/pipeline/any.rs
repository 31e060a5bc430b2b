//! `{ any = [..] }`: stages of which one has to let the request pass, asked in order. It refuses to know what they check.

use std::ops::Range;

use http::StatusCode;

use super::Pipeline;
use super::run::{Run, Stop, bit};
use crate::abi::RequestAction;
use crate::plugin::Hook;

impl Run {
    /// Asks one stage after the other until one goes on. A 401 or 403 takes back what its stage did and asks the next;
    /// anything else that a stage decides counts. If none goes on, the last 401 or 403 is the answer. A stage that is
    /// skipped after a fault decides nothing.
    ///
    /// # Errors
    /// As [`Run::request_heads`](super::Run::request_heads).
    pub(super) async fn any_of(&mut self, group: Range<usize>) -> Result<(), Stop> {
        let mut denied: Option<(usize, Stop)> = None;
        for index in group.clone() {
            self.reached = index + 1;
            self.x().begin_tentative();
            let answer = self.invoke(index, Hook::OnRequest, async |instance, x, at| {
                instance.on_request(x, at).await
            });
            let answer = answer.await;
            let stop = match answer {
                Ok(Some(RequestAction::Next)) => {
                    self.x().end_tentative();
                    self.lose(denied.as_ref());
                    self.leave_out(index + 1..group.end);
                    return Ok(());
                }
                Ok(None) => {
                    self.x().end_tentative();
                    continue;
                }
                Ok(Some(RequestAction::Respond(reply))) => Stop::Respond(Box::new(reply), index),
                Ok(Some(RequestAction::Refuse(problem))) => self.refused(index, problem).into(),
                Err(problem) => {
                    self.x().end_tentative();
                    self.lose(denied.as_ref());
                    return Err(problem.into());
                }
            };
            let is_last = index + 1 == group.end;
            if !is_denial(&stop) || is_last {
                self.x().end_tentative();
                self.lose(denied.as_ref());
                return Err(stop);
            }
            self.x().undo();
            self.x().end_tentative();
            let before = denied.replace((index, stop));
            self.lose(before.as_ref());
        }
        match denied {
            Some((index, stop)) => {
                if matches!(stop, Stop::Fail(_)) {
                    self.culprit = Some(index);
                }
                Err(stop)
            }
            None => Ok(()),
        }
    }

    /// A stage whose denial did not count has no further hooks but `on-finish`.
    fn lose(&mut self, denied: Option<&(usize, Stop)>) {
        if let Some((index, _)) = denied {
            self.lost |= bit(*index);
            if self.culprit == Some(*index) {
                self.culprit = None;
            }
        }
    }

    /// Stages that are not asked have no hooks at all.
    fn leave_out(&mut self, stages: Range<usize>) {
        for index in stages {
            self.absent |= bit(index);
        }
    }
}

/// Another stage may know better.
fn is_denial(stop: &Stop) -> bool {
    let status = match stop {
        Stop::Respond(reply, _) => reply.status,
        Stop::Fail(problem) => problem.status,
    };
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

impl Pipeline {
    /// The group that a stage belongs to, if it is one of alternatives.
    pub(super) fn group(&self, index: usize) -> Option<Range<usize>> {
        self.groups.iter().find(|group| group.contains(&index)).cloned()
    }
}
