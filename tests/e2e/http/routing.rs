//! Which route takes a request.

use portcullis_tests::{Gateway, GatewayBuilder, Request, Upstream};

use super::expect_problem;

/// A gateway with a route of each name and `match`, in this order, each to an upstream that answers with its name.
fn site(routes: &[(&str, &str)]) -> (Vec<Upstream>, GatewayBuilder) {
    let mut upstreams = Vec::new();
    let mut builder = Gateway::new();
    for (name, rule) in routes {
        let upstream = Upstream::fixed(200, &[], *name);
        builder = builder.upstream(name, &upstream).toml(&format!(
            "[[routes]]\nname = \"{name}\"\nupstream = \"{name}\"\nmatch = {{ {rule} }}\n"
        ));
        upstreams.push(upstream);
    }
    (upstreams, builder)
}

/// The name of the route that takes a request; `no-route` for none.
async fn route_of(gateway: &Gateway, request: &Request) -> String {
    let answer = gateway.send(request).await;
    match answer.status {
        200 => answer.text().to_owned(),
        _ => expect_problem(&answer, 404, "no-route")["code"]
            .as_str()
            .unwrap()
            .to_owned(),
    }
}

#[tokio::test]
async fn an_exact_host_goes_before_a_longer_wildcard_before_a_shorter_one_before_any() {
    let (_upstreams, builder) = site(&[
        ("any", "path = '/v1/orders'"),
        ("wild", "host = '*.example.com'"),
        ("deep", "host = '*.eu.example.com'"),
        ("exact", "host = ['api.example.com', 'www.example.com']"),
    ]);
    let gateway = builder.start().await;
    for (host, expected) in [
        ("api.example.com", "exact"),
        ("www.example.com", "exact"),
        ("API.Example.COM:8080", "exact"),
        ("api.example.com.", "exact"),
        ("x.example.com", "wild"),
        ("a.b.example.com", "wild"),
        ("x.eu.example.com", "deep"),
        ("eu.example.com", "wild"),
        ("example.com", "any"),
        ("xexample.com", "any"),
        ("127.0.0.1:80", "any"),
        ("[::1]:80", "any"),
    ] {
        // The path would fit the most specific path of any host, too: the host decides first.
        let request = Request::get("/v1/orders").header("host", host);
        assert_eq!(route_of(&gateway, &request).await, expected, "{host}");
    }
    let elsewhere = Request::get("/v1/other").header("host", "example.com");
    assert_eq!(route_of(&gateway, &elsewhere).await, "no-route");
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_static_path_goes_before_a_parameter_before_a_longer_prefix_before_a_shorter_one() {
    let (_upstreams, builder) = site(&[
        ("v1", "prefix = '/v1'"),
        ("orders", "prefix = '/v1/orders'"),
        ("item", "path = '/v1/orders/{id}'"),
        ("new", "path = '/v1/orders/new'"),
        ("lines", "path = '/v1/orders/{id}/lines'"),
    ]);
    let gateway = builder.start().await;
    for (path, expected) in [
        ("/v1/orders/new", "new"),
        ("/v1/orders/new?x=1", "new"),
        ("/v1/orders/7", "item"),
        ("/v1/orders/7/lines", "lines"),
        ("/v1/orders/new/lines", "lines"),
        ("/v1/orders/7/other", "orders"),
        ("/v1/orders", "orders"),
        ("/v1/orders/", "orders"),
        ("/v1/ordersx", "v1"),
        ("/v1", "v1"),
        ("/v1/", "v1"),
        ("/v12", "no-route"),
        ("/V1", "no-route"),
        ("/", "no-route"),
    ] {
        assert_eq!(route_of(&gateway, &Request::get(path)).await, expected, "{path}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn more_conditions_go_before_fewer_and_then_the_order_of_the_file_decides() {
    let (_upstreams, builder) = site(&[
        ("first", "methods = ['PUT']"),
        ("second", "headers = { x-a = '1' }"),
        ("reads", "methods = ['GET', 'HEAD']"),
        (
            "present",
            "methods = ['GET'], headers = { X-Any = { present = true } }",
        ),
        (
            "prefixed",
            "methods = ['GET'], headers = { x-any = { prefix = 'v2' } }",
        ),
        ("query", "query = { page = '1', q = { present = true } }"),
        ("spaced", "query = { name = 'a b' }, methods = ['GET']"),
        ("rest", ""),
    ]);
    let gateway = builder.start().await;
    for (request, expected) in [
        (Request::get("/"), "reads"),
        (Request::post("/", ""), "rest"),
        (Request::new("get", "/"), "rest"),
        (Request::new("PUT", "/").header("x-a", "1"), "first"),
        (Request::new("PUT", "/").header("x-a", "2"), "first"),
        (Request::new("PATCH", "/").header("X-A", "1"), "second"),
        (Request::new("PATCH", "/").header("x-a", "2"), "rest"),
        (
            Request::new("PATCH", "/").header("x-a", "2").header("x-a", "1"),
            "second",
        ),
        (Request::get("/").header("x-any", ""), "present"),
        // Two routes with as many conditions fit: the first of the file is taken.
        (Request::get("/").header("x-any", "v2.1"), "present"),
        (Request::new("DELETE", "/?q&page=1"), "query"),
        (Request::new("DELETE", "/?page=1"), "rest"),
        (Request::new("DELETE", "/?page=11&q="), "rest"),
        (Request::get("/?name=a%20b"), "spaced"),
        (Request::get("/?name=a+b"), "spaced"),
    ] {
        assert_eq!(route_of(&gateway, &request).await, expected, "{request:?}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_clients_address_is_a_condition_and_a_claim_counts_only_from_a_trusted_proxy() {
    let rules = [
        ("office", "client-ip = ['10.0.0.0/8', '2001:db8::/32']"),
        ("loopback", "client-ip = ['127.0.0.0/8']"),
        ("rest", ""),
    ];
    let claim = |value: &str| Request::get("/").header("x-forwarded-for", value);

    let (_upstreams, builder) = site(&rules);
    let gateway = builder.start().await;
    assert_eq!(route_of(&gateway, &Request::get("/")).await, "loopback");
    assert_eq!(route_of(&gateway, &claim("10.1.2.3")).await, "loopback");
    gateway.shutdown().await;

    let (_upstreams, builder) = site(&rules);
    let gateway = builder
        .listener("trusted-proxies = ['127.0.0.1', '192.0.2.0/24']")
        .start()
        .await;
    for (value, expected) in [
        ("10.1.2.3", "office"),
        ("[2001:db8::1]:443", "office"),
        ("10.1.2.3, 192.0.2.9", "office"),
        // What stands left of the last address that nobody vouches for is the client's own invention.
        ("10.1.2.3, 198.51.100.7", "rest"),
        ("10.1.2.3, nonsense", "loopback"),
        ("", "loopback"),
    ] {
        assert_eq!(route_of(&gateway, &claim(value)).await, expected, "{value:?}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_route_is_only_on_the_listeners_that_it_names() {
    let (_upstreams, builder) = site(&[("everywhere", "path = '/a'")]);
    let inside = Upstream::fixed(200, &[], "inside");
    let gateway = builder
        .upstream("inside", &inside)
        .toml(
            "[[routes]]\nname = \"inside\"\nlisteners = [\"internal\"]\nupstream = \"inside\"\n\
             [listeners.internal]\naddress = \"127.0.0.1:0\"\n",
        )
        .start()
        .await;
    let internal = gateway.address_of("internal");
    assert_ne!(internal, gateway.address());
    assert_eq!(route_of(&gateway, &Request::get("/a")).await, "everywhere");
    assert_eq!(route_of(&gateway, &Request::get("/b")).await, "no-route");
    for (path, expected) in [("/a", "everywhere"), ("/b", "inside")] {
        let answer = portcullis_tests::client::send(internal, &Request::get(path))
            .await
            .unwrap();
        assert_eq!(answer.text(), expected);
    }
    gateway.shutdown().await;
}
