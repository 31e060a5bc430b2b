//! The cases against the fake host: what the table says, without a gateway.

use portcullis::serde_json::{self, Value};
use portcullis::testing::{FakeExchange, FakeHost};
use portcullis::{Outcome, log::Level};

use super::*;

struct Bench {
    host: FakeHost,
    probe: Probe,
}

impl Bench {
    fn new() -> Self {
        let host = FakeHost::new();
        let probe = host.configure(Value::Null).unwrap();
        Self { host, probe }
    }

    fn exchange(&self, case: &str, argument: &str) -> FakeExchange {
        self.host
            .exchange()
            .header("x-case", case)
            .header("x-arg", argument)
            .response(200)
    }

    /// The text that a case answers from `on-request`.
    fn text(&mut self, case: &str, argument: &str) -> String {
        let action = self.exchange(case, argument).on_request(&mut self.probe);
        String::from_utf8(action.reply().expect("the case answers").body.to_vec()).unwrap()
    }
}

#[test]
fn an_endpoint_is_picked_by_its_label() {
    let mut bench = Bench::new();
    let endpoints = ["a", "b"].map(|name| Endpoint::new(name).with_label("name", name));
    for (argument, expected) in [("b", Some("b")), ("c", None)] {
        let picked = bench
            .exchange("pick", argument)
            .pick(&mut bench.probe, "up", &endpoints);
        assert_eq!(picked.map(|endpoint| endpoint.address.as_str()), expected);
    }
}

#[test]
fn requests_without_a_case_pass_unchanged() {
    let mut bench = Bench::new();
    let mut exchange = bench
        .host
        .exchange()
        .body("b")
        .response(200)
        .with_response_body("r");
    assert!(exchange.on_request(&mut bench.probe).is_next());
    assert!(exchange.on_request_body(&mut bench.probe).is_next());
    assert!(exchange.on_response(&mut bench.probe).is_next());
    assert!(exchange.on_response_body(&mut bench.probe).is_next());
    assert!(exchange.on_error(&mut bench.probe, "no-route", 404).is_next());
    exchange.on_finish(&mut bench.probe, Outcome::default());
}

#[test]
fn heads_are_read_and_edited() {
    let mut bench = Bench::new();
    let mut exchange = bench.exchange("echo-head", "").method("PUT").target("/a?b");
    let head: Value = serde_json::from_slice(
        &exchange
            .on_request(&mut bench.probe)
            .reply()
            .unwrap()
            .body
            .to_vec(),
    )
    .unwrap();
    let expected = json!({ "method": "PUT", "path": "/a", "query": "b", "authority": "example.com",
        "client-ip": "192.0.2.1", "route": "test" });
    assert_eq!(head, expected);

    let mut exchange = bench.exchange("set-headers", "").header("x-drop", "1");
    assert!(exchange.on_request(&mut bench.probe).is_next());
    assert_eq!(exchange.request_header("x-probe"), Some("1"));
    assert_eq!(exchange.request_headers("x-twice"), ["a", "b"]);
    assert_eq!(exchange.request_header("x-drop"), None);

    let mut exchange = bench.exchange("set-target", "/new?x=1");
    assert!(exchange.on_request(&mut bench.probe).is_next());
    assert_eq!(exchange.request_target(), "/new?x=1");
    assert_eq!(bench.text("set-target", "nowhere"), "invalid");
    assert_eq!(bench.text("set-method", "G T"), "invalid");
    assert_eq!(bench.text("set-upstream", "nobody"), "invalid");
    assert_eq!(bench.text("bad-header", ""), "invalid invalid");
    assert_eq!(bench.text("property", "tls.sni"), "none");
}

#[test]
fn answers_carry_what_the_table_says() {
    let mut bench = Bench::new();
    assert_eq!(bench.text("respond", "hello"), "probe says hello");
    let refused = bench.exchange("refuse", "a").on_request(&mut bench.probe);
    let refusal = refused.refusal().unwrap();
    assert_eq!((refusal.status, refusal.code.as_ref()), (418, "probe-refused"));
    assert_eq!(
        serde_json::from_str::<Value>(refusal.extra()).unwrap(),
        json!({ "arg": "a", "list": [1, 2] })
    );
}

#[test]
fn state_bytes_and_attributes_reach_the_response() {
    let mut bench = Bench::new();
    let mut exchange = bench.exchange("state", "kept");
    assert!(exchange.on_request(&mut bench.probe).is_next());
    exchange.on_response(&mut bench.probe);
    assert_eq!(exchange.response_header("x-state"), Some("kept"));
    let mut exchange = bench.exchange("state-none", "");
    exchange.on_response(&mut bench.probe);
    assert_eq!(exchange.response_header("x-state"), Some("none"));

    let mut exchange = bench.exchange("bytes", "caf\u{e9}");
    exchange.on_response(&mut bench.probe);
    assert_eq!(exchange.response_header("x-bytes"), Some("caf\u{e9}"));
    assert_eq!(exchange.response_header("x-bytes-len"), Some("4"));

    let mut exchange = bench.exchange("attribute", "n");
    exchange.on_request(&mut bench.probe);
    exchange.on_response(&mut bench.probe);
    assert_eq!(exchange.request_header("x-denied"), Some("denied"));
    assert_eq!(exchange.response_header("x-note"), Some("n"));
    assert_eq!(exchange.response_header("x-subject"), Some("none"));
}

#[test]
fn bodies_are_read_and_replaced() {
    let mut bench = Bench::new();
    let mut exchange = bench.exchange("body-upper", "").body("aZ\u{e9}1");
    exchange.on_request_body(&mut bench.probe);
    assert_eq!(exchange.request_body(), "AZ\u{e9}1".as_bytes());
    let mut exchange = bench.exchange("body-find", "needle").body("hay needle");
    exchange.on_request_body(&mut bench.probe);
    assert_eq!(exchange.request_header("x-body-find"), Some("4"));
    let echoed = bench
        .exchange("body-echo", "")
        .body("same")
        .on_request_body(&mut bench.probe);
    assert_eq!(echoed.reply().unwrap().body.to_vec(), b"same");

    let mut exchange = bench
        .exchange("response-body-prefix", "pre-")
        .with_response_body("fix");
    exchange.on_response_body(&mut bench.probe);
    assert_eq!(exchange.response_body(), b"pre-fix");
    let all = bench
        .exchange("response-body-replace-all", "")
        .with_response_body("fix")
        .on_response_body(&mut bench.probe);
    assert_eq!(all.reply().unwrap().body.to_vec(), b"3");
}

#[test]
fn stores_count() {
    let mut bench = Bench::new();
    assert_eq!(
        [bench.text("shared-count", ""), bench.text("shared-count", "")],
        ["1", "2"]
    );
    assert_eq!(
        [bench.text("shared-absent", "k"), bench.text("shared-absent", "k")],
        ["true", "false"]
    );
    let takes: Vec<_> = (0..4).map(|_| bench.text("counter-take", "k")).collect();
    assert_eq!(takes, ["true 2", "true 1", "true 0", "false 0"]);
    assert_eq!(
        [bench.text("counter-add", "k"), bench.text("counter-add", "k")],
        ["1", "2"]
    );
    assert_eq!(
        [bench.text("random", ""), bench.text("clock", "")],
        ["true", "true"]
    );
}

#[test]
fn errors_and_ends_are_seen() {
    let mut bench = Bench::new();
    let replaced = bench
        .exchange("error-replace", "")
        .on_error(&mut bench.probe, "no-route", 404);
    let reply = replaced.reply().unwrap();
    assert_eq!(
        (reply.status, reply.body.to_vec()),
        (503, b"probe saw 404".to_vec())
    );
    assert!(
        reply
            .headers
            .contains(&("x-error".to_owned(), "no-route".to_owned()))
    );
    let retried = bench
        .exchange("error-retry", "spare")
        .on_error(&mut bench.probe, "upstream-connect", 502);
    assert!(matches!(retried, ErrorAction::RetryOn(upstream) if upstream == "spare"));

    let outcome = Outcome {
        status: 200,
        bytes_out: 5,
        ..Outcome::default()
    };
    bench.exchange("finish", "k").on_finish(&mut bench.probe, outcome);
    assert_eq!(bench.text("finished", "k"), "200 5 false");
    assert_eq!(bench.text("finished", "other"), "none");
}

#[test]
fn lines_and_metrics_are_written() {
    let mut bench = Bench::new();
    bench.exchange("log", "x").on_request(&mut bench.probe);
    bench.exchange("metric", "x").on_request(&mut bench.probe);
    let lines = bench.host.lines();
    assert_eq!(
        (lines[0].level, lines[0].message.as_str()),
        (Level::Info, "probe logs")
    );
    assert_eq!(lines[0].fields, [("arg".to_owned(), "x".to_owned())]);
    assert_eq!(bench.host.metric("probe_total", &["x"]), Some(1.0));
}

#[test]
fn the_responder_tells_what_arrived() {
    let mut bench = Bench::new();
    let answer = bench
        .exchange("", "")
        .target("/r")
        .body("123")
        .respond(&mut bench.probe);
    let seen: Value = serde_json::from_slice(&answer.reply().unwrap().body.to_vec()).unwrap();
    assert_eq!(
        seen,
        json!({ "method": "GET", "path": "/r", "query": null, "body-length": 3 })
    );
    let refused = bench.exchange("responder-refuse", "").respond(&mut bench.probe);
    assert_eq!(refused.refusal().map(|refusal| refusal.status), Some(404));
}
