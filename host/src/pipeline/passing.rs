//! The response on its way past the stages: what they asked of it while there was none is done to it. It refuses to know
//! what a stage asks for.

use std::ops::Range;

use super::run::{Run, bit};

impl Run {
    /// The response passes these stages, the last first: what they asked for while there was none is done to it. The
    /// culprit does not see its own answer.
    pub(super) fn pass(&mut self, stages: Range<usize>, culprit: Option<usize>) {
        if !self.x().has_ahead() {
            return;
        }
        for index in stages.rev() {
            if !self.is_out(index) && culprit != Some(index) {
                self.x().make_ahead(index);
            }
        }
    }

    /// [`pass`](Self::pass) of all stages below `below`, after which no hook can replace the response.
    pub(super) fn pass_all(&mut self, below: usize, culprit: Option<usize>) {
        if !self.x().has_ahead() {
            return;
        }
        let out = self.every_out();
        self.x()
            .make_all_ahead(below, |index| out & bit(index) == 0 && culprit != Some(index));
    }
}
