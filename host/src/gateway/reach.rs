//! What plugins reach outside through their worker: granted origins, by connections that are kept, and upstreams of the
//! configuration. It refuses to know which hook asks.

mod origin;

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use http::Uri;
use http::uri::PathAndQuery;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use self::origin::Origins;
use super::view::{UpstreamView, View};
use crate::abi::{EntryContext, HttpAnswer, HttpCall, HttpError, Outside, Work, patience};
use crate::config::{HttpGrant, HttpScheme};
use crate::message::body::{CollectError, collect_capped};
use crate::net::RequestBody;
use crate::upstream::{Aim, Cluster, Failure, FailureKind, RequestHead, Until};

/// What one worker's plugins reach outside.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// The view that new requests are served by; its pools know this.
    view: RefCell<Weak<View>>,
    /// Upstreams where no view is.
    upstreams: RefCell<Vec<Rc<UpstreamView>>>,
    origins: Origins,
}

impl Reach {
    /// Upstreams are those of this view from now on.
    pub(super) fn adopt(&self, view: &Rc<View>) {
        *self.view.borrow_mut() = Rc::downgrade(view);
    }

    /// Upstreams are these from now on, on a thread that has no view.
    pub(super) fn adopt_upstreams(&self, upstreams: Vec<Rc<UpstreamView>>) {
        *self.upstreams.borrow_mut() = upstreams;
    }

    /// Drops connections that nobody used for long. The worker calls it once a second.
    pub(super) fn sweep(&self) {
        self.origins.sweep();
    }

    async fn send(
        &self,
        entry: &EntryContext,
        call: HttpCall,
        until: Instant,
    ) -> Result<HttpAnswer, HttpError> {
        let until = call.until.map_or(until, |own| own.min(until));
        let sending = async {
            let uri: Uri = call
                .uri
                .parse()
                .map_err(|_| HttpError::Invalid("this is no absolute URI".to_owned()))?;
            match uri.scheme_str() {
                Some("upstream") => self.by_upstream(entry, &uri, call, until).await,
                Some("http") => self.by_origin(entry, HttpScheme::Http, &uri, call, until).await,
                Some("https") => self.by_origin(entry, HttpScheme::Https, &uri, call, until).await,
                _ => Err(HttpError::Invalid(
                    "the URI's scheme is none of `http`, `https` and `upstream`".to_owned(),
                )),
            }
        };
        timeout_at(until, sending)
            .await
            .unwrap_or(Err(HttpError::Timeout))
    }

    async fn by_upstream(
        &self,
        entry: &EntryContext,
        uri: &Uri,
        call: HttpCall,
        until: Instant,
    ) -> Result<HttpAnswer, HttpError> {
        let name = uri.authority().map_or("", |authority| authority.as_str());
        let granted = |grant: &HttpGrant| matches!(grant, HttpGrant::Upstream(own) if **own == *name);
        if !entry.grants.http.iter().any(granted) {
            return Err(denied(format_args!("upstream://{name}")));
        }
        let gone = || HttpError::Failed(format!("there is no upstream `{name}`"));
        let view = self.view.borrow().upgrade();
        let own = {
            let upstreams = self.upstreams.borrow();
            upstreams.iter().find(|upstream| &*upstream.name == name).cloned()
        };
        let of_view = view.as_ref().and_then(|view| {
            let mut upstreams = view.upstreams.iter();
            upstreams.find(|upstream| &*upstream.name == name)
        });
        let target = of_view.or(own.as_deref()).ok_or_else(gone)?;
        let authority = call.headers.get(http::header::HOST).cloned();
        let authority = authority.as_ref().and_then(|host| host.to_str().ok());
        target.stats.request();
        let sent = Instant::now();
        let answered = exchange(
            &target.cluster,
            uri,
            authority.unwrap_or(name),
            call,
            until,
            |result| {
                target.stats.connected(target.cluster.take_connects());
                match result {
                    Ok(()) => target.stats.response(sent.elapsed()),
                    Err(failure) => super::forward::note(target, failure),
                }
            },
        );
        answered.await
    }

    async fn by_origin(
        &self,
        entry: &EntryContext,
        scheme: HttpScheme,
        uri: &Uri,
        call: HttpCall,
        until: Instant,
    ) -> Result<HttpAnswer, HttpError> {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(HttpError::Invalid(
                "user information in a URI is not sent".to_owned(),
            ));
        }
        let host = uri.host().unwrap_or_default();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let (host, port) = (bare.unwrap_or(host), uri.port_u16().unwrap_or(scheme.port()));
        let granted = entry.grants.http.iter().find_map(|grant| match grant {
            HttpGrant::Origin {
                scheme: own,
                host: pattern,
                port: at,
            } if *own == scheme && *at == port && pattern.fits(host) => Some(pattern),
            _ => None,
        });
        let Some(pattern) = granted else {
            return Err(denied(format_args!("{}://{authority}", scheme.name())));
        };
        let cluster = self
            .origins
            .cluster(scheme, host, port, pattern, &entry.grants.private_networks)
            .await?;
        exchange(&cluster, uri, authority, call, until, |_| ()).await
    }
}

impl Outside for Reach {
    fn send_all(
        self: Rc<Self>,
        entry: Arc<EntryContext>,
        mut calls: Vec<HttpCall>,
        until: Instant,
    ) -> Work<Vec<Result<HttpAnswer, HttpError>>> {
        // Each ends by itself, before the guest gives up waiting for all of them.
        let until = patience(until);
        Box::pin(async move {
            if calls.len() == 1
                && let Some(call) = calls.pop()
            {
                return vec![self.send(&entry, call, until).await];
            }
            let mut answers: Vec<_> = calls.iter().map(|_| Err(HttpError::Timeout)).collect();
            let mut under_way = JoinSet::new();
            for (at, call) in calls.into_iter().enumerate() {
                let (reach, entry) = (Rc::clone(&self), Arc::clone(&entry));
                under_way.spawn_local(async move { (at, reach.send(&entry, call, until).await) });
            }
            while let Some(done) = under_way.join_next().await {
                if let Ok((at, answer)) = done
                    && let Some(place) = answers.get_mut(at)
                {
                    *place = answer;
                }
            }
            answers
        })
    }
}

fn denied(target: std::fmt::Arguments<'_>) -> HttpError {
    HttpError::Denied(format!("`{target}` is not granted to this plugin (`allow.http`)"))
}

/// Sends one request and takes its whole answer in. `told` hears how it went up to the answer's head.
async fn exchange(
    cluster: &Rc<Cluster>,
    uri: &Uri,
    authority: &str,
    call: HttpCall,
    until: Instant,
    told: impl FnOnce(Result<(), &Failure>),
) -> Result<HttpAnswer, HttpError> {
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let head = RequestHead {
        method: &call.method,
        target,
        authority,
        headers: &call.headers,
        upgrade: None,
        via: None,
    };
    let body = RequestBody::full(call.body.clone(), None);
    let until = Until::from(Some(until));
    let sent = Box::pin(cluster.send(head, body, until, Aim::default())).await;
    told(sent.as_ref().map(|_| ()));
    let response = sent.map_err(|failure| failed(&failure))?;
    let (parts, body) = response.into_parts();
    let most = usize::try_from(call.max_body).unwrap_or(usize::MAX);
    let whole = collect_capped(body, most).await.map_err(|error| match error {
        CollectError::TooLarge { .. } => HttpError::TooLong(call.max_body),
        CollectError::Body(failure) => failed(&failure),
    })?;
    Ok(HttpAnswer {
        status: parts.status,
        headers: parts.headers,
        body: whole.bytes,
    })
}

/// A failure in the plugin's words: its kind, and never an address.
fn failed(failure: &Failure) -> HttpError {
    match failure.kind {
        FailureKind::Deadline
        | FailureKind::ConnectTimeout
        | FailureKind::FirstByteTimeout
        | FailureKind::IdleTimeout => HttpError::Timeout,
        FailureKind::Unsendable(why) => HttpError::Invalid(why.to_owned()),
        _ => HttpError::Failed(failure.to_string()),
    }
}
