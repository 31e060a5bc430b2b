//! Breakers and limits of an upstream, against scripted servers.

use std::sync::Arc;
use std::time::Duration;

use super::super::{
    BreakerPlan, BreakerRules, BreakerState, CareRules, Cluster, FailureKind, InUse, Limit, LimitRules, Mark,
    Pauses, Scope, Settings, Shared,
};
use super::script::{Server, drain, get, get_text, settings};

const SECOND: Duration = Duration::from_secs(1);
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BROKEN: &str = "HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n";

/// Two failures in a row open for five seconds.
pub(in crate::upstream) fn plan(scope: Scope) -> BreakerPlan {
    BreakerPlan {
        rules: BreakerRules {
            consecutive: Some(2),
            error_percent: None,
            slow_percent: None,
            slow_after: SECOND,
            min_requests: 1,
            window: 10 * SECOND,
            pauses: Pauses {
                first: 5 * SECOND,
                longest: 60 * SECOND,
                trials: 1,
                successes: 1,
            },
        },
        scope,
        statuses: (500..=500).into(),
    }
}

pub(in crate::upstream) fn shared(ports: &[u16], care: CareRules) -> Arc<Shared> {
    let settings = Settings {
        care,
        ..settings(ports)
    };
    Shared::new(Arc::new(settings), None)
}

pub(in crate::upstream) fn marks(shared: &Shared) -> Vec<Vec<Mark>> {
    let roster = shared.roster();
    roster
        .seats
        .iter()
        .map(|seat| seat.member.marks().collect())
        .collect()
}

/// A server that answers each request with the next of these texts.
async fn serving(server: &Server, answers: &[&str]) {
    let mut wire = server.accept().await;
    for answer in answers {
        wire.answer(answer).await;
    }
}

#[tokio::test]
async fn the_breaker_of_the_upstream_lets_nothing_through_while_it_is_open() {
    let server = Server::start().await;
    let rules = CareRules {
        breaker: Some(plan(Scope::Upstream)),
        ..CareRules::default()
    };
    let shared = shared(&[server.port], rules);
    let cluster = Cluster::new(Arc::clone(&shared));
    let client = async {
        assert_eq!(get_text(&cluster).await.unwrap(), "ok");
        for _ in 0..2 {
            assert_eq!(get(&cluster).await.unwrap().status(), 500);
        }
        for _ in 0..3 {
            let failure = get(&cluster).await.unwrap_err();
            assert!(
                matches!(failure.kind, FailureKind::CircuitOpen { .. }),
                "{failure:?}"
            );
        }
    };
    tokio::join!(client, serving(&server, &[OK, BROKEN, BROKEN]));
    let (state, transitions) = shared.care().breaker(&shared.settings().care).unwrap();
    assert_eq!((state, transitions), (BreakerState::Open, [0, 1, 0]));
}

#[tokio::test]
async fn the_breaker_of_an_endpoint_leaves_the_others_alone() {
    let (bad, good) = (Server::start().await, Server::start().await);
    let rules = CareRules {
        breaker: Some(plan(Scope::Endpoint)),
        ..CareRules::default()
    };
    let shared = shared(&[bad.port, good.port], rules);
    let cluster = Cluster::new(Arc::clone(&shared));
    let client = async {
        let mut failed = 0;
        for _ in 0..10 {
            let mut answer = get(&cluster).await.unwrap();
            failed += usize::from(answer.status() == 500);
            drain(answer.body_mut()).await.unwrap();
        }
        assert_eq!(failed, 2);
    };
    tokio::join!(client, serving(&bad, &[BROKEN; 2]), serving(&good, &[OK; 8]));
    assert_eq!(marks(&shared), [vec![Mark::Open], vec![]]);
}

#[tokio::test]
async fn an_upstream_whose_endpoints_are_all_open_says_so() {
    let server = Server::start().await;
    let rules = CareRules {
        breaker: Some(plan(Scope::Endpoint)),
        ..CareRules::default()
    };
    let cluster = Cluster::new(shared(&[server.port], rules));
    let client = async {
        for _ in 0..2 {
            assert_eq!(get(&cluster).await.unwrap().status(), 500);
        }
        let failure = get(&cluster).await.unwrap_err();
        let FailureKind::CircuitOpen { retry_after } = failure.kind else {
            panic!("{failure:?}")
        };
        assert!(
            retry_after > 4 * SECOND && retry_after <= 5 * SECOND,
            "{retry_after:?}"
        );
    };
    tokio::join!(client, serving(&server, &[BROKEN; 2]));
}

#[tokio::test]
async fn a_place_is_free_again_when_the_body_has_ended() {
    let server = Server::start().await;
    let rules = CareRules {
        limits: Some(LimitRules {
            connections: None,
            pending: 0,
            pending_timeout: SECOND,
            requests: Some(1),
        }),
        ..CareRules::default()
    };
    let shared = shared(&[server.port], rules);
    let cluster = Cluster::new(Arc::clone(&shared));
    let (looked, look) = tokio::sync::oneshot::channel();
    let limits = || shared.care().limits().unwrap().in_use();
    let client = async {
        let mut answer = get(&cluster).await.unwrap();
        assert_eq!(
            limits(),
            InUse {
                requests: 1,
                ..InUse::default()
            }
        );
        let failure = get(&cluster).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Overloaded(Limit::Requests));
        looked.send(()).unwrap();
        let (content, _) = drain(answer.body_mut()).await.unwrap();
        assert_eq!(content, b"abcd");
        assert_eq!(limits(), InUse::default());
        get(&cluster).await.unwrap();
    };
    let script = async {
        let mut wire = server.accept().await;
        wire.answer("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
            .await;
        look.await.unwrap();
        wire.say("cd").await;
        wire.answer(OK).await;
    };
    tokio::join!(client, script);
}
