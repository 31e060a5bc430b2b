//! One live instance of a plugin: a wasmtime store, the hooks it exports, and the calls into it. A call
//! that fails kills the store; the exchange always comes back out.

mod filter;

use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant as Time, timeout_at};
use wasmtime::component::{ComponentNamedList, Lift, Lower, Resource, ResourceAny, TypedFunc};
use wasmtime::{Store, UpdateDeadline};

use super::hook::{Fault, FaultKind, Hook};
use super::unit::Exports;
use crate::abi::{
    Accept, Answer, Blob, BodyAction, Errand, ErrorAction, HostState, Manifest, Outcome, Outside,
    RequestAction, ResponseAction, ResponseBodyAction, accompany, errands, exports, imports, patience,
    picked,
};
use crate::config::Budget;
use crate::engine::{CpuMeter, OverBudget};
use crate::exchange::{Exchange, Phase};
use crate::upstream::Candidate;

/// The share of its memory that an instance may grow to before it is replaced: guests' memories never shrink.
const WORN_MEMORY: (u64, u64) = (7, 8);
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
    tick: Option<TypedFunc<(), ()>>,
    filter: Option<filter::Functions>,
}

/// An instance. It serves one call at a time and may serve many exchanges one after the other.
pub struct Instance {
    store: Store<HostState>,
    functions: Functions,
    /// What it asks for of whoever calls it; none where its imports never wait.
    errands: Option<mpsc::Receiver<Errand>>,
    /// The filter of the exchange that leases it.
    filter: Option<ResourceAny>,
    calls: u64,
    born: Time,
    /// It has lived as long as it may.
    old: bool,
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
        mut state: HostState,
        imports: Imports,
    ) -> Result<Self, Fault> {
        let errands = match imports {
            Imports::Local => None,
            Imports::Waiting => {
                let (give, take) = errands();
                state.errands = Some(give);
                Some(take)
            }
        };
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.epoch_deadline_callback(|mut context| {
            let state = context.data_mut();
            state.cpu.check()?;
            Ok(if state.yields {
                let back = state.cpu.back();
                UpdateDeadline::YieldCustom(
                    1,
                    Box::pin(async move {
                        tokio::task::yield_now().await;
                        back.note();
                    }),
                )
            } else {
                UpdateDeadline::Continue(1)
            })
        });
        begin(&mut store);
        let instance = match imports {
            Imports::Local => pre.instantiate(&mut store),
            Imports::Waiting => at_once(pre.instantiate_async(&mut store)),
        };
        let functions = instance.and_then(|instance| functions(&mut store, &instance, exports));
        match functions {
            Ok(functions) => Ok(Self {
                store,
                functions,
                errands,
                filter: None,
                calls: 0,
                born: Time::now(),
                old: false,
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
        let function = self.functions.describe;
        let result = match self.errands {
            None => function.call(&mut self.store, ()),
            Some(_) => at_once(function.call_async(&mut self.store, ())),
        };
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
        let (function, config) = (self.functions.configure, (config.to_owned(),));
        let result = match self.errands {
            None => function.call(&mut self.store, config),
            Some(_) => at_once(function.call_async(&mut self.store, config)),
        };
        self.store.data_mut().end_hook();
        result
            .map(|(answer,)| answer)
            .map_err(|e| self.fault(Hook::Configure, &e))
    }

    /// Sets the time that each call in an exchange may take.
    pub(super) fn set_budget(&mut self, meter: CpuMeter) {
        self.store.data_mut().cpu = meter;
    }

    /// Bytes of its linear memory.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.store.data().memory.used()
    }

    /// It may serve another call.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.dead
    }

    /// It should be replaced soon, though it still works.
    #[must_use]
    pub fn is_worn(&self, budget: &Budget) -> bool {
        let state = self.store.data();
        (budget.max_calls > 0 && self.calls >= budget.max_calls)
            || self.old
            || state.leaked() > MAX_LEAKED
            || state.memory.used() > budget.max_memory / WORN_MEMORY.1 * WORN_MEMORY.0
    }

    /// Makes it worn once it is `max_age` old; zero = never.
    pub fn grow_old(&mut self, now: Time, max_age: Duration) {
        self.old = self.old || !max_age.is_zero() && now.duration_since(self.born) >= max_age;
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
        self.enter(x, &at, Phase::Finish);
        let result = self.run(function, &at, (outcome.into(),)).await;
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
        self.enter(x, &at, Phase::Balance);
        let result = self.run(function, &at, choice).await;
        let result = result.and_then(|(answer,)| Ok(picked(answer, candidates.len())?));
        self.leave(Hook::Balancer, result)
    }

    /// Calls `on-tick`, outside any exchange.
    pub(super) async fn tick(&mut self, at: At) -> Result<(), Fault> {
        let Some(function) = self.functions.tick else {
            return Err(not_exported(Hook::OnTick));
        };
        self.prepare(&at);
        let result = self.run(function, &at, ()).await;
        self.calls += 1;
        let state = self.store.data_mut();
        state.end_hook();
        state.until = None;
        match result {
            Ok(()) => {
                self.dead = false;
                Ok(())
            }
            Err(error) => Err(self.fault(Hook::OnTick, &error)),
        }
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
        self.enter(x, &at, phase);
        let result = self.run(function, &at, params).await;
        let result = result.and_then(|(answer,)| Ok(answer.accept(self.store.data_mut())?));
        self.leave(hook, result)
    }

    /// Calls a function: directly, or on a fiber until the call's end. A call that is given up leaves the exchange where it is.
    async fn run<P, R>(&mut self, function: TypedFunc<P, R>, at: &At, params: P) -> wasmtime::Result<R>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let Some(fiber) = &at.fiber else {
            return function.call(&mut self.store, params);
        };
        let wall = self.store.data().cpu.wall();
        let Self { store, errands, .. } = self;
        let call = function.call_async(store, params);
        let called = match errands {
            None => timeout_at(fiber.until, call).await,
            Some(errands) => {
                let call = accompany(call, errands, fiber.outside.as_ref());
                timeout_at(fiber.until, call).await
            }
        };
        called.unwrap_or_else(|_| Err(OverBudget::Wall(wall).into()))
    }

    fn enter(&mut self, x: Box<Exchange>, at: &At, phase: Phase) {
        let state = self.store.data_mut();
        state.exchange = Some(x);
        state.stage = at.stage;
        state.phase = phase;
        self.prepare(at);
    }

    /// Makes the store ready for a call.
    fn prepare(&mut self, at: &At) {
        let state = self.store.data_mut();
        state.yields = at.fiber.is_some();
        state.until = at.fiber.as_ref().map(|fiber| patience(fiber.until));
        // A call on a fiber may be abandoned half-way; only `leave` makes the instance usable again.
        self.dead = true;
        begin(&mut self.store);
    }

    fn leave<T>(&mut self, hook: Hook, result: wasmtime::Result<T>) -> Called<T> {
        self.calls += 1;
        let state = self.store.data_mut();
        state.end_hook();
        state.until = None;
        let stage = state.stage;
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
                x.let_land(stage, None);
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
#[derive(Debug, Clone)]
pub struct At {
    /// Place of the entry in the pipeline.
    pub stage: usize,
    /// On a fiber (entries with a large CPU budget or with imports that may wait); none = directly.
    pub fiber: Option<Fiber>,
}

/// A call that can be suspended.
#[derive(Debug, Clone)]
pub struct Fiber {
    /// When it is given up.
    pub until: Time,
    /// Who does what the guest cannot do itself.
    pub outside: Option<Rc<dyn Outside>>,
}

/// What a component's imports are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Imports {
    /// None of them waits: its functions are called directly.
    Local,
    /// Some may wait: its functions are called on a fiber.
    Waiting,
}

/// The result of what is on a fiber but has nobody to wait for.
fn at_once<T>(call: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(call).poll(&mut context) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(wasmtime::format_err!("it waits where it must not")),
    }
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
        tick: optional!(tick),
    })
}
