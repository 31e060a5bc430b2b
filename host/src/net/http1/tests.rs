//! Whole connections over real sockets, with services that answer at once. They know no gateway.

use std::cell::RefCell;
use std::future::{Ready, ready};

use http::{Response, Version};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::*;
use crate::net::Accepted;

const SETTINGS: Settings = Settings {
    max_headers: 8,
    header_bytes: 1024,
};

type Tunnel = fn(Watched, Bytes) -> Ready<()>;
type Reply = Answer<Full<Bytes>, Tunnel>;

/// A client's socket and the stream that a gateway has of it.
async fn pair() -> (TcpStream, Watched) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let stream = Accepted::from(accepted).in_clear();
    (client, Watched::new(stream, Conn::new()))
}

/// Answers with method, target and body of the request.
async fn echo(parts: request::Parts, mut body: Inlet) -> Reply {
    let mut text = format!("{} {} ", parts.method, parts.uri).into_bytes();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => text.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            Err(error) => {
                text.extend_from_slice(format!("{error}").as_bytes());
                break;
            }
        }
    }
    Answer::Response(Response::new(Full::from(text)))
}

/// Everything that a client gets that sends `pieces` with a turn of the gateway behind each.
async fn talk(pieces: &[&[u8]]) -> String {
    let (mut client, stream) = pair().await;
    client.set_nodelay(true).unwrap();
    let local = LocalSet::new();
    let served = local.spawn_local(serve(stream, SETTINGS, |parts, body, _| echo(parts, body)));
    let talk = async {
        for piece in pieces {
            client.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        drop(served.await.unwrap());
        got
    };
    String::from_utf8(local.run_until(talk).await).unwrap()
}

/// Status and body of each response.
fn answers(mut text: &str) -> Vec<(u16, String)> {
    let mut answers = Vec::new();
    while let Some((head, rest)) = text.split_once("\r\n\r\n") {
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let field = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = field.map_or(0, |length| length.parse().unwrap());
        let (body, next) = rest.split_at(length);
        answers.push((status, body.to_owned()));
        text = next;
    }
    answers
}

#[tokio::test]
async fn requests_are_answered_in_their_order() {
    let got = talk(&[
        b"GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPUT /3 HTTP/1.1\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nx",
        b"yz\r\n0\r\n\r\n\r\nGET /4 HTTP/1.1\r\nConnection: close\r\n\r\nGET /5 HTTP/1.1\r\n\r\n",
    ])
    .await;
    let want = ["GET /1 ", "POST /2 abc", "PUT /3 xyz", "GET /4 "];
    assert_eq!(answers(&got), want.map(|body| (200, body.to_owned())));
}

#[tokio::test]
async fn what_is_no_request_ends_the_connection() {
    for (piece, status) in [
        (&b"GET / HTTP/1.1\r\n\r\nbroken\r\n\r\n"[..], 400),
        (b"GET / HTTP/1.1\r\n\r\n\0", 400),
        (b"GET / HTTP/1.1\r\n\r\nGET / HTTP/3.0\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n\r\rGET", 400),
    ] {
        let got = answers(&talk(&[piece]).await);
        assert_eq!(got[0], (200, "GET / ".to_owned()));
        assert_eq!(got[1].0, status, "{piece:?}");
        assert_eq!(got.len(), 2);
    }
    let long = format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(1024));
    assert_eq!(answers(&talk(&[long.as_bytes()]).await)[0].0, 431);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(9));
    assert_eq!(answers(&talk(&[many.as_bytes()]).await)[0].0, 431);
    assert_eq!(talk(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]).await, "");
}

#[tokio::test]
async fn leave_is_given_when_somebody_reads_and_the_body_has_not_come() {
    let expects =
        b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n";
    let (mut client, stream) = pair().await;
    let local = LocalSet::new();
    local.spawn_local(serve(stream, SETTINGS, |parts, body, _| echo(parts, body)));
    let talk = async {
        client.write_all(expects).await.unwrap();
        let mut interim = [0; 25];
        client.read_exact(&mut interim).await.unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        client.write_all(b"ab").await.unwrap();
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert_eq!(answers(&rest), [(200, "POST / ab".to_owned())]);
    };
    local.run_until(talk).await;
    let at_once = [&expects[..], b"ab"].concat();
    let got = talk_of(&at_once).await;
    assert_eq!(answers(&got), [(200, "POST / ab".to_owned())]);
}

async fn talk_of(bytes: &[u8]) -> String {
    talk(&[bytes]).await
}

/// Serves one connection with a service that never reads the body.
async fn unread(request: &[u8]) -> String {
    let (mut client, stream) = pair().await;
    let local = LocalSet::new();
    let kept = RefCell::new(None);
    let served = serve(stream, SETTINGS, |_, body, _| {
        *kept.borrow_mut() = Some(body);
        ready(Reply::Response(Response::new(Full::from("ok"))))
    });
    let talk = async {
        client.write_all(request).await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = String::new();
        client.read_to_string(&mut got).await.unwrap();
        got
    };
    let (_, got) = local.run_until(async { tokio::join!(served, talk) }).await;
    if let Some(mut body) = kept.take() {
        // Whoever kept the body does not read the next request's.
        assert!(body.is_end_stream() || body.frame().await.unwrap().is_err());
    }
    got
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_read_over_if_it_is_there() {
    let next = "GET / HTTP/1.1\r\n\r\n";
    for (request, count) in [
        (
            format!("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc{next}"),
            2,
        ),
        (
            format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n{next}"),
            2,
        ),
        ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab".to_owned(), 1),
        (
            format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n{next}"),
            1,
        ),
        // Leave was not given, and what comes is taken for neither body nor request.
        (
            format!("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc{next}"),
            1,
        ),
    ] {
        let got = answers(&unread(request.as_bytes()).await);
        assert_eq!(got, vec![(200, "ok".to_owned()); count], "{request:?}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_exchange() {
    let (mut client, stream) = pair().await;
    let served = serve(stream, SETTINGS, |_, _, _| std::future::pending::<Reply>());
    let leave = async {
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        drop(client);
    };
    let (served, ()) = tokio::join!(served, leave);
    served.unwrap();
}

#[tokio::test]
async fn a_response_that_breaks_off_is_not_taken_for_whole() {
    let (mut client, stream) = pair().await;
    let served = serve(stream, SETTINGS, |_, _, _| {
        let body = Breaks(Some("ab"));
        ready(Answer::<_, Tunnel>::Response(Response::new(body)))
    });
    let talk = async {
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut got = String::new();
        client.read_to_string(&mut got).await.unwrap();
        got
    };
    let (served, got) = tokio::join!(served, talk);
    assert!(served.is_err());
    let (head, body) = got.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert_eq!(body, "2\r\nab\r\n");
}

/// A body that breaks off behind its first piece.
struct Breaks(Option<&'static str>);

impl Body for Breaks {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<std::io::Result<http_body::Frame<Bytes>>>> {
        let piece = self
            .0
            .take()
            .map(|piece| http_body::Frame::data(Bytes::from(piece)));
        Poll::Ready(Some(piece.ok_or_else(|| std::io::Error::other("broken"))))
    }
}

/// A body of one piece with trailers behind it.
struct Trailed(u8);

impl Body for Trailed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        self.0 += 1;
        Poll::Ready(match self.0 {
            1 => Some(Ok(http_body::Frame::data(Bytes::from_static(b"ab")))),
            2 => {
                let sum = (
                    http::HeaderName::from_static("x-sum"),
                    http::HeaderValue::from_static("9"),
                );
                let age = (http::header::AGE, http::HeaderValue::from_static("1"));
                let trailers = http::HeaderMap::from_iter([sum, age]);
                Some(Ok(http_body::Frame::trailers(trailers)))
            }
            _ => None,
        })
    }
}

#[tokio::test]
async fn trailers_reach_a_client_that_takes_them() {
    for (field, behind) in [
        ("TE: gzip, trailers\r\n", "0\r\nx-sum: 9\r\n\r\n"),
        ("", "0\r\n\r\n"),
    ] {
        let (mut client, stream) = pair().await;
        let served = serve(stream, SETTINGS, |_, _, _| {
            ready(Answer::<_, Tunnel>::Response(Response::new(Trailed(0))))
        });
        let talk = async {
            let request = format!("GET / HTTP/1.1\r\nConnection: close\r\n{field}\r\n");
            client.write_all(request.as_bytes()).await.unwrap();
            let mut got = String::new();
            client.read_to_string(&mut got).await.unwrap();
            got
        };
        let (served, got) = tokio::join!(served, talk);
        served.unwrap();
        let (_, body) = got.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, format!("2\r\nab\r\n{behind}"));
    }
}

#[tokio::test]
async fn an_idle_connection_holds_no_buffer() {
    let (mut client, stream) = pair().await;
    let line = Line::new(wire::Wire::new(stream));
    let conn = Conn::new();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut search = Search::default();
    poll_fn(|cx| search.poll(&mut line.borrow_mut(), &conn, &SETTINGS, cx))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(search.head.unwrap().parts.version, Version::HTTP_11);
    assert_eq!(line.borrow().wire.read.capacity(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn requests_are_the_same_wherever_they_are_cut(
        bodies in prop::collection::vec(("[a-z]{0,40}", any::<bool>()), 1..4),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let mut bytes = String::new();
        let mut want = Vec::new();
        for (index, (body, chunked)) in bodies.iter().enumerate() {
            let framing = match (chunked, body.len()) {
                (true, 0) => "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
                (true, length) => format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"),
                (false, length) => format!("Content-Length: {length}\r\n\r\n{body}"),
            };
            let last = if index + 1 == bodies.len() { "Connection: close\r\n" } else { "" };
            bytes += &format!("POST /{index} HTTP/1.1\r\n{last}{framing}");
            want.push((200, format!("POST /{index} {body}")));
        }
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|w| &bytes.as_bytes()[w[0]..w[1]]).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        prop_assert_eq!(answers(&runtime.block_on(talk(&pieces))), want);
    }

    #[test]
    fn whatever_comes_is_answered_or_ended(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bytes = [&bytes[..], b"\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n"].concat();
        runtime.block_on(unread(&bytes));
    }
}
