//! Limits of all gateways together, and what holds while their store fails.

use portcullis::Problem;
use portcullis::serde_json::json;

use super::*;

fn bench(when: &str) -> Bench {
    Bench::new(json!({ "limit": 2, "period": "1h", "scope": "cluster", "when-store-fails": when }))
}

fn down() -> Option<Problem> {
    Some(Problem::Failed("the store is not connected".to_owned()))
}

#[test]
fn the_store_counts_while_it_works() {
    let mut bench = bench("deny");
    assert_eq!(bench.passing(5), 2);
    assert_eq!(bench.counted("default", "refused"), 3);
}

#[test]
fn while_the_store_fails_requests_pass_are_refused_or_counted_here() {
    for (when, passing) in [("allow", 5), ("deny", 0), ("local", 2)] {
        let mut bench = bench(when);
        bench.host.store_fails(down());
        assert_eq!(bench.passing(5), passing, "{when}");
        bench.host.store_fails(None);
        assert_eq!(bench.passing(5), 2, "{when}");
    }
}

#[test]
fn a_refusal_for_want_of_the_store_is_503() {
    let mut bench = bench("deny");
    bench.host.store_fails(down());
    let (fate, ..) = bench.send(|exchange| exchange);
    let code = "rate-limit-unavailable".to_owned();
    assert_eq!(fate, Fate::Refused { status: 503, code });
}

#[test]
fn what_another_limit_refuses_is_given_back_to_the_store() {
    let limits = json!([
        { "name": "all", "limit": 3, "scope": "cluster" },
        { "name": "own", "limit": 1, "key": "header:x-own", "absent": "skip", "scope": "cluster" },
    ]);
    let mut bench = Bench::new(json!({ "period": "1h", "limits": limits }));
    let own = |bench: &mut Bench| bench.send(|exchange| exchange.header("x-own", "a")).0;
    assert_eq!(own(&mut bench), Fate::Passed);
    assert_eq!(own(&mut bench), limited());
    assert_eq!(own(&mut bench), limited());
    assert_eq!(bench.passing(5), 2);
}

#[test]
fn without_a_store_it_is_refused_at_the_start() {
    let host = FakeHost::new();
    host.store_fails(Some(Problem::Denied("not granted".to_owned())));
    let refused = host.configure::<RateLimit>(json!({ "limit": 1, "period": "1s", "scope": "cluster" }));
    assert!(refused.unwrap_err().contains("needs the grant of a store"));
    let config = json!({ "limit": 1, "scope": "cluster", "algorithm": "concurrency" });
    let refused = FakeHost::new().configure::<RateLimit>(config);
    assert!(refused.unwrap_err().contains("`scope` is not for"));
}
