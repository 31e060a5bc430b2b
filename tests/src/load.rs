//! Load: connections that send the same request again and again until they are told to stop, and judge every
//! answer. For "no request fails while ..."; its latencies inform, they prove nothing on a busy machine.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{Answer, Connection};
use crate::patience::eventually;
use crate::request::Request;
use crate::wire::Fault;

/// Most failures that are kept in full, per connection.
const MAX_FAILURES: usize = 10;
/// Most latencies that are kept per connection; later ones take the place of the oldest.
const MAX_LATENCIES: usize = 100_000;

/// Says what is wrong with an answer.
type Judge = dyn Fn(&Answer) -> Result<(), String> + Send + Sync;

/// What to send, over how many connections, and what has to come back.
pub struct Load {
    address: SocketAddr,
    request: Request,
    connections: usize,
    pause: Duration,
    judge: Arc<Judge>,
}

impl Load {
    /// Four connections; an answer has to be a 200.
    #[must_use]
    pub fn new(address: SocketAddr, request: Request) -> Self {
        let judge = |answer: &Answer| match answer.status {
            200 => Ok(()),
            status => Err(format!("{status}: {}", String::from_utf8_lossy(&answer.body))),
        };
        Self {
            address,
            request,
            connections: 4,
            pause: Duration::ZERO,
            judge: Arc::new(judge),
        }
    }

    /// How many connections, each with one request at a time.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How long each connection rests between two requests: load that leaves the machine time for something else.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// What an answer has to be, instead of a 200.
    #[must_use]
    pub fn check(mut self, judge: impl Fn(&Answer) -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.judge = Arc::new(judge);
        self
    }

    /// Starts in the runtime of the test.
    #[must_use]
    pub fn start(self) -> RunningLoad {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let longest = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..self.connections {
            let worker = Worker {
                address: self.address,
                request: self.request.clone(),
                judge: Arc::clone(&self.judge),
                stop: Arc::clone(&stop),
                answered: Arc::clone(&answered),
                longest: Arc::clone(&longest),
                pause: self.pause,
                start: Instant::now(),
                tally: Tally::default(),
            };
            tasks.spawn(worker.run());
        }
        RunningLoad {
            stop,
            answered,
            longest,
            tasks,
        }
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load")
            .field("address", &self.address)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// Load that goes on until [`RunningLoad::stop`]; dropped, it ends at once.
#[derive(Debug)]
pub struct RunningLoad {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    longest: Arc<AtomicU64>,
    tasks: JoinSet<Tally>,
}

impl RunningLoad {
    /// Answers so far, failures included.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// The longest latency of those answered since the last call.
    #[must_use]
    pub fn take_longest(&self) -> Duration {
        Duration::from_nanos(self.longest.swap(0, Ordering::Relaxed))
    }

    /// Waits until `more` requests were answered from now on.
    ///
    /// # Panics
    /// When they are not.
    pub async fn wait_for(&self, more: u64) {
        let goal = self.answered() + more;
        eventually(&format!("{more} more answers under load"), async || {
            (self.answered() >= goal).then_some(())
        })
        .await;
    }

    /// Lets every connection end the request it is at, and sums up.
    ///
    /// # Panics
    /// When the check of an answer panicked.
    pub async fn stop(self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        let mut report = Report::default();
        for tally in self.tasks.join_all().await {
            report.requests += tally.requests;
            report.failed += tally.failed;
            report.failures.extend(tally.failures);
            report.latencies.extend(tally.latencies);
        }
        report.latencies.sort_unstable();
        report.failures.sort_by_key(|failure| failure.after);
        report
    }
}

/// A request that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Since the load's start.
    pub after: Duration,
    /// What was wrong with the answer, or why there was none.
    pub detail: String,
}

/// What came of a load.
#[derive(Debug, Default)]
pub struct Report {
    /// Requests that were sent.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// The first failures of each connection, in order of time.
    pub failures: Vec<Failure>,
    latencies: Vec<Duration>,
}

impl Report {
    /// # Panics
    /// When a request failed, with the failures; when there was no request at all.
    pub fn expect_no_failure(&self) {
        assert!(self.requests > 0, "a load without a request");
        assert!(
            self.failed == 0,
            "{} of {} requests failed: {:#?}",
            self.failed,
            self.requests,
            self.failures
        );
    }

    /// The latency that so many per cent of the answers stayed within; zero without any answer.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies
            .get(last * percent.min(100) / 100)
            .copied()
            .unwrap_or_default()
    }

    /// How many requests took longer than this.
    #[must_use]
    pub fn slower_than(&self, limit: Duration) -> usize {
        self.latencies.iter().filter(|latency| **latency > limit).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests, {} failed, p50 {:?}, p99 {:?}, longest {:?}",
            self.requests,
            self.failed,
            self.percentile(50),
            self.percentile(99),
            self.percentile(100)
        )
    }
}

#[derive(Debug, Default)]
struct Tally {
    requests: u64,
    failed: u64,
    failures: Vec<Failure>,
    latencies: Vec<Duration>,
}

/// One connection at a time.
struct Worker {
    address: SocketAddr,
    request: Request,
    judge: Arc<Judge>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    longest: Arc<AtomicU64>,
    pause: Duration,
    start: Instant,
    tally: Tally,
}

impl Worker {
    async fn run(mut self) -> Tally {
        let mut kept = None;
        while !self.stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let (connection, outcome) = self.once(kept.take()).await;
            kept = connection;
            self.count(begun.elapsed(), outcome);
            // A failure that costs no time must not keep the test's runtime from its other tasks.
            tokio::task::yield_now().await;
            if !self.pause.is_zero() {
                tokio::time::sleep(self.pause).await;
            }
        }
        self.tally
    }

    /// The connection comes back if it can be used again.
    async fn once(&self, kept: Option<Connection>) -> (Option<Connection>, Result<(), String>) {
        let mut connection = match kept {
            Some(connection) => connection,
            None => match Connection::open(self.address).await {
                Ok(connection) => connection,
                Err(fault) => return (None, Err(chain(&fault))),
            },
        };
        match connection.exchange(&self.request).await {
            Ok(answer) => {
                let last = answer.fields.lists("connection", "close");
                ((!last).then_some(connection), (self.judge)(&answer))
            }
            Err(fault) => (None, Err(chain(&fault))),
        }
    }

    fn count(&mut self, latency: Duration, outcome: Result<(), String>) {
        let tally = &mut self.tally;
        match tally.latencies.len() {
            MAX_LATENCIES => {
                tally.latencies[usize::try_from(tally.requests).unwrap_or(0) % MAX_LATENCIES] = latency
            }
            _ => tally.latencies.push(latency),
        }
        tally.requests += 1;
        if let Err(detail) = outcome {
            tally.failed += 1;
            if tally.failures.len() < MAX_FAILURES {
                tally.failures.push(Failure {
                    after: self.start.elapsed(),
                    detail,
                });
            }
        }
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.longest.fetch_max(nanos, Ordering::Relaxed);
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
}

fn chain(fault: &Fault) -> String {
    match std::error::Error::source(fault) {
        Some(source) => format!("{fault}: {source}"),
        None => fault.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::{Turn, Upstream};

    #[tokio::test]
    async fn it_goes_on_until_told_to_stop() {
        let upstream = Upstream::echo();
        let load = Load::new(upstream.address(), Request::get("/"))
            .connections(3)
            .start();
        load.wait_for(50).await;
        let report = load.stop().await;
        report.expect_no_failure();
        assert!(report.requests >= 50, "{report}");
        assert_eq!(report.requests, upstream.requests().len() as u64);
        assert_eq!(upstream.connections(), 3);
        assert!(report.percentile(100) > Duration::ZERO);
        assert!(report.percentile(50) <= report.percentile(99));
    }

    #[tokio::test]
    async fn every_sort_of_failure_is_counted_and_told() {
        let turns = [Turn::Answer(200), Turn::Answer(503), Turn::Close, Turn::Reset];
        let upstream = Upstream::flaky(&turns);
        let load = Load::new(upstream.address(), Request::get("/"))
            .connections(1)
            .start();
        load.wait_for(4).await;
        let report = load.stop().await;
        assert!(report.failed >= 3 && report.failed < report.requests, "{report}");
        let details: Vec<_> = report
            .failures
            .iter()
            .take(3)
            .map(|failure| failure.detail.as_str())
            .collect();
        assert_eq!(details[..2], ["503: ", "the connection was closed"]);
        assert!(details[2].starts_with("the connection failed: "), "{details:?}");
    }

    #[tokio::test]
    async fn the_check_judges_each_answer() {
        let upstream = Upstream::fixed(200, &[], "no");
        let check = |answer: &Answer| {
            if answer.text() == "yes" {
                Ok(())
            } else {
                Err("not yes".to_owned())
            }
        };
        let load = Load::new(upstream.address(), Request::get("/"))
            .check(check)
            .start();
        load.wait_for(1).await;
        let report = load.stop().await;
        assert_eq!(report.failed, report.requests);
        assert_eq!(report.failures[0].detail, "not yes");
    }
}
