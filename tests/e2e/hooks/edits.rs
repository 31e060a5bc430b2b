//! What each hook may edit, and what it is told when it may not.

use portcullis_tests::{Request, Upstream};

use super::trace::{ENTRIES, ROUTE, abc, exchange, get, post, result, traced};

/// Every edit, with an argument that is valid.
const EDITS: [&str; 9] = [
    "set-target /main/new",
    "set-method PUT",
    "set-authority new.example",
    "set-upstream main",
    "set-request-header 1",
    "append-request-header 2",
    "remove-request-header x-trace",
    "set-response-header 1",
    "set-status 201",
];

/// Those that the request's hooks may do.
const OF_REQUESTS: [&str; 8] = [
    "set-target",
    "set-method",
    "set-authority",
    "set-upstream",
    "set-request-header",
    "append-request-header",
    "remove-request-header",
    "set-response-header",
];

/// Those that the response's hooks may do.
const OF_RESPONSES: [&str; 2] = ["set-response-header", "set-status"];

#[tokio::test]
async fn edits_in_the_wrong_phase_are_answered_so() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    for (hook, allowed) in [
        ("on-request", &OF_REQUESTS[..]),
        ("on-request-body", &OF_REQUESTS),
        ("on-response", &OF_RESPONSES),
        ("on-response-body", &OF_RESPONSES),
        ("on-error", &[]),
        ("on-finish", &[]),
    ] {
        let mut orders: Vec<_> = EDITS.iter().map(|edit| format!("b {hook} {edit}")).collect();
        if hook == "on-error" {
            orders.push("c on-request refuse".to_owned());
        }
        let orders: Vec<_> = orders.iter().map(String::as_str).collect();
        let (_, lines) = exchange(&gateway, &post("hello", &orders), 3).await;
        for edit in EDITS {
            let verb = edit.split(' ').next().unwrap();
            let expected = if allowed.contains(&verb) {
                "ok"
            } else {
                "wrong-phase"
            };
            assert_eq!(result(&lines, verb), expected, "{verb} in {hook}");
        }
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn trailers_are_read_and_not_edited() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let request = Request::new("POST", "/main")
        .header("x-do", "b on-request-body trailer x-sum")
        .header("x-do", "b on-response-body set-trailer 1")
        .chunks(["hello"])
        .trailer("x-sum", "17");
    let (_, lines) = exchange(&gateway, &request, 3).await;
    assert_eq!(result(&lines, "trailer"), "17");
    assert_eq!(result(&lines, "set-trailer"), "wrong-phase");
    gateway.shutdown().await;
}

#[tokio::test]
async fn edits_of_a_body_hook_reach_the_upstream() {
    let (main, spare) = (Upstream::echo(), Upstream::echo());
    let gateway = traced(&main)
        .upstream("spare", &spare)
        .toml(ENTRIES)
        .toml(ROUTE)
        .start()
        .await;
    let orders = [
        "b on-request-body set-target /other?x",
        "b on-request-body set-method PUT",
        "b on-request-body set-request-header 1",
        "b on-request-body set-authority other.example",
        "b on-request-body set-upstream spare",
    ];
    exchange(&gateway, &post("hello", &orders), 3).await;
    let request = spare.only_request();
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("PUT", "/other?x")
    );
    assert_eq!(
        (request.header("x-set"), request.header("host")),
        (Some("1"), Some("other.example"))
    );
    assert_eq!(request.text(), "hello");
    assert!(main.requests().is_empty());
    gateway.shutdown().await;
}

#[tokio::test]
async fn edits_of_a_response_body_hook_reach_the_client() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let orders = [
        "b on-response-body set-status 201",
        "b on-response-body set-response-header 1",
        "a on-response-body status",
    ];
    let (answer, lines) = exchange(&gateway, &get(&orders), 3).await;
    assert_eq!(
        (answer.status, answer.header("x-set"), answer.text()),
        (201, Some("1"), "answer")
    );
    assert_eq!(result(&lines, "status"), "201");
    gateway.shutdown().await;
}

#[tokio::test]
async fn the_last_stage_that_chooses_an_upstream_decides() {
    let (main, spare) = (Upstream::echo(), Upstream::echo());
    let gateway = traced(&main)
        .upstream("spare", &spare)
        .toml(ENTRIES)
        .toml(ROUTE)
        .start()
        .await;
    let orders = [
        "a on-request set-upstream spare",
        "c on-request set-upstream main",
    ];
    exchange(&gateway, &get(&orders), 3).await;
    assert_eq!((main.requests().len(), spare.requests().len()), (1, 0));
    exchange(&gateway, &get(&orders[..1]), 3).await;
    assert_eq!((main.requests().len(), spare.requests().len()), (1, 1));
    gateway.shutdown().await;
}

#[tokio::test]
async fn fields_of_the_connection_are_the_hosts() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let fields = [
        "content-length 1",
        "transfer-encoding chunked",
        "connection close",
        "keep-alive timeout=5",
        "upgrade websocket",
        "proxy-connection close",
    ];
    for field in fields {
        let orders = [
            format!("b on-request set-request-field {field}"),
            format!("b on-response set-response-field {field}"),
        ];
        let before = main.requests().len();
        let request = post("hello", &orders.each_ref().map(String::as_str));
        let (answer, lines) = exchange(&gateway, &request, 3).await;
        assert_eq!(result(&lines, "set-request-field"), "invalid", "{field}");
        assert_eq!(result(&lines, "set-response-field"), "invalid", "{field}");
        let name = field.split(' ').next().unwrap();
        let (own, length) = (name == "content-length", answer.header("content-length"));
        assert_eq!((answer.text(), length), ("answer", Some("6")), "{field}");
        assert!(own || answer.header(name).is_none(), "{field}");
        let request = main.requests().remove(before);
        assert_eq!(
            (request.text(), request.fields.all("content-length")),
            ("hello", vec!["5"])
        );
        assert!(own || request.header(name).is_none(), "{field}");
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn removing_the_framing_does_not_change_the_message() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let orders = [
        "a on-request remove-request-header content-length",
        "b on-request remove-request-header transfer-encoding",
        "c on-request remove-request-header host",
    ];
    let (answer, _) = exchange(&gateway, &post("hello", &orders), 3).await;
    assert_eq!(answer.status, 200);
    let request = main.only_request();
    assert_eq!((request.text(), request.fields.all("host").len()), ("hello", 1));
    gateway.shutdown().await;
}

#[tokio::test]
async fn a_status_that_has_no_body_ends_the_message_at_its_head() {
    let main = Upstream::fixed(200, &[], "answer");
    let gateway = abc(&main).await;
    let mut connection = gateway.connect().await;
    for hook in ["on-response", "on-response-body"] {
        for status in [204, 304, 205] {
            let order = format!("b {hook} set-status {status}");
            let answer = connection.exchange(&get(&[&order])).await.unwrap();
            assert_eq!((answer.status, answer.text()), (status, ""), "{hook}");
        }
    }
    // What was not sent does not stand in front of the next answer.
    let answer = connection.exchange(&get(&[])).await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "answer"));
    gateway.shutdown().await;
}
