//! The judges' verdicts where they meet: what an outcome counts as, who is ejected and for how long, and what breakers and
//! limits let through.

use std::rc::Rc;

use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use super::super::failure::FailureKind;
use super::super::limits::Limit;
use super::super::settings::Settings;
use super::super::tests::care::{marks, plan, shared};
use super::super::tests::settings;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn outlier() -> OutlierRules {
    OutlierRules {
        gateway_errors: Some(2),
        server_errors: Some(3),
        base_time: 30 * SECOND,
        max_time: 300 * SECOND,
        max_percent: 50,
    }
}

fn heard(shared: &Shared, at: usize, outcome: Outcome) {
    let member = Arc::clone(&shared.roster().seats[at].member);
    shared.heard(&member, Passage::Free, outcome, SECOND);
}

#[test]
fn what_an_outcome_counts_as() {
    use FailureKind::{Connect, Deadline, FirstByteTimeout, RequestBody, Reset, Truncated};
    let answered = |status| Outcome::Answered(StatusCode::from_u16(status).unwrap());
    let failed = Outcome::Failed;
    let plan = plan(Scope::Upstream);
    #[rustfmt::skip]
    let table = [
        (answered(200), Some(Sign::Good), Verdict::Passed),
        (answered(404), Some(Sign::Good), Verdict::Passed),
        (answered(500), Some(Sign::ServerError), Verdict::Failed),
        (answered(501), Some(Sign::ServerError), Verdict::Passed),
        (answered(503), Some(Sign::GatewayError), Verdict::Passed),
        (failed(Connect), Some(Sign::GatewayError), Verdict::Failed),
        (failed(FirstByteTimeout), Some(Sign::GatewayError), Verdict::Failed),
        (failed(Deadline), Some(Sign::GatewayError), Verdict::Failed),
        (failed(Reset), Some(Sign::GatewayError), Verdict::Failed),
        (failed(Truncated), Some(Sign::GatewayError), Verdict::Failed),
        (failed(RequestBody), None, Verdict::Void),
        (failed(FailureKind::Overloaded(Limit::Requests)), None, Verdict::Void),
        (Outcome::Abandoned, None, Verdict::Void),
    ];
    for (outcome, wanted, verdict) in table {
        assert_eq!(
            (sign(outcome), plan.verdict(outcome)),
            (wanted, verdict),
            "{outcome:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_fails_is_ejected_for_its_time_and_no_more_than_the_part_that_may_be() {
    let rules = CareRules {
        outlier: Some(outlier()),
        ..CareRules::default()
    };
    let shared = shared(&[1, 2, 3], rules);
    let rounds = look_after(&shared, &Rc::new(Semaphore::new(1))).unwrap();
    let local = LocalSet::new();
    local.spawn_local(rounds);
    local
        .run_until(async {
            let failure = Outcome::Failed(FailureKind::Connect);
            heard(&shared, 1, failure);
            heard(&shared, 1, Outcome::Abandoned);
            assert_eq!(marks(&shared).concat(), []);
            heard(&shared, 1, failure);
            assert_eq!(marks(&shared), [vec![], vec![Mark::Ejected], vec![]]);
            // Half of three is one.
            for _ in 0..5 {
                heard(&shared, 2, failure);
            }
            assert_eq!(marks(&shared)[2], []);

            // The rounds see that somebody is ejected.
            tokio::task::yield_now().await;
            tokio::time::sleep(30 * SECOND - Duration::from_millis(1)).await;
            assert_eq!(marks(&shared)[1], [Mark::Ejected]);
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert_eq!(marks(&shared).concat(), []);
            heard(&shared, 2, failure);
            assert_eq!(marks(&shared)[2], [Mark::Ejected]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn marks_end_with_the_rules_that_they_were_set_by() {
    let rules = CareRules {
        outlier: Some(outlier()),
        ..CareRules::default()
    };
    let before = shared(&[1, 2], rules);
    for _ in 0..2 {
        heard(&before, 0, Outcome::Failed(FailureKind::Connect));
    }
    assert_eq!(marks(&before)[0], [Mark::Ejected]);
    let after = Shared::new(Arc::new(settings(&[1, 2])), Some(&before));
    let rounds = look_after(&after, &Rc::new(Semaphore::new(1))).unwrap();
    let local = LocalSet::new();
    local.spawn_local(rounds);
    local.run_until(tokio::time::sleep(SECOND)).await;
    assert_eq!(marks(&after).concat(), []);
    let plain = Shared::new(Arc::new(settings(&[1])), None);
    assert!(look_after(&plain, &Rc::new(Semaphore::new(1))).is_none());
}

#[tokio::test]
async fn limits_outlive_a_reload_that_does_not_change_them() {
    let rules = |most| CareRules {
        limits: Some(LimitRules {
            connections: None,
            pending: 0,
            pending_timeout: SECOND,
            requests: Some(most),
        }),
        ..CareRules::default()
    };
    let before = shared(&[1], rules(5));
    let _place = before.care().limits().unwrap().enter(None).await.unwrap();
    let next = |most| {
        let settings = Settings {
            care: rules(most),
            ..settings(&[1, 2])
        };
        Shared::new(Arc::new(settings), Some(&before))
    };
    assert_eq!(next(5).care().limits().unwrap().in_use().requests, 1);
    assert_eq!(next(6).care().limits().unwrap().in_use().requests, 0);
}
