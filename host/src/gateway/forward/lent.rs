//! A try during which plugins are called: one that picks the endpoint, those that filter the request's body. It refuses to know what
//! they go by, and what follows a try.
//!
//! They are called while the try is under way, and an exchange is wholly a plugin's own during a call: so the try goes by a copy of
//! the request's head, and the exchange is lent out meanwhile.

use std::pin::Pin;
use std::rc::Rc;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::attempt::{Terms, came, head};
use super::hedge;
use crate::gateway::view::UpstreamView;
use crate::net::RequestBody;
use crate::pipeline::{Balancer, Payload, Run};
use crate::upstream::{Aim, Candidate, Failure, Picked, Picker, Until};

/// Sends the request once, or once more beside a slow first time, to endpoints that the upstream's balancer picks if it has one.
pub(super) async fn send(
    run: &mut Run,
    target: &UpstreamView,
    body: RequestBody,
    terms: Terms<'_>,
) -> Result<Payload, Box<Failure>> {
    let x = run.x();
    let (request, upgrade, end) = (x.request.clone(), x.upgrade.clone(), x.deadline);
    let affinity = target.affinity.as_deref();
    let tie = affinity.map(|affinity| affinity.tie(&x.request, x.client_ip));
    let tie = tie.unwrap_or_default();
    let head = head(target, &request, upgrade.as_ref());
    run.lend();
    let run = Mutex::new(run);
    let asking = target.balancer.as_ref().map(|balancer| Asking {
        run: &run,
        balancer,
        upstream: &target.name,
    });
    let aim = Aim {
        key: tie.key,
        stick: tie.stick,
        tried: terms.tried,
        picker: asking.as_ref().map(|asking| asking as &dyn Picker),
    };
    let sent = Instant::now();
    let until = Until {
        end,
        head: terms.within.map(|within| sent + within),
    };
    let (result, tries) = match terms.hedge {
        Some(hedge) if hedge::suits(&head, &body) => {
            hedge::race(target, head, until, aim, terms.within, hedge).await
        }
        _ => (target.cluster.send(head, body, until, aim).await, 0),
    };
    let run = run.into_inner();
    run.recall().await;
    let x = run.x();
    x.answered_by.tries += tries;
    came(x, target, tie, sent, result)
}

/// The plugin of an upstream, asked on behalf of one exchange: by one try at a time.
#[derive(Debug)]
struct Asking<'a, 'r> {
    run: &'a Mutex<&'r mut Run>,
    balancer: &'a Rc<Balancer>,
    upstream: &'a str,
}

impl Picker for Asking<'_, '_> {
    fn pick<'a>(&'a self, candidates: &'a [Candidate]) -> Pin<Box<dyn Future<Output = Picked> + 'a>> {
        Box::pin(async move {
            let mut run = self.run.lock().await;
            Ok(run.pick(self.balancer, self.upstream, candidates).await?)
        })
    }

    fn rest<'a>(&'a self) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async move { drop(self.run.lock().await) })
    }
}
