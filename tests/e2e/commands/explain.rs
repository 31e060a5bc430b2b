//! `explain`: what it shows, and that the gateway does the same.

use std::fs;

use portcullis_tests::gateway::binary::portcullis;
use portcullis_tests::{Gateway, Request, Upstream};
use serde_json::Value;
use tempfile::TempDir;

use super::{Said, folder};

mod tls;

const TOML: &str = r#"include = ["routes.d/*.toml"]

[gateway]
routers = ["canary"]

[listeners.public]
address = "0.0.0.0:8080"
pipeline = ["@base"]
trusted-proxies = ["10.0.0.0/8"]

[listeners.inner]
address = "127.0.0.1:8081"

[pipelines]
base = ["@keys", { plugin = "gate", config = { keys = { a = "hunter2" } }, on-fault = "skip" }]
keys = ["gate"]

[plugins.gate]
wasm = "auth-key"
allow = { attributes = ["auth."] }
allow-fail-open = true
config = { keys = { acme = "hunter2" } }

[plugins.canary]

[[routes]]
name = "all"
match = { methods = ["GET"] }
upstream = "up"

[upstreams.up]
endpoints = ["127.0.0.1:9001", "[::1]:9002"]
"#;

const ORDERS: &str = r#"[[routes]]
name = "order"
match = { host = ["api.example.com", "*.example.org"], path = "/v1/orders/{id}/{part}" }
pipeline = [{ any = ["gate", "mock"] }]
upstream = "up"

[[routes]]
name = "secret"
match = { host = "api.example.com", prefix = "/v1", headers = { x-key = "hunter2" }, query = { v = { prefix = "hunter2" } } }
upstream = { plugin = "mock" }

[[routes]]
name = "inner"
listeners = ["inner"]
upstream = "up"
inherit = false

[plugins.mock]
"#;

fn site() -> TempDir {
    let folder = folder(TOML, &["auth-key", "mock"]);
    fs::create_dir(folder.path().join("routes.d")).unwrap();
    fs::write(folder.path().join("routes.d/orders.toml"), ORDERS).unwrap();
    folder
}

async fn explain(folder: &TempDir, arguments: &[&str]) -> Said {
    let command = ["explain", "--config", "gateway.toml"];
    portcullis(&[&command[..], arguments].concat(), folder.path())
        .await
        .into()
}

async fn json(folder: &TempDir, arguments: &[&str]) -> Value {
    let said = explain(folder, &[arguments, &["--json"]].concat()).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{arguments:?}");
    serde_json::from_str(&said.out).unwrap()
}

#[tokio::test]
async fn a_route_is_shown_with_its_reasons_its_pipeline_and_its_upstream() {
    let url = "http://api.example.com:8080/v1/./orders/7/%61?x=1";
    let said = explain(&site(), &["GET", url]).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let expected = "\
request    GET /v1/./orders/7/%61?x=1
           host api.example.com, path /v1/orders/7/a, client 127.0.0.1
listener   public on 0.0.0.0:8080  gateway.toml:6:12
router     canary  gateway.toml:24:10
           is asked before the table and may name another route
                plugins/canary.wasm: unusable: No such file or directory (os error 2)
                on-fault reject
route      order  routes.d/orders.toml:1:1
           host api.example.com (exact)
           path /v1/orders/{id}/{part} (whole)
           {id} = 7
           {part} = a
passed     secret  routes.d/orders.toml:7:1  demands header `x-key`
           all  gateway.toml:26:1  matches, too, but its host is less specific
           inner  routes.d/orders.toml:12:1  is not on this listener
pipeline   1. gate  gateway.toml:16:9  of the listener, @base, @keys
                plugins/auth-key.wasm: hooks on-request
                on-fault reject; allow-fail-open; may write attributes auth.
           2. gate@pipelines.base#1  gateway.toml:15:18  of the listener, @base
                plugins/auth-key.wasm: hooks on-request
                on-fault skip; allow-fail-open; may write attributes auth.
           3. any of gate, mock  routes.d/orders.toml:4:13  of the route
              gate  gateway.toml:18:10
                plugins/auth-key.wasm: hooks on-request
                on-fault reject; allow-fail-open; may write attributes auth.
              mock  routes.d/orders.toml:18:10
                plugins/mock.wasm: hooks responder
                on-fault reject
upstream   up  gateway.toml:31:12
           127.0.0.1:9001, [::1]:9002
";
    assert_eq!(said.out, expected);
}

#[tokio::test]
async fn the_plugin_that_picks_the_endpoint_is_shown_with_its_hooks() {
    let toml = TOML.replace("endpoints =", "balance = { plugin = 'gate' }\nendpoints =");
    let site = site();
    fs::write(site.path().join("gateway.toml"), toml).unwrap();
    let url = "http://api.example.com:8080/v1/orders/7/a";
    let said = explain(&site, &["GET", url]).await;
    let shown = "\
balancer   gate  gateway.toml:18:10
                plugins/auth-key.wasm: hooks on-request
                on-fault reject; allow-fail-open; may write attributes auth.
";
    assert!(said.out.ends_with(shown), "{}", said.out);
    let shown = json(&site, &["GET", url]).await;
    assert_eq!(shown["target"]["upstream"]["balancer"]["name"], "gate");
}

#[tokio::test]
async fn the_same_is_shown_as_json() {
    let url = "http://api.example.com:8080/v1/orders/7/a";
    let shown = json(&site(), &["GET", url]).await;
    assert_eq!(shown["listener"]["name"], "public");
    let route = &shown["route"];
    assert_eq!(
        (&route["name"], &route["path-kind"]),
        (&"order".into(), &"whole".into())
    );
    assert_eq!(route["captures"][1]["value"], "a");
    assert_eq!(shown["passed-over"].as_array().unwrap().len(), 3);
    let element = &shown["pipeline"][2];
    assert_eq!((&element["any"], &element["of"]), (&true.into(), &"route".into()));
    assert_eq!(element["entries"][1]["hooks"][0], "responder");
    assert_eq!(shown["pipeline"][0]["lists"], serde_json::json!(["base", "keys"]));
    assert_eq!(shown["pipeline"][1]["entries"][0]["on-fault"], "skip");
    assert_eq!(shown["target"]["upstream"]["endpoints"][1], "[::1]:9002");
    assert_eq!(shown["refused"], Value::Null);
}

#[tokio::test]
async fn why_there_is_no_route_is_said_with_the_code_of_the_answer() {
    let folder = site();
    let cases: [(&[&str], u16, &str, bool); 7] = [
        (&["POST", "/x"], 404, "no-route", false),
        (&["GET", "/%2f"], 400, "path-refused", true),
        (&["GET", "/%zz"], 400, "path-refused", true),
        (&["GET", "/x", "-H", "host: a b"], 400, "host-malformed", true),
        (
            &["GET", "/x", "-H", "host: a", "-H", "host: b"],
            400,
            "host-malformed",
            true,
        ),
        (&["GET", "/x", "-H", "Host:"], 400, "host-malformed", true),
        (&["CONNECT", "/x"], 501, "connect-refused", true),
    ];
    for (arguments, status, code, before) in cases {
        let arguments = [arguments, &["--listener", "public"]].concat();
        let shown = json(&folder, &arguments).await;
        assert_eq!(shown["route"], Value::Null, "{arguments:?}");
        assert_eq!(
            (
                &shown["refused"]["code"],
                &shown["refused"]["status"],
                &shown["refused"]["before-routing"]
            ),
            (&code.into(), &status.into(), &before.into()),
            "{arguments:?}"
        );
        let said = explain(&folder, &arguments).await;
        assert_eq!(said.code, Some(0));
        assert!(
            said.out
                .contains(&format!("route      none: {status} `{code}`\n")),
            "{}",
            said.out
        );
        // The listener's pipeline runs when no route matches.
        assert_eq!(
            said.out.contains("gate@pipelines.base#1"),
            !before,
            "{}",
            said.out
        );
    }
}

#[tokio::test]
async fn why_other_routes_were_passed_over_is_said_for_every_kind_of_reason() {
    let toml = "[listeners.public]\naddress = '127.0.0.1:0'\n[upstreams.up]\nendpoints = ['127.0.0.1:9']\n";
    let route = |name: &str, rule: &str| {
        format!("[[routes]]\nname = '{name}'\nupstream = 'up'\nmatch = {{ {rule} }}\n")
    };
    let rules = [
        ("found", "host = 'a.b', path = '/x', methods = ['GET']"),
        ("host", "host = ['c.b', '*.c']"),
        ("path", "host = 'a.b', prefix = '/y'"),
        ("method", "path = '/x', methods = ['POST', 'PUT']"),
        ("header", "path = '/x', headers = { x-a = 'hunter2' }"),
        ("value", "path = '/x', headers = { x-b = 'hunter2' }"),
        ("query", "path = '/x', query = { q = 'hunter2' }"),
        ("client", "path = '/x', client-ip = ['192.0.2.0/24']"),
        ("sni", "path = '/x', sni = ['c.b', '*.c']"),
        ("wildcard", "host = '*.b', path = '/x'"),
        ("prefix", "host = 'a.b', prefix = '/'"),
        ("fewer", "host = 'a.b', path = '/x'"),
        ("later", "host = 'a.b', path = '/x', methods = ['GET', 'HEAD']"),
    ];
    let routes: String = rules.iter().map(|(name, rule)| route(name, rule)).collect();
    let folder = folder(&format!("{toml}{routes}"), &[]);
    let shown = json(&folder, &["GET", "http://a.b/x", "-H", "x-b: 1"]).await;
    assert_eq!(shown["route"]["name"], "found");
    let passed = shown["passed-over"].as_array().unwrap();
    let reason = |name: &str| {
        let one = passed.iter().find(|passed| passed["route"] == name);
        one.unwrap_or_else(|| panic!("{name} in {passed:?}"))["reason"]
            .as_str()
            .unwrap()
    };
    assert_eq!(reason("host"), "is for host c.b or *.c");
    assert_eq!(reason("path"), "is for path /y/*");
    assert_eq!(reason("method"), "is for method POST or PUT");
    assert_eq!(reason("header"), "demands header `x-a`");
    assert_eq!(reason("value"), "demands another value of header `x-b`");
    assert_eq!(
        reason("query"),
        "demands query parameter `q`, or another value of it"
    );
    assert_eq!(reason("client"), "is not for client 127.0.0.1");
    assert_eq!(reason("sni"), "is for server name c.b or *.c");
    assert_eq!(reason("wildcard"), "matches, too, but its host is less specific");
    assert_eq!(reason("prefix"), "matches, too, but its path is less specific");
    assert_eq!(reason("fewer"), "matches, too, but demands less");
    assert_eq!(reason("later"), "matches, too, but comes later");
}

#[tokio::test]
async fn a_long_list_of_routes_is_cut() {
    let route = |number: usize| {
        format!("[[routes]]\nname = 'r{number}'\nupstream = 'up'\nmatch.path = '/{number}'\n")
    };
    let routes: String = (0..1000).map(route).collect();
    let toml =
        format!("listeners.l.address = '127.0.0.1:0'\nupstreams.up.endpoints = ['127.0.0.1:9']\n{routes}");
    let folder = folder(&toml, &[]);
    let said = explain(&folder, &["GET", "/7"]).await;
    assert!(said.out.contains("route      r7  "), "{}", said.out);
    assert!(said.out.contains("and 979 more routes\n"), "{}", said.out);
    assert!(said.out.lines().count() < 40);
}

#[tokio::test]
async fn no_secret_is_shown() {
    let folder = site();
    for arguments in [
        &[
            "GET",
            "http://api.example.com:8080/v1/x?v=1",
            "-H",
            "x-key: other",
        ][..],
        &[
            "GET",
            "http://api.example.com:8080/v1/x?v=hunter21",
            "-H",
            "x-key: hunter2",
        ],
    ] {
        let shown = explain(&folder, arguments).await.out + &json(&folder, arguments).await.to_string();
        // Only what the caller wrote.
        let shown = shown.replace("v=hunter21", "");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn the_listener_is_the_named_one_or_the_one_on_the_urls_port() {
    let folder = site();
    let listener = async |arguments: &[&str]| json(&folder, arguments).await["listener"]["name"].clone();
    assert_eq!(listener(&["GET", "http://x:8081/"]).await, "inner");
    assert_eq!(listener(&["GET", "http://x:8080/"]).await, "public");
    assert_eq!(listener(&["GET", "/", "--listener", "inner"]).await, "inner");
    let said = explain(&folder, &["GET", "http://x/"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(
        said.err.contains("`--listener NAME`, one of: public, inner"),
        "{}",
        said.err
    );
    let said = explain(&folder, &["GET", "/", "--listener", "outer"]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("no listener `outer`"), "{}", said.err);
}

#[tokio::test]
async fn the_client_is_the_one_that_the_gateway_would_believe_in() {
    let folder = site();
    let forwarded = ["GET", "http://x:8080/", "-H", "x-forwarded-for: 192.0.2.7"];
    let shown = json(&folder, &forwarded).await;
    assert_eq!(shown["request"]["client-ip"], "127.0.0.1");
    let trusted = [&forwarded[..], &["--client-ip", "10.1.2.3"]].concat();
    let shown = json(&folder, &trusted).await;
    assert_eq!(shown["request"]["client-ip"], "192.0.2.7");
}

#[tokio::test]
async fn what_is_no_request_or_no_configuration_fails() {
    let folder = site();
    for (arguments, part) in [
        (&["GET", "/x y"][..], "400 `bad-request`"),
        (&["GET", "example.com"], "neither a URL"),
    ] {
        let said = explain(&folder, &[arguments, &["--listener", "inner"]].concat()).await;
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(said.err.contains(part), "{}", said.err);
    }
    for arguments in [
        &["GET", "/", "-H", "no colon"][..],
        &["G T", "/"],
        &["GET"],
        &["GET", "/", "--client-ip", "here"],
    ] {
        assert_eq!(explain(&folder, arguments).await.code, Some(2), "{arguments:?}");
    }
    fs::write(
        folder.path().join("routes.d/wrong.toml"),
        "[[routes]]\nname = 'r'\nupstream = 'u'\n",
    )
    .unwrap();
    let said = explain(&folder, &["GET", "/", "--listener", "inner"]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(said.err.contains("--> routes.d/wrong.toml:3:12"), "{}", said.err);
}

#[tokio::test]
async fn a_component_that_cannot_run_is_called_unusable() {
    let folder = site();
    let shown = async |bytes: &[u8]| {
        fs::write(folder.path().join("plugins/mock.wasm"), bytes).unwrap();
        let said = explain(&folder, &["GET", "http://api.example.com:8080/v1/orders/7/a"]).await;
        assert_eq!(said.code, Some(0));
        let line = said.out.lines().find(|line| line.contains("plugins/mock.wasm"));
        line.unwrap().trim().to_owned()
    };
    assert!(
        shown(b"text")
            .await
            .starts_with("plugins/mock.wasm: unusable: not a WebAssembly component: ")
    );
    assert_eq!(
        shown(b"\0asm\x0d\0\x01\0").await,
        "plugins/mock.wasm: unusable: no Portcullis plugin"
    );
}

#[tokio::test]
async fn the_gateway_does_what_explain_says() {
    let upstream = Upstream::fixed(200, &[], "up");
    let mut toml = String::new();
    for (name, rule) in [
        ("exact", "host = 'a.example.com', path = '/x'"),
        ("wildcard", "host = '*.example.com', prefix = '/'"),
        ("id", "path = '/v1/{id}'"),
        ("v1", "prefix = '/v1'"),
        ("post", "prefix = '/v1', methods = ['POST']"),
        (
            "key",
            "path = '/v1/{id}', headers = { x-key = { present = true } }",
        ),
        ("local", "prefix = '/v1/x', client-ip = ['127.0.0.0/8']"),
    ] {
        toml.push_str(&format!(
            "[plugins.{name}]\nwasm = 'mock'\nconfig = {{ responses = [{{ body = '{name}' }}] }}\n\
             [[routes]]\nname = '{name}'\nmatch = {{ {rule} }}\nupstream = {{ plugin = '{name}' }}\n"
        ));
    }
    let gateway = Gateway::new()
        .plugin("mock")
        .upstream("up", &upstream)
        .toml(&toml)
        .start()
        .await;
    let hosts = ["a.example.com", "b.example.com", "other"];
    for host in hosts {
        for (method, target) in [
            ("GET", "/x"),
            ("GET", "/v1"),
            ("POST", "/v1/"),
            ("GET", "/v1/7"),
            ("POST", "/v1/7"),
            ("GET", "/v1/x/y"),
            ("GET", "/v1/../x"),
            ("GET", "/nowhere"),
            ("GET", "/v1/%2e%2e/%78"),
            ("GET", "/%2f"),
        ] {
            for key in [None, Some("k")] {
                let host = format!("host: {host}");
                let mut request = Request::new(method, target).header("host", &host["host: ".len()..]);
                let file = gateway.configuration();
                let file = file.to_str().unwrap();
                let mut arguments = vec!["explain", "--json", "--config", file, method, target, "-H", &host];
                if let Some(key) = key {
                    request = request.header("x-key", key);
                    arguments.extend(["-H", "x-key: k"]);
                }
                let said: Said = portcullis(&arguments, gateway.path()).await.into();
                let shown: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}", said.err));
                let answer = gateway.send(&request).await;
                match shown["route"]["name"].as_str() {
                    Some(name) => assert_eq!(answer.text(), name, "{arguments:?}"),
                    None => assert_eq!(
                        Value::from(answer.status),
                        shown["refused"]["status"],
                        "{arguments:?}"
                    ),
                }
            }
        }
    }
    gateway.shutdown().await;
}
