//! A try at an upstream whose request's body goes through filters. It refuses to know what they do.
//!
//! Filters are called while the try is under way, and an exchange is wholly a plugin's own during a call: so the try goes by a copy of
//! the request's head, and the exchange is lent to the filters meanwhile.

use tokio::time::Instant;

use super::attempt::{Terms, came, head};
use super::hedge;
use crate::gateway::view::UpstreamView;
use crate::net::RequestBody;
use crate::pipeline::{Payload, Run};
use crate::upstream::{Aim, Failure, Until};

/// Sends the request once, or once more beside a slow first time.
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
    let aim = Aim {
        key: tie.key,
        stick: tie.stick,
        tried: terms.tried,
        picker: None,
    };
    let sent = Instant::now();
    let until = Until {
        end,
        head: terms.within.map(|within| sent + within),
    };
    run.lend();
    let (result, tries) = match terms.hedge {
        Some(hedge) if hedge::suits(&head, &body) => {
            hedge::race(target, head, until, aim, terms.within, hedge).await
        }
        _ => (target.cluster.send(head, body, until, aim).await, 0),
    };
    run.recall().await;
    let x = run.x();
    x.answered_by.tries += tries;
    came(x, target, tie, sent, result)
}
