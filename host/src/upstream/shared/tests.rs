//! Members and lists over time: successors, marks, names.

use super::super::tests::settings;
use super::*;

#[test]
fn a_successor_keeps_what_is_known_of_endpoints_that_stay() {
    let before = Shared::new(Arc::new(settings(&[1, 2])), None);
    let roster = before.roster();
    assert!(before.mark(&roster.seats[1].member, Mark::Unhealthy));
    let after = Shared::new(Arc::new(settings(&[2, 3])), Some(&before));
    let marks = |seat: &Seat| seat.member.marks().count();
    let now = after.roster();
    assert_eq!(now.seats.iter().map(marks).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(now.seats[0].member.since_ns(), 0);
    assert!(now.seats[1].member.since_ns() > 0);
}

#[test]
fn a_mark_that_an_old_exchange_sets_is_seen_by_the_successor() {
    let before = Shared::new(Arc::new(settings(&[1])), None);
    let after = Shared::new(Arc::new(settings(&[1])), Some(&before));
    let version = after.version();
    assert!(before.mark(&before.roster().seats[0].member, Mark::Ejected));
    assert_ne!(after.version(), version);
    assert!(!after.roster().seats[0].member.is_available());
}

fn place(address: &str, weight: u32) -> Place {
    Place {
        endpoint: Endpoint {
            host: "orders.example".to_owned(),
            port: 80,
        },
        address: address.parse().unwrap(),
        weight,
    }
}

fn shown(shared: &Shared) -> Vec<(String, u32)> {
    let roster = shared.roster();
    let seats = roster.seats.iter();
    seats
        .map(|seat| (seat.member.label().to_string(), seat.weight))
        .collect()
}

#[test]
fn a_name_has_a_seat_for_each_address_and_one_while_there_is_none() {
    let mut named = settings(&[1]);
    named.endpoints.push(Entry {
        source: Source::Address(place("10.0.0.1:80", 1).endpoint),
        weight: 3,
        zone: None,
        labels: Arc::default(),
    });
    let shared = Shared::new(Arc::new(named.clone()), None);
    let fixed = ("127.0.0.1:1".to_owned(), 1);
    assert_eq!(
        shown(&shared),
        [fixed.clone(), ("orders.example:80".to_owned(), 3)]
    );
    let version = shared.version();
    let places = vec![place("10.0.0.1:80", 1), place("10.0.0.2:80", 2)];
    shared.found(1, places.clone());
    let want = [
        fixed,
        ("10.0.0.1:80".to_owned(), 3),
        ("10.0.0.2:80".to_owned(), 6),
    ];
    assert_eq!(shown(&shared), want);
    assert_eq!(shared.version(), version + 1);
    assert!(
        shared
            .roster()
            .seats
            .iter()
            .all(|seat| seat.member.since_ns() == 0)
    );
    shared.found(1, places);
    assert_eq!(shared.version(), version + 1);
    // Members stay while they are named, and what comes later starts slowly.
    let first = Arc::clone(&shared.roster().seats[1].member);
    shared.found(1, vec![place("10.0.0.1:80", 1), place("10.0.0.3:80", 1)]);
    assert!(Arc::ptr_eq(&first, &shared.roster().seats[1].member));
    assert!(shared.roster().seats[2].member.since_ns() > 0);
    // A successor knows what the name stands for.
    named.max_idle = 7;
    let after = Shared::new(Arc::new(named), Some(&shared));
    assert_eq!(shown(&after), shown(&shared));
    assert!(Arc::ptr_eq(&first, &after.roster().seats[1].member));
}

#[test]
fn a_service_without_an_answer_has_no_seat() {
    let mut none = settings(&[]);
    none.endpoints.push(Entry {
        source: Source::Srv("_http._tcp.orders.example".into()),
        weight: 1,
        zone: None,
        labels: Arc::default(),
    });
    let shared = Shared::new(Arc::new(none), None);
    assert_eq!(shown(&shared), []);
    shared.found(0, vec![place("10.0.0.1:80", u32::MAX)]);
    assert_eq!(shown(&shared), [("10.0.0.1:80".to_owned(), MAX_WEIGHT)]);
    // Nobody has a list of such a length: it is of no endpoint.
    shared.found(9, Vec::new());
}

#[test]
fn an_address_that_is_listed_and_named_has_one_seat() {
    let mut twice = settings(&[1]);
    for host in ["one.example", "two.example"] {
        let endpoint = Endpoint {
            host: host.to_owned(),
            port: 1,
        };
        twice.endpoints.push(endpoint.into());
    }
    let shared = Shared::new(Arc::new(twice), None);
    shared.found(1, vec![place("127.0.0.1:1", 1), place("127.0.0.2:1", 1)]);
    shared.found(2, vec![place("127.0.0.2:1", 1)]);
    assert_eq!(
        shown(&shared),
        [("127.0.0.1:1".to_owned(), 1), ("127.0.0.2:1".to_owned(), 1)]
    );
}
