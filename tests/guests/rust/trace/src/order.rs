//! The orders of a request: header `x-do`, any number of times, `ENTRY HOOK VERB ARGUMENT`. Here are those that
//! edit or read and then go on; what ends a hook is the hook's own.

use crate::bindings::portcullis::gateway::exchange::{self, WhenClientLeaves};
use crate::bindings::portcullis::gateway::log::{self, Level};
use crate::bindings::portcullis::gateway::types::{Problem, Section, Side};

/// Bytes of a captured body that are shown.
const SHOWN: u32 = 64;

/// An order to this entry in this hook.
pub(crate) struct Order {
    /// What to do.
    pub(crate) verb: String,
    /// With what; "" for nothing.
    pub(crate) argument: String,
}

/// One hook of one entry, while it runs.
pub(crate) struct Hook<'a> {
    /// Name of the entry.
    pub(crate) entry: &'a str,
    /// Name of the hook.
    pub(crate) name: &'static str,
}

impl Hook<'_> {
    /// Says that it runs, carries out the edits among its orders in turn, and gives the first order that is none.
    #[expect(clippy::panic, reason = "a panic is what was ordered")]
    pub(crate) fn run(&self, detail: &str) -> Option<Order> {
        self.say(detail);
        for order in self.orders() {
            if order.verb == "panic" {
                panic!("{} panics in {}", self.entry, self.name);
            }
            let Some(result) = edit(&order) else {
                return Some(order);
            };
            self.say(&format!("{}={result}", order.verb));
        }
        None
    }

    /// A line of the trace, with the request's `x-row`.
    fn say(&self, detail: &str) {
        let line = format!("trace: {} {} {detail}", self.entry, self.name);
        let row = exchange::header(Section::Request, "x-row");
        let fields: Vec<_> = row.into_iter().map(|row| ("row".to_owned(), row)).collect();
        log::write(Level::Info, line.trim_end(), &fields);
    }

    fn orders(&self) -> Vec<Order> {
        let values = exchange::header_values(Section::Request, "x-do");
        let orders = values.iter().filter_map(|value| {
            let mut words = value.splitn(4, ' ');
            let mine = words.next() == Some(self.entry) && words.next() == Some(self.name);
            let order = Order {
                verb: words.next().unwrap_or_default().to_owned(),
                argument: words.next().unwrap_or_default().to_owned(),
            };
            mine.then_some(order)
        });
        orders.collect()
    }
}

/// Does it, if it is an edit or a question; gives `ok`, the problem, or the answer.
fn edit(order: &Order) -> Option<String> {
    let argument = order.argument.as_str();
    let done = match order.verb.as_str() {
        "set-target" => exchange::set_target(argument),
        "set-method" => exchange::set_method(argument),
        "set-authority" => exchange::set_authority(argument),
        "set-upstream" => exchange::set_upstream(argument),
        "set-status" => exchange::set_status(argument.parse().unwrap_or_default()),
        "set-request-header" => exchange::set_header(Section::Request, "x-set", argument),
        "append-request-header" => exchange::append_header(Section::Request, "x-set", argument),
        "remove-request-header" => exchange::remove_header(Section::Request, argument),
        "set-response-header" => exchange::set_header(Section::Response, "x-set", argument),
        "set-request-field" => {
            let (name, value) = argument.split_once(' ').unwrap_or((argument, ""));
            exchange::set_header(Section::Request, name, value)
        }
        "set-response-field" => {
            let (name, value) = argument.split_once(' ').unwrap_or((argument, ""));
            exchange::set_header(Section::Response, name, value)
        }
        "delay" => exchange::delay(argument.parse().unwrap_or_default()),
        "set-retry" => {
            let (each, extra) = argument.split_once(' ').unwrap_or((argument, ""));
            exchange::set_retry(
                each.parse().unwrap_or_default(),
                extra.parse().unwrap_or_default(),
            )
        }
        "capture" => {
            let (side, max) = argument.split_once(' ').unwrap_or((argument, ""));
            let (max, when) = match max.strip_suffix(" finish") {
                Some(max) => (max, WhenClientLeaves::Finish),
                None => (max, WhenClientLeaves::Stop),
            };
            exchange::capture_body(side_of(side), max.parse().unwrap_or_default(), when);
            Ok(())
        }
        "captured" => {
            let copy = exchange::captured(side_of(argument));
            return Some(or_none(
                copy.map(|blob| String::from_utf8_lossy(&blob.read(0, SHOWN)).into_owned()),
            ));
        }
        "set-trailer" => exchange::set_header(Section::ResponseTrailers, "x-set", argument),
        "set-attribute" => {
            let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
            exchange::set_attribute(key, Some(value))
        }
        "set-state" => exchange::set_state(Some(argument.as_bytes())),
        "skip-request-body" => {
            exchange::skip_body(Side::Request);
            Ok(())
        }
        "skip-response-body" => {
            exchange::skip_body(Side::Response);
            Ok(())
        }
        "attribute" => return Some(or_none(exchange::attribute(argument))),
        "property" => return Some(or_none(exchange::property(argument))),
        "state" => {
            let state = exchange::state().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            return Some(or_none(state));
        }
        "header" => return Some(or_none(exchange::header(Section::Request, argument))),
        "trailer" => return Some(or_none(exchange::header(Section::RequestTrailers, argument))),
        "status" => return Some(exchange::status().to_string()),
        "tell" => exchange::set_header(
            Section::Response,
            "x-told",
            &or_none(exchange::attribute(argument)),
        ),
        _ => return None,
    };
    let result = match done {
        Ok(()) => "ok",
        Err(Problem::Invalid(_)) => "invalid",
        Err(Problem::WrongPhase) => "wrong-phase",
        Err(Problem::Limit(_)) => "limit",
        Err(Problem::Denied(_)) => "denied",
        Err(Problem::Timeout) => "timeout",
        Err(Problem::Failed(_)) => "failed",
    };
    Some(result.to_owned())
}

fn side_of(name: &str) -> Side {
    if name == "request" {
        Side::Request
    } else {
        Side::Response
    }
}

fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| "none".to_owned())
}
