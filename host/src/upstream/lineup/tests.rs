//! Who comes next, as marks, weights and time change.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::advance;

use super::super::balance::{Policy, SlowStart};
use super::super::member::Mark;
use super::super::settings::Settings;
use super::super::shared::Shared;
use super::super::tests::settings;
use super::{Aim, Lineup, Tried};

fn shared(count: u16, change: impl FnOnce(&mut Settings)) -> Arc<Shared> {
    let ports: Vec<u16> = (1..=count).collect();
    let mut settings = settings(&ports);
    change(&mut settings);
    Shared::new(Arc::new(settings), None)
}

/// The ports that come next.
fn next(lineup: &mut Lineup, shared: &Arc<Shared>, count: usize) -> Vec<u16> {
    let mut one = || {
        lineup.follow(shared);
        lineup.choose(Aim::default()).unwrap().member.endpoint().port
    };
    (0..count).map(|_| one()).collect()
}

fn count_of(ports: &[u16], port: u16) -> usize {
    ports.iter().filter(|other| **other == port).count()
}

#[test]
fn marks_take_endpoints_out_and_bring_them_back() {
    let shared = shared(3, |_| {});
    let mut lineup = Lineup::new(&shared);
    assert_eq!(next(&mut lineup, &shared, 4), [1, 2, 3, 1]);
    let roster = shared.roster();
    shared.mark(&roster.seats[1].member, Mark::Unhealthy);
    assert_eq!(count_of(&next(&mut lineup, &shared, 6), 2), 0);
    shared.clear(&roster.seats[1].member, Mark::Unhealthy);
    assert_eq!(count_of(&next(&mut lineup, &shared, 6), 2), 2);
    for seat in &roster.seats {
        shared.mark(&seat.member, Mark::Ejected);
    }
    lineup.follow(&shared);
    assert!(lineup.choose(Aim::default()).is_none());
}

#[test]
fn endpoints_that_were_tried_come_last_whatever_the_policy() {
    for policy in [
        Policy::RoundRobin,
        Policy::Random,
        Policy::LeastRequest,
        Policy::PeakEwma(Duration::from_secs(1)),
        Policy::RingHash,
        Policy::Maglev,
    ] {
        let shared = shared(4, |settings| settings.policy = policy);
        let mut lineup = Lineup::new(&shared);
        let stick = shared.roster().seats[2].member.id();
        for aim in [
            Aim::default(),
            Aim {
                key: Some(99),
                ..Aim::default()
            },
            Aim {
                stick: Some(stick),
                ..Aim::default()
            },
        ] {
            let tried = Tried::default();
            let mut ports = Vec::new();
            for _ in 0..4 {
                let slot = lineup
                    .choose(Aim {
                        tried: Some(&tried),
                        ..aim
                    })
                    .unwrap();
                tried.add(&slot.member);
                ports.push(slot.member.endpoint().port);
            }
            assert!(aim.stick.is_none() || ports[0] == 3, "{policy:?}: {ports:?}");
            ports.sort_unstable();
            assert_eq!(ports, [1, 2, 3, 4], "{policy:?}");
            let again = lineup.choose(Aim {
                tried: Some(&tried),
                ..aim
            });
            assert!(again.is_some(), "{policy:?}");
        }
    }
}

#[test]
fn an_endpoint_that_a_cookie_names_is_left_when_it_may_not_be_chosen() {
    let shared = shared(3, |_| {});
    let mut lineup = Lineup::new(&shared);
    let member = Arc::clone(&shared.roster().seats[2].member);
    let aim = Aim {
        stick: Some(member.id()),
        ..Aim::default()
    };
    for _ in 0..5 {
        assert_eq!(lineup.choose(aim).unwrap().member.endpoint().port, 3);
    }
    shared.mark(&member, Mark::Unhealthy);
    lineup.follow(&shared);
    for _ in 0..5 {
        assert_ne!(lineup.choose(aim).unwrap().member.endpoint().port, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_healthy_again_starts_slowly() {
    let window = Duration::from_secs(60);
    let shared = shared(2, |settings| {
        settings.slow_start = Some(SlowStart {
            window,
            aggression_percent: 100,
            least_percent: 10,
        });
    });
    let mut lineup = Lineup::new(&shared);
    assert_eq!(count_of(&next(&mut lineup, &shared, 110), 2), 55);
    let member = Arc::clone(&shared.roster().seats[1].member);
    advance(Duration::from_secs(1)).await;
    shared.mark(&member, Mark::Unhealthy);
    shared.clear(&member, Mark::Unhealthy);
    // A tenth of the weight beside a whole one.
    assert_eq!(count_of(&next(&mut lineup, &shared, 110), 2), 10);
    advance(Duration::from_secs(30)).await;
    // Half of it.
    assert_eq!(count_of(&next(&mut lineup, &shared, 150), 2), 50);
    advance(Duration::from_secs(31)).await;
    assert_eq!(count_of(&next(&mut lineup, &shared, 110), 2), 55);
}
