//! One live instance of a plugin: a wasmtime store, the hooks it exports, and the calls into it. A call
//! that fails kills the store; the exchange always comes back out.

mod filter;

use bytes::Bytes;
use wasmtime::component::{ComponentNamedList, Lift, Lower, Resource, ResourceAny, TypedFunc};
use wasmtime::{Store, UpdateDeadline};

use super::hook::{Fault, FaultKind, Hook};
use super::unit::Exports;
use crate::abi::{
    Accept, Answer, Blob, BodyAction, ErrorAction, HostState, Manifest, Outcome, RequestAction,
    ResponseAction, ResponseBodyAction, exports, imports, picked,
};
use crate::engine::CpuMeter;
use crate::exchange::{Exchange, Phase};
use crate::upstream::Candidate;

/// Blob handles that a guest may leak before it is replaced.
const MAX_LEAKED: usize = 1_000;

type Func<P, R> = Option<TypedFunc<P, (R,)>>;
type Given = (Resource<Blob>,);
type Choice = (String, Vec<imports::upstreams::Endpoint>);

/// Typed functions of one instance.
struct Functions {
    describe: TypedFunc<(), (exports::plugin::Manifest,)>,
    configure: TypedFunc<(String,), (Result<(), String>,)>,
    route: Func<(), Option<String>>,
    on_request: Func<(), exports::on_request::Action>,
    on_request_body: Func<Given, exports::on_request_body::Action>,
    on_response: Func<(), exports::on_response::Action>,
    on_response_body: Func<Given, exports::on_response_body::Action>,
    on_error: Func<(), exports::on_error::Action>,
    on_finish: Option<TypedFunc<(exports::on_finish::Outcome,), ()>>,
    pick: Func<Choice, Option<u32>>,
    respond: Func<Given, exports::responder::Answer>,
    filter: Option<filter::Functions>,
}

/// An instance. It serves one call at a time and may serve many exchanges one after the other.
pub struct Instance {
    store: Store<HostState>,
    functions: Functions,
    /// The filter of the exchange that leases it.
    filter: Option<ResourceAny>,
    calls: u64,
    dead: bool,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("state", self.store.data())
            .field("calls", &self.calls)
            .finish()
    }
}

/// A call's result together with the exchange that went into it.
pub type Called<T> = (Box<Exchange>, Result<T, Fault>);

impl Instance {
    /// Instantiates; `configure` has not been called yet.
    pub(super) fn start(
        pre: &wasmtime::component::InstancePre<HostState>,
        exports: &Exports,
        state: HostState,
    ) -> Result<Self, Fault> {
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.epoch_deadline_callback(|mut context| {
            let state = context.data_mut();
            state.cpu.check()?;
            Ok(if state.yields {
                UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
            } else {
                UpdateDeadline::Continue(1)
            })
        });
        begin(&mut store);
        let functions = pre
            .instantiate(&mut store)
            .and_then(|instance| functions(&mut store, &instance, exports));
        match functions {
            Ok(functions) => Ok(Self {
                store,
                functions,
                filter: None,
                calls: 0,
                dead: false,
            }),
            Err(error) => {
                let mut fault = Fault::of(Hook::Configure, &error, store.data().last_words());
                fault.detail = format!("cannot be instantiated: {error:#}");
                fault.kind = FaultKind::Start;
                Err(fault)
            }
        }
    }

    /// Calls `describe`.
    pub(super) fn describe(&mut self) -> Result<Manifest, Fault> {
        begin(&mut self.store);
        let result = self.functions.describe.call(&mut self.store, ());
        result
            .map(|(manifest,)| manifest.into())
            .map_err(|e| self.fault(Hook::Configure, &e))
    }

    /// Calls `configure`.
    ///
    /// # Errors
    /// The outer one when the call failed, the inner one when the plugin refuses its configuration.
    pub(super) fn configure(&mut self, config: &str) -> Result<Result<(), String>, Fault> {
        begin(&mut self.store);
        let result = self
            .functions
            .configure
            .call(&mut self.store, (config.to_owned(),));
        self.store.data_mut().end_hook();
        result
            .map(|(answer,)| answer)
            .map_err(|e| self.fault(Hook::Configure, &e))
    }

    /// Sets the time that each call in an exchange may take.
    pub(super) fn set_budget(&mut self, meter: CpuMeter) {
        self.store.data_mut().cpu = meter;
    }

    /// It may serve another call.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.dead
    }

    /// It should be replaced soon, though it still works.
    #[must_use]
    pub fn is_worn(&self, max_calls: u64) -> bool {
        (max_calls > 0 && self.calls >= max_calls) || self.store.data().leaked() > MAX_LEAKED
    }

    /// Calls `router`.
    pub async fn route(&mut self, x: Box<Exchange>, at: At) -> Called<Option<String>> {
        let function = self.functions.route;
        self.call(Hook::Router, Phase::Route, function, x, at, ()).await
    }

    /// Calls `on-request`.
    pub async fn on_request(&mut self, x: Box<Exchange>, at: At) -> Called<RequestAction> {
        let function = self.functions.on_request;
        self.call(Hook::OnRequest, Phase::Request, function, x, at, ())
            .await
    }

    /// Calls `on-request-body`.
    pub async fn on_request_body(&mut self, x: Box<Exchange>, at: At, body: Bytes) -> Called<BodyAction> {
        let function = self.functions.on_request_body;
        self.call_with(Hook::OnRequestBody, Phase::RequestBody, function, x, at, body)
            .await
    }

    /// Calls `responder`.
    pub async fn respond(&mut self, x: Box<Exchange>, at: At, body: Bytes) -> Called<Answer> {
        let function = self.functions.respond;
        self.call_with(Hook::Responder, Phase::Respond, function, x, at, body)
            .await
    }

    /// Calls `on-response`.
    pub async fn on_response(&mut self, x: Box<Exchange>, at: At) -> Called<ResponseAction> {
        let function = self.functions.on_response;
        self.call(Hook::OnResponse, Phase::Response, function, x, at, ())
            .await
    }

    /// Calls `on-response-body`.
    pub async fn on_response_body(
        &mut self,
        x: Box<Exchange>,
        at: At,
        body: Bytes,
    ) -> Called<ResponseBodyAction> {
        let function = self.functions.on_response_body;
        self.call_with(Hook::OnResponseBody, Phase::ResponseBody, function, x, at, body)
            .await
    }

    /// Calls `on-error`.
    pub async fn on_error(&mut self, x: Box<Exchange>, at: At) -> Called<ErrorAction> {
        let function = self.functions.on_error;
        self.call(Hook::OnError, Phase::Error, function, x, at, ()).await
    }

    /// Calls `on-finish`.
    pub async fn on_finish(&mut self, x: Box<Exchange>, at: At, outcome: Outcome) -> Called<()> {
        let Some(function) = self.functions.on_finish else {
            return (x, Ok(()));
        };
        self.enter(x, at, Phase::Finish);
        let result = if at.fiber {
            function.call_async(&mut self.store, (outcome.into(),)).await
        } else {
            function.call(&mut self.store, (outcome.into(),))
        };
        self.leave(Hook::OnFinish, result)
    }

    /// Calls `balancer`: the index of the candidate that it picks for this upstream; none for no preference.
    pub async fn pick(
        &mut self,
        x: Box<Exchange>,
        at: At,
        upstream: &str,
        candidates: &[Candidate],
    ) -> Called<Option<usize>> {
        let Some(function) = self.functions.pick else {
            return (x, Err(not_exported(Hook::Balancer)));
        };
        let choice = (upstream.to_owned(), candidates.iter().map(Into::into).collect());
        self.enter(x, at, Phase::Balance);
        let result = if at.fiber {
            function.call_async(&mut self.store, choice).await
        } else {
            function.call(&mut self.store, choice)
        };
        let result = result.and_then(|(answer,)| Ok(picked(answer, candidates.len())?));
        self.leave(Hook::Balancer, result)
    }

    /// A call whose argument is a body.
    async fn call_with<R>(
        &mut self,
        hook: Hook,
        phase: Phase,
        function: Func<Given, R>,
        x: Box<Exchange>,
        at: At,
        body: Bytes,
    ) -> Called<R::Into>
    where
        R: Accept + Lift + Send + Sync + 'static,
        (R,): ComponentNamedList + Lift,
    {
        match self.store.data_mut().lend(body) {
            Ok(blob) => self.call(hook, phase, function, x, at, (blob,)).await,
            Err(error) => {
                let fault = self.fault(hook, &error);
                (x, Err(fault))
            }
        }
    }

    async fn call<P, R>(
        &mut self,
        hook: Hook,
        phase: Phase,
        function: Func<P, R>,
        x: Box<Exchange>,
        at: At,
        params: P,
    ) -> Called<R::Into>
    where
        P: ComponentNamedList + Lower + Send + Sync + 'static,
        R: Accept + Lift + Send + Sync + 'static,
        (R,): ComponentNamedList + Lift,
    {
        let Some(function) = function else {
            return (x, Err(not_exported(hook)));
        };
        self.enter(x, at, phase);
        let result = if at.fiber {
            function.call_async(&mut self.store, params).await
        } else {
            function.call(&mut self.store, params)
        };
        let result = result.and_then(|(answer,)| Ok(answer.accept(self.store.data_mut())?));
        self.leave(hook, result)
    }

    fn enter(&mut self, x: Box<Exchange>, at: At, phase: Phase) {
        let state = self.store.data_mut();
        state.exchange = Some(x);
        state.stage = at.stage;
        state.phase = phase;
        state.yields = at.fiber;
        // A call on a fiber may be abandoned half-way; only `leave` makes the instance usable again.
        self.dead = true;
        begin(&mut self.store);
    }

    fn leave<T>(&mut self, hook: Hook, result: wasmtime::Result<T>) -> Called<T> {
        self.calls += 1;
        let state = self.store.data_mut();
        state.end_hook();
        #[expect(
            clippy::expect_used,
            reason = "`enter` put it there, and no host function takes it out"
        )]
        let mut x = state
            .exchange
            .take()
            .expect("the exchange is in the store during a call");
        match result {
            Ok(value) => {
                self.dead = false;
                x.commit();
                (x, Ok(value))
            }
            Err(error) => {
                x.undo();
                let fault = self.fault(hook, &error);
                (x, Err(fault))
            }
        }
    }

    fn fault(&mut self, hook: Hook, error: &wasmtime::Error) -> Fault {
        self.dead = true;
        Fault::of(hook, error, self.store.data().last_words())
    }
}

/// The pipeline calls only hooks that the unit exports.
fn not_exported(hook: Hook) -> Fault {
    Fault::new(hook, FaultKind::Refused, "the hook is not exported")
}

/// Where and how a call happens.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// Place of the entry in the pipeline.
    pub stage: usize,
    /// On a fiber, with yields (entries with a large CPU budget).
    pub fiber: bool,
}

/// Gives a call its time. The epoch is looked at from the next tick on.
fn begin(store: &mut Store<HostState>) {
    store.data_mut().cpu.start();
    store.set_epoch_deadline(1);
}

fn functions(
    store: &mut Store<HostState>,
    instance: &wasmtime::component::Instance,
    exports: &Exports,
) -> wasmtime::Result<Functions> {
    macro_rules! optional {
        ($field:ident) => {
            exports
                .$field
                .as_ref()
                .map(|f| instance.get_typed_func(&mut *store, f))
                .transpose()?
        };
    }
    let filter = exports
        .filter
        .as_ref()
        .map(|exports| filter::functions(&mut *store, instance, exports))
        .transpose()?;
    Ok(Functions {
        filter,
        describe: instance.get_typed_func(&mut *store, exports.describe)?,
        configure: instance.get_typed_func(&mut *store, exports.configure)?,
        route: optional!(route),
        on_request: optional!(on_request),
        on_request_body: optional!(on_request_body),
        on_response: optional!(on_response),
        on_response_body: optional!(on_response_body),
        on_error: optional!(on_error),
        on_finish: optional!(on_finish),
        pick: optional!(pick),
        respond: optional!(respond),
    })
}
