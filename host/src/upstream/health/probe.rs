//! One health check: a connection, a request and its answer, or a call of gRPC. It refuses to know what follows from it.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tokio::time::Instant;

use super::super::balance::Policy;
use super::super::care::CareRules;
use super::super::cluster::{Cluster, Until};
use super::super::connect;
use super::super::failure::FailureKind;
use super::super::lineup::Aim;
use super::super::member::Member;
use super::super::pool::Slot;
use super::super::reply::Reply;
use super::super::request::RequestHead;
use super::super::settings::{Endpoint, Settings};
use super::super::shared::Shared;
use super::grpc::{self, Said};
use super::{GrpcProbe, HealthRules, HttpProbe, Probe};
use crate::message::grpc::GrpcStatus;

/// Why a check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::upstream) enum Why {
    /// There was no answer.
    #[error("{0}")]
    Failed(FailureKind),
    /// There was an answer, but none of those that are expected.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// The call ended badly.
    #[error("the call ended with {}", .0.name())]
    Call(GrpcStatus),
    /// The call ended well, and the service does not serve.
    #[error("it says that it is {}", .0.name())]
    Says(Said),
    /// The call ended well, and there is no telling what it says.
    #[error("its answer is none to a health check")]
    Unreadable,
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
            Probe::Http(HttpProbe { host: Some(host), .. })
            | Probe::Grpc(GrpcProbe { host: Some(host), .. }) => host.clone(),
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
        let own: &[_] = match &rules.probe {
            Probe::Tcp | Probe::Http(_) => &[(CONNECTION, "close")],
            Probe::Grpc(_) => &[(CONTENT_TYPE, "application/grpc"), (TE, "trailers")],
        };
        let headers = own
            .iter()
            .cloned()
            .chain([(USER_AGENT, "portcullis-health-check")]);
        Self {
            slot: Slot::new(member, &shared, Instant::now()),
            cluster,
            rules: rules.clone(),
            authority,
            headers: headers
                .map(|(name, value)| (name, HeaderValue::from_static(value)))
                .collect(),
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
            Probe::Grpc(call) => self.call(call, end.into()).await,
        }
    }

    async fn send(
        &self,
        method: &Method,
        target: &str,
        body: Bytes,
        until: Until,
    ) -> Result<Response<Reply<Full<Bytes>>>, Why> {
        let head = RequestHead {
            method,
            target,
            authority: &self.authority,
            headers: &self.headers,
            upgrade: None,
            via: None,
        };
        let answer = self.cluster.send(head, Full::new(body), until, Aim::default());
        answer.await.map_err(|failure| Why::Failed(in_time(failure.kind)))
    }

    async fn call(&self, call: &GrpcProbe, until: Until) -> Result<(), Why> {
        let question = grpc::question(&call.service);
        let answer = self.send(&Method::POST, grpc::CHECK, question, until).await?;
        let (head, mut body) = answer.into_parts();
        if head.status != StatusCode::OK {
            return Err(Why::Status(head.status));
        }
        let (mut message, mut status) = (BytesMut::new(), GrpcStatus::of(&head.headers));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|failure| Why::Failed(in_time(failure.kind)))?;
            if let Some(trailers) = frame.trailers_ref() {
                status = GrpcStatus::of(trailers);
            }
            message.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            if message.len() > grpc::MAX_ANSWER {
                return Err(Why::Unreadable);
            }
        }
        match status.unwrap_or(GrpcStatus::Unknown) {
            GrpcStatus::Ok => {}
            status => return Err(Why::Call(status)),
        }
        match grpc::answer(&message) {
            Some(Said::Serving) => Ok(()),
            Some(other) => Err(Why::Says(other)),
            None => Err(Why::Unreadable),
        }
    }

    async fn ask(&self, http: &HttpProbe, until: Until) -> Result<(), Why> {
        let answer = self.send(&http.method, &http.path, Bytes::new(), until).await?;
        let status = answer.status();
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
