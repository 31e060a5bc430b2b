//! What the plugin does to requests, natively.

use portcullis::log::Level;
use portcullis::serde_json::{Value, json};
use portcullis::testing::{self, FakeHost};

use super::*;

fn plugin(config: Value) -> Result<IpFilter, String> {
    testing::configure(config)
}

/// Whether a request from this address is let through; what refuses it is checked.
fn passes(plugin: &mut IpFilter, address: &str) -> bool {
    let action = testing::exchange().client_ip(address).on_request(plugin);
    if let Some(refusal) = action.refusal() {
        assert_eq!((refusal.status, refusal.code.as_ref()), (403, "ip-denied"));
    }
    action.is_next()
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "a literal json!(..) is what tests pass"
)]
fn verdicts(config: Value, expected: &[(&str, bool)]) {
    let mut plugin = plugin(config.clone()).unwrap();
    for (address, expected) in expected {
        assert_eq!(passes(&mut plugin, address), *expected, "{address} by {config}");
    }
}

#[test]
fn a_denied_address_is_refused_and_others_pass() {
    let config = json!({ "deny": ["203.0.113.0/24", "2001:db8:bad::/48"] });
    let expected = [
        ("203.0.113.9", false),
        ("203.0.114.1", true),
        ("2001:db8:bad::1", false),
        ("2001:db8::1", true),
        ("::ffff:203.0.113.9", false),
    ];
    verdicts(config, &expected);
}

#[test]
fn with_a_list_of_allowed_ones_all_others_are_refused() {
    let config = json!({ "allow": ["10.0.0.0/8", "::1"] });
    let expected = [
        ("10.1.2.3", true),
        ("::1", true),
        ("11.0.0.1", false),
        ("2001:db8::1", false),
    ];
    verdicts(config, &expected);
}

#[test]
fn a_denied_address_is_refused_even_if_it_is_allowed() {
    let config = json!({ "allow": "10.0.0.0/8", "deny": "10.9.0.0/16" });
    verdicts(config, &[("10.1.0.1", true), ("10.9.0.1", false)]);
    let config = json!({ "allow": "10.9.0.1", "deny": "10.9.0.0/16" });
    verdicts(config, &[("10.9.0.1", false)]);
}

#[test]
fn a_list_that_became_empty_lets_nobody_through() {
    verdicts(json!({ "allow": "# all gone\n" }), &[("10.0.0.1", false)]);
    verdicts(json!({ "allow": [] }), &[("10.0.0.1", false)]);
    verdicts(json!({ "deny": "" }), &[("10.0.0.1", true)]);
    verdicts(json!({ "default": "deny" }), &[("10.0.0.1", false)]);
}

#[test]
fn a_list_is_written_as_a_text_with_lines_too() {
    let config = json!({ "deny": ["# office\n10.0.0.0/8 # lan\n\n192.0.2.7\n", "2001:db8::/32"] });
    let expected = [
        ("10.0.0.1", false),
        ("192.0.2.7", false),
        ("2001:db8::1", false),
        ("192.0.2.8", true),
    ];
    verdicts(config, &expected);
}

#[test]
fn what_is_no_address_is_refused() {
    for config in [
        json!({ "deny": "10.0.0.0/8" }),
        json!({ "allow": ["0.0.0.0/0", "::/0"] }),
    ] {
        let expected = [("", false), ("unknown", false), ("10.0.0.1:80", false)];
        verdicts(config, &expected);
    }
}

#[test]
fn report_refuses_nobody_and_says_who_would_be() {
    let host = FakeHost::new();
    host.log_from(Level::Debug);
    let config = json!({ "allow": "10.0.0.0/8", "deny": "10.9.0.0/16", "mode": "report" });
    let mut plugin: IpFilter = host.configure(config).unwrap();
    for (address, reason) in [
        ("10.0.0.1", None),
        ("10.9.0.1", Some("deny")),
        ("192.0.2.1", Some("default")),
    ] {
        let mut exchange = host.exchange().client_ip(address);
        assert!(exchange.on_request(&mut plugin).is_next());
        assert_eq!(exchange.attribute("ip-filter.denied"), reason);
    }
    assert_eq!(host.metric("ip_filter_denied_total", &["deny"]), Some(1.0));
    assert_eq!(host.metric("ip_filter_denied_total", &["default"]), Some(1.0));
    assert_eq!(host.lines().len(), 2);
}

#[test]
fn refusals_are_counted_by_their_reason() {
    let host = FakeHost::new();
    let mut plugin: IpFilter = host.configure(json!({ "deny": "10.0.0.0/8" })).unwrap();
    for address in ["10.0.0.1", "10.0.0.2", "192.0.2.1"] {
        host.exchange().client_ip(address).on_request(&mut plugin);
    }
    assert_eq!(host.metric("ip_filter_denied_total", &["deny"]), Some(2.0));
}

#[test]
fn a_bad_configuration_is_refused_with_its_reason() {
    for (config, reason) in [
        (json!({}), "`allow`, `deny` and `default` are all missing"),
        (
            json!({ "allow": "10.0.0.1", "default": "allow" }),
            "`allow` has no effect beside `default = \"allow\"`",
        ),
        (
            json!({ "allow": ["10.0.0.1", "10.0.0.0/33"] }),
            "`allow`: `10.0.0.0/33` is not an address or range",
        ),
        (json!({ "deny": "10.0.0.1\nnope" }), "`deny`: line 2: `nope`"),
        (
            json!({ "deny": "10.0.0.1/8" }),
            "`deny`: `10.0.0.1/8` has bits behind",
        ),
        (
            json!({ "deny": [], "mode": "observe" }),
            "unknown variant `observe`",
        ),
        (json!({ "colour": 1 }), "unknown field `colour`"),
    ] {
        let error = plugin(config).unwrap_err();
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }
}
