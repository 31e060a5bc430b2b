//! Copies of requests for a second upstream, which nobody waits for. It refuses to touch the exchange that it copies.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Version};
use http_body::Body as _;
use tokio::time::Instant;

use super::attempt::note;
use super::source::Source;
use crate::config::Mirror;
use crate::exchange::RequestHead as Head;
use crate::gateway::view::View;
use crate::ids;
use crate::net::RequestBody;
use crate::upstream::{Aim, RequestHead, Until};

/// Longest time of a copy, its response included.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a response that are read, so that its connection can be used again.
const DRAINED: usize = 1 << 20;

/// The copies of one route in one worker.
#[derive(Debug)]
pub(in crate::gateway) struct Mirroring {
    rules: Mirror,
    under_way: Rc<Cell<usize>>,
}

impl Mirroring {
    /// Copies requests as `rules` say.
    #[must_use]
    pub(in crate::gateway) fn new(rules: Mirror) -> Self {
        Self {
            rules,
            under_way: Rc::default(),
        }
    }

    /// Whether the next request is copied.
    pub(super) fn is_due(&self) -> bool {
        // 2^64 / 100, so that 100 per cent are all.
        const PERCENT: u64 = u64::MAX / 100;
        let percent = u64::from(self.rules.percent);
        percent >= 100 || ids::new_span_id() / PERCENT < percent
    }

    /// Bytes of a body that are kept for the copy.
    pub(super) fn max_body(&self) -> u64 {
        self.rules.max_body
    }

    /// Sends a copy as soon as its body is there. Whatever keeps it from being sent is counted, and nothing else.
    pub(super) fn copy(&self, view: &Rc<View>, head: &Head, source: &Source) {
        let Some(target) = view.upstreams.get(self.rules.upstream) else {
            return;
        };
        let body = source.again().filter(|body| match body {
            RequestBody::Kept(_) => true,
            body => body.size_hint().lower() <= self.rules.max_body,
        });
        let (Some(body), true) = (body, self.under_way.get() < self.rules.max_concurrent) else {
            target.stats.unmirrored();
            return;
        };
        let place = Place::take(&self.under_way);
        let copy = Copy {
            method: head.method.clone(),
            target: head.target.clone(),
            authority: head.authority.clone(),
            headers: head.headers.clone(),
            version: head.version,
        };
        let (view, index) = (Rc::clone(view), self.rules.upstream);
        tokio::task::spawn_local(async move {
            let sending = copy.send(&view, index, body);
            if tokio::time::timeout(PATIENCE, sending).await.is_err() {
                tracing::debug!("a mirrored request took too long");
            }
            drop(place);
        });
    }
}

/// A copy under way.
struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(under_way: &Rc<Cell<usize>>) -> Self {
        under_way.set(under_way.get() + 1);
        Self(Rc::clone(under_way))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// The head of a request, on its own.
struct Copy {
    method: Method,
    target: PathAndQuery,
    authority: HeaderValue,
    headers: HeaderMap,
    version: Version,
}

impl Copy {
    async fn send(&self, view: &View, index: usize, body: RequestBody) {
        let Some(target) = view.upstreams.get(index) else {
            return;
        };
        let body = match body {
            RequestBody::Kept(body) => body.whole().await,
            body => Some(body),
        };
        let Some(body) = body else {
            target.stats.unmirrored();
            return;
        };
        let head = RequestHead {
            method: &self.method,
            target: self.target.as_str(),
            authority: self.authority.to_str().unwrap_or("\0"),
            headers: &self.headers,
            upgrade: None,
            via: target.via.as_ref().map(|via| via.of(self.version)),
        };
        target.stats.mirrored();
        target.stats.request();
        let sent = Instant::now();
        let result = target
            .cluster
            .send(head, body, Until::default(), Aim::default())
            .await;
        target.stats.connected(target.cluster.take_connects());
        match result {
            Ok(response) => {
                target.stats.response(sent.elapsed());
                let (mut body, mut left) = (response.into_body(), DRAINED);
                while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                    match left.checked_sub(frame.data_ref().map_or(0, bytes::Bytes::len)) {
                        Some(rest) => left = rest,
                        None => break,
                    }
                }
            }
            Err(failure) => note(target, &failure),
        }
    }
}
