//! Rows of requests: a client that sends anything, an upstream that keeps every byte.

use portcullis_tests::patience::PATIENCE;
use portcullis_tests::wire::Fault;
use portcullis_tests::{Connection, Gateway, Request, Upstream};
use tokio::time::{self, Duration, Instant};

use super::super::front;
use super::case::{self, End, RequestCase, written};

/// How long bytes may take from one socket to another before a row is wrong.
const ON_THE_WAY: Duration = Duration::from_secs(2);

/// How the request begins that shows that a connection was kept.
const PROBE: &[u8] = b"GET /probe ";

/// Runs all rows; gives their number and what is wrong.
pub(super) async fn run() -> (usize, Vec<String>) {
    let cases = case::all("requests", |case: &mut RequestCase| &mut case.name);
    let upstream = Upstream::fixed(200, &[], "ok");
    let gateway = front(upstream.address(), "max-idle = 0")
        .listener("protocols = ['http/1.1']\nlimits = { body = '1KiB', headers = 20, uri-bytes = '256B', header-bytes = '2KiB' }")
        .start()
        .await;
    let (mut wrong, mut expected) = (Vec::new(), 0);
    for case in &cases {
        let before = upstream.wires().len();
        let mut problems = Vec::new();
        let told = time::timeout(PATIENCE, talk(&gateway, case, &mut problems)).await;
        if told.is_err() {
            problems.push("it takes too long".to_owned());
        }
        if case.or_less {
            // A connection that was made for nothing is accepted before this one.
            gateway.get("/probe").await;
        }
        let want: Vec<Vec<u8>> = case.upstream.iter().map(case::Text::bytes).collect();
        let got = received(&upstream, before, &want, case).await;
        if !is_right(&got, &want, case) {
            let got: Vec<String> = got.iter().map(|bytes| written(bytes)).collect();
            problems.push(format!("upstream = [{}]", got.join(", ")));
        }
        expected += got.len() + probes(&upstream, before);
        if !problems.is_empty() {
            wrong.push(format!("{}\n{}", case.name, problems.join("\n")));
        }
    }
    if wrong.is_empty() && upstream.wires().len() != expected {
        wrong.push("bytes reached the upstream after their row".to_owned());
    }
    gateway.shutdown().await;
    (cases.len(), wrong)
}

/// Sends, and reads all answers and the end.
async fn talk(gateway: &Gateway, case: &RequestCase, problems: &mut Vec<String>) {
    let mut connection = gateway.connect().await;
    // The gateway may answer and close before it has read everything.
    let _sent = connection.write(&case.send.bytes()).await;
    if case.half_close {
        let _finished = connection.finish().await;
    }
    let mut method = case.method.as_str();
    for want in &case.answers {
        let got = answer(&mut connection, method, want).await;
        if got != *want {
            problems.push(format!("answered {got}, not {want}"));
            return;
        }
        method = "GET";
    }
    let end = match case.end {
        End::Either => Ok(()),
        End::Closed => connection.closed().await,
        End::Kept => {
            let probe = Request::get("/probe").header("connection", "close");
            match connection.exchange(&probe).await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(Fault::Malformed(format!("the next answer is {}", answer.status))),
                Err(fault) => Err(fault),
            }
        }
    };
    match end {
        Err(fault) if fault.is_reset() && case.end == End::Closed => {}
        Err(fault) => problems.push(format!("not {:?}: {fault}", case.end)),
        Ok(()) => {}
    }
}

/// Status and code of the next answer; the code only where one is expected or the document is the gateway's.
async fn answer(connection: &mut Connection, method: &str, want: &str) -> String {
    match connection.receive(method).await {
        Ok(answer) if answer.header("content-type") == Some("application/problem+json") => {
            let whole = !answer.body.is_empty() || method == "HEAD";
            match want.split_once(' ') {
                Some(_) if method == "HEAD" => want.replacen(&want[..3], &answer.status.to_string(), 1),
                _ if whole => format!("{} {}", answer.status, answer.problem()),
                _ => format!("{} without its document", answer.status),
            }
        }
        Ok(answer) => answer.status.to_string(),
        // The harness takes no answer in HTTP/1.0 for proper; what is left of it comes before the end.
        Err(fault) if want.starts_with("HTTP/1.0 ") && fault.to_string().contains(want) => {
            while let Err(Fault::Malformed(_)) = connection.closed().await {}
            want.to_owned()
        }
        Err(fault) => format!("with a fault: {fault}"),
    }
}

fn is_right(got: &[Vec<u8>], want: &[Vec<u8>], case: &RequestCase) -> bool {
    let or_less = case.or_less;
    let fits = |(got, want): (&Vec<u8>, &Vec<u8>)| got == want || or_less && want.starts_with(got);
    (got.len() == want.len() || or_less && got.is_empty()) && got.iter().zip(want).all(fits)
}

fn probes(upstream: &Upstream, before: usize) -> usize {
    let wires = upstream.wires().split_off(before);
    wires.iter().filter(|bytes| bytes.starts_with(PROBE)).count()
}

/// What came on connections since the `before`-th, as soon as it is what is wanted. The row's probe is left out.
async fn received(upstream: &Upstream, before: usize, want: &[Vec<u8>], case: &RequestCase) -> Vec<Vec<u8>> {
    let end = Instant::now() + ON_THE_WAY;
    loop {
        let mut got = upstream.wires().split_off(before);
        got.retain(|bytes| !bytes.starts_with(PROBE));
        if is_right(&got, want, case) || Instant::now() >= end {
            return got;
        }
        time::sleep(Duration::from_millis(2)).await;
    }
}
