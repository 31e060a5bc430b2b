//! The admin listener: `/live`, `/ready`, `/status`, `/metrics`. Read-only, on its own socket and thread,
//! never in front of clients. It refuses requests whose Host is no address of this machine's, so that a
//! page in a browser cannot reach it by a name of its own (DNS rebinding).

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

use crate::message::problem::{ErrorKind, Problem};
use crate::net::Socket;
use crate::status::{Board, Health};

/// Connections at the same time.
const MAX_CONNECTIONS: usize = 64;
/// Time for a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until it is aborted.
pub async fn serve(sockets: Vec<Socket>, board: Arc<Board>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    for socket in sockets {
        let listener = match socket.listen() {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "the admin socket cannot be used");
                continue;
            }
        };
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                continue;
            };
            let board = Arc::clone(&board);
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let answer = answer(&request, &board);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let served = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service);
                if let Err(error) = served.await {
                    tracing::debug!(%error, "an admin connection ended early");
                }
                drop(place);
            });
        }
    }
}

fn answer(request: &Request<Incoming>, board: &Board) -> Response<Full<Bytes>> {
    if !is_local_host(request.headers().get(HOST)) {
        let detail = "the Host of an admin request is an IP address or `localhost`";
        return problem(
            Problem::new(ErrorKind::HostMalformed).with_detail(detail),
            request.method(),
        );
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match (request.uri().path(), board.health()) {
        ("/live", _) => text(StatusCode::OK, "live\n"),
        ("/ready", Health::Ready) => text(StatusCode::OK, "ready\n"),
        ("/ready", Health::Draining) => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        ("/status", _) => body("application/json", board.status()),
        ("/metrics", _) => body(crate::telemetry::CONTENT_TYPE, board.metrics()),
        _ => problem(
            Problem::new(ErrorKind::NoRoute).with_detail("try /live, /ready, /status or /metrics"),
            request.method(),
        ),
    }
}

/// An address or `localhost`, with or without a port.
fn is_local_host(host: Option<&HeaderValue>) -> bool {
    let Some(Ok(text)) = host.map(HeaderValue::to_str) else {
        return false;
    };
    let name = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => text,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn body(content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn problem(problem: Problem, method: &Method) -> Response<Full<Bytes>> {
    let (status, headers, body) = problem.answer(method);
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_name_the_admin_listener() {
        for good in [
            "127.0.0.1:9901",
            "localhost",
            "LOCALHOST:1",
            "[::1]:9901",
            "[::1]",
            "10.0.0.1",
        ] {
            assert!(is_local_host(Some(&HeaderValue::from_static(good))), "{good}");
        }
        for bad in ["evil.example", "evil.example:9901", "localhost.evil.example", ""] {
            assert!(!is_local_host(Some(&HeaderValue::from_static(bad))), "{bad}");
        }
        assert!(!is_local_host(None));
    }
}
