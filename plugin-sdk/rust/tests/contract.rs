//! The attribute macros and the fake host together: what a plugin author relies on.

use std::time::Duration;

use portcullis::prelude::*;
use portcullis::serde_json::{Value, from_str, json};
use portcullis::testing::{self, FakeHost};
use portcullis::{Outcome, WhenClientLeaves, clock, counters, metrics, random, shared};

#[portcullis::config]
struct Config {
    /// What to do.
    #[serde(default)]
    act: String,
    #[serde(default)]
    max_size: Option<u32>,
}

#[portcullis::state]
#[derive(Debug, PartialEq)]
struct Seen {
    path: String,
    hops: Vec<u8>,
}

struct Subject {
    act: String,
    calls: metrics::Counter,
}

#[portcullis::plugin(name = "subject", version = "9.9.9", label(security), state_version = 2)]
impl Plugin for Subject {
    type Config = Config;
    type State = Seen;

    fn new(config: Config) -> Result<Self, String> {
        if config.max_size == Some(0) {
            return Err("`max-size` is zero".to_owned());
        }
        let calls = metrics::Counter::new("calls_total", "Calls.", &["hook"])
            .map_err(|problem| problem.to_string())?;
        Ok(Self {
            act: config.act,
            calls,
        })
    }

    fn route(&mut self, request: &Request) -> Result<Option<String>, Problem> {
        match self.act.as_str() {
            "route" => {
                request.set_attribute("picked", Some("1"))?;
                Ok(Some(format!("blue{}", request.route())))
            }
            "attribute" => {
                request.set_attribute("auth.subject", Some("a"))?;
                Ok(Some("blue".to_owned()))
            }
            _ => Ok(None),
        }
    }

    fn pick(&mut self, request: &Request, candidates: &Candidates) -> Result<Option<usize>, Problem> {
        match self.act.as_str() {
            "label" => {
                request.set_attribute("picked", Some(&candidates.upstream))?;
                let wanted = request.header("x-tier");
                Ok(candidates
                    .iter()
                    .position(|endpoint| endpoint.label("tier") == wanted.as_deref()))
            }
            "attribute" => {
                request.set_attribute("auth.subject", Some("a"))?;
                Ok(Some(0))
            }
            "beyond" => Ok(Some(candidates.len())),
            _ => Ok(None),
        }
    }

    fn on_request(&mut self, request: &mut Request) -> Result<Action<Seen>, Refusal> {
        self.calls.increment(&["on-request"]);
        match self.act.as_str() {
            "keep" => {
                return Ok(Action::next_with(Seen {
                    path: request.path(),
                    hops: vec![1, 2],
                }));
            }
            "attribute" => request.set_attribute("auth.subject", Some("a"))?,
            "text" => return Err("out of order".into()),
            "capture" => request.capture_body(Side::Response, 4, WhenClientLeaves::Stop),
            "upstream" => request.set_upstream("blue")?,
            _ => {}
        }
        Ok(Action::Next)
    }

    fn on_request_body(
        &mut self,
        request: &mut Request,
        body: Blob,
        state: Option<Seen>,
    ) -> BodyAction<Seen> {
        let Some(mut seen) = state else {
            return BodyAction::Next;
        };
        seen.hops.push(3);
        if body.find(b"stop", 0).is_some() {
            return BodyAction::Refuse(Refusal::new(400, "stopped", request.path()));
        }
        BodyAction::NextWith(seen)
    }

    fn on_response(&mut self, response: &mut Response, state: Option<Seen>) -> Result<(), Problem> {
        if let Some(seen) = state {
            response.set_header("x-seen", &format!("{} {:?}", seen.path, seen.hops))?;
        }
        response.set_status(299)
    }

    fn on_error(&mut self, error: &GatewayError) -> Result<ErrorAction, String> {
        if error.kind() == "no-route" {
            Err("cannot help".to_owned())
        } else {
            Ok(ErrorAction::RetryOn("b".to_owned()))
        }
    }

    fn on_finish(&mut self, finished: &Finished) -> Result<(), Problem> {
        if let Some(body) = finished.captured(Side::Response) {
            shared::put("captured", &body.to_vec(), Duration::from_secs(1))?;
        }
        finished.set_attribute("late", Some("1"))
    }
}

#[expect(clippy::unwrap_used, reason = "a failure is the test's")]
fn subject(act: &str) -> Subject {
    testing::configure(json!({ "act": act })).unwrap()
}

#[test]
fn the_description_comes_from_the_attribute_and_the_types() {
    assert_eq!(
        (Subject::ABOUT.name, Subject::ABOUT.version),
        ("subject", "9.9.9")
    );
    assert_eq!(
        Subject::ABOUT.labels,
        [("security", "true"), ("state-version", "2")]
    );
    let schema: Value = from_str(&Subject::schema()).unwrap();
    assert_eq!(schema["properties"]["act"]["description"], "What to do.");
    assert!(
        schema["properties"]["max-size"].is_object(),
        "keys are kebab-case: {schema}"
    );
}

#[test]
fn a_bad_configuration_is_the_error_of_configure() {
    for (config, reason) in [
        (json!({ "max-size": 0 }), "`max-size` is zero"),
        (
            json!({ "max-size": "a" }),
            "invalid type: string \"a\", expected u32",
        ),
        (
            json!({ "max_size": 1 }),
            "unknown field `max_size`, expected `act` or `max-size`",
        ),
    ] {
        assert_eq!(
            testing::configure::<Subject>(config).err().as_deref(),
            Some(reason)
        );
    }
}

#[test]
fn a_router_names_a_route_and_leaves_attributes() {
    let mut exchange = testing::exchange();
    assert_eq!(exchange.routed(&mut subject("")), None);
    assert_eq!(
        exchange.routed(&mut subject("route")).as_deref(),
        Some("blue"),
        "there is no route yet"
    );
    assert_eq!(exchange.attribute("picked"), Some("1"));
}

#[test]
fn an_error_of_a_router_is_logged_and_names_no_route() {
    let mut exchange = testing::exchange();
    assert_eq!(exchange.routed(&mut subject("attribute")), None);
    let lines = exchange.host().lines();
    assert_eq!(lines[0].message, "the router failed");
    assert!(lines[0].fields[0].1.contains("auth.subject"), "{lines:?}");
}

#[test]
fn a_balancer_picks_an_endpoint_and_leaves_attributes() {
    let endpoints =
        ["silver", "gold"].map(|tier| Endpoint::new(&format!("{tier}:80")).with_label("tier", tier));
    let mut exchange = testing::exchange().header("x-tier", "gold");
    let picked = exchange.pick(&mut subject("label"), "orders", &endpoints);
    assert_eq!(picked.map(|endpoint| endpoint.address.as_str()), Some("gold:80"));
    assert_eq!(exchange.attribute("picked"), Some("orders"));
    assert_eq!(exchange.pick(&mut subject(""), "orders", &endpoints), None);
}

#[test]
fn an_error_of_a_balancer_is_logged_and_prefers_nothing() {
    let mut exchange = testing::exchange();
    let endpoints = [Endpoint::new("a:80")];
    assert_eq!(
        exchange.pick(&mut subject("attribute"), "orders", &endpoints),
        None
    );
    assert_eq!(exchange.host().lines()[0].message, "the balancer failed");
}

#[test]
fn picking_what_is_not_there_fails_the_test() {
    let picked = std::panic::catch_unwind(|| {
        let endpoints = [Endpoint::new("a:80")];
        testing::exchange()
            .pick(&mut subject("beyond"), "orders", &endpoints)
            .is_some()
    });
    assert!(picked.is_err());
}

#[test]
fn state_goes_from_hook_to_hook() {
    let mut subject = subject("keep");
    let mut exchange = testing::exchange().target("/p").response(200);
    assert!(exchange.on_request(&mut subject).is_next());
    assert!(exchange.on_request_body(&mut subject).is_next());
    assert_eq!(
        exchange.state::<Subject>(),
        Some(Seen {
            path: "/p".to_owned(),
            hops: vec![1, 2, 3]
        })
    );
    assert!(exchange.on_response(&mut subject).is_next());
    assert_eq!(exchange.response_header("x-seen"), Some("/p [1, 2, 3]"));
    assert_eq!(exchange.response_status(), 299);
}

#[test]
fn without_state_nothing_is_kept() {
    let mut subject = subject("");
    let mut exchange = testing::exchange();
    assert!(exchange.on_request(&mut subject).is_next());
    assert_eq!(exchange.state::<Subject>(), None);
    assert!(exchange.on_response(&mut subject).is_next());
    assert_eq!(exchange.response_header("x-seen"), None);
}

#[test]
fn errors_become_refusals_whose_cause_is_logged() {
    for (act, cause) in [
        ("text", "out of order"),
        (
            "attribute",
            "denied: writing the attribute `auth.subject` needs a grant",
        ),
    ] {
        let mut exchange = testing::exchange();
        let action = exchange.on_request(&mut subject(act));
        let refusal = action.refusal().unwrap();
        assert_eq!((refusal.status, refusal.code.as_ref()), (500, "plugin-error"));
        let lines = exchange.host().lines();
        assert_eq!(lines[0].fields, [("cause".to_owned(), cause.to_owned())]);
    }
    let mut exchange = testing::exchange().grant("auth.");
    assert!(exchange.on_request(&mut subject("attribute")).is_next());
    assert_eq!(exchange.attribute("auth.subject"), Some("a"));
}

#[test]
fn an_error_hook_that_fails_leaves_the_error_as_it_is() {
    let mut exchange = testing::exchange();
    assert!(exchange.on_error(&mut subject(""), "no-route", 404).is_next());
    assert_eq!(exchange.host().lines().len(), 1);
    assert!(matches!(
        exchange.on_error(&mut subject(""), "timeout", 504),
        ErrorAction::RetryOn(_)
    ));
}

#[test]
fn nothing_can_be_edited_after_the_end() {
    let mut subject = subject("capture");
    let mut exchange = testing::exchange().with_response_body("1234");
    assert!(exchange.on_request(&mut subject).is_next());
    exchange.on_finish(&mut subject, Outcome::default());
    assert_eq!(exchange.attribute("late"), None);
    assert_eq!(exchange.host().shared("captured"), Some(b"1234".to_vec()));
    assert_eq!(
        exchange.host().lines()[0].fields[0].1,
        "not possible in this hook"
    );
    exchange.host().advance(Duration::from_secs(1));
    assert_eq!(exchange.host().shared("captured"), None, "values expire");
}

#[test]
fn upstreams_are_found_by_name() {
    let mut exchange = testing::exchange().with_upstream("blue");
    assert!(exchange.on_request(&mut subject("upstream")).is_next());
    assert_eq!(exchange.upstream(), Some("blue"));
    assert!(
        testing::exchange()
            .on_request(&mut subject("upstream"))
            .refusal()
            .is_some()
    );
}

#[test]
fn a_host_lasts_for_several_exchanges() {
    let host = FakeHost::new();
    let mut subject: Subject = host.configure(json!({})).unwrap();
    for _ in 0..3 {
        assert!(host.exchange().on_request(&mut subject).is_next());
    }
    assert_eq!(host.metric("calls_total", &["on-request"]), Some(3.0));
}

#[test]
fn functions_outside_of_an_exchange_work_in_plain_tests() {
    assert_ne!(random::unsigned(), random::unsigned());
    assert_eq!(clock::unix_ms(), 1_735_689_600_000);
    let quota = counters::Quota::new(2, Duration::from_secs(1));
    let takes: Vec<_> = (0..3)
        .map(|_| counters::take("k", &quota, 1).map(|verdict| verdict.allowed))
        .collect();
    assert_eq!(takes, [Ok(true), Ok(true), Ok(false)]);
    assert_eq!(counters::add("n", 2, Duration::from_secs(1)), Ok(2));
    assert_eq!(shared::put_if("v", b"1", Duration::ZERO, 7), Err(0));
    let version = shared::put_if("v", b"1", Duration::ZERO, 0).unwrap();
    assert!(shared::put_if("v", b"2", Duration::ZERO, version).is_ok());
}

struct Wrong;

#[portcullis::plugin]
impl Plugin for Wrong {
    fn new(_: NoConfig) -> Result<Self, String> {
        Ok(Self)
    }

    fn respond(&mut self, request: &Request, _: Blob) -> Reply {
        match request.path().as_str() {
            "/status" => Reply::new(199),
            "/header" => Reply::new(200).header("a", "b\r\nc: d"),
            _ => Reply::new(200),
        }
    }
}

#[test]
fn an_answer_that_the_gateway_would_refuse_fails_the_test() {
    for target in ["/status", "/header"] {
        let answered = std::panic::catch_unwind(|| {
            testing::exchange()
                .target(target)
                .respond(&mut Wrong)
                .reply()
                .is_some()
        });
        assert!(answered.is_err(), "{target}");
    }
    assert!(
        testing::exchange()
            .target("/fine")
            .respond(&mut Wrong)
            .reply()
            .is_some()
    );
}
