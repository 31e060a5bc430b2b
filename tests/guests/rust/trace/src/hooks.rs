//! The hooks. Each says that it ran, carries out its orders, and gives the verdict that they ask for.

use std::sync::OnceLock;

use crate::bindings::exports::portcullis::gateway::{
    balancer, on_error, on_finish, on_request, on_request_body, on_response, on_response_body, plugin,
    responder, router,
};
use crate::bindings::portcullis::gateway::exchange;
use crate::bindings::portcullis::gateway::types::{Blob, BodySource, Refusal, Reply, Section};
use crate::bindings::portcullis::gateway::upstreams::Endpoint;
use crate::order::{Hook, Order};

/// Bytes of a body that are shown.
const SHOWN: u32 = 32;

/// Name of the entry, from its configuration.
static NAME: OnceLock<String> = OnceLock::new();

/// What the component exports.
pub(crate) struct Trace;

impl plugin::Guest for Trace {
    fn describe() -> plugin::Manifest {
        plugin::Manifest {
            name: "trace".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: String::new(),
            openapi: String::new(),
            tick_ms: 0,
            labels: Vec::new(),
        }
    }

    fn configure(config: String) -> Result<(), String> {
        let config: serde_json::Value = serde_json::from_str(&config).map_err(|error| error.to_string())?;
        let name = config.get("name").and_then(serde_json::Value::as_str);
        // Called once for each instance.
        NAME.get_or_init(|| name.unwrap_or("trace").to_owned());
        Ok(())
    }
}

impl router::Guest for Trace {
    fn route() -> Option<String> {
        let order = run("router", &exchange::route());
        order
            .filter(|order| order.verb == "route")
            .map(|order| order.argument)
    }
}

impl on_request::Guest for Trace {
    fn handle() -> on_request::Action {
        mark(Section::Request);
        match run("on-request", "") {
            Some(order) if order.verb == "respond" => on_request::Action::Respond(reply(&order)),
            Some(order) if order.verb == "refuse" => on_request::Action::Refuse(refusal(&order)),
            Some(order) if order.verb == "deny" => on_request::Action::Refuse(Refusal {
                status: 401,
                code: "trace-denied".to_owned(),
                ..refusal(&order)
            }),
            _ => on_request::Action::Next,
        }
    }
}

impl on_request_body::Guest for Trace {
    fn handle(body: Blob) -> on_request_body::Action {
        let seen = exchange::property("request.body").unwrap_or_default();
        let shown = format!("{seen} {}", shown(&body));
        match run("on-request-body", &shown) {
            Some(order) if order.verb == "respond" => on_request_body::Action::Respond(reply(&order)),
            Some(order) if order.verb == "refuse" => on_request_body::Action::Refuse(refusal(&order)),
            Some(order) if order.verb == "replace" => on_request_body::Action::Replace(source(&order)),
            Some(order) if order.verb == "same" => on_request_body::Action::Replace(BodySource::Blob(body)),
            _ => on_request_body::Action::Next,
        }
    }
}

impl on_response::Guest for Trace {
    fn handle() -> on_response::Action {
        let status = exchange::status().to_string();
        mark(Section::Response);
        match run("on-response", &status) {
            Some(order) if order.verb == "replace" => on_response::Action::Replace(reply(&order)),
            Some(order) if order.verb == "refuse" => on_response::Action::Refuse(refusal(&order)),
            _ => on_response::Action::Next,
        }
    }
}

impl on_response_body::Guest for Trace {
    fn handle(body: Blob) -> on_response_body::Action {
        match run("on-response-body", &shown(&body)) {
            Some(order) if order.verb == "replace" => on_response_body::Action::Replace(source(&order)),
            Some(order) if order.verb == "same" => on_response_body::Action::Replace(BodySource::Blob(body)),
            Some(order) if order.verb == "replace-all" => on_response_body::Action::ReplaceAll(reply(&order)),
            Some(order) if order.verb == "refuse" => on_response_body::Action::Refuse(refusal(&order)),
            _ => on_response_body::Action::Next,
        }
    }
}

impl on_error::Guest for Trace {
    fn handle() -> on_error::Action {
        let kind = exchange::property("error.kind").unwrap_or_default();
        match run("on-error", &format!("{kind} {}", exchange::status())) {
            Some(order) if order.verb == "replace" => on_error::Action::Replace(reply(&order)),
            Some(order) if order.verb == "retry-on" => on_error::Action::RetryOn(order.argument),
            _ => on_error::Action::Next,
        }
    }
}

impl on_finish::Guest for Trace {
    fn handle(outcome: on_finish::Outcome) {
        let ended = if outcome.aborted { "aborted" } else { "complete" };
        let detail = format!(
            "{} {} {} {ended}",
            outcome.status, outcome.bytes_in, outcome.bytes_out
        );
        run("on-finish", &detail);
    }
}

impl balancer::Guest for Trace {
    fn pick(upstream: String, candidates: Vec<Endpoint>) -> Option<u32> {
        let shown: Vec<_> = candidates.iter().map(endpoint).collect();
        let order = run("balancer", &format!("{upstream} {}", shown.join(" ")))?;
        let position = match order.verb.as_str() {
            "pick" => return order.argument.parse().ok(),
            "pick-address" => candidates
                .iter()
                .position(|candidate| candidate.address == order.argument),
            "pick-label" => candidates.iter().position(|candidate| {
                let mut labels = candidate.labels.iter();
                labels.any(|(name, value)| format!("{name}={value}") == order.argument)
            }),
            _ => None,
        };
        position.and_then(|index| u32::try_from(index).ok())
    }
}

impl responder::Guest for Trace {
    fn handle(body: Blob) -> responder::Answer {
        match run("responder", &shown(&body)) {
            Some(order) if order.verb == "refuse" => responder::Answer::Refuse(refusal(&order)),
            Some(order) if order.verb == "reply" => responder::Answer::Reply(reply(&order)),
            _ => responder::Answer::Reply(Reply {
                status: 200,
                headers: Vec::new(),
                body: BodySource::Bytes(name().as_bytes().to_vec()),
            }),
        }
    }
}

fn run(hook: &'static str, detail: &str) -> Option<Order> {
    let hook = Hook {
        entry: name(),
        name: hook,
    };
    hook.run(detail)
}

fn name() -> &'static str {
    NAME.get().map(String::as_str).unwrap_or_default()
}

/// Leaves the entry's name in the message, so that an edit can be told from none.
fn mark(section: Section) {
    // It cannot fail in the hooks that call it.
    exchange::append_header(section, "x-trace", name()).ok();
}

/// Address, weight, labels, and whether it is sick.
fn endpoint(candidate: &Endpoint) -> String {
    let labels = candidate.labels.iter();
    let labels: String = labels.map(|(name, value)| format!(",{name}={value}")).collect();
    let sick = if candidate.healthy { "" } else { ",sick" };
    format!("{},{}{labels}{sick}", candidate.address, candidate.weight)
}

/// Length and first bytes.
fn shown(body: &Blob) -> String {
    let first = body.read(0, SHOWN);
    format!("{} {}", body.len(), String::from_utf8_lossy(&first))
}

fn source(order: &Order) -> BodySource {
    match order.argument.as_str() {
        "" => BodySource::Empty,
        text => BodySource::Bytes(text.as_bytes().to_vec()),
    }
}

fn reply(order: &Order) -> Reply {
    Reply {
        status: 203,
        headers: vec![("x-by".to_owned(), name().to_owned())],
        body: source(order),
    }
}

fn refusal(order: &Order) -> Refusal {
    Refusal {
        status: 418,
        code: "trace-refused".to_owned(),
        detail: order.argument.clone(),
        headers: vec![("x-by".to_owned(), name().to_owned())],
        extra: String::new(),
    }
}
