//! Heads that are accepted and refused, without a connection.

use http::HeaderName;

use super::*;

fn parse_bytes(head: &Bytes) -> Result<ResponseHead, Fault> {
    let mut lines = Lines::<USUAL_LINES>::default();
    match lines.find(head) {
        Ok(Some(length)) if length == head.len() => parse(head, &lines, &Method::GET, 100),
        _ => Err(Fault::malformed("lines")),
    }
}

fn parsed(text: &str) -> Result<ResponseHead, Fault> {
    parse_bytes(&Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn fields_are_handed_on_as_they_are() {
    let head = parsed(
        "HTTP/1.1 404 N\u{f6}t Found!\r\nX-A: 1\r\nx-a:  two words \t\r\nX-Empty:\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n",
    )
    .unwrap();
    assert_eq!(head.status, 404);
    assert_eq!(
        head.headers.get_all("x-a").iter().collect::<Vec<_>>(),
        ["1", "two words"]
    );
    assert_eq!(head.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(head.headers["x-empty"], "");
    assert_eq!((head.framing, head.keep_alive), (Framing::Close, false));
}

#[test]
fn values_are_slices_of_the_head() {
    let bytes = Bytes::from_static(b"HTTP/1.1 200 OK\r\nx-a: value\r\n\r\n");
    let head = parse_bytes(&bytes).unwrap();
    assert_eq!(head.headers["x-a"].as_bytes().as_ptr(), bytes[22..].as_ptr());
}

#[test]
fn what_connection_names_goes_with_it() {
    let head = parsed(
        "HTTP/1.1 200 OK\r\nConnection: x-a , Upgrade,,\r\nX-A: 1\r\nX-A: 2\r\nUpgrade: h2c\r\nX-B: 3\r\n\
         Keep-Alive: timeout=5\r\nConnection: content-length, \u{e9}\r\nContent-Length: 3\r\n\r\n",
    )
    .unwrap();
    let names: Vec<&str> = head.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(head.headers.contains_key("x-b") && head.headers.contains_key("content-length"));
    assert_eq!((head.framing, head.keep_alive), (Framing::Length(3), true));
}

#[test]
fn more_fields_than_usual_are_read_too() {
    let fields = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(count));
    for count in [30, 31, 32, 33, 100] {
        assert_eq!(parsed(&fields(count)).unwrap().headers.len(), count);
    }
    assert_eq!(parsed(&fields(101)).unwrap_err().kind, FailureKind::HeadTooLarge);
}

#[test]
fn lengths_up_to_64_bits_are_read() {
    for (text, want) in [
        ("0", 0),
        ("18446744073709551615", u64::MAX),
        ("0000000000000000000000000000000007", 7),
        (" 8 ", 8),
    ] {
        let head = parsed(&format!("HTTP/1.1 200 OK\r\nContent-Length:{text}\r\n\r\n")).unwrap();
        assert_eq!(head.framing, Framing::Length(want), "{text}");
        assert_eq!(head.headers["content-length"], want.to_string());
    }
}

#[test]
fn malformed_heads_are_refused() {
    let status_lines = [
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1 099 Low",
        "HTTP/1.1 600 High",
        "HTTP/1.1 999 High",
        "HTTP/1.1",
        "HTTP/1.2 200 OK",
        "HTTP/2.0 200 OK",
        "HTTP/0.9 200 OK",
        "http/1.1 200 OK",
        "HTTP /1.1 200 OK",
        " HTTP/1.1 200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 200 O\rK",
        "HTTP/1.1 200 O\0K",
        "ICY 200 OK",
        "",
    ];
    let fields = [
        "a : b",
        " a: b",
        "\ta: b",
        ": b",
        "a",
        "a b: c",
        "a\0: b",
        "a: b\0",
        "a: b\rc",
        "a: b\x7f",
        "a: b\x01",
        "a: b\r\n folded",
        "a: b\r\n\tfolded",
        "\u{e9}: b",
        "a[]: b",
        "Content-Length:",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 5a",
        "Content-Length: 0x5",
        "Content-Length: 5, 5",
        "Content-Length: 5 5",
        "Content-Length: 5.0",
        "Content-Length: 18446744073709551616",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding:",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ];
    let lines = status_lines.iter().map(|line| format!("{line}\r\n\r\n"));
    let fields = fields
        .iter()
        .map(|field| format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n"));
    for text in lines.chain(fields) {
        let result = parsed(&text);
        assert!(
            matches!(
                &result,
                Err(Fault {
                    kind: FailureKind::Malformed(_),
                    ..
                })
            ),
            "{text:?} gave {result:?}"
        );
    }
}

#[test]
fn a_chunked_response_of_http_1_0_is_refused() {
    assert!(parsed("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
}

#[test]
fn faults_of_framing_count_where_there_is_no_content_too() {
    for status in [204, 304] {
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert!(parsed(&text).is_err());
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), start in proptest::bool::ANY) {
        let mut text = if start { b"HTTP/1.1 200 OK\r\n".to_vec() } else { Vec::new() };
        text.extend_from_slice(&bytes);
        text.extend_from_slice(b"\r\n\r\n");
        if let Ok(head) = parse_bytes(&Bytes::from(text)) {
            proptest::prop_assert!(head.headers.len() <= 100);
        }
    }
}
