//! The access log: one line for every exchange, whatever its end.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_tests::upstream::Step;
use portcullis_tests::{Gateway, GatewayBuilder, Request, Upstream};
use serde_json::Value;
use tempfile::TempDir;

use super::peer::{Peer, Server};
use super::{expect_problem, front};

/// A log that outlives its gateway, which writes the last lines at its end.
pub(crate) struct Log {
    _folder: TempDir,
    path: PathBuf,
}

impl Log {
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("portcullis-log-").unwrap();
        let path = folder.path().join("access.log");
        Self {
            _folder: folder,
            path,
        }
    }

    pub(crate) fn on(&self, builder: GatewayBuilder, format: &str) -> GatewayBuilder {
        builder.gateway(&format!(
            "access-log = {{ path = '{}', format = '{format}' }}",
            self.path.display()
        ))
    }

    async fn lines_of(&self, gateway: Gateway) -> Vec<String> {
        gateway.shutdown().await;
        lines(&self.path)
    }

    pub(crate) async fn json_of(&self, gateway: Gateway) -> Vec<Value> {
        let lines = self.lines_of(gateway).await;
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    /// The only line.
    pub(crate) async fn one_of(&self, gateway: Gateway) -> Value {
        let lines = self.json_of(gateway).await;
        let [line] = <[Value; 1]>::try_from(lines).unwrap_or_else(|lines| panic!("{lines:?}"));
        line
    }
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_line_says_what_was_asked_and_what_came_of_it() {
    let (log, upstream) = (Log::new(), Upstream::fixed(201, &[], "created"));
    let gateway = log.on(front(upstream.address(), ""), "json").start().await;
    let request = Request::post("/orders?key=secret", "hello")
        .header("host", "api.example:8080")
        .header("user-agent", "test/1 \"quoted\"");
    gateway.send(&request).await;
    let line = log.one_of(gateway).await;
    for (field, expected) in [
        ("client_ip", "127.0.0.1"),
        ("method", "POST"),
        ("host", "api.example:8080"),
        ("path", "/orders"),
        ("protocol", "HTTP/1.1"),
        ("route", "all"),
        ("upstream", "up"),
        ("user_agent", "test/1 \"quoted\""),
    ] {
        assert_eq!(line[field], expected, "{field} in {line}");
    }
    assert_eq!(line["endpoint"], upstream.address().to_string());
    assert_eq!(
        (&line["status"], &line["bytes_in"], &line["bytes_out"]),
        (&201.into(), &5.into(), &7.into())
    );
    assert!(
        line["duration_ms"].as_f64() >= line["upstream_ms"].as_f64(),
        "{line}"
    );
    assert!(line["upstream_ms"].as_f64().unwrap() > 0.0, "{line}");
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    assert!(!line.to_string().contains("secret"), "{line}");
    assert!(
        line.get("error_code").is_none() && line.get("aborted").is_none(),
        "{line}"
    );
}

#[tokio::test]
async fn a_line_of_an_error_has_its_code_and_the_id_that_the_client_was_told() {
    let log = Log::new();
    let builder = front(Upstream::nowhere(), "").toml("match = { prefix = '/a' }\n");
    let gateway = log.on(builder, "json").start().await;
    let mut told = Vec::new();
    for (target, status, code) in [
        ("/a", 502, "upstream-connect-failed"),
        ("/b", 404, "no-route"),
        ("/%00", 400, "path-refused"),
    ] {
        let answer = gateway.get(target).await;
        let document = expect_problem(&answer, status, code);
        let id = document["instance"].as_str().unwrap().rsplit(':').next().unwrap();
        told.push((id.to_owned(), status, code));
    }
    let lines = log.json_of(gateway).await;
    assert_eq!(lines.len(), told.len(), "{lines:?}");
    for (id, status, code) in told {
        let line = lines.iter().find(|line| line["request_id"] == *id).unwrap();
        assert_eq!(
            (&line["status"], &line["error_code"]),
            (&status.into(), &code.into())
        );
    }
}

#[tokio::test]
async fn an_exchange_that_broke_off_says_so_and_why() {
    let log = Log::new();
    let short = Upstream::raw([
        Step::Request,
        Step::send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none"),
    ]);
    let gateway = log.on(front(short.address(), ""), "json").start().await;
    gateway.try_send(&Request::get("/")).await.unwrap_err();
    let lines = log.json_of(gateway).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["aborted"], true, "{lines:?}");
    assert_eq!(
        (
            &lines[0]["status"],
            &lines[0]["bytes_out"],
            &lines[0]["error_code"]
        ),
        (&200.into(), &3.into(), &"upstream-reset".into())
    );
}

#[tokio::test]
async fn an_exchange_whose_client_left_says_so() {
    let (log, server) = (Log::new(), Server::start().await);
    let gateway = log.on(front(server.address(), ""), "json").start().await;
    let mut client = Peer::connect(gateway.address()).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = server.accept().await;
    upstream.head().await;
    drop(client);
    upstream.rest().await;
    let lines = log.json_of(gateway).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(
        (&lines[0]["status"], &lines[0]["aborted"]),
        (&499.into(), &true.into())
    );
}

#[tokio::test]
async fn nothing_that_a_client_sends_ends_a_line_or_begins_a_field() {
    for format in ["json", "text"] {
        let (log, upstream) = (Log::new(), Upstream::echo());
        let gateway = log.on(front(upstream.address(), ""), format).start().await;
        let request = Request::get("/a%0astatus=500%22")
            .header("user-agent", "x status=500\" \u{85}\u{1b}[2J\t=\\")
            .header("host", "a.example");
        // An escape character is no part of a field's value: such a request is refused before it is one.
        let request = match gateway.send(&request).await.status {
            400 => Request::get("/a%0astatus=500%22").header("user-agent", "x status=500\" \u{85}\t=\\"),
            _ => request,
        };
        gateway.send(&request).await;
        let lines = log.lines_of(gateway).await;
        let status = if format == "json" {
            "\"status\":200"
        } else {
            " status=200 "
        };
        let last = lines.last().unwrap();
        assert_eq!(last.matches(status).count(), 1, "{last}");
        for line in lines {
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert_eq!(line.matches(" status=500 ").count(), 0, "{line}");
        }
    }
}

#[tokio::test]
async fn lines_may_be_text() {
    let log = Log::new();
    let builder = front(Upstream::nowhere(), "");
    let gateway = log.on(builder, "text").start().await;
    let request = Request::get("/a")
        .header("host", "a.example")
        .header("user-agent", "two words");
    gateway.send(&request).await;
    let lines = log.lines_of(gateway).await;
    let [line] = lines.as_slice() else {
        panic!("{lines:?}")
    };
    assert!(line.starts_with("time="), "{line}");
    for part in [
        " client_ip=127.0.0.1 ",
        " method=GET ",
        " host=a.example ",
        " path=/a ",
        " route=all ",
        " status=502 ",
        " error_code=upstream-connect-failed ",
        " upstream=up ",
        " user_agent=\"two words\"",
    ] {
        assert!(line.contains(part), "{part:?} in {line}");
    }
}

#[tokio::test]
async fn there_are_as_many_lines_as_exchanges() {
    let (log, upstream) = (Log::new(), Upstream::echo());
    let builder = log.on(front(upstream.address(), ""), "json").workers(2);
    let gateway = builder.start().await;
    let mut ids = Vec::new();
    for _ in 0..8 {
        let mut connection = gateway.connect().await;
        for number in 0..25 {
            let target = format!("/{number}");
            connection.exchange(&Request::get(&target)).await.unwrap();
        }
    }
    for line in log.json_of(gateway).await {
        ids.push(line["request_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 200);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 200, "ids are used once");
}
