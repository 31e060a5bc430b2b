//! What is picked for which request.

use portcullis::serde_json::{Value, json};
use portcullis::testing::{self, FakeExchange};

use super::*;

fn plugin(config: Value) -> Subset {
    testing::configure(config).unwrap()
}

fn tiers() -> Value {
    json!({ "labels": { "tier": "header:X-Tier", "build": "attribute:build" }, "default": { "tier": "silver" } })
}

fn endpoint(address: &str, tier: &str, build: &str) -> Endpoint {
    Endpoint::new(address)
        .with_label("tier", tier)
        .with_label("build", build)
}

fn endpoints() -> Vec<Endpoint> {
    vec![
        endpoint("g1", "gold", "1"),
        endpoint("g2", "gold", "2"),
        endpoint("s1", "silver", "1"),
        Endpoint::new("none"),
    ]
}

/// Every address that is picked in a hundred exchanges; `-` for no preference.
fn picked(plugin: &mut Subset, mut exchange: FakeExchange, endpoints: &[Endpoint]) -> Vec<String> {
    let mut all: Vec<String> = (0..100)
        .map(|_| {
            let picked = exchange.pick(plugin, "up", endpoints);
            picked.map_or_else(|| "-".to_owned(), |endpoint| endpoint.address.clone())
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

#[test]
fn an_endpoint_has_all_the_labels_that_the_request_asks_for() {
    let mut plugin = plugin(tiers());
    let gold = || testing::exchange().header("x-tier", "gold");
    assert_eq!(picked(&mut plugin, gold(), &endpoints()), ["g1", "g2"]);
    let build = gold().with_attribute("build", "2");
    assert_eq!(picked(&mut plugin, build, &endpoints()), ["g2"]);
}

#[test]
fn without_a_value_the_default_counts_and_without_that_nothing() {
    let mut silver = plugin(tiers());
    assert_eq!(picked(&mut silver, testing::exchange(), &endpoints()), ["s1"]);
    let mut any = plugin(json!({ "labels": { "tier": "header:x-tier" } }));
    assert_eq!(picked(&mut any, testing::exchange(), &endpoints()), ["-"]);
}

#[test]
fn where_nobody_fits_the_default_stands_in_and_then_everybody() {
    let mut plugin = plugin(tiers());
    let odd = || testing::exchange().header("x-tier", "iron");
    assert_eq!(picked(&mut plugin, odd(), &endpoints()), ["s1"]);
    assert_eq!(picked(&mut plugin, odd(), &endpoints()[..2]), ["-"]);
}

#[test]
fn a_label_with_a_default_alone_is_always_asked_for() {
    let mut plugin = plugin(json!({ "labels": { "tier": "header:x-tier" }, "default": { "build": "1" } }));
    let gold = testing::exchange().header("x-tier", "gold");
    assert_eq!(picked(&mut plugin, gold, &endpoints()), ["g1"]);
}

#[test]
fn of_those_that_fit_the_one_with_less_to_do_for_its_weight_is_picked() {
    let mut plugin = plugin(tiers());
    let mut two = endpoints();
    two[0].in_flight = 5;
    two[1].in_flight = 8;
    let gold = || testing::exchange().header("x-tier", "gold");
    assert_eq!(picked(&mut plugin, gold(), &two), ["g1"]);
    two[1].weight = 2;
    assert_eq!(picked(&mut plugin, gold(), &two), ["g2"]);
}

#[test]
fn the_sick_are_picked_only_where_nobody_else_fits() {
    let mut plugin = plugin(tiers());
    let mut some = endpoints();
    some[0].healthy = false;
    let gold = || testing::exchange().header("x-tier", "gold");
    assert_eq!(picked(&mut plugin, gold(), &some), ["g2"]);
    some[1].healthy = false;
    assert_eq!(picked(&mut plugin, gold(), &some), ["g1", "g2"]);
}

#[test]
fn every_number_draws_two_different_endpoints() {
    let mut three: Vec<_> = ["a", "b", "c"].map(Endpoint::new).into();
    for busy in 0..3 {
        three.iter_mut().for_each(|endpoint| endpoint.in_flight = 0);
        three[busy].in_flight = 9;
        for drawn in (0..50).chain([u64::MAX]) {
            let index = choose(&three, |_| true, drawn).unwrap();
            assert_ne!(index, busy, "{drawn}: one of two is idle");
        }
    }
    assert_eq!(choose(&three, |_| false, 7), None);
    assert_eq!(choose(&[], |_| true, 7), None);
}

#[test]
fn mistakes_in_the_configuration_are_named() {
    for (config, reason) in [
        (
            json!({ "labels": {} }),
            "`labels` is empty, so that there is nothing to pick by",
        ),
        (
            json!({ "labels": { "tier": "x-tier" } }),
            "`labels.tier`: \"x-tier\" is neither `header:NAME` nor `attribute:KEY`",
        ),
        (
            json!({ "labels": { "tier": "header:a b" } }),
            "`labels.tier`: \"header:a b\" is neither `header:NAME` nor `attribute:KEY`",
        ),
    ] {
        let refused = testing::configure::<Subset>(config).err();
        assert_eq!(refused.as_deref(), Some(reason));
    }
}
