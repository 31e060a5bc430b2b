//! Rows of responses: an upstream that sends anything, a client that reads nothing that breaks a rule.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use portcullis_tests::patience::PATIENCE;
use portcullis_tests::wire::Fault;
use portcullis_tests::{Answer, Gateway, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time;

use super::super::front;
use super::case::{self, End, ResponseCase};

/// Runs all rows; gives their number and what is wrong.
pub(super) async fn run() -> (usize, Vec<String>) {
    let cases = case::all("responses", |case: &mut ResponseCase| &mut case.name);
    let server = Server::start().await;
    let gateway = front(server.address, "max-header-bytes = '2KiB'").start().await;
    let mut wrong = Vec::new();
    for case in &cases {
        server.say(case);
        let mut problems = Vec::new();
        let told = time::timeout(PATIENCE, talk(&gateway, &server, case, &mut problems)).await;
        if told.is_err() {
            problems.push("it takes too long".to_owned());
        }
        if !problems.is_empty() {
            wrong.push(format!("{}\n{}", case.name, problems.join("\n")));
        }
    }
    gateway.shutdown().await;
    (cases.len(), wrong)
}

async fn talk(gateway: &Gateway, server: &Server, case: &ResponseCase, problems: &mut Vec<String>) {
    let mut connection = gateway.connect().await;
    let mut request = Request::new(&case.method, "/case");
    if let Some(protocol) = &case.asks {
        request = request
            .header("connection", "upgrade")
            .header("upgrade", protocol);
    }
    let got = match connection.exchange(&request).await {
        Ok(answer) => {
            check(case, &answer, problems);
            if answer.header("content-type") == Some("application/problem+json") && case.method != "HEAD" {
                format!("{} {}", answer.status, answer.problem())
            } else {
                answer.status.to_string()
            }
        }
        // The head may not be on its way yet when the body breaks.
        Err(Fault::Truncated(_) | Fault::Closed) => {
            format!("{} cut", case.answer.get(..3).unwrap_or_default())
        }
        Err(fault) => format!("with a fault: {fault}"),
    };
    if got != case.answer {
        problems.push(format!("answered {got}, not {}", case.answer));
        return;
    }
    let first = server.last();
    let client = match case.client {
        End::Closed => connection.closed().await.map(|()| None),
        End::Either => Ok(None),
        End::Kept => connection.exchange(&Request::get("/probe")).await.map(Some),
    };
    match client {
        Ok(Some(answer)) if answer.text() != "probe" => {
            problems.push(format!("the probe got {:?}", answer.text()))
        }
        Ok(Some(_)) => {}
        Ok(None) => {
            gateway.get("/probe").await;
        }
        Err(fault) => problems.push(format!(
            "the client's connection is not {:?}: {fault}",
            case.client
        )),
    }
    let end = if server.last() == first {
        End::Kept
    } else {
        End::Closed
    };
    if end != case.upstream && case.upstream != End::Either {
        problems.push(format!("the upstream's connection is {end:?}"));
    }
}

fn check(case: &ResponseCase, answer: &Answer, problems: &mut Vec<String>) {
    if let Some(text) = &case.text
        && text.bytes() != answer.body
    {
        problems.push(format!("text = {}", case::written(&answer.body)));
    }
    let raw: String = answer.raw.iter().map(|byte| char::from(*byte)).collect();
    for line in &case.has {
        if !raw.contains(&format!("\r\n{line}\r\n")) {
            problems.push(format!("no line {line:?} in {raw:?}"));
        }
    }
    for name in &case.absent {
        if answer.header(name).is_some() {
            problems.push(format!("{name} is there"));
        }
    }
}

/// Answers `/case` with the row's bytes, and everything else properly.
struct Server {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    bytes: Vec<u8>,
    close: bool,
    /// Number of the connection that the last request came on.
    last: usize,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = Arc::clone(&script);
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(serve(stream, number, Arc::clone(&shared)));
            }
        });
        Self { address, script }
    }

    fn say(&self, case: &ResponseCase) {
        let mut script = self.script.lock().expect("no panic while it is held");
        (script.bytes, script.close) = (case.send.bytes(), case.close);
    }

    fn last(&self) -> usize {
        self.script.lock().expect("no panic while it is held").last
    }
}

async fn serve(mut stream: TcpStream, number: usize, script: Arc<Mutex<Script>>) {
    stream.set_nodelay(true).ok();
    let mut head = Vec::new();
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let is_case = head.windows(6).any(|part| part == b" /case");
        let (bytes, close) = {
            let mut script = script.lock().expect("no panic while it is held");
            script.last = number;
            (script.bytes.clone(), script.close)
        };
        head.clear();
        if !is_case {
            let probe = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nprobe";
            if stream.write_all(probe).await.is_err() {
                return;
            }
        } else if stream.write_all(&bytes).await.is_err() || close {
            return;
        }
    }
}
