//! One gateway for a group of rows: a route for each row, the entries and upstreams that rows may name, and the client
//! that sends a row's request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use portcullis_tests::client::Connection;
use portcullis_tests::patience::eventually;
use portcullis_tests::upstream::Received;
use portcullis_tests::{Gateway, Request, Upstream};
use tokio::time::{self, Instant};
use toml::{Table, Value};

use super::case::{Case, Client, Got};
use super::{check, upstreams};

/// How long the hooks of a row may take to be called; what is missing then is shown.
const SOON: Duration = Duration::from_secs(5);

/// Entries of the guest `trace`, called as they are; `granted` may write attributes of identity. `open` and `closed` are
/// `guard`, with a label that forbids to skip it, which only `open` lifts. No version of `absent` can be loaded.
const ENTRIES: &str = r#"
    [plugins]
    a = { wasm = "trace", config = { name = "a" } }
    b = { wasm = "trace", config = { name = "b" } }
    c = { wasm = "trace", config = { name = "c" } }
    r = { wasm = "trace", config = { name = "r" } }
    granted = { wasm = "trace", config = { name = "granted" }, allow = { attributes = ["auth."] } }
    open = { wasm = "guard", on-fault = "skip", allow-fail-open = true }
    closed = { wasm = "guard", on-fault = "skip" }
"#;
const ABSENT: &str = "absent = { wasm = \"misfit\", on-fault = \"skip\" }\n";

/// A gateway with its upstreams.
pub(super) struct Stand {
    gateway: Gateway,
    upstreams: Vec<(&'static str, Upstream)>,
    listeners: Vec<Vec<Value>>,
}

impl Stand {
    /// Starts it for these rows.
    pub(super) async fn start(cases: &[Case]) -> Self {
        let mut listeners: Vec<Vec<Value>> = vec![Vec::new()];
        for case in cases {
            if !listeners.contains(&case.listener) {
                listeners.push(case.listener.clone());
            }
        }
        let upstreams = upstreams::start();
        let mut builder = Gateway::new()
            .workers(1)
            .guest("trace")
            .guest("guard")
            .listener("limits = { headers = 200 }")
            .toml(ENTRIES);
        if cases.iter().any(Case::needs_absent) {
            // It is said of the entry that it cannot be loaded.
            builder = builder.guest("misfit").toml(ABSENT).allow_errors();
        }
        for (name, upstream) in &upstreams {
            builder = builder.upstream_with(name, &[upstream.address()], upstreams::keys(name));
        }
        let gateway = builder
            .upstream_with("down", &[Upstream::nowhere()], "")
            .toml(&toml(cases, &listeners))
            .start()
            .await;
        Self {
            gateway,
            upstreams,
            listeners,
        }
    }

    /// Sends the request of one row, and gives what is wrong with all but its hooks.
    pub(super) async fn run(&self, case: &Case) -> Vec<String> {
        let seen: Vec<usize> = self.upstreams.iter().map(|(_, u)| u.requests().len()).collect();
        let counts = self.counts(case).await;
        let mut problems = Vec::new();
        let answered = match case.client {
            Client::Stays => self.stay(case).await,
            Client::Leaves => self.leave(case, &seen).await,
        };
        problems.extend(answered.err());
        let all = case.calls().len();
        soon(async || (self.calls(case).len() >= all).then_some(())).await;
        problems.extend(check::sent(case, &self.sent(&seen)).err());
        problems.extend(self.counted(case, &counts).await.err());
        if case.faults() {
            // Entries of many rows do not fail in a row.
            let (_, path) = case.start();
            let well = Request::get(&path);
            self.gateway.try_send(&well).await.ok();
        }
        problems
    }

    /// What hooks logged, by row.
    pub(super) fn traces(&self) -> BTreeMap<String, Vec<String>> {
        let mut traces: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in self.gateway.logs() {
            let row = line
                .field("fields")
                .and_then(|fields| fields.strip_prefix("row=\""));
            if let (Some(row), Some(text)) = (row, line.message.strip_prefix("trace: ")) {
                let row = row.trim_end_matches('"').to_owned();
                traces.entry(row).or_default().push(text.to_owned());
            }
        }
        traces
    }

    pub(super) async fn shutdown(self) {
        self.gateway.shutdown().await;
    }

    /// A client that reads its answer.
    async fn stay(&self, case: &Case) -> Result<(), String> {
        let began = Instant::now();
        let mut connection = self.connect(case).await;
        let answer = connection.exchange(&case.request()).await;
        let Some(expected) = &case.answer else {
            return Err(format!("  there is an answer: {answer:?}"));
        };
        match answer {
            Err(_) if expected.cut => Ok(()),
            Err(fault) => Err(format!("  no proper answer: {fault}")),
            Ok(answer) if expected.cut => Err(format!("  the answer is whole: {answer:?}")),
            Ok(answer) => {
                check::answer(expected, &answer)?;
                in_time(expected, began)
            }
        }
    }

    /// A client that leaves.
    async fn leave(&self, case: &Case, seen: &[usize]) -> Result<(), String> {
        let mut connection = self.connect(case).await;
        let mut answered = Ok(());
        let sent = connection.send(&case.request()).await;
        sent.map_err(|fault| format!("  cannot send: {fault}"))?;
        if let Some(part) = &case.request.part {
            let sent = connection.write(part.as_bytes()).await;
            sent.map_err(|fault| format!("  cannot send: {fault}"))?;
        }
        if let Some(expected) = &case.answer {
            answered = match connection.receive_head().await {
                Ok((status, head)) => check::head(expected, status, &head.fields),
                Err(fault) => Err(format!("  no head of an answer: {fault}")),
            };
        }
        let before = case.calls_before_leaving();
        soon(async || {
            let called = self.calls(case).len() >= before;
            let arrived = self.sent(seen).len() >= case.sent.len();
            (called && arrived).then_some(())
        })
        .await;
        connection
            .reset()
            .map_err(|fault| format!("  cannot reset: {fault}"))?;
        answered
    }

    async fn connect(&self, case: &Case) -> Connection {
        let address = self.address(case);
        Connection::open(address).await.expect("a listener that accepts")
    }

    fn address(&self, case: &Case) -> SocketAddr {
        let index = self
            .listeners
            .iter()
            .position(|pipeline| *pipeline == case.listener);
        self.gateway
            .address_of(&listener(index.expect("each row's listener was made")))
    }

    /// Its calls so far.
    fn calls(&self, case: &Case) -> Vec<String> {
        let mut lines = self.traces().remove(&case.id()).unwrap_or_default();
        lines.retain(|line| !check::is_told(line));
        lines
    }

    /// What came to the upstreams since.
    fn sent(&self, seen: &[usize]) -> Vec<(&'static str, Received)> {
        let new = self
            .upstreams
            .iter()
            .zip(seen)
            .flat_map(|((name, upstream), seen)| {
                let requests = upstream.requests().split_off(*seen);
                requests.into_iter().map(|request| (*name, request))
            });
        new.collect()
    }

    async fn counts(&self, case: &Case) -> Vec<f64> {
        if case.counts.is_empty() {
            return Vec::new();
        }
        let metrics = self.gateway.metrics().await;
        let value = |series: &String| {
            let series = series.replace("ROW", &case.id());
            let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
            line.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
        };
        case.counts.keys().map(value).collect()
    }

    async fn counted(&self, case: &Case, before: &[f64]) -> Result<(), String> {
        let grown = soon(async || {
            let now = self.counts(case).await;
            let mut pairs = now.iter().zip(before).zip(case.counts.values());
            pairs.all(|((now, before), by)| now - before == *by).then_some(())
        });
        match grown.await {
            Some(()) => Ok(()),
            None => Err(format!(
                "  {:?} were {before:?} and are {:?}",
                case.counts,
                self.counts(case).await
            )),
        }
    }
}

/// Looks until there is something, or until it takes too long.
async fn soon<T>(look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    time::timeout(SOON, eventually("what a row says", look))
        .await
        .ok()
}

fn in_time(expected: &Got, began: Instant) -> Result<(), String> {
    let took = began.elapsed();
    if took < Duration::from_millis(expected.after_ms) {
        return Err(format!(
            "  the answer took {took:?} where it should be {} ms or more",
            expected.after_ms
        ));
    }
    Ok(())
}

fn listener(index: usize) -> String {
    match index {
        0 => "public".to_owned(),
        index => format!("listener-{index}"),
    }
}

/// Listeners and routes of the rows.
fn toml(cases: &[Case], listeners: &[Vec<Value>]) -> String {
    let mut root = Table::new();
    let others = listeners.iter().enumerate().skip(1).map(|(index, pipeline)| {
        let mut table = Table::new();
        table.insert("address".into(), "127.0.0.1:0".into());
        table.insert("pipeline".into(), pipeline.clone().into());
        (listener(index), Value::Table(table))
    });
    root.insert("listeners".into(), Value::Table(others.collect()));
    let routes = cases.iter().map(|case| {
        let at = listeners.iter().position(|pipeline| *pipeline == case.listener);
        let mut rule = Table::new();
        rule.insert("prefix".into(), format!("/{}", case.id()).into());
        let mut route = case.route.clone();
        route.insert("name".into(), case.id().into());
        route.insert("match".into(), rule.into());
        route.insert("listeners".into(), vec![listener(at.unwrap_or_default())].into());
        route.insert("pipeline".into(), case.pipeline.clone().into());
        route.insert("upstream".into(), case.upstream.clone());
        Value::Table(route)
    });
    root.insert("routes".into(), routes.collect::<Vec<_>>().into());
    format!("\n{}", toml::to_string(&root).expect("tables that TOML can say"))
}
