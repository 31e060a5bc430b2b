//! `retries`, `retry-budget`, `hedge` and `fallback` of an upstream, and the `retries` of a route.
//!
//! It refuses to know when a try has failed.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};

use crate::config::model::{Condition, Fallback, Recourse, Retries, RetryBudget, StaticAnswer, Upstream};
use crate::config::names::Names;
use crate::config::reader::{Reader, is_text};
use crate::config::secret::quoted;
use crate::message::fields::is_connection_field;
use crate::message::grpc::GrpcStatus;

/// Longest body of a static answer, in bytes.
const MAX_BODY: usize = 64 << 10;

/// The keys of an upstream.
pub(in crate::config::check) fn read(reader: &mut Reader<'_>, upstreams: &Names<'_>) -> Recourse {
    Recourse {
        retries: retries(reader),
        budget: budget(reader.section("retry-budget")),
        hedge: hedge(reader.section("hedge")),
        fallback: fallback(reader, upstreams),
    }
}

/// The table `retries`, if it is there.
pub(in crate::config::check) fn retries(reader: &mut Reader<'_>) -> Option<Retries> {
    let mut reader = reader.section("retries");
    let present = reader.is_present();
    let default = Retries::default();
    let (tick, hour) = (Duration::from_millis(1), Duration::from_secs(3600));
    let retries = Retries {
        attempts: reader.number("attempts", 0..=10, default.attempts),
        on: conditions(&mut reader).unwrap_or(default.on),
        per_try_timeout: reader.optional_time("per-try-timeout", tick..=24 * hour),
        back_off: reader.time("back-off", Duration::ZERO..=hour, default.back_off),
        max_back_off: reader.time("max-back-off", Duration::ZERO..=hour, default.max_back_off),
        max_retry_after: reader.time("max-retry-after", Duration::ZERO..=hour, default.max_retry_after),
        methods: methods(&mut reader),
        buffer: reader.size("buffer", 0..=16 << 20, default.buffer),
    };
    reader.finish();
    present.then_some(retries)
}

fn conditions(reader: &mut Reader<'_>) -> Option<Vec<Condition>> {
    let scope = reader.scope();
    let texts = reader.texts("on", "leave it out for the default, or say `attempts = 0`")?;
    let conditions = texts
        .iter()
        .filter_map(|text| scope.parse(text, "a condition for retries", condition));
    Some(conditions.collect())
}

fn condition(text: &str) -> Result<Condition, &'static str> {
    Ok(match text {
        "connect-failure" => Condition::ConnectFailure,
        "reset" => Condition::Reset,
        "timeout" => Condition::Timeout,
        "5xx" => Condition::ServerError,
        "gateway-error" => Condition::GatewayError,
        "cancelled" => Condition::Call(GrpcStatus::Cancelled),
        "deadline-exceeded" => Condition::Call(GrpcStatus::DeadlineExceeded),
        "internal" => Condition::Call(GrpcStatus::Internal),
        "resource-exhausted" => Condition::Call(GrpcStatus::ResourceExhausted),
        "unavailable" => Condition::Call(GrpcStatus::Unavailable),
        status => match status.parse::<u16>().ok().map(StatusCode::from_u16) {
            Some(Ok(status)) if (400..=599).contains(&status.as_u16()) => Condition::Status(status),
            _ => {
                return Err(
                    "possible are `connect-failure`, `reset`, `timeout`, `5xx`, `gateway-error`, statuses from `400` to `599`, and of \
                     gRPC `cancelled`, `deadline-exceeded`, `internal`, `resource-exhausted` and `unavailable`",
                );
            }
        },
    })
}

fn methods(reader: &mut Reader<'_>) -> Option<Vec<Method>> {
    let scope = reader.scope();
    let texts = reader.texts("methods", "leave it out for the idempotent methods")?;
    let methods = texts
        .iter()
        .filter_map(|text| scope.parse(text, "a method", super::super::rule::method));
    Some(methods.collect())
}

fn budget(mut reader: Reader<'_>) -> RetryBudget {
    let default = RetryBudget::default();
    let budget = RetryBudget {
        percent: reader.number("percent", 0..=100, default.percent),
        min_per_second: reader.number("min-per-second", 0..=10_000, default.min_per_second),
    };
    reader.finish();
    budget
}

fn hedge(mut reader: Reader<'_>) -> Option<Duration> {
    reader.require("after", "for example `after = \"50ms\"`");
    let after = reader.optional_time("after", Duration::from_millis(1)..=Duration::from_secs(3600));
    reader.finish();
    after
}

fn fallback(reader: &mut Reader<'_>, upstreams: &Names<'_>) -> Option<Fallback> {
    let scope = reader.scope();
    let (_, node) = reader.entry("fallback")?;
    if is_text(node) {
        let text = scope.text("`fallback`", node)?;
        return upstreams.find(scope, &text).map(Fallback::Upstream);
    }
    let mut reader = reader.section("fallback");
    let status = reader.number("status", 200_u16..=599, 503);
    let mut headers = headers(&mut reader);
    let content_type = reader.text("content-type");
    let body = reader.text("body");
    if let Some(body) = body.as_ref().filter(|body| body.as_str().len() > MAX_BODY) {
        scope.error(body.at(), format!("`body` is longer than {MAX_BODY} bytes"));
    }
    let content_type = content_type.map(|text| scope.parse(&text, "a media type", value));
    let plain = || {
        body.is_some()
            .then(|| HeaderValue::from_static("text/plain; charset=utf-8"))
    };
    if let Some(content_type) = content_type.unwrap_or_else(plain) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    reader.finish();
    Some(Fallback::Answer(Box::new(StaticAnswer {
        status: StatusCode::from_u16(status).ok()?,
        headers,
        body: body
            .map(|body| body.as_str().to_owned().into())
            .unwrap_or_default(),
    })))
}

fn headers(reader: &mut Reader<'_>) -> HeaderMap {
    let scope = reader.scope();
    let mut headers = HeaderMap::new();
    for (name, at, node) in reader.free_entries("headers") {
        let header = match HeaderName::from_bytes(name.as_bytes()) {
            Ok(header) if !is_connection_field(header.as_str()) => header,
            Ok(header) => {
                scope.error(
                    &at,
                    format!("the gateway itself sets {}", quoted(header.as_str())),
                );
                continue;
            }
            Err(_) => {
                scope.error(&at, format!("{} is not a header name", quoted(name)));
                continue;
            }
        };
        let text = scope.text(&quoted(name), node);
        let value = text.and_then(|text| scope.parse(&text, "a possible value", value));
        if let Some(value) = value {
            headers.insert(header, value);
        }
    }
    headers
}

fn value(text: &str) -> Result<HeaderValue, &'static str> {
    HeaderValue::from_str(text).map_err(|_| "no header field can have this value")
}

/// Reports fallbacks that lead back to where they began.
pub(in crate::config::check) fn refuse_loops(upstreams: &[Upstream], names: &Names<'_>) {
    let next = |at: usize| match upstreams.get(at)?.recourse.fallback {
        Some(Fallback::Upstream(next)) => Some(next),
        _ => None,
    };
    for (start, name) in names.list().iter().enumerate() {
        let (mut at, mut way) = (start, vec![name.text]);
        while let Some(other) = next(at) {
            way.extend(names.list().get(other).map(|name| name.text));
            if other == start {
                let way = way.join(" -> ");
                let message = format!("the fallbacks of {} lead back to it: {way}", quoted(name.text));
                name.scope.error(&name.at, message);
            }
            // A loop that this upstream is not part of is reported where it is.
            if other == start || way.len() > upstreams.len() {
                break;
            }
            at = other;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{errors, parsed};

    use super::*;

    const UPSTREAM: &str = "[upstreams.u]\nendpoints = ['127.0.0.1:1']\n";

    fn recourse(text: &str) -> Recourse {
        parsed(&format!("{UPSTREAM}{text}")).upstreams[0].recourse.clone()
    }

    #[test]
    fn without_tables_nothing_is_done_and_an_empty_table_turns_retries_on() {
        assert_eq!(recourse(""), Recourse::default());
        let retries = recourse("retries = {}").retries.unwrap();
        assert_eq!(retries, Retries::default());
        assert!(retries.may_repeat(&Method::PUT) && !retries.may_repeat(&Method::POST));
    }

    #[test]
    fn every_key_is_read() {
        let all = recourse(
            "[upstreams.u.retries]\nattempts = 3\non = ['reset', '5xx', '429']\nper-try-timeout = '1s'\n\
             back-off = '2ms'\nmax-back-off = '3ms'\nmax-retry-after = '4s'\nmethods = ['POST']\nbuffer = '1KiB'\n\
             [upstreams.u.retry-budget]\npercent = 5\nmin-per-second = 6\n[upstreams.u.hedge]\nafter = '7ms'\n\
             [upstreams.u.fallback]\nstatus = 200\nbody = '{}'\ncontent-type = 'application/json'\n\
             headers = { X-Stale = 'yes' }\n",
        );
        let retries = all.retries.unwrap();
        assert_eq!(
            retries.on,
            [
                Condition::Reset,
                Condition::ServerError,
                Condition::Status(StatusCode::TOO_MANY_REQUESTS)
            ]
        );
        assert_eq!((retries.attempts, retries.buffer), (3, 1024));
        let times = [retries.back_off, retries.max_back_off, retries.max_retry_after];
        assert_eq!(times.map(|time| time.as_millis()), [2, 3, 4_000]);
        assert_eq!(retries.per_try_timeout, Some(Duration::from_secs(1)));
        assert!(retries.may_repeat(&Method::POST) && !retries.may_repeat(&Method::GET));
        assert_eq!((all.budget.percent, all.budget.min_per_second), (5, 6));
        assert_eq!(all.hedge, Some(Duration::from_millis(7)));
        let Some(Fallback::Answer(answer)) = all.fallback else {
            panic!("{:?}", all.fallback)
        };
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"{}"[..]));
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.headers["x-stale"], "yes");
    }

    #[test]
    fn an_upstream_can_stand_in_for_another() {
        let text = "fallback = 'v'\n[upstreams.v]\nendpoints = ['127.0.0.1:2']\n";
        assert_eq!(recourse(text).fallback, Some(Fallback::Upstream(1)));
    }

    #[test]
    fn fallbacks_that_lead_in_a_circle_are_refused() {
        let text = "[upstreams]\na = { endpoints = ['127.0.0.1:1'], fallback = 'b' }\n\
                    b = { endpoints = ['127.0.0.1:1'], fallback = 'c' }\n\
                    c = { endpoints = ['127.0.0.1:1'], fallback = 'b' }\n\
                    d = { endpoints = ['127.0.0.1:1'], fallback = 'd' }\n";
        insta::assert_snapshot!(errors(text), @r#"
        error: the fallbacks of `b` lead back to it: b -> c -> b
         --> gateway.toml:3:1
          |
        3 | b = { endpoints = ['127.0.0.1:1'], fallback = 'c' }
          | ^

        error: the fallbacks of `c` lead back to it: c -> b -> c
         --> gateway.toml:4:1
          |
        4 | c = { endpoints = ['127.0.0.1:1'], fallback = 'b' }
          | ^

        error: the fallbacks of `d` lead back to it: d -> d
         --> gateway.toml:5:1
          |
        5 | d = { endpoints = ['127.0.0.1:1'], fallback = 'd' }
          | ^
        "#);
    }

    #[test]
    fn what_is_wrong_is_reported_part_by_part() {
        let text = format!(
            "{UPSTREAM}fallback = {{ status = 99, headers = {{ 'a b' = 'x', te = 'x', x-a = \"a\\nb\" }} }}\nhedge = {{}}\n\
             [upstreams.u.retries]\non = ['503', '200', 'never']\nmethods = ['get']\nattempts = 11\n"
        );
        insta::assert_snapshot!(errors(&text), @r#"
        error: `status` must be between 200 and 599
         --> gateway.toml:3:23
          |
        3 | fallback = { status = 99, headers = { 'a b' = 'x', te = 'x', x-a = "a\nb" } }
          |                       ^^

        error: `a b` is not a header name
         --> gateway.toml:3:39
          |
        3 | fallback = { status = 99, headers = { 'a b' = 'x', te = 'x', x-a = "a\nb" } }
          |                                       ^^^^^

        error: the gateway itself sets `te`
         --> gateway.toml:3:52
          |
        3 | fallback = { status = 99, headers = { 'a b' = 'x', te = 'x', x-a = "a\nb" } }
          |                                                    ^^

        error: `a b` is not a possible value
         --> gateway.toml:3:68
          |
        3 | fallback = { status = 99, headers = { 'a b' = 'x', te = 'x', x-a = "a\nb" } }
          |                                                                    ^^^^^^
          = help: no header field can have this value

        error: missing key `after` in `upstreams.u.hedge`
         --> gateway.toml:4:1
          |
        4 | hedge = {}
          | ^^^^^
          = help: for example `after = "50ms"`

        error: `200` is not a condition for retries
         --> gateway.toml:6:14
          |
        6 | on = ['503', '200', 'never']
          |              ^^^^^
          = help: possible are `connect-failure`, `reset`, `timeout`, `5xx`, `gateway-error`, statuses from `400` to `599`, and of gRPC `cancelled`, `deadline-exceeded`, `internal`, `resource-exhausted` and `unavailable`

        error: `never` is not a condition for retries
         --> gateway.toml:6:21
          |
        6 | on = ['503', '200', 'never']
          |                     ^^^^^^^
          = help: possible are `connect-failure`, `reset`, `timeout`, `5xx`, `gateway-error`, statuses from `400` to `599`, and of gRPC `cancelled`, `deadline-exceeded`, `internal`, `resource-exhausted` and `unavailable`

        error: `get` is not a method
         --> gateway.toml:7:12
          |
        7 | methods = ['get']
          |            ^^^^^
          = help: methods are case-sensitive: did you mean `GET`?

        error: `attempts` must be between 0 and 10
         --> gateway.toml:8:12
          |
        8 | attempts = 11
          |            ^^
        "#);
    }
}
