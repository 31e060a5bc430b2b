//! What is shown to whoever picks, and what follows from the answer.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::Empty;

use super::super::{
    Aim, Candidate, CareRules, Cluster, Failure, FailureKind, Mark, Outcome, Picked, Picker, Policy, Reply,
    RequestHead, RetrySafety, Scope, Settings, Shared, Tried,
};
use super::care::plan;
use super::script::{Server, closed_port, drain, settings};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Answers what the test says, and remembers what it was shown: ports, those of the sick negative.
#[derive(Debug, Default)]
struct Scripted {
    answers: RefCell<Vec<Option<usize>>>,
    shown: RefCell<Vec<Vec<i32>>>,
    latencies: RefCell<Vec<Option<Duration>>>,
    refuses: Cell<u32>,
}

impl Scripted {
    fn new(answers: &[Option<usize>]) -> Self {
        let mut answers = answers.to_vec();
        answers.reverse();
        Self {
            answers: answers.into(),
            ..Self::default()
        }
    }
}

impl Picker for Scripted {
    fn pick<'a>(&'a self, candidates: &'a [Candidate]) -> Pin<Box<dyn Future<Output = Picked> + 'a>> {
        let port = |candidate: &Candidate| {
            let port = i32::from(candidate.member.endpoint().port);
            if candidate.is_healthy() { port } else { -port }
        };
        self.shown
            .borrow_mut()
            .push(candidates.iter().map(port).collect());
        let latencies = candidates.iter().map(|candidate| candidate.latency);
        self.latencies.borrow_mut().extend(latencies);
        Box::pin(async move {
            if self.refuses.get() == 1 {
                return Err("no".into());
            }
            self.refuses.set(self.refuses.get().saturating_sub(1));
            Ok(self.answers.borrow_mut().pop().flatten())
        })
    }

    fn rest<'a>(&'a self) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(std::future::ready(()))
    }
}

fn picked(ports: &[u16], most: usize, change: impl FnOnce(&mut Settings)) -> Rc<Cluster> {
    let mut settings = settings(ports);
    settings.policy = Policy::Picked(most);
    change(&mut settings);
    Cluster::new(Shared::new(Arc::new(settings), None))
}

fn aim<'a>(picker: &'a Scripted, tried: Option<&'a Tried>) -> Aim<'a> {
    Aim {
        tried,
        picker: Some(picker),
        ..Aim::default()
    }
}

async fn choose(cluster: &Cluster, picker: &Scripted, tried: Option<&Tried>) -> u16 {
    let slot = cluster.picked(picker, aim(picker, tried)).await.unwrap();
    slot.member.endpoint().port
}

async fn send(
    cluster: &Rc<Cluster>,
    picker: &Scripted,
    tried: &Tried,
) -> Result<Response<Reply<Empty<Bytes>>>, Failure> {
    let headers = HeaderMap::new();
    let head = RequestHead {
        method: &Method::GET,
        target: "/",
        authority: "test",
        headers: &headers,
        upgrade: None,
        via: None,
    };
    cluster
        .send(head, Empty::new(), None, aim(picker, Some(tried)))
        .await
}

#[tokio::test]
async fn an_index_is_taken_and_none_takes_turns_by_weight() {
    let cluster = picked(&[1, 2, 3], 10, |settings| settings.endpoints[2].weight = 2);
    let picker = Scripted::new(&[Some(2), Some(0), None, None, None, None]);
    let mut ports = Vec::new();
    for _ in 0..6 {
        ports.push(choose(&cluster, &picker, None).await);
    }
    assert_eq!(ports[..2], [3, 1]);
    let mut turns = ports.split_off(2);
    turns.sort_unstable();
    assert_eq!(turns, [1, 2, 3, 3]);
    assert_eq!(picker.shown.borrow()[0], [1, 2, 3]);
}

#[tokio::test]
async fn marked_endpoints_are_not_shown_and_in_panic_are_shown_as_sick() {
    let cluster = picked(&[1, 2, 3], 10, |settings| settings.panic_percent = 50);
    let picker = Scripted::default();
    let roster = cluster.shared().roster();
    let mark = |index: usize, mark| cluster.shared().mark(&roster.seats[index].member, mark);
    mark(0, Mark::Unhealthy);
    choose(&cluster, &picker, None).await;
    mark(1, Mark::Ejected);
    choose(&cluster, &picker, None).await;
    mark(1, Mark::Open);
    choose(&cluster, &picker, None).await;
    assert_eq!(*picker.shown.borrow(), [vec![2, 3], vec![-1, -2, 3], vec![-1, 3]]);
}

#[tokio::test]
async fn tried_endpoints_are_shown_only_when_all_were_tried() {
    let cluster = picked(&[1, 2], 10, |_| {});
    let (picker, tried) = (Scripted::default(), Tried::default());
    let roster = cluster.shared().roster();
    for seat in &roster.seats {
        tried.add(&seat.member);
        choose(&cluster, &picker, Some(&tried)).await;
    }
    assert_eq!(*picker.shown.borrow(), [vec![2], vec![1, 2]]);
    let next = cluster.picked_anew(&picker, aim(&picker, Some(&tried))).await;
    assert!(
        next.unwrap().is_none(),
        "a connection that failed is not tried again"
    );
}

#[tokio::test]
async fn who_sticks_to_an_endpoint_asks_nobody_while_it_may_be_used() {
    let cluster = picked(&[1, 2, 3], 10, |_| {});
    let picker = Scripted::new(&[Some(0)]);
    let roster = cluster.shared().roster();
    let member = &roster.seats[1].member;
    let stuck = Aim {
        stick: Some(member.id()),
        ..aim(&picker, None)
    };
    let port = async || {
        let slot = cluster.picked(&picker, stuck).await.unwrap();
        slot.member.endpoint().port
    };
    assert_eq!((port().await, picker.shown.borrow().len()), (2, 0));
    cluster.shared().mark(member, Mark::Unhealthy);
    assert_eq!((port().await, picker.shown.borrow().len()), (1, 1));
}

#[tokio::test]
async fn the_own_zone_is_shown_first_and_no_more_than_the_bound() {
    let ports: Vec<u16> = (1..=9).collect();
    let zoned = |settings: &mut Settings| {
        settings.zone = Some("a".into());
        for (index, entry) in settings.endpoints.iter_mut().enumerate() {
            entry.zone = Some(if index < 6 { "b" } else { "a" }.into());
        }
    };
    let picker = Scripted::default();
    choose(&picked(&ports, 20, zoned), &picker, None).await;
    assert_eq!(picker.shown.borrow()[0], [7, 8, 9, 1, 2, 3, 4, 5, 6]);
    let (cluster, picker) = (picked(&ports, 5, zoned), Scripted::default());
    for _ in 0..200 {
        choose(&cluster, &picker, None).await;
    }
    let shown = picker.shown.borrow();
    assert!(
        shown
            .iter()
            .all(|ports| ports.len() == 5 && ports[..3] == [7, 8, 9])
    );
    for port in 1..=6 {
        assert!(shown.iter().any(|ports| ports.contains(&port)), "{port}");
    }
}

#[tokio::test]
async fn without_an_endpoint_nobody_is_asked() {
    let cluster = picked(&[1], 10, |_| {});
    let roster = cluster.shared().roster();
    cluster.shared().mark(&roster.seats[0].member, Mark::Unhealthy);
    let picker = Scripted::default();
    let failure = cluster.picked(&picker, aim(&picker, None)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NoEndpoint);
    assert!(picker.shown.borrow().is_empty());
}

#[tokio::test]
async fn each_connection_that_fails_asks_again_without_what_was_tried() {
    let (server, gone, lost) = (Server::start().await, closed_port().await, closed_port().await);
    let cluster = picked(&[gone, lost, server.port], 10, |_| {});
    let (picker, tried) = (Scripted::new(&[Some(0), Some(0), Some(0)]), Tried::default());
    let serve = async {
        server.accept().await.answer(OK).await;
    };
    let (response, ()) = tokio::join!(send(&cluster, &picker, &tried), serve);
    assert_eq!(response.unwrap().status(), 200);
    let ports = [gone, lost, server.port].map(i32::from);
    assert_eq!(*picker.shown.borrow(), [&ports[..], &ports[1..], &ports[2..]]);
}

#[tokio::test]
async fn when_all_connections_fail_the_last_failure_counts() {
    let (gone, lost) = (closed_port().await, closed_port().await);
    let cluster = picked(&[gone, lost], 10, |_| {});
    let picker = Scripted::new(&[Some(1)]);
    let failure = send(&cluster, &picker, &Tried::default()).await.unwrap_err();
    let label = format!("127.0.0.1:{gone}");
    assert_eq!(
        (failure.kind, failure.endpoint.as_deref()),
        (FailureKind::Connect, Some(&*label))
    );
}

#[tokio::test]
async fn a_refusal_sends_nothing_and_keeps_its_reason() {
    let cluster = picked(&[closed_port().await], 10, |_| {});
    let picker = Scripted::default();
    picker.refuses.set(1);
    let failure = send(&cluster, &picker, &Tried::default()).await.unwrap_err();
    assert_eq!(
        (failure.kind, failure.retry),
        (FailureKind::Unpicked, RetrySafety::Unsent)
    );
    assert_eq!(failure.source.unwrap().to_string(), "no");
    assert!(!failure.kind.is_upstreams());
}

#[tokio::test]
async fn the_time_that_answers_take_is_shown_once_it_is_known() {
    let server = Server::start().await;
    let cluster = picked(&[server.port], 10, |_| {});
    let (picker, seen) = (Scripted::default(), tokio::sync::Notify::new());
    let serve = async {
        let mut wire = server.accept().await;
        for _ in 0..2 {
            wire.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
            seen.notified().await;
            wire.say("ok").await;
        }
    };
    let client = async {
        for _ in 0..2 {
            let response = send(&cluster, &picker, &Tried::default()).await.unwrap();
            let in_flight = || cluster.shared().roster().seats[0].member.in_flight();
            assert_eq!(in_flight(), 1);
            seen.notify_one();
            drain(&mut response.into_body()).await.unwrap();
            assert_eq!(in_flight(), 0);
        }
    };
    tokio::join!(client, serve);
    let latencies = picker.latencies.borrow();
    assert!(
        latencies[0].is_none() && latencies[1].unwrap() > Duration::ZERO,
        "{latencies:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_breaker_lets_nothing_through_is_not_shown() {
    let cluster = picked(&[1, 2], 10, |settings| {
        settings.care = CareRules {
            breaker: Some(plan(Scope::Endpoint)),
            ..CareRules::default()
        };
    });
    let shared = cluster.shared();
    let member = &shared.roster().seats[0].member.clone();
    for _ in 0..2 {
        let passage = shared.care().admit(shared, member).unwrap();
        let broken = Outcome::Answered(StatusCode::INTERNAL_SERVER_ERROR);
        shared.heard(member, passage, broken, Duration::ZERO);
    }
    let picker = Scripted::default();
    choose(&cluster, &picker, None).await;
    // As when its time is over and the trial is under way.
    assert!(shared.clear(member, Mark::Open));
    choose(&cluster, &picker, None).await;
    assert_eq!(*picker.shown.borrow(), [vec![2], vec![2]]);
}
