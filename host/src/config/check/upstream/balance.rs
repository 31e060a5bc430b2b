//! `balance`, `slow-start`, `panic-threshold` and `sticky` of an upstream.
//!
//! It refuses to choose an endpoint.

use std::time::Duration;

use http::HeaderName;

use super::Balancers;
use crate::config::model::{Balance, HashOn, Policy, SameSite, SlowStart, Sticky};
use crate::config::reader::{Reader, is_text};
use crate::config::scope::Scope;
use crate::config::secret::Text;
use crate::config::suggest;

/// The policies.
const POLICIES: [&str; 6] = [
    "round-robin",
    "random",
    "least-request",
    "peak-ewma",
    "ring-hash",
    "maglev",
];
const SAME_SITE: [(&str, SameSite); 3] = [
    ("strict", SameSite::Strict),
    ("lax", SameSite::Lax),
    ("none", SameSite::None),
];

/// The keys of an upstream.
pub(in crate::config::check) fn read(reader: &mut Reader<'_>, balancers: &mut Balancers<'_>) -> Balance {
    Balance {
        policy: policy(reader, balancers).unwrap_or_default(),
        slow_start: slow_start(reader.section("slow-start")),
        panic_threshold: reader.number("panic-threshold", 0..=100, 0),
        sticky: sticky(reader.section("sticky")),
    }
}

fn policy(reader: &mut Reader<'_>, balancers: &mut Balancers<'_>) -> Option<Policy> {
    let scope = reader.scope();
    let (_, node) = reader.entry("balance")?;
    let times = Duration::from_millis(1)..=Duration::from_secs(3600);
    let decay = Duration::from_secs(10);
    if is_text(node) {
        let text = scope.text("`balance`", node)?;
        return made(scope, &text, "balance", decay, None);
    }
    let mut reader = reader.section("balance");
    if reader.has_any(&["plugin"]) {
        let keys = [
            ("policy", "`plugin` is a policy of its own"),
            ("hash-on", "a plugin hashes what it wants"),
            ("decay", "a plugin keeps its own averages"),
        ];
        for (key, message) in keys {
            reader.refuse(key, message, "leave it out");
        }
        let text = reader.text("plugin");
        let max_candidates = reader.number("max-candidates", 1..=1000, 100);
        reader.finish();
        return Some(Policy::Plugin {
            entry: balancers.find(scope, &text?)?,
            max_candidates,
        });
    }
    reader.refuse(
        "max-candidates",
        "only a plugin is shown candidates",
        "leave it out, or name a `plugin`",
    );
    let text = reader.required_text("policy", "for example `policy = \"ring-hash\"`");
    let decay = reader.time("decay", times, decay);
    let hash_on = reader.parsed("hash-on", "something to hash", hash_on);
    if let Some(text) = text.as_ref().filter(|text| !text.is_secret()) {
        if reader.has_any(&["hash-on"]) && !matches!(text.as_str(), "ring-hash" | "maglev") {
            scope.error_with_help(
                text.at(),
                format!("{} does not hash", text.shown()),
                "leave `hash-on` out, or use `ring-hash` or `maglev`",
            );
        }
        if reader.has_any(&["decay"]) && text.as_str() != "peak-ewma" {
            scope.warning(
                text.at(),
                format!("{} keeps no average", text.shown()),
                "leave `decay` out, or use `peak-ewma`",
            );
        }
    }
    reader.finish();
    made(scope, &text?, "policy", decay, hash_on)
}

fn made(
    scope: &Scope<'_>,
    text: &Text,
    key: &str,
    decay: Duration,
    hash_on: Option<HashOn>,
) -> Option<Policy> {
    Some(match text.as_str() {
        "round-robin" => Policy::RoundRobin,
        "random" => Policy::Random,
        "least-request" => Policy::LeastRequest,
        "peak-ewma" => Policy::PeakEwma { decay },
        "ring-hash" => Policy::RingHash(hash_on.unwrap_or_default()),
        "maglev" => Policy::Maglev(hash_on.unwrap_or_default()),
        word => {
            let known = POLICIES.map(|policy| format!("`{policy}`")).join(", ");
            let near = suggest::nearest(word, POLICIES).filter(|_| !text.is_secret());
            let help = match near {
                Some(near) => format!("did you mean `{near}`? possible values: {known}"),
                None => format!("possible values: {known}"),
            };
            let message = format!("{} is not a possible value of `{key}`", text.shown());
            scope.error_with_help(text.at(), message, help);
            return None;
        }
    })
}

fn hash_on(text: &str) -> Result<HashOn, &'static str> {
    let form = "possible are `client-ip`, `path`, `header:NAME`, `cookie:NAME` and `query:NAME`";
    match text.split_once(':') {
        None if text == "client-ip" => Ok(HashOn::ClientIp),
        None if text == "path" => Ok(HashOn::Path),
        Some(("header", name)) => HeaderName::from_bytes(name.as_bytes())
            .map(HashOn::Header)
            .map_err(|_| "that is not a header name"),
        Some(("cookie", name)) => cookie_name(name).map(HashOn::Cookie),
        Some(("query", name)) if !name.is_empty() => Ok(HashOn::Query(name.to_owned())),
        _ => Err(form),
    }
}

/// A name as RFC 6265, section 4.1.1, has it: a token (RFC 9110, section 5.6.2).
fn cookie_name(name: &str) -> Result<String, &'static str> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(token) {
        return Err("a cookie's name has letters, digits, `-` and `_`, and at most 64 of them");
    }
    Ok(name.to_owned())
}

/// A path as RFC 6265, section 4.1.1, has it, without characters of other meaning.
fn cookie_path(path: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b';' && byte != b',';
    if !path.starts_with('/') || path.len() > 256 || !path.bytes().all(plain) {
        return Err("a path begins with `/` and has neither spaces nor `;` nor `,`");
    }
    Ok(path.to_owned())
}

fn slow_start(mut reader: Reader<'_>) -> Option<SlowStart> {
    reader.require("window", "for example `window = \"30s\"`");
    let times = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
    let window = reader.optional_time("window", times);
    let (aggression, min_weight) = (
        reader.number("aggression", 1..=10_000, 100),
        reader.number("min-weight", 1..=100, 10),
    );
    reader.finish();
    Some(SlowStart {
        window: window?,
        aggression,
        min_weight,
    })
}

fn sticky(mut reader: Reader<'_>) -> Option<Sticky> {
    let present = reader.is_present();
    let scope = reader.scope();
    let cookie = reader.parsed("cookie", "a cookie's name", cookie_name);
    let path = reader.parsed("path", "a cookie's path", cookie_path);
    let times = Duration::from_secs(1)..=Duration::from_secs(400 * 24 * 3600);
    let sticky = Sticky {
        cookie: cookie.unwrap_or_else(|| "portcullis".to_owned()),
        path: path.unwrap_or_else(|| "/".to_owned()),
        ttl: reader.optional_time("ttl", times),
        secure: reader.flag("secure").unwrap_or(false),
        http_only: reader.flag("http-only").unwrap_or(true),
        same_site: reader.choice("same-site", &SAME_SITE, SameSite::Lax),
    };
    if sticky.same_site == SameSite::None && !sticky.secure {
        scope.warning(
            reader.at(),
            "browsers refuse a cookie with `same-site = \"none\"` that is not `secure`",
            "add `secure = true`",
        );
    }
    reader.finish();
    present.then_some(sticky)
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{errors, parsed};

    use super::*;

    fn balance(text: &str) -> Balance {
        parsed(&format!("[upstreams.a]\nendpoints = ['127.0.0.1:1']\n{text}\n")).upstreams[0]
            .balance
            .clone()
    }

    #[test]
    fn a_policy_is_a_word_or_a_table() {
        assert_eq!(balance("").policy, Policy::RoundRobin);
        assert_eq!(balance("balance = 'least-request'").policy, Policy::LeastRequest);
        assert_eq!(
            balance("balance = 'maglev'").policy,
            Policy::Maglev(HashOn::ClientIp)
        );
        let hashed = balance("balance = { policy = 'ring-hash', hash-on = 'header:X-User' }").policy;
        assert_eq!(
            hashed,
            Policy::RingHash(HashOn::Header(HeaderName::from_static("x-user")))
        );
        let decay = Duration::from_secs(3);
        let peak = balance("balance = { policy = 'peak-ewma', decay = '3s' }").policy;
        assert_eq!(peak, Policy::PeakEwma { decay });
    }

    #[test]
    fn a_plugin_entry_is_a_policy() {
        let text = "[plugins.first]\n[plugins.picker]\n[upstreams.a]\nendpoints = ['127.0.0.1:1']\n\
                    balance = { plugin = 'picker', max-candidates = 7 }\n";
        let config = parsed(text);
        let policy = Policy::Plugin {
            entry: 1,
            max_candidates: 7,
        };
        assert_eq!(config.upstreams[0].balance.policy, policy);
        let named = config.plugins.iter().map(|entry| entry.balances.is_some());
        assert_eq!(named.collect::<Vec<_>>(), [false, true]);
        let wanted = config.plugins[1].balances.as_ref().unwrap().to_string();
        insta::assert_snapshot!(wanted, @r"
        error: plugin entry `picker` has no hook `balancer`
         --> conf/gateway.toml:5:22
          |
        5 | balance = { plugin = 'picker', max-candidates = 7 }
          |                      ^^^^^^^^
          = help: name an entry whose component exports `balancer`, or choose a `policy`
        ");
    }

    #[test]
    fn what_a_plugin_has_no_use_for_is_refused() {
        let text = "[plugins.picker]\n[upstreams.a]\nendpoints = ['127.0.0.1:1']\n\
                    balance = { plugin = 'piker', policy = 'maglev', decay = '1s' }\n\
                    [upstreams.b]\nendpoints = ['127.0.0.1:1']\nbalance = { policy = 'random', max-candidates = 3 }\n";
        insta::assert_snapshot!(errors(text), @r"
        error: unknown plugin `piker`
         --> gateway.toml:4:22
          |
        4 | balance = { plugin = 'piker', policy = 'maglev', decay = '1s' }
          |                      ^^^^^^^
          = help: did you mean `picker`?

        error: `plugin` is a policy of its own
         --> gateway.toml:4:31
          |
        4 | balance = { plugin = 'piker', policy = 'maglev', decay = '1s' }
          |                               ^^^^^^
          = help: leave it out

        error: a plugin keeps its own averages
         --> gateway.toml:4:50
          |
        4 | balance = { plugin = 'piker', policy = 'maglev', decay = '1s' }
          |                                                  ^^^^^
          = help: leave it out

        error: only a plugin is shown candidates
         --> gateway.toml:7:32
          |
        7 | balance = { policy = 'random', max-candidates = 3 }
          |                                ^^^^^^^^^^^^^^
          = help: leave it out, or name a `plugin`
        ");
    }

    #[test]
    fn what_is_hashed_has_a_form() {
        assert_eq!(hash_on("cookie:sid"), Ok(HashOn::Cookie("sid".to_owned())));
        assert_eq!(hash_on("query:q"), Ok(HashOn::Query("q".to_owned())));
        assert_eq!(hash_on("path"), Ok(HashOn::Path));
        for wrong in [
            "",
            "header",
            "header:",
            "header:a b",
            "cookie:",
            "cookie:a;b",
            "query:",
            "ip",
            "path:x",
        ] {
            assert!(hash_on(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_sticky_cookie_has_safe_defaults() {
        let sticky = balance("sticky = {}").sticky.unwrap();
        assert_eq!(
            (sticky.cookie.as_str(), sticky.path.as_str()),
            ("portcullis", "/")
        );
        assert_eq!((sticky.ttl, sticky.secure, sticky.http_only), (None, false, true));
        assert_eq!(sticky.same_site, SameSite::Lax);
        assert_eq!(balance("").sticky, None);
    }

    #[test]
    fn mistakes_are_named() {
        let text = "[upstreams.a]\nendpoints = ['127.0.0.1:1']\nbalance = 'least-requests'\nslow-start = {}\n\
                    sticky = { cookie = 'a b', same-site = 'none' }\n\
                    [upstreams.b]\nendpoints = ['127.0.0.1:1']\nbalance = { policy = 'random', hash-on = 'path', decay = '1s' }\n";
        insta::assert_snapshot!(errors(text), @r#"
        error: `least-requests` is not a possible value of `balance`
         --> gateway.toml:3:11
          |
        3 | balance = 'least-requests'
          |           ^^^^^^^^^^^^^^^^
          = help: did you mean `least-request`? possible values: `round-robin`, `random`, `least-request`, `peak-ewma`, `ring-hash`, `maglev`

        error: missing key `window` in `upstreams.a.slow-start`
         --> gateway.toml:4:1
          |
        4 | slow-start = {}
          | ^^^^^^^^^^
          = help: for example `window = "30s"`

        error: `a b` is not a cookie's name
         --> gateway.toml:5:21
          |
        5 | sticky = { cookie = 'a b', same-site = 'none' }
          |                     ^^^^^
          = help: a cookie's name has letters, digits, `-` and `_`, and at most 64 of them

        error: `random` does not hash
         --> gateway.toml:8:22
          |
        8 | balance = { policy = 'random', hash-on = 'path', decay = '1s' }
          |                      ^^^^^^^^
          = help: leave `hash-on` out, or use `ring-hash` or `maglev`
        "#);
    }
}
