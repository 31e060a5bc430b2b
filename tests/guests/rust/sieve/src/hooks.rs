//! The hooks, and the one filter that does all verbs.

use std::cell::{Cell, RefCell};

use crate::bindings::exports::portcullis::gateway::{body_filter, on_finish, plugin};
use crate::bindings::portcullis::gateway::exchange;
use crate::bindings::portcullis::gateway::log::{self, Level};
use crate::bindings::portcullis::gateway::types::{Section, Side};
use body_filter::Output;

/// What the component exports.
pub(crate) struct Sieve;

impl plugin::Guest for Sieve {
    fn describe() -> plugin::Manifest {
        plugin::Manifest {
            name: "sieve".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_schema: String::new(),
            openapi: String::new(),
            tick_ms: 0,
            labels: Vec::new(),
        }
    }

    fn configure(_: String) -> Result<(), String> {
        Ok(())
    }
}

impl on_finish::Guest for Sieve {
    fn handle(outcome: on_finish::Outcome) {
        let ended = if outcome.aborted { "aborted" } else { "complete" };
        let line = format!(
            "sieve: {} {} {} {ended}",
            outcome.status, outcome.bytes_in, outcome.bytes_out
        );
        log::write(Level::Info, &line, &[]);
    }
}

/// A filter for one side of one exchange.
pub(crate) struct Filter {
    side: Side,
    orders: Vec<(String, String)>,
    seen: Cell<usize>,
    kept: RefCell<Vec<u8>>,
}

impl body_filter::Guest for Sieve {
    type Filter = Filter;

    fn open(side: Side) -> Option<body_filter::Filter> {
        let orders: Vec<_> = exchange::header_values(Section::Request, "x-sieve")
            .iter()
            .filter_map(|value| {
                let mut words = value.splitn(3, ' ');
                let wanted = if side == Side::Request {
                    "request"
                } else {
                    "response"
                };
                let mine = words.next() == Some(wanted);
                let verb = words.next().unwrap_or_default().to_owned();
                let argument = words.next().unwrap_or_default().to_owned();
                mine.then_some((verb, argument))
            })
            .collect();
        if orders.is_empty() {
            return None;
        }
        for (verb, argument) in &orders {
            if verb == "field" {
                let section = if side == Side::Request {
                    Section::Request
                } else {
                    Section::Response
                };
                // The test sees whether it was set.
                exchange::set_header(section, "x-sieved", argument).ok();
            }
        }
        log::write(Level::Info, "sieve: open", &[]);
        Some(body_filter::Filter::new(Filter {
            side,
            orders,
            seen: Cell::new(0),
            kept: RefCell::default(),
        }))
    }
}

impl body_filter::GuestFilter for Filter {
    #[expect(clippy::panic, reason = "a panic is what was ordered")]
    fn push(&self, piece: Vec<u8>) -> Output {
        self.seen.set(self.seen.get() + piece.len());
        for (verb, argument) in &self.orders {
            let over = || argument.parse().is_ok_and(|limit: usize| self.seen.get() > limit);
            match verb.as_str() {
                "upper" => return Output::Bytes(piece.to_ascii_uppercase()),
                "twice" => return Output::Bytes([piece.as_slice(), piece.as_slice()].concat()),
                "copy" => return Output::Bytes(piece),
                "swallow" => return Output::Bytes(Vec::new()),
                "hold" => {
                    self.kept.borrow_mut().extend(piece);
                    return Output::Bytes(Vec::new());
                }
                "largest" => {
                    let largest = piece.len().max(self.kept.borrow().len());
                    self.kept.borrow_mut().resize(largest, b'.');
                    return Output::Same;
                }
                "abort" if over() => return Output::Abort("as ordered".to_owned()),
                "panic" if over() => panic!("as ordered"),
                "spin" if over() => loop {
                    std::hint::black_box(0);
                },
                "read" => {
                    let path = exchange::path();
                    exchange::set_attribute("sieve.path", Some(&path)).ok();
                }
                _ => {}
            }
        }
        Output::Same
    }

    fn finish(&self) -> Output {
        let section = match self.side {
            Side::Request => Section::RequestTrailers,
            Side::Response => Section::ResponseTrailers,
        };
        for (verb, argument) in &self.orders {
            match verb.as_str() {
                "trailer" => {
                    let result = exchange::set_header(section, "x-sieved", argument).is_ok();
                    log::write(Level::Info, &format!("sieve: trailer {result}"), &[]);
                }
                "show-trailer" => {
                    let value = exchange::header(section, argument).unwrap_or_else(|| "none".to_owned());
                    log::write(Level::Info, &format!("sieve: saw {value}"), &[]);
                }
                "count" => return Output::Bytes(format!("[{}]", self.seen.get()).into_bytes()),
                "hold" => return Output::Bytes(self.kept.take()),
                "largest" => {
                    let line = format!("sieve: largest {}", self.kept.borrow().len());
                    log::write(Level::Info, &line, &[]);
                }
                "abort-at-end" => return Output::Abort("as ordered".to_owned()),
                _ => {}
            }
        }
        Output::Same
    }
}
