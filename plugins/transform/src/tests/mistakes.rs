//! Configurations that are refused, and what is said about them.

use super::*;

#[test]
fn a_bad_configuration_is_refused_with_its_reason() {
    let request = |request: Value| json!({ "request": request });
    let headers = |headers: Value| json!({ "request": { "headers": headers } });
    let response = |response: Value| json!({ "response": response });
    let redirect = |redirect: Value| json!({ "redirect": [{ "location": "/" }, redirect] });
    for (config, reason) in [
        (
            headers(json!({ "set": { "a b": "1" } })),
            "`request.headers.set.a b`: \"a b\" is not the name of a header",
        ),
        (
            headers(json!({ "set": { "A": "1", "a": "2" } })),
            "`request.headers.set.a` stands there twice",
        ),
        (
            headers(json!({ "set": { "a": "1\r\nb: 2" } })),
            "`request.headers.set.a`: a header's value has no control",
        ),
        (
            headers(json!({ "remove": "Content-Length" })),
            "`request.headers.remove`: the gateway itself sets `content-length`",
        ),
        (
            headers(json!({ "rename": { "a": "te" } })),
            "`request.headers.rename.a`: the gateway itself sets `te`",
        ),
        (
            headers(json!({ "set": { "host": "a" } })),
            "the host has a key of its own: `request.host`",
        ),
        (
            headers(json!({ "set": { "a": "{{ requst }}" } })),
            "`request.headers.set.a` is no template that can be used",
        ),
        (headers(json!({ "sett": {} })), "unknown field `sett`"),
        (
            request(json!({ "query": { "remove": "" } })),
            "`request.query.remove`: a parameter has a name",
        ),
        (
            request(json!({ "path": { "set": "/a?b" } })),
            "`request.path.set` is a path",
        ),
        (
            request(json!({ "path": { "set": "a" } })),
            "`request.path.set`: a path begins with a slash",
        ),
        (
            request(json!({ "method": "CONNECT" })),
            "`request.method`: \"CONNECT\" is no method",
        ),
        (
            request(json!({ "host": "a@b" })),
            "`request.host`: \"a@b\" is no host",
        ),
        (
            request(json!({ "when": { "methods": "a b" } })),
            "`request.when.methods` holds \"a b\"",
        ),
        (
            request(json!({ "when": { "scheme": "ftp" } })),
            "`request.when.scheme` is `http` or `https`",
        ),
        (
            request(json!({ "when": { "host": "a:1" } })),
            "`request.when.host` is the name of a host without port",
        ),
        (
            request(json!({ "when": { "path-regex": "(" } })),
            "`request.when.path-regex` is no regular expression",
        ),
        (
            request(json!({ "when": { "header-regex": { "a": "(" } } })),
            "`request.when.header-regex.a` is no regular",
        ),
        (
            response(json!({ "status": 199 })),
            "`response.status` is from 200 to 599, not 199",
        ),
        (
            response(json!({ "when": { "status": "6xx" } })),
            "`response.when.status` holds \"6xx\"",
        ),
        (
            response(json!({ "headers": { "set": { "a": "{{ captures.a }}" } } })),
            "not known in a response",
        ),
        (
            redirect(json!({ "status": 304, "location": "/" })),
            "`redirect[1].status` is 301, 302, 303, 307 or 308, not 304",
        ),
        (
            redirect(json!({ "location": "" })),
            "`redirect[1].location`: there is no location",
        ),
        (
            redirect(json!({ "location": "javascript:x" })),
            "`redirect[1].location`: a URL begins with `http:`",
        ),
        (
            redirect(json!({ "location": "/{{ captures.a }}" })),
            "`captures` are known only where its `when` has a `path-regex`",
        ),
        (redirect(json!({})), "missing field `location`"),
    ] {
        let error = testing::configure::<Transform>(config).unwrap_err();
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }
}
