//! After the last byte: `on-finish` of every stage that the request reached, off the request path.

use std::rc::Rc;

use bytes::Bytes;

use super::run::Run;
use crate::abi::Outcome;
use crate::exchange::Side;
use crate::plugin::Hook;

impl Run {
    /// There is an `on-finish` hook to call.
    #[must_use]
    pub fn has_finish(&self) -> bool {
        let mut finish = self.pipeline.finish.iter();
        finish.any(|&index| index < self.reached() && !self.is_absent(index))
    }

    /// Lets go of everything but what they need: an exchange that may stay open for long keeps no instances of a
    /// configuration that was replaced long ago.
    pub fn let_go(&mut self) {
        self.pipeline = self.pipeline.only_finish(self.reached());
        let x = self.x();
        x.deadline = None;
        x.compact();
    }

    /// Keeps the copy of a body for them.
    pub fn captured(&mut self, side: Side, bytes: Bytes) {
        self.reclaim();
        if let Some(x) = &mut self.x {
            x.set_captured(side, bytes);
        }
    }

    /// Calls them, in order. A hook that fails is logged and counted; nobody waits for it.
    pub async fn finish(mut self, outcome: Outcome) {
        self.call_finish(outcome).await;
    }

    /// The same for who wants to know what they came to.
    pub async fn call_finish(&mut self, outcome: Outcome) {
        let pipeline = Rc::clone(&self.pipeline);
        let reached = self.reached();
        for &index in pipeline.finish.iter().filter(|&&index| index < reached) {
            let outcome = outcome.clone();
            let call = self.invoke(index, Hook::OnFinish, async |instance, x, at| {
                instance.on_finish(x, at, outcome).await
            });
            drop(call.await);
        }
    }
}
