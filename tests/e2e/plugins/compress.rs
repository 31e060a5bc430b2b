//! Plugin `compress`, end to end. That other decoders read what it writes is tested beside its encoders; here the
//! gateway's own decoders do.

use std::io::{Read as _, Write as _};

use portcullis_tests::{Answer, Gateway, GatewayBuilder, Request, Upstream};

use super::document;

const README: &str = include_str!("../../../plugins/compress/README.md");

const TEXT: (&str, &str) = ("content-type", "text/plain");

fn text(length: usize) -> String {
    "portcullis ".repeat(length / 11 + 1)[..length].to_owned()
}

/// `/` to `main` through these entries.
fn builder(main: &Upstream, keys: &str, pipeline: &str) -> GatewayBuilder {
    routes(&[("/", main, pipeline)], keys)
}

/// Each of these prefixes to its upstream through its entries.
fn routes(routes: &[(&str, &Upstream, &str)], keys: &str) -> GatewayBuilder {
    let mut builder = Gateway::new()
        .plugin("compress")
        .guest("trace")
        .toml(&format!("[plugins.compress]\ncpu = \"1s\"\n{keys}\n"));
    for (at, (prefix, main, pipeline)) in routes.iter().enumerate() {
        let name = format!("main-{at}");
        builder = builder.upstream(&name, main).toml(&format!(
            r#"
            [[routes]]
            name = "{name}"
            match = {{ prefix = "{prefix}" }}
            pipeline = [{pipeline}]
            upstream = "{name}"
            "#
        ));
    }
    builder
}

fn get(accept: &str) -> Request {
    get_at("/", accept)
}

fn get_at(target: &str, accept: &str) -> Request {
    Request::get(target).header("accept-encoding", accept)
}

fn gunzip(body: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(body)
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn coding(answer: &Answer) -> Option<&str> {
    assert!(answer.fields.all("content-encoding").len() <= 1);
    answer.header("content-encoding")
}

/// What the entry `trace` saw of response bodies, as length and first bytes.
fn seen(gateway: &Gateway) -> Vec<String> {
    let lines = gateway.logs().into_iter();
    let seen = lines.filter_map(|line| {
        let seen = line.message.strip_prefix("trace: trace on-response-body ")?;
        Some(seen.trim_end().to_owned())
    });
    seen.collect()
}

#[tokio::test]
async fn the_example_of_its_readme_does_what_it_says() {
    let body = text(4000);
    let site = Upstream::fixed(
        200,
        &[("content-type", "text/html"), ("etag", "\"a\"")],
        body.as_str(),
    );
    let gateway = document::of("compress", README, Some(&site.address().to_string()))
        .start()
        .await;
    for (accept, wanted) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, deflate, br", Some("br")),
        ("gzip, br;q=0.5", Some("gzip")),
        ("br;q=0, *;q=0.1", Some("zstd")),
        ("gzip;q=0.5, identity", None),
        ("compress", None),
        ("", None),
    ] {
        let answer = gateway.send(&get(accept)).await;
        assert_eq!((answer.status, coding(&answer)), (200, wanted), "{accept}");
        let (tag, is_short) = match wanted {
            Some(_) => ("W/\"a\"", true),
            None => ("\"a\"", false),
        };
        assert_eq!(answer.header("etag"), Some(tag), "{accept}");
        assert_eq!(answer.body.len() < 200, is_short, "{accept}");
        assert_eq!(
            answer.header("content-length"),
            Some(answer.body.len().to_string().as_str()),
            "{accept}"
        );
        assert_eq!(answer.fields.all("vary"), ["accept-encoding"], "{accept}");
    }
    assert_eq!(gunzip(&gateway.send(&get("gzip")).await.body), body);
    assert_eq!(gateway.get("/").await.text(), body);

    let head = gateway
        .send(&Request::new("HEAD", "/").header("accept-encoding", "gzip"))
        .await;
    assert_eq!(
        (coding(&head), head.header("content-length")),
        (None, Some("4000"))
    );
    assert_eq!(head.header("vary"), Some("accept-encoding"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn bodies_beyond_the_limits_pass_as_they_are() {
    let site = |length| Upstream::fixed(200, &[TEXT], text(length));
    let (small, least, most, large) = (site(511), site(512), site(1 << 20), site((1 << 20) + 1));
    let compress = "\"compress\"";
    let all = [
        ("/small", &small, compress),
        ("/least", &least, compress),
        ("/most", &most, compress),
        ("/large", &large, compress),
    ];
    let keys = "max-body = \"1MiB\"\nbody-overflow = \"skip\"\nconfig = { min-size = \"512B\" }";
    let gateway = routes(&all, keys).start().await;
    for (target, wanted) in [("/least", 512), ("/most", 1 << 20)] {
        let answer = gateway.send(&get_at(target, "gzip")).await;
        assert_eq!((answer.status, coding(&answer)), (200, Some("gzip")), "{target}");
        assert_eq!(gunzip(&answer.body), text(wanted), "{target}");
    }
    for (target, length) in [("/small", 511), ("/large", (1 << 20) + 1)] {
        let answer = gateway.send(&get_at(target, "gzip")).await;
        assert_eq!((answer.status, coding(&answer)), (200, None), "{target}");
        assert_eq!(answer.text(), text(length), "{target}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_body_of_unknown_length_is_compressed() {
    let (site, gate) = Upstream::slow(&["first ", "second ", "third"]);
    gate.open_for_good();
    let config = "config = { min-size = \"0B\", types = [\"text/*\", \"application/octet-stream\"] }";
    let gateway = builder(&site, config, "\"compress\", \"trace\"").start().await;
    let request = get("gzip, identity;q=0").header(
        "x-do",
        "trace on-response set-response-field content-type text/plain",
    );
    let answer = gateway.send(&request).await;
    assert_eq!(coding(&answer), Some("gzip"));
    assert_eq!(gunzip(&answer.body), "first second third");
    gateway.shutdown().await;
}

#[tokio::test]
async fn what_cannot_or_must_not_be_compressed_is_left_alone() {
    let body = text(4000);
    let site = |status, fields: &[_]| Upstream::fixed(status, fields, body.as_str());
    let image = site(200, &[("content-type", "image/png")]);
    let events = site(200, &[("content-type", "text/event-stream")]);
    let fixed = site(200, &[TEXT, ("cache-control", "public, no-transform")]);
    let part = site(206, &[TEXT, ("content-range", "bytes 0-3999/8000")]);
    let compress = "\"compress\"";
    let all = [
        ("/image", &image, compress),
        ("/events", &events, compress),
        ("/fixed", &fixed, compress),
        ("/part", &part, compress),
    ];
    let gateway = routes(&all, "").start().await;
    for (target, ..) in all {
        let answer = gateway.send(&get_at(target, "gzip, br, zstd")).await;
        assert_eq!(
            (coding(&answer), answer.text()),
            (None, body.as_str()),
            "{target}"
        );
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_body_that_the_upstream_compressed_passes_unread() {
    let main = Upstream::fixed(
        200,
        &[TEXT, ("content-encoding", "gzip")],
        b"not gzip at all".to_vec(),
    );
    let gateway = builder(&main, "config = { min-size = \"0B\" }", "\"compress\"")
        .start()
        .await;
    let answer = gateway.send(&get("zstd")).await;
    assert_eq!(
        (coding(&answer), answer.text()),
        (Some("gzip"), "not gzip at all")
    );
    gateway.shutdown().await;
}

#[tokio::test]
async fn plugins_on_both_sides_see_the_body_decoded() {
    let main = Upstream::fixed(200, &[TEXT], text(4000));
    let all = [
        ("/before", &main, "\"trace\", \"compress\""),
        ("/after", &main, "\"compress\", \"trace\""),
    ];
    let gateway = routes(&all, "").start().await;
    for (target, ..) in all {
        for wanted in ["zstd", "br", "gzip"] {
            let before = seen(&gateway).len();
            let answer = gateway.send(&get_at(target, wanted)).await;
            assert_eq!(coding(&answer), Some(wanted), "{target}");
            assert!(answer.body.len() < 200, "{target}");
            assert_eq!(
                seen(&gateway)[before..],
                ["4000 portcullis portcullis portcullis"],
                "{target} {wanted}"
            );
        }
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_body_that_a_plugin_replaced_is_compressed_if_that_came_first() {
    let main = Upstream::fixed(200, &[TEXT], text(4000));
    let all = [
        ("/first", &main, "\"compress\", \"trace\""),
        ("/then", &main, "\"trace\", \"compress\""),
    ];
    let gateway = routes(&all, "config = { min-size = \"0B\" }").start().await;
    let order = |target| {
        get_at(target, "gzip, identity;q=0").header("x-do", "trace on-response-body replace replaced")
    };
    let answer = gateway.send(&order("/first")).await;
    assert_eq!(
        (coding(&answer), gunzip(&answer.body).as_str()),
        (Some("gzip"), "replaced")
    );
    let answer = gateway.send(&order("/then")).await;
    assert_eq!((coding(&answer), answer.text()), (None, "replaced"));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_replacement_of_a_decoded_body_can_have_the_coding_that_the_body_had() {
    let body = gzip(&text(4000));
    let main = Upstream::fixed(200, &[TEXT, ("content-encoding", "gzip")], body.clone());
    let gateway = builder(&main, "", "\"trace\"").start().await;
    // Text in place of gzip, and the head says that it is one: the plugin's word is taken.
    let request = get("gzip")
        .header(
            "x-do",
            "trace on-response-body set-response-field content-encoding br",
        )
        .header("x-do", "trace on-response-body replace replaced");
    let answer = gateway.send(&request).await;
    assert_eq!((coding(&answer), answer.text()), (Some("br"), "replaced"));
    let answer = gateway.send(&get("gzip")).await;
    assert_eq!((coding(&answer), &answer.body), (Some("gzip"), &body));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_body_of_which_only_the_first_bytes_fit_goes_out_as_it_is() {
    let body = text(4000);
    let main = Upstream::fixed(200, &[TEXT], body.as_str());
    let keys = "max-body = \"2KiB\"\nbody-overflow = \"prefix\"";
    let gateway = builder(&main, keys, "\"compress\"").start().await;
    let answer = gateway.send(&get("gzip")).await;
    assert_eq!((coding(&answer), answer.text()), (None, body.as_str()));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_body_that_uses_up_its_time_goes_out_as_it_is() {
    let body: String = (0..100_000_u32)
        .map(|n| format!("{:x} ", n.wrapping_mul(2_654_435_761)))
        .collect();
    let body = &body[..800_000];
    let main = Upstream::fixed(200, &[TEXT, ("etag", "\"a\"")], body);
    let gateway = Gateway::new()
        .plugin("compress")
        .upstream("main", &main)
        .toml(
            r#"
            [plugins.compress]
            cpu = "2ms"
            on-fault = "skip"
            config = { codings = ["br"], br-level = 11 }
            [[routes]]
            name = "main"
            match = { prefix = "/" }
            pipeline = ["compress"]
            upstream = "main"
            "#,
        )
        .start()
        .await;
    let answer = gateway.send(&get("br")).await;
    assert_eq!((answer.status, coding(&answer)), (200, None));
    assert_eq!(answer.header("etag"), Some("\"a\""));
    assert!(answer.text() == body);
    gateway.shutdown().await;
}
