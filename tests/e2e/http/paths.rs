//! Paths: what is matched is what the upstream gets, or nothing is.

use portcullis_tests::{Gateway, Request, Upstream};

use super::expect_problem;
use super::peer::Peer;

/// `/admin` goes to one upstream, everything else to the other.
struct Site {
    gateway: Gateway,
    admin: Upstream,
    open: Upstream,
}

async fn site(listener: &str) -> Site {
    let (admin, open) = (Upstream::echo(), Upstream::echo());
    let gateway = Gateway::new()
        .upstream("admin", &admin)
        .upstream("open", &open)
        .listener(listener)
        .toml(
            "[[routes]]\nname = \"admin\"\nupstream = \"admin\"\nmatch = { prefix = \"/admin\" }\n\
             [[routes]]\nname = \"open\"\nupstream = \"open\"\n",
        )
        .start()
        .await;
    Site { gateway, admin, open }
}

impl Site {
    /// Sends `target` and checks which upstream got what.
    async fn expect(&self, target: &str, upstream: &Upstream, received: &str) {
        let answer = self.gateway.get(target).await;
        assert_eq!(answer.status, 200, "{target}");
        let document = answer.json();
        assert_eq!(document["target"], received, "{target}");
        assert_eq!(document["upstream"], upstream.address().to_string(), "{target}");
    }
}

#[tokio::test]
async fn every_spelling_of_a_path_is_matched_and_forwarded_in_one_form() {
    let site = site("").await;
    for (target, received) in [
        ("/admin", "/admin"),
        ("/public/../admin", "/admin"),
        ("/public/%2e%2e/admin", "/admin"),
        ("/public/.%2E/admin/", "/admin/"),
        ("/%61dmin/x", "/admin/x"),
        ("/./admin", "/admin"),
        ("/../admin?a=../b", "/admin?a=../b"),
        ("/x/y/../../admin/z", "/admin/z"),
    ] {
        site.expect(target, &site.admin, received).await;
    }
    for (target, received) in [
        ("/admin/..", "/"),
        ("/admin/../x", "/x"),
        ("/../../etc/passwd", "/etc/passwd"),
        ("/a/./b", "/a/b"),
        ("/a//b", "/a//b"),
        ("//admin", "//admin"),
        ("/a%20b", "/a%20b"),
        ("/a%7eb", "/a~b"),
        ("/%e9", "/%E9"),
        ("/public/%252e%252e/admin", "/public/%252e%252e/admin"),
        ("/%2561dmin", "/%2561dmin"),
        ("/...", "/..."),
        ("/x;y=1/z", "/x;y=1/z"),
        ("/q?a=%2e%2e/%2F&b=%zz", "/q?a=%2e%2e/%2F&b=%zz"),
    ] {
        site.expect(target, &site.open, received).await;
    }
    site.gateway.shutdown().await;
}

#[tokio::test]
async fn a_path_that_servers_would_read_differently_is_refused() {
    let site = site("").await;
    for target in [
        "/public/..%2fadmin",
        "/public%2F..%2Fadmin",
        "/public/%5c..%5cadmin",
        "/public/..;/admin",
        "/public/.;x/admin",
        "/public/%2e%2e;/admin",
        "/public/%00",
        "/public/%zz",
        "/public/%",
        "/public/%2",
    ] {
        let answer = site.gateway.get(target).await;
        expect_problem(&answer, 400, "path-refused");
    }
    assert!(site.admin.requests().is_empty() && site.open.requests().is_empty());
    site.gateway.shutdown().await;
}

#[tokio::test]
async fn raw_bytes_that_no_target_may_hold_never_reach_an_upstream_as_they_are() {
    let site = site("").await;
    for target in [
        "/a\\..\\admin",
        "/a\tb",
        "/a b",
        "/a\u{7f}",
        "/a\"b",
        "/a{b}",
        "admin",
        "http:///admin",
    ] {
        let mut client = Peer::connect(site.gateway.address()).await;
        client
            .send(format!(
                "GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
            ))
            .await;
        let (answer, _) = client.rest().await;
        let status = answer.get(..12).unwrap_or_default();
        assert!(
            status == "HTTP/1.1 400" || status == "HTTP/1.1 200",
            "{target:?}: {answer}"
        );
    }
    for request in site.admin.requests().iter().chain(&site.open.requests()) {
        let clean = |byte: u8| byte.is_ascii_graphic() && !b"\\\"{}<>^`|".contains(&byte);
        assert!(request.target.bytes().all(clean), "{:?}", request.target);
        assert!(!request.target.contains("admin"), "{:?}", request.target);
    }
    site.gateway.shutdown().await;
}

#[tokio::test]
async fn a_fragment_is_no_part_of_the_target() {
    let site = site("").await;
    let answer = site.gateway.get("/x#/../admin").await;
    if answer.status == 200 {
        assert_eq!(answer.json()["target"], "/x");
    } else {
        assert_eq!(answer.status, 400);
    }
    site.gateway.shutdown().await;
}

#[tokio::test]
async fn encoded_separators_are_kept_where_the_listener_says_so() {
    let site = site("encoded-separators = \"keep\"").await;
    site.expect("/a%2fb", &site.open, "/a%2Fb").await;
    site.expect("/admin%2Fx", &site.open, "/admin%2Fx").await;
    site.expect("/public/..%2fadmin", &site.open, "/public/..%2Fadmin")
        .await;
    site.expect("/a%5cb", &site.open, "/a%5Cb").await;
    expect_problem(&site.gateway.get("/a%00").await, 400, "path-refused");
    site.gateway.shutdown().await;
}

#[tokio::test]
async fn a_question_to_the_server_as_a_whole_goes_to_the_route_of_everything() {
    let site = site("").await;
    let answer = site.gateway.send(&Request::new("OPTIONS", "*")).await;
    assert_eq!(answer.status, 200);
    let request = site.open.only_request();
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("OPTIONS", "*")
    );
    site.gateway.shutdown().await;
}
