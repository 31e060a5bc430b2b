//! Routers and the route table together: a route that a router names takes the place of the one that the table found.
//! It knows no hook and no verdict.

use std::rc::Rc;
use std::sync::Arc;

use super::ending::Ending;
use super::view::RouteAt;
use crate::message::problem::{ErrorKind, Problem};

/// Asks the routers of a request that was taken in. `refused` says why no route was found for it, if so; what else may
/// stand there was decided before any route, and no router is asked.
///
/// A named route is taken as it is: the predicates of its `match` are not looked at.
///
/// # Errors
/// Why the request is refused.
pub(super) async fn ask(ending: &mut Ending, refused: Option<ErrorKind>) -> Result<(), Box<Problem>> {
    let problem = |kind: ErrorKind| Box::new(Problem::new(kind));
    if let Some(kind) = refused.filter(|kind| *kind != ErrorKind::NoRoute) {
        return Err(problem(kind));
    }
    let view = Rc::clone(&ending.view);
    let (Some(routers), Some(routing)) = (&view.routers, view.generation.tables.get(ending.at.listener))
    else {
        return refused.map_or(Ok(()), |kind| Err(problem(kind)));
    };
    // Neither the route nor its pipeline and deadline exist for the routers.
    let by_table = ending.at.route.take();
    let asking = ending.run();
    asking.x().route = None;
    asking.x().deadline = None;
    asking.enter(Rc::clone(routers));
    let named = asking.ask_routers(|name| routing.named(name)).await?;
    asking.settle();

    ending.enter(RouteAt {
        route: named.or(by_table),
        ..ending.at
    });
    if ending.at.route.is_none() {
        return Err(problem(ErrorKind::NoRoute));
    }
    Ok(())
}

impl Ending {
    /// Puts the exchange into the pipeline of a route, or of the listener where there is none.
    fn enter(&mut self, at: RouteAt) {
        let view = Rc::clone(&self.view);
        self.at = at;
        let Some(route) = view.route(at) else { return };
        let run = self.run();
        let x = run.x();
        x.route = at.route.map(|_| Arc::clone(&route.name));
        x.deadline = route.timeout.map(|timeout| x.started + timeout);
        run.enter(Rc::clone(&route.pipeline));
    }
}
