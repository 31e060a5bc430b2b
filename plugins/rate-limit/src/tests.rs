//! What the plugin does to requests, natively, on a clock that stands until a test moves it.

mod algorithms;
mod cluster;
mod configuration;
mod delay;
mod fields;
mod keys;
mod several;

use std::time::Duration;

use portcullis::serde_json::Value;
use portcullis::testing::{FakeExchange, FakeHost};

use super::*;

/// A plugin in a host of its own.
struct Bench {
    host: FakeHost,
    plugin: RateLimit,
    now_ms: u64,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Passed,
    Refused { status: u16, code: String },
}

impl Bench {
    fn new(config: Value) -> Self {
        let host = FakeHost::new();
        let plugin = host.configure(config).expect("a good configuration");
        Self {
            host,
            plugin,
            now_ms: 0,
        }
    }

    /// Moves the clock to so many milliseconds after the start.
    fn at(&mut self, ms: u64) -> &mut Self {
        let step = ms.checked_sub(self.now_ms).expect("time goes on");
        self.host.advance(Duration::from_millis(step));
        self.now_ms = ms;
        self
    }

    /// Sends one request as it is built, and its response if it passed.
    fn send(
        &mut self,
        build: impl FnOnce(FakeExchange) -> FakeExchange,
    ) -> (Fate, FakeExchange, Vec<(String, String)>) {
        let mut exchange = build(self.host.exchange());
        let action = exchange.on_request(&mut self.plugin);
        if let Some(refusal) = action.refusal() {
            let fate = Fate::Refused {
                status: refusal.status,
                code: refusal.code.to_string(),
            };
            return (fate, exchange, refusal.headers.clone());
        }
        assert!(action.is_next(), "{action:?}");
        let mut exchange = exchange.response(200);
        exchange.pass_response();
        (Fate::Passed, exchange, Vec::new())
    }

    /// Whether a plain request passes.
    fn passes(&mut self) -> bool {
        self.send(|exchange| exchange).0 == Fate::Passed
    }

    /// How many of `count` plain requests pass.
    fn passing(&mut self, count: usize) -> usize {
        (0..count).filter(|_| self.passes()).count()
    }

    /// The value of a response header of a plain request, refused or not.
    fn told(&mut self, names: &[&str]) -> Vec<Option<String>> {
        let (fate, exchange, headers) = self.send(|exchange| exchange);
        let values = names.iter().map(|name| match fate {
            Fate::Passed => exchange.response_header(name).map(str::to_owned),
            Fate::Refused { .. } => {
                let field = headers.iter().find(|(field, _)| field == name);
                field.map(|(_, value)| value.clone())
            }
        });
        values.collect()
    }

    fn counted(&self, limit: &str, outcome: &str) -> u64 {
        let value = self.host.metric("rate_limit_requests_total", &[limit, outcome]);
        value.map_or(0, |value| format!("{value}").parse().expect("a whole number"))
    }
}

fn limited() -> Fate {
    Fate::Refused {
        status: 429,
        code: "rate-limited".to_owned(),
    }
}
