//! One exchange of a test: built up, run through hooks, looked at. Knows no rules; those are the fake host's.

use std::time::Duration;

use crate::exchange::{Finished, GatewayError, Outcome, Request, Response};
use crate::hooks::{
    OnError, OnFinish, OnRequest, OnRequestBody, OnResponse, OnResponseBody, Pick, Respond, Route,
};
use crate::host::fake::{
    self,
    exchange::{Data, Fields, Phase, split},
};
use crate::testing::{FakeHost, judge};
use crate::verdict::Done;
use crate::{
    Action, Answer, Blob, BodyAction, Candidates, Choice, Endpoint, ErrorAction, IntoVerdict, Kept, Plugin,
    Preference, ResponseAction, ResponseBodyAction, Side, settle, state,
};

/// An exchange in a fake host. Build it with the chained methods, run hooks, look at what they did.
#[derive(Debug)]
pub struct FakeExchange {
    host: FakeHost,
    data: Data,
}

impl FakeExchange {
    pub(super) fn new(host: FakeHost) -> Self {
        let data = Data {
            route: "test".to_owned(),
            client_ip: "192.0.2.1".to_owned(),
            method: "GET".to_owned(),
            authority: "example.com".to_owned(),
            path: "/".to_owned(),
            ..Data::default()
        };
        Self { host, data }
    }

    /// The method of the request.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.data.method);
        self
    }

    /// Path and query of the request.
    #[must_use]
    pub fn target(mut self, target: &str) -> Self {
        (self.data.path, self.data.query) = split(target);
        self
    }

    /// The host that the request names.
    #[must_use]
    pub fn authority(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.data.authority);
        self
    }

    /// A further header field of the request.
    ///
    /// # Panics
    /// For a field that HTTP cannot carry.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        append(&mut self.data.request, name, value);
        self
    }

    /// The body of the request.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.data.request_body = body.into();
        self
    }

    /// The address of the client.
    #[must_use]
    pub fn client_ip(mut self, address: &str) -> Self {
        address.clone_into(&mut self.data.client_ip);
        self
    }

    /// The name of the route.
    #[must_use]
    pub fn route(mut self, name: &str) -> Self {
        name.clone_into(&mut self.data.route);
        self
    }

    /// A property of the exchange.
    #[must_use]
    pub fn property(mut self, key: &str, value: &str) -> Self {
        self.data.properties.insert(key.to_owned(), value.to_owned());
        self
    }

    /// An attribute that an earlier plugin wrote.
    #[must_use]
    pub fn with_attribute(mut self, key: &str, value: &str) -> Self {
        self.data.attributes.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Grants writing attributes that start with `prefix`, as `allow = { attributes = [prefix] }` does.
    #[must_use]
    pub fn grant(mut self, prefix: &str) -> Self {
        self.data.grants.push(prefix.to_owned());
        self
    }

    /// A named upstream that `set_upstream` finds.
    #[must_use]
    pub fn with_upstream(mut self, name: &str) -> Self {
        self.data.upstreams.push(name.to_owned());
        self
    }

    /// The status of the response, or of the error for `on_error`.
    #[must_use]
    pub fn response(mut self, status: u16) -> Self {
        self.data.status = status;
        self
    }

    /// A further header field of the response.
    ///
    /// # Panics
    /// For a field that HTTP cannot carry.
    #[must_use]
    pub fn with_response_header(mut self, name: &str, value: &str) -> Self {
        append(&mut self.data.response, name, value);
        self
    }

    /// The body of the response.
    #[must_use]
    pub fn with_response_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.data.response_body = body.into();
        self
    }

    /// Runs `route` and gives its choice, which becomes the name of the route if it is one.
    pub fn routed<P: Route>(&mut self, plugin: &mut P) -> Option<String> {
        let call = || plugin.route(&Request::new()).into_verdict();
        let Choice(name) = self.run(Phase::Route, |_| {}, call);
        if let Some(name) = &name {
            self.data.route.clone_from(name);
        }
        name
    }

    /// Runs `on_request`. A state goes to the host.
    pub fn on_request<P: OnRequest>(&mut self, plugin: &mut P) -> Action {
        let call = || settle::action(plugin.on_request(&mut Request::new()).into_verdict());
        self.run(Phase::Request, judge::action, call)
    }

    /// Runs `on_request_body`. A state goes to the host, a replacement becomes the request's body.
    pub fn on_request_body<P: OnRequestBody>(&mut self, plugin: &mut P) -> BodyAction {
        let body = Blob::from_bytes(&self.data.request_body);
        let call = || {
            settle::body_action(
                plugin
                    .on_request_body(&mut Request::new(), body, Kept::new())
                    .into_verdict(),
            )
        };
        let action = self.run(Phase::RequestBody, judge::body_action, call);
        if let BodyAction::Replace(content) = &action {
            self.data.request_body = content.to_vec();
        }
        action
    }

    /// The response passes the plugin, which has no `on_response` hook: what request hooks asked of it is done.
    pub fn pass_response(&mut self) {
        self.data.pass();
    }

    /// Runs `on_response`.
    pub fn on_response<P: OnResponse>(&mut self, plugin: &mut P) -> ResponseAction {
        self.data.pass();
        let call = || {
            plugin
                .on_response(&mut Response::new(), Kept::new())
                .into_verdict()
        };
        self.run(Phase::Response, judge::response_action, call)
    }

    /// Runs `on_response_body`. A replacement becomes the response's body.
    pub fn on_response_body<P: OnResponseBody>(&mut self, plugin: &mut P) -> ResponseBodyAction {
        let body = Blob::from_bytes(&self.data.response_body);
        let call = || {
            plugin
                .on_response_body(&mut Response::new(), body, Kept::new())
                .into_verdict()
        };
        let action = self.run(Phase::ResponseBody, judge::response_body_action, call);
        if let ResponseBodyAction::Replace(content) = &action {
            self.data.response_body = content.to_vec();
        }
        action
    }

    /// Runs `on_error` for an error of this kind and status.
    pub fn on_error<P: OnError>(&mut self, plugin: &mut P, kind: &str, status: u16) -> ErrorAction {
        self.data.status = status;
        self.data
            .properties
            .insert("error.kind".to_owned(), kind.to_owned());
        let call = || plugin.on_error(&GatewayError::new(), Kept::new()).into_verdict();
        self.run(Phase::Error, judge::error_action, call)
    }

    /// Runs `on_finish`.
    pub fn on_finish<P: OnFinish>(&mut self, plugin: &mut P, outcome: Outcome) {
        let finished = Finished::new(outcome);
        let call = || plugin.on_finish(&finished, Kept::new()).into_verdict();
        let Done = self.run(Phase::Finish, |_| {}, call);
    }

    /// Runs `pick` for an upstream with these endpoints and gives the one that was picked.
    ///
    /// # Panics
    /// Without an endpoint: the gateway asks nobody then.
    pub fn pick<'e, P: Pick>(
        &mut self,
        plugin: &mut P,
        upstream: &str,
        endpoints: &'e [Endpoint],
    ) -> Option<&'e Endpoint> {
        assert!(
            !endpoints.is_empty(),
            "a balancer is asked only where there is something to pick"
        );
        let candidates = Candidates {
            upstream: upstream.to_owned(),
            endpoints: endpoints.to_vec(),
        };
        let call = || plugin.pick(&Request::new(), &candidates).into_verdict();
        let Preference(picked) = self.run(Phase::Balance, |_| {}, call);
        judge::preference(picked, endpoints.len());
        endpoints.get(picked?)
    }

    /// Runs `respond` with the request's body.
    pub fn respond<P: Respond>(&mut self, plugin: &mut P) -> Answer {
        let body = Blob::from_bytes(&self.data.request_body);
        let call = || plugin.respond(&Request::new(), body).into_verdict();
        self.run(Phase::Respond, judge::answer, call)
    }

    /// The host in which the exchange runs.
    #[must_use]
    pub fn host(&self) -> &FakeHost {
        &self.host
    }

    /// The method that the upstream would get.
    #[must_use]
    pub fn request_method(&self) -> &str {
        &self.data.method
    }

    /// Path and query that the upstream would get.
    #[must_use]
    pub fn request_target(&self) -> String {
        match &self.data.query {
            Some(query) => format!("{}?{query}", self.data.path),
            None => self.data.path.clone(),
        }
    }

    /// The host that the upstream would get.
    #[must_use]
    pub fn request_authority(&self) -> &str {
        &self.data.authority
    }

    /// The first value of a request header.
    #[must_use]
    pub fn request_header(&self, name: &str) -> Option<&str> {
        self.data.request.get(name)
    }

    /// All values of a request header.
    #[must_use]
    pub fn request_headers(&self, name: &str) -> Vec<&str> {
        self.data.request.values(name).collect()
    }

    /// The body that the upstream would get.
    #[must_use]
    pub fn request_body(&self) -> &[u8] {
        &self.data.request_body
    }

    /// The status that the client would get; 0 without a response.
    #[must_use]
    pub fn response_status(&self) -> u16 {
        self.data.status
    }

    /// The first value of a response header.
    #[must_use]
    pub fn response_header(&self, name: &str) -> Option<&str> {
        self.data.response.get(name)
    }

    /// All values of a response header.
    #[must_use]
    pub fn response_headers(&self, name: &str) -> Vec<&str> {
        self.data.response.values(name).collect()
    }

    /// The body that the client would get.
    #[must_use]
    pub fn response_body(&self) -> &[u8] {
        &self.data.response_body
    }

    /// An attribute.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.data.attributes.get(key).map(String::as_str)
    }

    /// The upstream that the plugin chose.
    #[must_use]
    pub fn upstream(&self) -> Option<&str> {
        self.data.upstream.as_deref()
    }

    /// How long the plugin asked the host to wait before the next stage.
    #[must_use]
    pub fn delay(&self) -> Option<Duration> {
        let wait = self.data.delay_ms?;
        Some(Duration::from_millis(wait.into()))
    }

    /// Whether the plugin asked for no body hooks of its own on that side.
    #[must_use]
    pub fn skips_body(&self, side: Side) -> bool {
        self.data.skipped.contains(&side)
    }

    /// The state that the plugin keeps for its later hooks.
    #[must_use]
    pub fn state<P: Plugin>(&self) -> Option<P::State> {
        self.data.state.as_deref().and_then(state::decode)
    }

    /// Runs a hook in the host with this exchange, and the judge over its verdict.
    fn run<R>(&mut self, phase: Phase, judge: fn(&R), call: impl FnOnce() -> R) -> R {
        let mut data = std::mem::take(&mut self.data);
        data.phase = phase;
        let (result, data) = fake::enter(&self.host.world, Some(data), || {
            let result = call();
            judge(&result);
            result
        });
        self.data = data.unwrap_or_default();
        result
    }
}

fn append(fields: &mut Fields, name: &str, value: &str) {
    let appended = fields.append(name, value);
    assert!(
        appended.is_ok(),
        "the header `{name}: {value}` is refused: {appended:?}"
    );
}
