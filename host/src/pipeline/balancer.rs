//! Balancers: plugins that pick the endpoint of a try, for upstreams that name one. They are no stages of a pipeline, and may be
//! asked several times in one exchange. Which endpoints there are, and what follows from the choice, is the caller's to know.

use std::rc::Rc;

use super::run::Run;
use super::stage::Stage;
use crate::config::OnFault;
use crate::message::problem::ErrorKind;
use crate::plugin::{Admission, Hook};
use crate::upstream::Candidate;

/// The place that a balancer has among the stages: none.
const NO_STAGE: usize = usize::MAX;

/// The entry that picks the endpoints of an upstream.
#[derive(Debug)]
pub struct Balancer {
    stage: Stage,
}

impl Balancer {
    /// The balancer that an entry is. One that is none, for it went on with a version from before it was named as one, is not
    /// available.
    #[must_use]
    pub fn new(mut entry: Stage) -> Rc<Self> {
        if !entry.has(Hook::Balancer) {
            entry.pool = None;
        }
        Rc::new(Self { stage: entry })
    }
}

/// Why a balancer's exchange is answered with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the balancer failed")]
pub struct Unbalanced(pub ErrorKind);

/// A balancer that an exchange has asked.
#[derive(Debug)]
pub(super) struct Asked {
    balancer: Rc<Balancer>,
    /// Why it is not called again, if so.
    missed: Option<ErrorKind>,
}

impl Run {
    /// Asks a balancer for one of `candidates`: its index, or none for no preference.
    ///
    /// # Errors
    /// When it fails, or did before, and its entry's `on-fault` rejects.
    pub async fn pick(
        &mut self,
        balancer: &Rc<Balancer>,
        upstream: &str,
        candidates: &[Candidate],
    ) -> Result<Option<usize>, Unbalanced> {
        let stage = &balancer.stage;
        let Some(pool) = &stage.pool else {
            stage.stats.rejected();
            return Err(Unbalanced(ErrorKind::PluginUnavailable));
        };
        let unit = pool.unit();
        let known = self
            .asked
            .iter()
            .position(|asked| Rc::ptr_eq(&asked.balancer, balancer));
        let at = match known {
            Some(at) => at,
            None => {
                let closed = unit.health_of(Hook::Balancer).admit(crate::clock::monotonic_ns);
                let missed = (closed == Admission::Closed).then_some(ErrorKind::PluginUnavailable);
                self.asked.push(Asked {
                    balancer: Rc::clone(balancer),
                    missed,
                });
                self.asked.len() - 1
            }
        };
        let missed = match self.asked.get(at).and_then(|asked| asked.missed) {
            Some(kind) => kind,
            None => {
                let called = self.call(stage, pool, Hook::Balancer, NO_STAGE, async |instance, x, at| {
                    instance.pick(x, at, upstream, candidates).await
                });
                match called.await {
                    Ok(answer) => return Ok(answer.flatten()),
                    Err(kind) => kind,
                }
            }
        };
        // Counted once in an exchange, as a stage.
        let counted = known.is_some() && self.asked.get(at).is_some_and(|asked| asked.missed.is_some());
        if let Some(asked) = self.asked.get_mut(at) {
            asked.missed = Some(missed);
        }
        match unit.on_fault() {
            OnFault::Skip => {
                if !counted {
                    stage.stats.skipped();
                }
                Ok(None)
            }
            OnFault::Reject => {
                if !counted {
                    stage.stats.rejected();
                }
                Err(Unbalanced(missed))
            }
        }
    }

    /// Balancers that did not fail have worked.
    pub(super) fn settle_balancers(&mut self) {
        for asked in self.asked.drain(..).filter(|asked| asked.missed.is_none()) {
            asked.balancer.stage.worked();
        }
    }
}
