//! The admin listener.

use std::collections::HashMap;

use portcullis_tests::{Answer, Connection, Gateway, Request, Upstream, client};

const ROUTE: &str = "[[routes]]\nname = \"all\"\nupstream = \"up\"\n";

async fn ask(gateway: &Gateway, request: &Request) -> Answer {
    client::send(gateway.admin(), request).await.unwrap()
}

#[tokio::test]
async fn a_gateway_that_serves_is_live_and_ready() {
    let gateway = Gateway::new().start().await;
    for (target, text) in [("/live", "live\n"), ("/ready", "ready\n")] {
        let answer = ask(&gateway, &Request::get(target)).await;
        assert_eq!((answer.status, answer.text()), (200, text));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn status_says_what_is_in_force() {
    let upstream = Upstream::echo();
    let gateway = Gateway::new()
        .workers(3)
        .plugin("auth-key")
        .plugin("mock")
        .upstream("up", &upstream)
        .toml(
            "[plugins.auth-key]\nconfig = { keys = { acme = \"k-1\" } }\nallow = { attributes = [\"auth.\"] }\n\
             [listeners.internal]\naddress = \"127.0.0.1:0\"\n\
             [[routes]]\nname = \"mocked\"\nmatch = { path = \"/m\" }\nupstream = { plugin = \"mock\" }\n",
        )
        .toml(ROUTE)
        .start()
        .await;
    let status = gateway.status().await;
    assert_eq!(status["state"], "ready");
    assert_eq!(
        (&status["workers"], &status["generation"]),
        (&3.into(), &1.into())
    );
    assert_eq!((&status["routes"], &status["responders"]), (&2.into(), &1.into()));
    assert_eq!(status["last-reload"]["result"], "applied");
    let listener = |name: &str| {
        let listeners = status["listeners"].as_array().unwrap();
        let listener = listeners.iter().find(|listener| listener["name"] == name);
        listener.unwrap()["address"].as_str().unwrap().to_owned()
    };
    assert_eq!(listener("public"), gateway.address().to_string());
    assert_eq!(listener("internal"), gateway.address_of("internal").to_string());
    assert_eq!(status["upstreams"][0]["name"], "up");
    assert_eq!(
        status["upstreams"][0]["endpoints"][0]["address"],
        upstream.address().to_string()
    );
    let plugins = status["plugins"].as_array().unwrap();
    let plugin = plugins
        .iter()
        .find(|plugin| plugin["name"] == "auth-key")
        .unwrap();
    assert_eq!(
        (&plugin["state"], &plugin["faults"]),
        (&"active".into(), &0.into())
    );
    let component = &plugin["component"];
    assert_eq!(component["name"], "auth-key");
    assert_eq!(component["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(component["grants"][0], "attributes auth.*");
    let hooks = component["hooks"].as_array().unwrap();
    assert!(hooks.contains(&"on-request".into()), "{hooks:?}");
    let imports = component["imports"].as_array().unwrap();
    assert!(imports.contains(&"exchange".into()), "{imports:?}");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_plugin_that_could_not_be_loaded_is_named_with_the_reason() {
    let gateway = Gateway::new()
        .file("plugins/broken.wasm", "not a component")
        .toml("[plugins.broken]\n[[routes]]\nname = \"r\"\nupstream = { plugin = \"broken\" }\n")
        .allow_errors()
        .start()
        .await;
    let status = gateway.status().await;
    let plugin = &status["plugins"][0];
    assert_eq!(
        (&plugin["name"], &plugin["state"]),
        (&"broken".into(), &"unavailable".into())
    );
    assert!(!plugin["reason"].as_str().unwrap().is_empty(), "{plugin}");
    assert_eq!(gateway.get("/").await.problem(), "plugin-unavailable");
    gateway.shutdown().await;
}

const SECRETS: [&str; 3] = ["hunter2-from-env", "hunter2-from-file", "hunter2-literal"];

#[tokio::test]
async fn no_secret_is_shown_wherever_it_comes_from() {
    let upstream = Upstream::echo();
    let entry = "[plugins.auth-key]\nallow = { attributes = [\"auth.\"] }\n\
                 config = { keys = { a = { env = \"TEST_KEY\" }, b = { file = \"key.txt\" }, c = \"hunter2-literal\" } }\n";
    let route = "[[routes]]\nname = \"all\"\nupstream = \"up\"\npipeline = [\"auth-key\"]\n";
    let gateway = Gateway::new()
        .plugin("auth-key")
        .upstream("up", &upstream)
        .file("key.txt", "hunter2-from-file\n")
        .variable("TEST_KEY", "hunter2-from-env")
        .gateway("log = { level = \"info,portcullis_host=debug\" }\naccess-log = {}")
        .toml(&format!("{entry}{route}"))
        .allow_errors()
        .start_binary()
        .await;
    for secret in SECRETS {
        let request = Request::get(&format!("/?key={secret}")).header("x-api-key", secret);
        assert_eq!(gateway.send(&request).await.status, 200, "{secret}");
        let wrong = Request::get("/").header("x-api-key", &format!("{secret}-wrong"));
        assert_eq!(gateway.send(&wrong).await.status, 401, "{secret}");
    }
    // A configuration with an error on the line of a secret, and one that does not fit the plugin's schema.
    let broken = entry.replace(" }\n", ", d = }\n");
    let unfit = entry.replace("c = ", "c = { x = 1 }, d = ");
    for text in [broken, unfit] {
        let before = gateway.status().await["last-reload"]["at"].clone();
        gateway.write_toml(&format!("{text}{route}"));
        gateway
            .wait_for(|status| {
                status["last-reload"]["at"] != before
                    && (status["last-reload"]["result"] == "rejected"
                        || status["plugins"][0]["state"] == "last-good")
            })
            .await;
        let shown = gateway.status().await.to_string() + &gateway.metrics().await + &gateway.output();
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_name_of_somebody_elses_does_not_lead_to_the_admin_listener() {
    let gateway = Gateway::new().start().await;
    for host in [
        "evil.example",
        "evil.example:9901",
        "localhost.evil.example",
        "",
        "127.0.0.1.evil.example",
    ] {
        for target in ["/live", "/status", "/metrics", "/nothing"] {
            let answer = ask(&gateway, &Request::get(target).header("host", host)).await;
            assert_eq!(
                (answer.status, answer.problem().as_str()),
                (400, "host-malformed"),
                "{host:?}"
            );
        }
    }
    let mut connection = Connection::open(gateway.admin()).await.unwrap();
    connection.write(b"GET /status HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(connection.receive("GET").await.unwrap().status, 400);
    for host in [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1",
        "[::1]:9901",
        "10.0.0.1:80",
    ] {
        let answer = ask(&gateway, &Request::get("/live").header("host", host)).await;
        assert_eq!(answer.status, 200, "{host}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_admin_listener_only_reads() {
    let gateway = Gateway::new().start().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let answer = ask(&gateway, &Request::new(method, "/status").body("{}")).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET, HEAD")),
            "{method}"
        );
    }
    let get = ask(&gateway, &Request::get("/live")).await;
    let head = ask(&gateway, &Request::new("HEAD", "/live")).await;
    assert_eq!((head.status, head.text()), (200, ""));
    assert_eq!(head.header("content-length"), get.header("content-length"));
    let answer = ask(&gateway, &Request::get("/nothing")).await;
    assert_eq!((answer.status, answer.problem().as_str()), (404, "no-route"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn clients_do_not_reach_what_operators_read() {
    let gateway = Gateway::new().start().await;
    for target in ["/live", "/ready", "/status", "/metrics"] {
        assert_eq!(gateway.get(target).await.problem(), "no-route");
    }
    gateway.shutdown().await;
}

/// Every sample by name and labels, after a check of the whole document (Prometheus text format 0.0.4).
fn parsed(document: &str) -> HashMap<String, f64> {
    let (mut samples, mut kinds) = (HashMap::new(), HashMap::new());
    assert!(document.ends_with('\n'));
    for line in document.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kinds.insert(name, kind).is_none(), "twice: {line}");
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let name = series.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| {
                    name.strip_suffix(suffix)
                        .filter(|name| kinds.get(name) == Some(&"histogram"))
                })
                .unwrap_or(name);
            let kind = kinds
                .get(family)
                .unwrap_or_else(|| panic!("no type before {line}"));
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(*kind == "gauge" || value >= 0.0, "{line}");
            assert!(series == name || series.ends_with('}'), "{line}");
            assert!(
                samples.insert(series.to_owned(), value).is_none(),
                "twice: {line}"
            );
        }
    }
    samples
}

#[tokio::test]
async fn metrics_are_well_formed_and_count_what_happens() {
    let upstream = Upstream::echo();
    let gateway = Gateway::new()
        .workers(1)
        .plugin("auth-key")
        .upstream("up", &upstream)
        .upstream_with("down", &[Upstream::nowhere()], "")
        .toml(
            "[plugins.auth-key]\nconfig = { keys = { acme = \"k-1\" } }\nallow = { attributes = [\"auth.\"] }\n\
             [[routes]]\nname = \"down\"\nupstream = \"down\"\nmatch = { path = \"/down\" }\n\
             [[routes]]\nname = \"all\"\nupstream = \"up\"\npipeline = [\"auth-key\"]\nmatch = { path = \"/\" }\n",
        )
        .start()
        .await;
    let answer = ask(&gateway, &Request::get("/metrics")).await;
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4"),
        "{answer:?}"
    );
    let before = parsed(answer.text());
    let mut connection = gateway.connect().await;
    for (request, status) in [
        (Request::post("/", "12345").header("x-api-key", "k-1"), 200),
        (Request::get("/").header("x-api-key", "k-1"), 200),
        (Request::get("/").header("x-api-key", "wrong"), 401),
        (Request::get("/down"), 502),
        (Request::get("/nowhere"), 404),
    ] {
        assert_eq!(connection.exchange(&request).await.unwrap().status, status);
    }
    let after = parsed(&gateway.metrics().await);
    for (series, by) in [
        ("portcullis_http_requests_total{route=\"all\",class=\"2xx\"}", 2.0),
        ("portcullis_http_requests_total{route=\"all\",class=\"4xx\"}", 1.0),
        (
            "portcullis_http_requests_total{route=\"down\",class=\"5xx\"}",
            1.0,
        ),
        ("portcullis_http_requests_total{route=\"\",class=\"4xx\"}", 1.0),
        ("portcullis_http_request_bytes_total{route=\"all\"}", 5.0),
        ("portcullis_http_aborted_total{route=\"all\"}", 0.0),
        (
            "http_server_request_duration_seconds_count{http_route=\"all\"}",
            3.0,
        ),
        (
            "portcullis_http_errors_total{code=\"key-invalid\",origin=\"plugin\"}",
            1.0,
        ),
        (
            "portcullis_http_errors_total{code=\"no-route\",origin=\"client\"}",
            1.0,
        ),
        (
            "portcullis_http_errors_total{code=\"upstream-connect-failed\",origin=\"upstream\"}",
            1.0,
        ),
        (
            "portcullis_plugin_calls_total{plugin=\"auth-key\",hook=\"on-request\"}",
            3.0,
        ),
        ("portcullis_upstream_requests_total{upstream=\"up\"}", 2.0),
        ("portcullis_upstream_connects_total{upstream=\"up\"}", 1.0),
        ("portcullis_upstream_duration_seconds_count{upstream=\"up\"}", 2.0),
        (
            "portcullis_upstream_failures_total{upstream=\"down\",kind=\"connect\"}",
            1.0,
        ),
        ("portcullis_listener_connections_total{listener=\"public\"}", 1.0),
        ("portcullis_listener_connections{listener=\"public\"}", 1.0),
    ] {
        let value = |samples: &HashMap<String, f64>| samples.get(series).copied().unwrap_or(0.0);
        let grown = value(&after) - value(&before);
        assert!((grown - by).abs() < 0.5, "{series}: {grown}");
    }
    assert!(after["portcullis_http_response_bytes_total{route=\"all\"}"] > 100.0);
    assert!(after["process_resident_memory_bytes"] > 1e6);
    gateway.shutdown().await;
}
