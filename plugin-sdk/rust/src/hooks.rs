//! The hooks: one trait each, which is how [`#[portcullis::plugin]`](crate::plugin) splits the methods that stand
//! in the one impl block. Knows no host.
//!
//! In that block a hook is written without the last parameter, or with `state: Option<State>` in its place; the return
//! type is anything that [`IntoVerdict`] turns into the hook's verdict. No call is made to a hook that is not there.
//!
//! | method | when | verdict |
//! |---|---|---|
//! | `route(&mut self, &Request)` | before the route table, for the entries in `[gateway] routers` | [`Choice`] |
//! | `on_request(&mut self, &mut Request)` | request head, in pipeline order | [`Action`] |
//! | `on_request_body(&mut self, &mut Request, Blob)` | whole request body, decoded; request still editable | [`BodyAction`] |
//! | `on_response(&mut self, &mut Response)` | response head, in reverse order | [`ResponseAction`] |
//! | `on_response_body(&mut self, &mut Response, Blob)` | whole response body, decoded | [`ResponseBodyAction`] |
//! | `on_error(&mut self, &GatewayError)` | the gateway is about to answer with an error | [`ErrorAction`] |
//! | `on_finish(&mut self, &Finished)` | after the last byte, off the request path | none |
//! | `pick(&mut self, &Request, &Candidates)` | an endpoint is chosen, for upstreams with `balance = { plugin = "NAME" }` | [`Preference`] |
//! | `respond(&mut self, &Request, Blob)` | in place of an upstream | [`Answer`] |
//! | `on_tick(&mut self)` | again and again, outside any exchange, as `tick` in TOML or `tick_ms` says | none |

use crate::verdict::Done;
use crate::{
    Action, Answer, Blob, BodyAction, Candidates, Choice, ErrorAction, Finished, GatewayError, IntoVerdict,
    Kept, Plugin, Preference, Request, Response, ResponseAction, ResponseBodyAction,
};

/// Before the route table, for every request of every listener: names the route, or leaves that to the next router and
/// at last to the table. Attributes can be set for the pipeline; there is no state, for no stage exists yet.
pub trait Route: Plugin {
    /// What the method returns: a name or none, or a `Result` whose error is logged and counts as none.
    type Output: IntoVerdict<Choice>;

    /// Names the route. A name that no route of the listener has counts as none; a route's own predicates are not
    /// looked at again.
    fn route(&mut self, request: &Request) -> Self::Output;
}

/// Request head, in pipeline order.
pub trait OnRequest: Plugin {
    /// What the method returns.
    type Output: IntoVerdict<Action<Self::State>>;

    /// Reads and edits the request, and decides how it goes on.
    fn on_request(&mut self, request: &mut Request) -> Self::Output;
}

/// Whole request body, decoded and buffered once for all stages, up to the entry's `max-body`.
pub trait OnRequestBody: Plugin {
    /// What the method returns.
    type Output: IntoVerdict<BodyAction<Self::State>>;

    /// Reads the body and decides how the request goes on; its head can still be edited.
    fn on_request_body(&mut self, request: &mut Request, body: Blob, kept: Kept<Self::State>)
    -> Self::Output;
}

/// Response head, in reverse pipeline order.
pub trait OnResponse: Plugin {
    /// What the method returns.
    type Output: IntoVerdict<ResponseAction>;

    /// Reads and edits the response.
    fn on_response(&mut self, response: &mut Response, kept: Kept<Self::State>) -> Self::Output;
}

/// Whole response body, decoded and buffered, up to the entry's `max-body`.
pub trait OnResponseBody: Plugin {
    /// What the method returns.
    type Output: IntoVerdict<ResponseBodyAction>;

    /// Reads the body; the response's head can still be edited.
    fn on_response_body(
        &mut self,
        response: &mut Response,
        body: Blob,
        kept: Kept<Self::State>,
    ) -> Self::Output;
}

/// The gateway is about to answer with an error: no route, refused, timeout, plugin fault ...
pub trait OnError: Plugin {
    /// What the method returns.
    type Output: IntoVerdict<ErrorAction>;

    /// Decides whether the error goes out as it is. The first stage that replaces it wins.
    fn on_error(&mut self, error: &GatewayError, kept: Kept<Self::State>) -> Self::Output;
}

/// After the last byte, off the request path.
pub trait OnFinish: Plugin {
    /// What the method returns: nothing, or a `Result` whose error is logged.
    type Output: IntoVerdict<Done>;

    /// Looks back on the exchange.
    fn on_finish(&mut self, finished: &Finished, kept: Kept<Self::State>) -> Self::Output;
}

/// Picks the endpoint of a try: `balance = { plugin = "NAME" }` of an upstream. Called for the first try, for each further one,
/// and after a connection that failed. Attributes can be set; there is no state, for it is no stage of the pipeline.
pub trait Pick: Plugin {
    /// What the method returns: an index or none, or a `Result` whose error is logged and counts as none.
    type Output: IntoVerdict<Preference>;

    /// Picks one of the candidates, by its index; none leaves the choice to the gateway. An index that is none of theirs is a
    /// fault.
    fn pick(&mut self, request: &Request, candidates: &Candidates) -> Self::Output;
}

/// Answers in place of an upstream: `upstream = { plugin = "NAME" }`.
pub trait Respond: Plugin {
    /// What the method returns.
    type Output: IntoVerdict<Answer>;

    /// Answers the request.
    fn respond(&mut self, request: &Request, body: Blob) -> Self::Output;
}

/// Background work: discovery, refreshing of keys, probes. One call after the other in one instance of the whole process, off
/// the request path. What it finds goes to the other instances by `shared`; there is no exchange.
pub trait OnTick: Plugin {
    /// What the method returns: nothing, or a `Result` whose error is logged.
    type Output: IntoVerdict<Done>;

    /// Does a piece of the work. The next call comes when the period is over.
    fn on_tick(&mut self) -> Self::Output;
}
