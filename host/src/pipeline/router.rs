//! Routers: plugins that are asked for a route before the route table, in the order of `[gateway] routers`. They read
//! the request and may leave attributes; nothing else of them takes part in the exchange, for no route and so no
//! pipeline is known yet. Which routes there are is the caller's to know.

use std::rc::Rc;

use super::{Pipeline, Run, Stage};
use crate::message::problem::Problem;
use crate::plugin::Hook;

impl Pipeline {
    /// The routers of a gateway, to be asked in this order; none when there are none. An entry that is no router is
    /// left out; one that could not be loaded stays, and answers 503.
    #[must_use]
    pub fn of_routers(entries: Vec<Stage>) -> Option<Rc<Self>> {
        let mut routers = entries;
        routers.retain(|stage| !stage.is_available() || stage.has(Hook::Router));
        (!routers.is_empty()).then(|| Self::new(routers, Vec::new(), None))
    }
}

impl Run {
    /// Asks every router in turn until one names a route that `find` knows. A name that it does not know is counted, and
    /// the next router is asked: the answer was none.
    ///
    /// # Errors
    /// When a router fails and its entry's `on-fault` rejects.
    pub async fn ask_routers<T>(
        &mut self,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Box<Problem>> {
        let routers = Rc::clone(&self.pipeline);
        for (index, router) in routers.stages.iter().enumerate() {
            let answer = self.invoke(index, Hook::Router, async |instance, x, at| {
                instance.route(x, at).await
            });
            let Some(Some(name)) = answer.await? else { continue };
            if let Some(route) = find(&name) {
                return Ok(Some(route));
            }
            router.stats.unknown_route();
            tracing::debug!(
                plugin = &*router.name,
                route = name,
                "a router named an unknown route"
            );
        }
        Ok(None)
    }
}
