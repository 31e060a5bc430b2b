//! Which requests are redirected, and where to.

use super::*;

/// Status and location of a redirect, if there is one.
fn redirected(redirect: &Value, exchange: FakeExchange) -> Option<(u16, String)> {
    let mut exchange = exchange;
    let action = exchange.on_request(&mut plugin(json!({ "redirect": [redirect] })));
    let reply = action.reply()?;
    Some((reply.status, reply.headers[0].1.clone()))
}

#[test]
fn a_redirect_answers_and_keeps_the_query() {
    let to_https = json!({
        "when": { "scheme": "http" },
        "location": "https://{{ request.host }}{{ request.path }}",
    });
    let exchange = || {
        testing::exchange()
            .target("/a%20b?c=d&e")
            .authority("shop.example:8080")
    };
    assert_eq!(
        redirected(&to_https, exchange()),
        Some((308, "https://shop.example/a%20b?c=d&e".to_owned()))
    );
    assert_eq!(
        redirected(&to_https, exchange().header("x-forwarded-proto", "https")),
        None
    );

    let moved = json!({
        "when": { "path-regex": "^/old/(.*)$" },
        "status": 301,
        "location": "/new/{{ captures[1] }}",
        "keep-query": false,
    });
    let exchange = testing::exchange().target("/old/x/y?z");
    assert_eq!(redirected(&moved, exchange), Some((301, "/new/x/y".to_owned())));

    let login = json!({ "status": 302, "location": "/login?return={{ request.path }}" });
    let exchange = testing::exchange().target("/a&b?z");
    assert_eq!(
        redirected(&login, exchange),
        Some((302, "/login?return=%2Fa%26b".to_owned()))
    );
}

#[test]
fn the_first_redirect_that_is_for_the_request_is_sent_and_nothing_is_edited() {
    let config = json!({
        "redirect": [
            { "when": { "methods": "POST" }, "location": "/post" },
            { "when": { "path-regex": "^/a" }, "location": "/first" },
            { "location": "/second" },
        ],
        "request": { "method": "PUT" },
    });
    let mut plugin = plugin(config);
    for (target, location) in [("/a", "/first"), ("/b", "/second")] {
        let mut exchange = testing::exchange().target(target);
        let action = exchange.on_request(&mut plugin);
        assert_eq!(
            action.reply().unwrap().headers,
            [("location".to_owned(), location.to_owned())]
        );
        assert_eq!(exchange.request_method(), "GET");
    }
}

#[test]
fn a_redirect_leads_to_no_other_site() {
    let redirect = json!({ "location": "{{ request.path }}" });
    let exchange = testing::exchange().target("//evil.example/x");
    assert_eq!(
        redirected(&redirect, exchange),
        Some((308, "/evil.example/x".to_owned()))
    );
    let config = json!({ "redirect": [{
        "when": { "path-regex": "^/go(.*)$" },
        "location": "https://example.com{{ captures[1] }}",
    }] });
    let refusal = refused(config, testing::exchange().target("/go.evil.example"));
    assert_eq!(refusal, (400, "transform-invalid".to_owned()));
}
