//! WebSocket through the gateway: whatever a client sends, good frames and bad ones, comes to the same as without a
//! gateway in between, byte for byte. The groups of cases are those of the Autobahn test suite.

use std::net::SocketAddr;

use portcullis_tests::patience::PATIENCE;
use portcullis_tests::websocket::{Client, EchoServer, Frame, opcode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time;

use super::front;

/// What a client sends, in pieces of some size.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) chop: usize,
}

fn case(name: impl Into<String>, frames: &[Frame]) -> Case {
    Case {
        name: name.into(),
        bytes: frames.iter().flat_map(Frame::masked).collect(),
        chop: usize::MAX,
    }
}

impl Case {
    fn chopped(self, chop: usize) -> Self {
        let name = format!("{}, in pieces of {chop}", self.name);
        Self { name, chop, ..self }
    }

    /// The same with a byte of its first frame changed.
    fn spoilt(mut self, at: usize, change: impl Fn(u8) -> u8) -> Self {
        self.bytes[at] = change(self.bytes[at]);
        self
    }
}

fn text(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(opcode::TEXT, payload)
}

fn binary(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(opcode::BINARY, payload)
}

fn ping(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(opcode::PING, payload)
}

fn rest(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(opcode::CONTINUATION, payload)
}

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let mut all = Vec::new();
    framing(&mut all);
    pings(&mut all);
    reserved(&mut all);
    fragments(&mut all);
    utf8(&mut all);
    closing(&mut all);
    large(&mut all);
    all
}

fn framing(all: &mut Vec<Case>) {
    for size in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 100_000] {
        all.push(case(format!("a text of {size}"), &[text(vec![b'*'; size])]));
        all.push(case(format!("bytes of {size}"), &[binary(vec![0xfe; size])]));
    }
    for chop in [1, 7, 997] {
        all.push(case("a text of 65536", &[text(vec![b'*'; 65_536])]).chopped(chop));
        all.push(case("many texts", &vec![text("hello"); 50]).chopped(chop));
    }
}

fn pings(all: &mut Vec<Case>) {
    all.push(case("a ping", &[ping([])]));
    all.push(case("a ping with content", &[ping("hello")]));
    all.push(case("a ping of bytes", &[ping([0, 0xff, 0xfe, 0xfd])]));
    all.push(case("a ping of 125", &[ping([0xfe; 125])]));
    all.push(case("a ping of 125", &[ping([0xfe; 125])]).chopped(1));
    all.push(case("a ping of 126", &[ping([0xfe; 126])]));
    all.push(case("a pong", &[Frame::new(opcode::PONG, [])]));
    all.push(case("a pong with content", &[Frame::new(opcode::PONG, "x")]));
    all.push(case(
        "a pong and a ping",
        &[Frame::new(opcode::PONG, "x"), ping("y")],
    ));
    let ten: Vec<Frame> = (0..10).map(|n| ping([n])).collect();
    all.push(case("ten pings", &ten));
    all.push(case("ten pings", &ten).chopped(1));
}

fn reserved(all: &mut Vec<Case>) {
    for bits in 1..8_u8 {
        let mut frame = text("hello");
        frame.flags |= bits << 4;
        all.push(case(
            format!("reserved bits {bits}"),
            &[text("before"), frame.clone(), ping("after")],
        ));
        all.push(case(format!("reserved bits {bits}"), &[frame]).chopped(1));
    }
    for code in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        all.push(case(format!("opcode {code}"), &[Frame::new(code, [])]));
        all.push(case(
            format!("opcode {code} with content"),
            &[text("before"), Frame::new(code, "x"), ping("")],
        ));
    }
    all.push(case("no mask", &[text("hello")]).spoilt(1, |byte| byte & 0x7f));
    all.push(
        case(
            "a length that is longer than it need be",
            &[text(vec![b'*'; 126])],
        )
        .spoilt(3, |_| 10),
    );
    all.push(case("a length beyond all bounds", &[binary(vec![1; 65_536])]).spoilt(2, |_| 0xff));
}

fn fragments(all: &mut Vec<Case>) {
    let part = |payload: &str| Frame::part(opcode::TEXT, payload);
    let more = |payload: &str| Frame::part(opcode::CONTINUATION, payload);
    let cases: &[(&str, &[Frame])] = &[
        ("two fragments", &[part("one"), rest("two")]),
        ("three fragments", &[part("one"), more("two"), rest("three")]),
        ("empty fragments", &[part(""), more(""), rest("")]),
        ("a ping between fragments", &[part("one"), ping("p"), rest("two")]),
        (
            "pings between fragments",
            &[part("1"), ping("a"), more("2"), ping("b"), rest("3")],
        ),
        ("a fragmented ping", &[Frame::part(opcode::PING, "a"), rest("b")]),
        ("a fragmented pong", &[Frame::part(opcode::PONG, "a"), rest("b")]),
        (
            "a fragmented close",
            &[Frame::part(opcode::CLOSE, [3, 232]), rest("b")],
        ),
        ("a rest of nothing", &[rest("x"), text("y")]),
        ("a fragment of nothing", &[more("x"), text("y")]),
        ("a rest behind a message", &[text("x"), rest("y")]),
        ("a message within a message", &[part("one"), text("two")]),
        (
            "a message within a message, both in fragments",
            &[part("one"), part("two"), rest("three")],
        ),
    ];
    for (name, frames) in cases {
        all.push(case(*name, frames));
        all.push(case(*name, frames).chopped(1));
    }
}

fn utf8(all: &mut Vec<Case>) {
    let good = "κόσμε \u{10ffff} \u{7ff} \u{800} \u{fffd} 😀".as_bytes();
    all.push(case("a text beyond ASCII", &[text(good)]));
    for at in 1..good.len() {
        let parts = [Frame::part(opcode::TEXT, &good[..at]), rest(&good[at..])];
        all.push(case(format!("a text beyond ASCII in fragments at {at}"), &parts));
    }
    let bad: &[&[u8]] = &[
        &[0x80],
        &[0xc0, 0xaf],
        &[0xc1, 0xbf],
        &[0xe0, 0x80, 0xaf],
        &[0xed, 0xa0, 0x80],
        &[0xed, 0xbf, 0xbf],
        &[0xf0, 0x80, 0x80, 0xaf],
        &[0xf4, 0x90, 0x80, 0x80],
        &[0xf5, 0x80, 0x80, 0x80],
        &[0xfc, 0x80, 0x80, 0x80, 0x80, 0xaf],
        &[0xfe],
        &[0xff],
        &[0xe2, 0x82],
        &[0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xcf, 0x83, 0xed, 0xa0, 0x80],
    ];
    for (number, bytes) in bad.iter().enumerate() {
        all.push(case(format!("no UTF-8 {number}"), &[text(*bytes)]));
        all.push(case(format!("no UTF-8 {number}, as bytes"), &[binary(*bytes)]));
        let parts = [Frame::part(opcode::TEXT, *bytes), rest("x")];
        all.push(case(format!("no UTF-8 {number}, in fragments"), &parts));
    }
}

fn closing(all: &mut Vec<Case>) {
    for code in [
        0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1015, 1016,
        1100, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65_535,
    ] {
        all.push(case(format!("close {code}"), &[Frame::close(code, "")]));
        all.push(case(
            format!("close {code} with a reason"),
            &[text("x"), Frame::close(code, "why")],
        ));
    }
    let close = |payload: &[u8]| Frame::new(opcode::CLOSE, payload);
    all.push(case("an empty close", &[close(b"")]));
    all.push(case("a close of one byte", &[close(b"x")]));
    all.push(case(
        "a close with a reason of 123",
        &[Frame::close(1000, &"*".repeat(123))],
    ));
    all.push(case(
        "a close that is too long",
        &[Frame::close(1000, &"*".repeat(124))],
    ));
    all.push(case(
        "a close whose reason is no UTF-8",
        &[close(&[3, 232, 0xff])],
    ));
    all.push(case(
        "a message behind a close",
        &[Frame::close(1000, ""), text("late"), ping("late")],
    ));
    all.push(case(
        "a close within a message",
        &[Frame::part(opcode::TEXT, "x"), Frame::close(1000, "")],
    ));
    all.push(case(
        "two closes",
        &[Frame::close(1000, ""), Frame::close(1001, "")],
    ));
}

fn large(all: &mut Vec<Case>) {
    all.push(case("a text of 16 MiB", &[text(vec![b'*'; 16 << 20])]));
    all.push(case("bytes of 4 MiB", &[binary(vec![1; 4 << 20])]).chopped(65_537));
    let mut parts = vec![Frame::part(opcode::BINARY, vec![1; 4096])];
    parts.extend(vec![Frame::part(opcode::CONTINUATION, vec![2; 4096]); 254]);
    parts.push(rest(vec![3; 4096]));
    all.push(case("256 fragments of 4 KiB", &parts));
    all.push(case("1000 small messages", &vec![text("*".repeat(64)); 1000]));
}

/// Everything that comes back, to the end of the connection. A close ends what the case sends, for those without one.
pub(crate) async fn verdict(server: SocketAddr, case: &Case) -> Vec<u8> {
    let Client { stream, .. } = Client::open(server, "/", "").await;
    let (mut input, mut output) = stream.into_split();
    let end = Frame::close(1000, "").masked();
    let send = async {
        let all = [case.bytes.as_slice(), &end].concat();
        for piece in all.chunks(case.chop) {
            // The server may have closed on what came before.
            if output.write_all(piece).await.is_err() {
                break;
            }
        }
        output
    };
    let receive = async {
        let (mut got, mut piece) = (Vec::new(), vec![0; 256 << 10]);
        while let Ok(count @ 1..) = input.read(&mut piece).await {
            got.extend_from_slice(&piece[..count]);
            // Its last frame is a close; what it waits for then is our end.
            if is_over(&got) {
                break;
            }
        }
        got
    };
    let both = async { tokio::join!(send, receive) };
    let (_output, got) = time::timeout(PATIENCE, both)
        .await
        .unwrap_or_else(|_| panic!("{}", case.name));
    got
}

/// Whether the frames so far end with a close.
fn is_over(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let [first, second, tail @ ..] = rest {
        let (length, tail) = match (second & 0x7f, tail) {
            (126, [a, b, tail @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), tail),
            (127, [a, b, c, d, e, f, g, h, tail @ ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), tail)
            }
            (126.., _) => return false,
            (length, tail) => (u64::from(length), tail),
        };
        let Some((_, after)) = usize::try_from(length)
            .ok()
            .and_then(|length| tail.split_at_checked(length))
        else {
            return false;
        };
        if first & 0x0f == opcode::CLOSE {
            return true;
        }
        rest = after;
    }
    false
}

#[tokio::test]
async fn the_gateway_changes_no_verdict() {
    let server = EchoServer::start().await;
    let gateway = front(server.address(), "").start().await;
    let cases = all();
    assert!(cases.len() >= 220, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let alone = verdict(server.address(), case).await;
        let behind = verdict(gateway.address(), case).await;
        assert!(is_over(&alone), "{}: the server alone does not close", case.name);
        if alone != behind {
            wrong.push(format!(
                "{}: {} bytes, not {}",
                case.name,
                behind.len(),
                alone.len()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    gateway.shutdown().await;
}
