//! A gateway with the entries `a`, `b` and `c` of the guest `trace`, and what they log of one exchange.

use portcullis_tests::patience::eventually;
use portcullis_tests::{Answer, Gateway, GatewayBuilder, Request, Upstream};

/// The three entries.
pub(super) const ENTRIES: &str = r#"
    [plugins.a]
    wasm = "trace"
    config = { name = "a" }
    [plugins.b]
    wasm = "trace"
    config = { name = "b" }
    [plugins.c]
    wasm = "trace"
    config = { name = "c" }
"#;

/// A route to `main` through the three.
pub(super) const ROUTE: &str = r#"
    [[routes]]
    name = "main"
    match = { prefix = "/main" }
    pipeline = ["a", "b", "c"]
    upstream = "main"
"#;

/// A gateway that has the component and an upstream `main`; the test writes the routes.
pub(super) fn traced(main: &Upstream) -> GatewayBuilder {
    Gateway::new().guest("trace").upstream("main", main)
}

/// The gateway of most tests: `/main` through `a`, `b` and `c` to the upstream.
pub(super) async fn abc(main: &Upstream) -> Gateway {
    traced(main).toml(ENTRIES).toml(ROUTE).start().await
}

/// `GET /main` with these orders.
pub(super) fn get(orders: &[&str]) -> Request {
    with(Request::get("/main"), orders)
}

/// `POST /main` with a body and these orders.
pub(super) fn post(body: &str, orders: &[&str]) -> Request {
    with(Request::post("/main", body), orders)
}

/// The request with these orders.
pub(super) fn with(request: Request, orders: &[&str]) -> Request {
    orders
        .iter()
        .fold(request, |request, order| request.header("x-do", order))
}

/// Sends the request, waits for the `on-finish` of `reached` entries, and gives the answer with the lines of the trace:
/// `a on-request`, `a on-request-body whole 5 hello` ...
pub(super) async fn exchange(gateway: &Gateway, request: &Request, reached: usize) -> (Answer, Vec<String>) {
    let before = lines(gateway).len();
    let answer = gateway.send(request).await;
    (answer, finished(gateway, before, reached).await)
}

/// The lines from `before` on, once `reached` entries finished.
pub(super) async fn finished(gateway: &Gateway, before: usize, reached: usize) -> Vec<String> {
    eventually(&format!("on-finish of {reached} entries"), async || {
        let lines = lines(gateway).split_off(before);
        let ended = hooks(&lines)
            .iter()
            .filter(|call| call.ends_with(" on-finish"))
            .count();
        (ended >= reached).then_some(lines)
    })
    .await
}

/// Every line so far.
pub(super) fn lines(gateway: &Gateway) -> Vec<String> {
    let lines = gateway.logs().into_iter();
    lines
        .filter_map(|line| line.message.strip_prefix("trace: ").map(str::to_owned))
        .collect()
}

/// Entry and hook of each line, without what the hook did: `a on-request`.
pub(super) fn hooks(lines: &[String]) -> Vec<String> {
    let calls = lines.iter().filter(|line| {
        // `VERB=RESULT` stands where a call has its detail.
        !line.split(' ').nth(2).is_some_and(|word| word.contains('='))
    });
    calls
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect()
}

/// The result of the one edit `verb` in the trace.
pub(super) fn result<'a>(lines: &'a [String], verb: &str) -> &'a str {
    let found: Vec<_> = lines
        .iter()
        .filter_map(|line| line.splitn(3, ' ').nth(2)?.strip_prefix(verb)?.strip_prefix('='))
        .collect();
    assert_eq!(found.len(), 1, "{verb} in {lines:?}");
    found[0]
}
