//! `health-check`, `outlier`, `breaker` and `limits` of an upstream.
//!
//! It refuses to know when an endpoint has failed.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::Method;

use crate::config::model::{
    Breaker, BreakerScope, Care, GrpcCheck, HealthCheck, HealthProbe, HttpCheck, Outlier, UpstreamLimits,
    UpstreamProtocol,
};
use crate::config::reader::Reader;
use crate::message::statuses::Statuses;

const TICK: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longest name of a service that is checked, in bytes.
const MAX_SERVICE: usize = 256;
const REQUESTS: RangeInclusive<usize> = 1..=10_000_000;

/// The keys of an upstream whose servers speak `protocol`.
pub(super) fn read(reader: &mut Reader<'_>, protocol: UpstreamProtocol) -> Care {
    Care {
        health_check: health_check(reader.section("health-check"), protocol),
        outlier: outlier(reader.section("outlier")),
        breaker: breaker(reader.section("breaker")),
        limits: limits(reader.section("limits"), protocol),
    }
}

fn health_check(mut reader: Reader<'_>, spoken: UpstreamProtocol) -> Option<HealthCheck> {
    let present = reader.is_present();
    let choices = [
        ("http", Protocol::Http),
        ("tcp", Protocol::Tcp),
        ("grpc", Protocol::Grpc),
    ];
    let protocol = reader.choice("protocol", &choices, Protocol::Http);
    let service = reader.parsed("service", "a service", |text| match text.len() {
        0..=MAX_SERVICE => Ok(text.to_owned()),
        _ => Err("a name has at most 256 bytes"),
    });
    if service.is_some() && protocol != Protocol::Grpc {
        let help = "leave it out, or say `protocol = \"grpc\"`";
        let message = "only a check by gRPC asks for a service";
        reader.scope().error_with_help(reader.at(), message, help);
    }
    let probe = match protocol {
        Protocol::Http => HealthProbe::Http(http_check(&mut reader)),
        Protocol::Tcp => {
            for key in ["method", "path", "host", "expect"] {
                reader.refuse(
                    key,
                    "a check by TCP has no request",
                    "leave out what belongs to `protocol = \"http\"`",
                );
            }
            HealthProbe::Tcp
        }
        Protocol::Grpc => HealthProbe::Grpc(GrpcCheck {
            service: service.unwrap_or_default(),
            host: grpc_host(&mut reader, spoken),
        }),
    };
    let check = HealthCheck {
        probe,
        interval: reader.time("interval", 10 * TICK..=DAY, 5 * SECOND),
        timeout: reader.time("timeout", TICK..=3600 * SECOND, 2 * SECOND),
        healthy_threshold: reader.number("healthy-threshold", 1..=1000, 2),
        unhealthy_threshold: reader.number("unhealthy-threshold", 1..=1000, 3),
        port: reader.optional_number("port", 1..=u16::MAX),
    };
    reader.finish();
    present.then_some(check)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http,
    Tcp,
    Grpc,
}

/// What a check by gRPC may say beside its service.
fn grpc_host(reader: &mut Reader<'_>, spoken: UpstreamProtocol) -> Option<String> {
    for key in ["method", "path", "expect"] {
        let help = "leave out what belongs to `protocol = \"http\"`";
        reader.refuse(key, "a check by gRPC is a call of its own kind", help);
    }
    if spoken == UpstreamProtocol::Http1 {
        let help = "say of the upstream `protocol = \"h2\"`, or check it by `http` or `tcp`";
        let message = "a check by gRPC needs an upstream that speaks HTTP/2";
        reader.scope().error_with_help(reader.at(), message, help);
    }
    host(reader)
}

/// The Host field of a check.
fn host(reader: &mut Reader<'_>) -> Option<String> {
    reader.parsed("host", "a host", |text| {
        if is_visible(text) && !text.contains(['/', '?', '#', '@']) {
            Ok(text.to_owned())
        } else {
            Err("write it as in the Host field: `orders.example` or `orders.example:8080`")
        }
    })
}

fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn http_check(reader: &mut Reader<'_>) -> HttpCheck {
    let method = reader.parsed("method", "a method", super::super::rule::method);
    let path = reader.parsed("path", "a path", |text| {
        if text.starts_with('/') && is_visible(text) && !text.contains('#') {
            Ok(text.to_owned())
        } else {
            Err("it begins with `/` and has no blanks; a query may follow")
        }
    });
    let host = host(reader);
    let expect = statuses(
        reader,
        "expect",
        "name the good answers, for example `expect = [\"200-399\"]`",
    );
    HttpCheck {
        method: method.unwrap_or(Method::GET),
        path: path.unwrap_or_else(|| "/".to_owned()),
        host,
        expect: expect.unwrap_or_else(|| (200..=399).into()),
    }
}

fn statuses(reader: &mut Reader<'_>, key: &'static str, empty: &str) -> Option<Statuses> {
    let scope = reader.scope();
    let texts = reader.texts(key, empty)?;
    let sets = texts
        .iter()
        .filter_map(|text| scope.parse(text, "a set of statuses", str::parse::<Statuses>));
    Some(sets.fold(Statuses::default(), Statuses::with))
}

fn outlier(mut reader: Reader<'_>) -> Option<Outlier> {
    let present = reader.is_present();
    let gateway = reader.number("consecutive-gateway-errors", 0..=100_000, 5);
    let server = reader.number("consecutive-5xx", 0..=100_000, 5);
    let outlier = Outlier {
        gateway_errors: or_off(gateway),
        server_errors: or_off(server),
        base_time: reader.time("base-time", TICK..=DAY, 30 * SECOND),
        max_time: reader.time("max-time", TICK..=DAY, 300 * SECOND),
        max_percent: reader.number("max-percent", 0..=100, 50),
    };
    if present && gateway == 0 && server == 0 {
        let help = "leave the table out to eject nobody";
        reader
            .scope()
            .error_with_help(reader.at(), "nothing would ever be ejected", help);
    }
    reader.finish();
    present.then_some(outlier)
}

fn breaker(mut reader: Reader<'_>) -> Option<Breaker> {
    let present = reader.is_present();
    let scopes = [
        ("upstream", BreakerScope::Upstream),
        ("endpoint", BreakerScope::Endpoint),
        ("both", BreakerScope::Both),
    ];
    let scope = reader.choice("scope", &scopes, BreakerScope::Upstream);
    let consecutive = or_off(reader.number("consecutive-errors", 0..=100_000, 10));
    let error_percent = or_off(reader.number("error-percent", 0..=100, 50));
    let slow_percent = or_off(reader.number("slow-percent", 0..=100, 0));
    let trials = reader.number("trials", 1..=1000, 3);
    let breaker = Breaker {
        scope,
        consecutive,
        error_percent,
        slow_percent,
        slow_after: reader.time("slow-after", TICK..=DAY, SECOND),
        min_requests: reader.number("min-requests", 1..=100_000, 20),
        window: reader.time("window", SECOND..=3600 * SECOND, 10 * SECOND),
        open_time: reader.time("open-time", 10 * TICK..=DAY, 5 * SECOND),
        max_open_time: reader.time("max-open-time", 10 * TICK..=DAY, 60 * SECOND),
        trials,
        successes: reader.number("successes", 1..=trials, trials),
        statuses: statuses(&mut reader, "statuses", "leave it out for the default")
            .unwrap_or_else(|| Statuses::from(500..=500).with((502..=504).into())),
    };
    if present && consecutive.is_none() && error_percent.is_none() && slow_percent.is_none() {
        let help = "leave the table out for no breaker";
        reader
            .scope()
            .error_with_help(reader.at(), "the breaker would never open", help);
    }
    reader.finish();
    present.then_some(breaker)
}

fn limits(mut reader: Reader<'_>, protocol: UpstreamProtocol) -> Option<UpstreamLimits> {
    let present = reader.is_present();
    if protocol == UpstreamProtocol::Http2 {
        for key in ["connections", "pending", "pending-timeout"] {
            let message = "over HTTP/2 requests do not wait for connections: they share them";
            reader.refuse(key, message, "limit the requests: `requests = 100`");
        }
        let requests = reader.optional_number("requests", REQUESTS);
        reader.finish();
        return present.then_some(UpstreamLimits {
            connections: None,
            pending: 0,
            pending_timeout: Duration::ZERO,
            requests,
        });
    }
    let connections = reader.optional_number("connections", 1..=10_000_000);
    if connections.is_none() && reader.has_any(&["pending", "pending-timeout"]) {
        let help = "say how many there may be: `connections = 100`";
        let message = "requests wait for a connection only where `connections` are limited";
        reader.scope().error_with_help(reader.at(), message, help);
    }
    let limits = UpstreamLimits {
        connections,
        pending: reader.number("pending", 0..=10_000_000, 1024),
        pending_timeout: reader.time("pending-timeout", TICK..=DAY, 5 * SECOND),
        requests: reader.optional_number("requests", REQUESTS),
    };
    reader.finish();
    present.then_some(limits)
}

/// 0 turns a rule off.
fn or_off(number: u32) -> Option<u32> {
    (number > 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{errors, parsed};

    use super::*;

    const UPSTREAM: &str = "[upstreams.u]\nendpoints = ['127.0.0.1:1']\n";

    fn care(text: &str) -> Care {
        parsed(&format!("{UPSTREAM}{text}")).upstreams[0].care.clone()
    }

    #[test]
    fn nothing_is_on_without_its_table_and_an_empty_table_turns_it_on() {
        assert_eq!(care(""), Care::default());
        let all = care("health-check = {}\noutlier = {}\nbreaker = {}\nlimits = {}\n");
        let check = all.health_check.unwrap();
        let HealthProbe::Http(http) = check.probe else {
            panic!("{check:?}")
        };
        assert_eq!(
            (http.method, http.path.as_str(), http.host),
            (Method::GET, "/", None)
        );
        assert!(http.expect.contains(http::StatusCode::MULTIPLE_CHOICES));
        assert_eq!((check.interval, check.timeout), (5 * SECOND, 2 * SECOND));
        assert_eq!(
            (check.healthy_threshold, check.unhealthy_threshold, check.port),
            (2, 3, None)
        );
        let outlier = all.outlier.unwrap();
        assert_eq!(
            (outlier.gateway_errors, outlier.server_errors),
            (Some(5), Some(5))
        );
        let breaker = all.breaker.unwrap();
        assert_eq!(
            (breaker.scope, breaker.trials, breaker.successes),
            (BreakerScope::Upstream, 3, 3)
        );
        assert_eq!(
            (breaker.consecutive, breaker.error_percent, breaker.slow_percent),
            (Some(10), Some(50), None)
        );
        assert_eq!(breaker.statuses.to_string(), "500, 502-504");
        let limits = all.limits.unwrap();
        assert_eq!((limits.connections, limits.requests), (None, None));
    }

    #[test]
    fn every_key_is_read() {
        let all = care(
            "[upstreams.u.health-check]\nmethod = 'HEAD'\npath = '/live?deep=1'\nhost = 'u.example'\nexpect = ['204', '3xx']\n\
             interval = '1s'\ntimeout = '2s'\nhealthy-threshold = 3\nunhealthy-threshold = 4\nport = 5\n\
             [upstreams.u.outlier]\nconsecutive-gateway-errors = 0\nconsecutive-5xx = 7\nbase-time = '1s'\nmax-time = '2s'\n\
             max-percent = 30\n\
             [upstreams.u.breaker]\nscope = 'both'\nconsecutive-errors = 0\nerror-percent = 0\nslow-percent = 20\n\
             slow-after = '1s'\nmin-requests = 2\nwindow = '3s'\nopen-time = '4s'\nmax-open-time = '5s'\ntrials = 6\n\
             successes = 4\nstatuses = ['5xx']\n\
             [upstreams.u.limits]\nconnections = 1\npending = 2\npending-timeout = '3s'\nrequests = 4\n",
        );
        let check = all.health_check.unwrap();
        assert_eq!(
            (check.interval, check.timeout, check.port),
            (SECOND, 2 * SECOND, Some(5))
        );
        assert_eq!((check.healthy_threshold, check.unhealthy_threshold), (3, 4));
        let HealthProbe::Http(http) = check.probe else {
            panic!("{:?}", check.probe)
        };
        assert_eq!((http.method, http.path.as_str()), (Method::HEAD, "/live?deep=1"));
        assert_eq!(
            (http.host.as_deref(), http.expect.to_string().as_str()),
            (Some("u.example"), "204, 300-399")
        );
        let outlier = Outlier {
            gateway_errors: None,
            server_errors: Some(7),
            base_time: SECOND,
            max_time: 2 * SECOND,
            max_percent: 30,
        };
        assert_eq!(all.outlier, Some(outlier));
        let breaker = Breaker {
            scope: BreakerScope::Both,
            consecutive: None,
            error_percent: None,
            slow_percent: Some(20),
            slow_after: SECOND,
            min_requests: 2,
            window: 3 * SECOND,
            open_time: 4 * SECOND,
            max_open_time: 5 * SECOND,
            trials: 6,
            successes: 4,
            statuses: "5xx".parse().unwrap(),
        };
        assert_eq!(all.breaker, Some(breaker));
        let limits = UpstreamLimits {
            connections: Some(1),
            pending: 2,
            pending_timeout: 3 * SECOND,
            requests: Some(4),
        };
        assert_eq!(all.limits, Some(limits));
    }

    #[test]
    fn a_check_by_tcp_has_no_request() {
        let check = care("health-check = { protocol = 'tcp' }\n")
            .health_check
            .unwrap();
        assert_eq!(check.probe, HealthProbe::Tcp);
        let text = format!("{UPSTREAM}health-check = {{ protocol = 'tcp', path = '/' }}\n");
        insta::assert_snapshot!(errors(&text), @r#"
        error: a check by TCP has no request
         --> gateway.toml:3:36
          |
        3 | health-check = { protocol = 'tcp', path = '/' }
          |                                    ^^^^
          = help: leave out what belongs to `protocol = "http"`
        "#);
    }

    #[test]
    fn a_check_by_grpc_asks_an_upstream_that_speaks_http_2_for_a_service() {
        let keys =
            "protocol = 'h2'\nhealth-check = { protocol = 'grpc', service = 'pkg.Orders', host = 'o' }\n";
        let probe = care(keys).health_check.unwrap().probe;
        let asked = GrpcCheck {
            service: "pkg.Orders".to_owned(),
            host: Some("o".to_owned()),
        };
        assert_eq!(probe, HealthProbe::Grpc(asked));
        let text = format!("{UPSTREAM}health-check = {{ protocol = 'grpc', path = '/' }}\n");
        insta::assert_snapshot!(errors(&text), @r#"
        error: a check by gRPC needs an upstream that speaks HTTP/2
         --> gateway.toml:3:1
          |
        3 | health-check = { protocol = 'grpc', path = '/' }
          | ^^^^^^^^^^^^
          = help: say of the upstream `protocol = "h2"`, or check it by `http` or `tcp`

        error: a check by gRPC is a call of its own kind
         --> gateway.toml:3:37
          |
        3 | health-check = { protocol = 'grpc', path = '/' }
          |                                     ^^^^
          = help: leave out what belongs to `protocol = "http"`
        "#);
        let text = format!("{UPSTREAM}health-check = {{ service = 'a' }}\n");
        insta::assert_snapshot!(errors(&text), @r#"
        error: only a check by gRPC asks for a service
         --> gateway.toml:3:1
          |
        3 | health-check = { service = 'a' }
          | ^^^^^^^^^^^^
          = help: leave it out, or say `protocol = "grpc"`
        "#);
    }

    #[test]
    fn over_http_2_only_requests_are_limited() {
        let limits = care("protocol = 'h2'\nlimits = { requests = 7 }\n")
            .limits
            .unwrap();
        assert_eq!((limits.connections, limits.requests), (None, Some(7)));
        let text = format!("{UPSTREAM}protocol = 'h2'\nlimits = {{ connections = 1, pending = 2 }}\n");
        insta::assert_snapshot!(errors(&text), @r#"
        error: over HTTP/2 requests do not wait for connections: they share them
         --> gateway.toml:4:12
          |
        4 | limits = { connections = 1, pending = 2 }
          |            ^^^^^^^^^^^
          = help: limit the requests: `requests = 100`

        error: over HTTP/2 requests do not wait for connections: they share them
         --> gateway.toml:4:29
          |
        4 | limits = { connections = 1, pending = 2 }
          |                             ^^^^^^^
          = help: limit the requests: `requests = 100`
        "#);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let text = format!(
            "{UPSTREAM}health-check = {{ path = 'live', host = 'a b', expect = [], port = 0 }}\n\
             outlier = {{ consecutive-5xx = 0, consecutive-gateway-errors = 0 }}\n\
             breaker = {{ consecutive-errors = 0, error-percent = 0, statuses = ['6xx'] }}\n\
             limits = {{ pending = 5 }}\n\
             [upstreams.v]\nendpoints = ['127.0.0.1:1']\nbreaker = {{ trials = 2, successes = 3, scope = 'route' }}\n"
        );
        insta::assert_snapshot!(errors(&text), @r#"
        error: `live` is not a path
         --> gateway.toml:3:25
          |
        3 | health-check = { path = 'live', host = 'a b', expect = [], port = 0 }
          |                         ^^^^^^
          = help: it begins with `/` and has no blanks; a query may follow

        error: `a b` is not a host
         --> gateway.toml:3:40
          |
        3 | health-check = { path = 'live', host = 'a b', expect = [], port = 0 }
          |                                        ^^^^^
          = help: write it as in the Host field: `orders.example` or `orders.example:8080`

        error: `expect` is empty
         --> gateway.toml:3:47
          |
        3 | health-check = { path = 'live', host = 'a b', expect = [], port = 0 }
          |                                               ^^^^^^
          = help: name the good answers, for example `expect = ["200-399"]`

        error: `port` must be between 1 and 65535
         --> gateway.toml:3:67
          |
        3 | health-check = { path = 'live', host = 'a b', expect = [], port = 0 }
          |                                                                   ^

        error: nothing would ever be ejected
         --> gateway.toml:4:1
          |
        4 | outlier = { consecutive-5xx = 0, consecutive-gateway-errors = 0 }
          | ^^^^^^^
          = help: leave the table out to eject nobody

        error: the breaker would never open
         --> gateway.toml:5:1
          |
        5 | breaker = { consecutive-errors = 0, error-percent = 0, statuses = ['6xx'] }
          | ^^^^^^^
          = help: leave the table out for no breaker

        error: `6xx` is not a set of statuses
         --> gateway.toml:5:68
          |
        5 | breaker = { consecutive-errors = 0, error-percent = 0, statuses = ['6xx'] }
          |                                                                    ^^^^^
          = help: write a status (503), a class (5xx) or a range (500-504), from 100 to 599

        error: requests wait for a connection only where `connections` are limited
         --> gateway.toml:6:1
          |
        6 | limits = { pending = 5 }
          | ^^^^^^
          = help: say how many there may be: `connections = 100`

        error: `successes` must be between 1 and 2
         --> gateway.toml:9:37
          |
        9 | breaker = { trials = 2, successes = 3, scope = 'route' }
          |                                     ^

        error: `route` is not a possible value of `scope`
         --> gateway.toml:9:48
          |
        9 | breaker = { trials = 2, successes = 3, scope = 'route' }
          |                                                ^^^^^^^
          = help: possible values: `upstream`, `endpoint`, `both`
        "#);
    }
}
