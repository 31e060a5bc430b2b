//! One health check: a connection, or a request and its answer. It refuses to know what follows from it.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::Empty;
use tokio::time::Instant;

use super::super::balance::Policy;
use super::super::care::CareRules;
use super::super::cluster::{Cluster, Until};
use super::super::connect;
use super::super::failure::FailureKind;
use super::super::lineup::Aim;
use super::super::member::Member;
use super::super::pool::Slot;
use super::super::request::RequestHead;
use super::super::settings::{Endpoint, Settings};
use super::super::shared::Shared;
use super::{HealthRules, HttpProbe, Probe};

/// Why a check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::upstream) enum Why {
    /// There was no answer.
    #[error("{0}")]
    Failed(FailureKind),
    /// There was an answer, but none of those that are expected.
    #[error("it answered {0}")]
    Status(StatusCode),
}

/// Checks one endpoint, on a connection of its own each time.
#[derive(Debug)]
pub(in crate::upstream) struct Prober {
    cluster: Rc<Cluster>,
    slot: Rc<Slot>,
    rules: HealthRules,
    /// The Host field.
    authority: String,
    headers: HeaderMap,
}

impl Prober {
    /// That of `member`, with the settings of its upstream where the check has none of its own.
    pub(in crate::upstream) fn new(settings: &Settings, member: &Member, rules: &HealthRules) -> Self {
        let port = rules.port.unwrap_or(member.endpoint().port);
        let address = member.address().map(|address| match rules.port {
            Some(port) => SocketAddr::new(address.ip(), port),
            None => address,
        });
        let endpoint = Endpoint {
            host: address.map_or_else(
                || member.endpoint().host.clone(),
                |address| address.ip().to_string(),
            ),
            port: address.map_or(port, |address| address.port()),
        };
        let named = Endpoint {
            host: member.endpoint().host.clone(),
            port,
        };
        let authority = match &rules.probe {
            Probe::Http(HttpProbe { host: Some(host), .. }) => host.clone(),
            _ => named.to_string(),
        };
        let member = Arc::new(Member::new(endpoint.clone(), None));
        let own = Settings {
            endpoints: vec![endpoint.into()],
            policy: Policy::RoundRobin,
            connect_timeout: rules.timeout,
            first_byte_timeout: rules.timeout,
            idle_timeout: rules.timeout,
            max_idle: 0,
            care: CareRules::default(),
            // The check is sent to an address, but the certificate is for the name that the endpoint has.
            tls: settings
                .tls
                .as_ref()
                .map(|tls| Arc::new(tls.for_host(named.bare_host()))),
            ..settings.clone()
        };
        let shared = Shared::new(Arc::new(own), None);
        let cluster = Cluster::new(Arc::clone(&shared));
        let headers = [
            (CONNECTION, HeaderValue::from_static("close")),
            (USER_AGENT, HeaderValue::from_static("portcullis-health-check")),
        ];
        Self {
            slot: Slot::new(member, &shared, Instant::now()),
            cluster,
            rules: rules.clone(),
            authority,
            headers: headers.into_iter().collect(),
        }
    }

    /// Checks it once.
    ///
    /// # Errors
    /// Why it did not pass.
    pub(in crate::upstream) async fn probe(&self) -> Result<(), Why> {
        let end = Instant::now().checked_add(self.rules.timeout);
        match &self.rules.probe {
            Probe::Tcp => match connect::open(&self.slot, end).await {
                Ok(_) => Ok(()),
                Err(fault) => Err(Why::Failed(in_time(fault.kind))),
            },
            Probe::Http(http) => self.ask(http, end.into()).await,
        }
    }

    async fn ask(&self, http: &HttpProbe, until: Until) -> Result<(), Why> {
        let head = RequestHead {
            method: &http.method,
            target: &http.path,
            authority: &self.authority,
            headers: &self.headers,
            upgrade: None,
            via: None,
        };
        let body = Empty::<Bytes>::new();
        let answer = self.cluster.send(head, body, until, Aim::default()).await;
        let status = answer
            .map_err(|failure| Why::Failed(in_time(failure.kind)))?
            .status();
        if http.expect.contains(status) {
            Ok(())
        } else {
            Err(Why::Status(status))
        }
    }
}

/// The deadline is the check's own.
fn in_time(kind: FailureKind) -> FailureKind {
    match kind {
        FailureKind::Deadline => FailureKind::FirstByteTimeout,
        kind => kind,
    }
}
