//! Precedence by table, and the table against a naive reference.

use super::*;
use http::{HeaderMap, HeaderName};
use proptest::prelude::*;

/// A rule as text: `HOSTS PATH [METHODS] [h:NAME~VALUE] [q:NAME=VALUE] [ip:NET] [sni:NAME]`, the path with a final `*` for
/// a prefix, hosts and methods with commas, `-` for any host; `=` is exact, `~` prefix, a bare name presence.
fn rule(text: &str) -> Rule {
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let hosts = words.next().unwrap();
    let path = words.next().unwrap();
    let mut rule = Rule {
        hosts: match hosts {
            "-" => Vec::new(),
            hosts => hosts
                .split(',')
                .map(|host| HostPattern::parse(host).unwrap())
                .collect(),
        },
        path: match path.strip_suffix('*') {
            Some(prefix) => PathPattern::prefix(prefix).unwrap(),
            None => PathPattern::pattern(path).unwrap(),
        },
        methods: Vec::new(),
        headers: Vec::new(),
        query: Vec::new(),
        client_ip: Vec::new(),
        sni: Vec::new(),
    };
    for word in words {
        if let Some(field) = word.strip_prefix("h:") {
            rule.headers.push(field_match(field));
        } else if let Some(parameter) = word.strip_prefix("q:") {
            rule.query.push(field_match(parameter));
        } else if let Some(net) = word.strip_prefix("ip:") {
            rule.client_ip.push(net.parse().unwrap());
        } else if let Some(name) = word.strip_prefix("sni:") {
            rule.sni.push(ServerName::parse(name).unwrap());
        } else {
            rule.methods
                .extend(word.split(',').map(|method| method.parse::<Method>().unwrap()));
        }
    }
    rule
}

fn field_match(text: &str) -> FieldMatch {
    let (name, test) = if let Some((name, value)) = text.split_once('=') {
        (name, FieldTest::Exact(value.to_owned()))
    } else if let Some((name, value)) = text.split_once('~') {
        (name, FieldTest::Prefix(value.to_owned()))
    } else {
        (text, FieldTest::Present)
    };
    FieldMatch {
        name: name.to_owned(),
        test,
    }
}

pub(super) fn table(rules: &[&str]) -> Table {
    Table::new(&rules.iter().map(|text| rule(text)).collect::<Vec<_>>())
}

/// A request as text: `METHOD HOST TARGET [NAME:VALUE]... [ip:ADDRESS] [sni:NAME]`, host `-` for none.
fn find(table: &Table, request: &str) -> Option<u32> {
    let mut words = request.split(' ');
    let method: Method = words.next().unwrap().parse().unwrap();
    let host = words
        .next()
        .map(|host| if host == "-" { "" } else { host })
        .unwrap();
    let target = words.next().unwrap();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let mut headers = HeaderMap::new();
    let mut client_ip = "192.0.2.1".parse().unwrap();
    let mut sni = None;
    for word in words {
        let (name, value) = word.split_once(':').unwrap();
        if name == "ip" {
            client_ip = value.parse().unwrap();
        } else if name == "sni" {
            sni = Some(value);
        } else {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
    }
    table.find(&Lookup {
        host,
        path,
        query,
        method: &method,
        headers: &headers,
        client_ip,
        sni,
    })
}

#[test]
fn precedence() {
    for (rules, request, expected) in [
        // Hosts.
        (&["- /", "a.b.c /"][..], "GET a.b.c /", Some(1)),
        (&["*.b.c /", "a.b.c /"], "GET a.b.c /", Some(1)),
        (&["*.c /", "*.b.c /"], "GET a.b.c /", Some(1)),
        (&["- /", "*.c /"], "GET a.b.c /", Some(1)),
        (&["*.b.c /"], "GET b.c /", None),
        (&["*.b.c /"], "GET x.y.b.c /", Some(0)),
        (&["*.b.c /"], "GET xb.c /", None),
        (&["a /"], "GET b /", None),
        (&["a /", "- /"], "GET - /", Some(1)),
        (&["a,b /"], "GET b /", Some(0)),
        (&["a /*", "- /x"], "GET a /x", Some(0)),
        (&["*.c /*", "a.c /x"], "GET a.c /y", Some(0)),
        (&["[::1] /"], "GET [::1] /", Some(0)),
        // Kinds of path.
        (&["- /{x}", "- /a"], "GET h /a", Some(1)),
        (&["- /*", "- /{x}"], "GET h /a", Some(1)),
        (&["- /a*", "- /a"], "GET h /a", Some(1)),
        (&["- /a*", "- /{x}/{y}"], "GET h /a/b", Some(1)),
        (&["- /*", "- /a*", "- /a/b*"], "GET h /a/b/c", Some(2)),
        (&["- /*", "- /a*", "- /a/b*"], "GET h /a/c", Some(1)),
        (&["- /*", "- /a*", "- /a/b*"], "GET h /b", Some(0)),
        (&["- /{x}/b/c", "- /a/{x}/c"], "GET h /a/b/c", Some(1)),
        (&["- /a/{x}/{y}", "- /{x}/b/c"], "GET h /a/b/c", Some(0)),
        // Extent of paths.
        (&["- /a"], "GET h /a/", None),
        (&["- /a/"], "GET h /a", None),
        (&["- /a/"], "GET h /a/", Some(0)),
        (&["- /a/{x}"], "GET h /a/", None),
        (&["- /a/{x}"], "GET h /a/b/", None),
        (&["- /a/{x}"], "GET h /a/b/c", None),
        (&["- /"], "GET h /a", None),
        (&["- /v1/orders*"], "GET h /v1/orders", Some(0)),
        (&["- /v1/orders*"], "GET h /v1/orders/", Some(0)),
        (&["- /v1/orders*"], "GET h /v1/orders/7/x", Some(0)),
        (&["- /v1/orders*"], "GET h /v1/ordersx", None),
        (&["- /v1/orders*"], "GET h /v1", None),
        (&["- /v1/orders/*"], "GET h /v1/orders", Some(0)),
        (&["- /*"], "GET h /", Some(0)),
        (&["- /*"], "GET h //", Some(0)),
        (&["- /*"], "OPTIONS h *", Some(0)),
        (&["- /a*", "- /{x}"], "OPTIONS h *", None),
        (&["- //a"], "GET h //a", Some(0)),
        (&["- /A"], "GET h /a", None),
        // Backtracking.
        (&["- /a/b", "- /{x}/c"], "GET h /a/c", Some(1)),
        (&["- /a/{x}/d", "- /a/b/c", "- /{x}/b/e"], "GET h /a/b/e", Some(2)),
        (
            &["- /a/b POST", "- /a/{x} POST", "- /{x}/b POST", "- /a*"],
            "GET h /a/b",
            Some(3),
        ),
        (
            &["- /a/b/c* POST", "- /a/b* POST", "- /a*"],
            "GET h /a/b/c/d",
            Some(2),
        ),
        (&["a.b /x POST", "*.b /*"], "GET a.b /x", Some(1)),
        (&["a.b /x POST", "*.b /* POST", "- /*"], "GET a.b /x", Some(2)),
        (&["a.b /x POST", "*.b /y", "- /{x}"], "GET a.b /x", Some(2)),
        (&["*.b.c /x", "*.c /y"], "GET a.b.c /y", Some(1)),
        // Predicates.
        (&["- /a", "- /a GET"], "GET h /a", Some(1)),
        (&["- /a", "- /a GET"], "POST h /a", Some(0)),
        (&["- /a GET", "- /a GET h:x"], "GET h /a x:1", Some(1)),
        (&["- /a GET", "- /a GET h:x"], "GET h /a", Some(0)),
        (&["- /a h:x", "- /a q:y"], "GET h /a?y x:1", Some(0)),
        (&["- /a h:x", "- /a h:x"], "GET h /a x:1", Some(0)),
        (&["- /a GET,POST"], "POST h /a", Some(0)),
        (&["- /a GET"], "HEAD h /a", None),
        (&["- /a h:X-V=2"], "GET h /a x-v:1 x-v:2", Some(0)),
        (&["- /a h:x-v=2"], "GET h /a x-v:22", None),
        (&["- /a h:x-v~2"], "GET h /a x-v:22", Some(0)),
        (&["- /a h:x=1 h:y=1"], "GET h /a x:1", None),
        (&["- /a q:v=2"], "GET h /a?w=1&v=%32", Some(0)),
        (&["- /a q:v=2"], "GET h /a", None),
        (&["- /a ip:10.0.0.0/8"], "GET h /a ip:10.1.2.3", Some(0)),
        (&["- /a ip:10.0.0.0/8"], "GET h /a ip:::ffff:10.1.2.3", Some(0)),
        (
            &["- /a ip:10.0.0.0/8 ip:fd00::/8"],
            "GET h /a ip:fd00::1",
            Some(0),
        ),
        (&["- /a ip:10.0.0.0/8"], "GET h /a", None),
        (&["- /a* GET h:x", "- /a"], "GET h /a x:1", Some(1)),
        (&["- /a", "- /a sni:b.c"], "GET h /a sni:b.c", Some(1)),
        (&["- /a", "- /a sni:b.c"], "GET b.c /a", Some(0)),
        (&["- /a sni:b.c sni:*.d"], "GET h /a sni:x.y.d", Some(0)),
        (&["- /a sni:*.d"], "GET h /a sni:d", None),
        (&["- /a GET sni:b.c", "- /a sni:b.c"], "GET h /a sni:b.c", Some(0)),
        // Order.
        (&["- /{x}", "- /{y}"], "GET h /a", Some(0)),
        (&["- /a*", "- /a*"], "GET h /a", Some(0)),
        (&[], "GET h /a", None),
    ] {
        assert_eq!(find(&table(rules), request), expected, "{rules:?}: {request}");
    }
}

#[test]
fn a_name_that_no_field_can_have_never_matches() {
    let mut odd = rule("- /");
    odd.headers.push(FieldMatch {
        name: "a b".into(),
        test: FieldTest::Present,
    });
    let table = Table::new(&[odd.clone(), odd]);
    assert_eq!(find(&table, "GET h /"), None);
    assert_eq!(table.unreachable(), []);
}

#[test]
fn unreachable_rules_are_named_with_their_taker() {
    for (rules, expected) in [
        (&["- /a", "- /a"][..], &[(1, 0)][..]),
        (&["- /{x}", "- /{y}"], &[(1, 0)]),
        (&["- /a*", "- /a/*"], &[(1, 0)]),
        (&["- /a GET,POST", "- /a GET"], &[(1, 0)]),
        (&["- /a GET", "- /a GET,POST"], &[]),
        (&["- /a GET", "- /a"], &[]),
        (&["- /a", "- /a GET"], &[]),
        (&["- /a h:x", "- /a h:X=1"], &[(1, 0)]),
        (&["- /a h:x=1", "- /a h:x"], &[]),
        (&["- /a q:x~1", "- /a q:x=12"], &[(1, 0)]),
        (&["- /a q:x", "- /a q:X"], &[]),
        (&["- /a q:x", "- /a h:x"], &[]),
        (&["- /a ip:10.0.0.0/8", "- /a ip:10.1.0.0/16"], &[(1, 0)]),
        (&["- /a ip:10.0.0.0/8", "- /a GET"], &[]),
        (&["- /a sni:*.b", "- /a sni:a.b sni:*.a.b"], &[(1, 0)]),
        (&["- /a sni:a.b", "- /a sni:*.b"], &[]),
        (&["- /a sni:a.b", "- /a"], &[]),
        (&["- /a", "- /a*"], &[]),
        (&["- /*", "- /a"], &[]),
        (&["a /", "a,b /"], &[]),
        (&["a,b /", "a /", "b /"], &[(1, 0), (2, 0)]),
        (&["a /", "b /", "a,b /"], &[(2, 0)]),
        (&["a /", "*.a /", "- /"], &[]),
        (&["a,a /"], &[]),
        (&["a /", "A. /"], &[(1, 0)]),
    ] {
        assert_eq!(table(rules).unreachable(), expected, "{rules:?}");
    }
}

#[test]
fn ten_thousand_routes_are_told_apart() {
    let rules: Vec<_> = (0..10_000)
        .map(|index| rule(&format!("- /r{index}/v1*")))
        .collect();
    let table = Table::new(&rules);
    for index in (0..10_000).step_by(7) {
        assert_eq!(find(&table, &format!("GET h /r{index}/v1/x")), Some(index));
        assert_eq!(find(&table, &format!("GET h /r{index}/v2")), None);
    }
    let rules: Vec<_> = (0..10_000)
        .map(|index| rule(&format!("h{index}.example /*")))
        .collect();
    let table = Table::new(&rules);
    assert_eq!(find(&table, "GET h9999.example /x"), Some(9999));
    assert_eq!(find(&table, "GET h10000.example /x"), None);
}

/// The rule by its definition: of all rules that match, the one with the lowest rank.
fn reference(rules: &[Rule], lookup: &Lookup<'_>) -> Option<u32> {
    use pattern::{HostScope, PathScope, Segment};
    let host_rank = |rule: &Rule| {
        if rule.hosts.is_empty() {
            return Some((2, 0));
        }
        rule.hosts
            .iter()
            .filter_map(|host| match host.scope {
                HostScope::Exact => (host.name == lookup.host).then_some((0, 0)),
                HostScope::Below => lookup
                    .host
                    .ends_with(&format!(".{}", host.name))
                    .then(|| (1, usize::MAX - host.name.len())),
            })
            .min()
    };
    let path_rank = |rule: &Rule| {
        let parts: Vec<_> = lookup.path.strip_prefix('/').unwrap().split('/').collect();
        let segments = &rule.path.segments;
        let fits = segments.len() <= parts.len()
            && segments.iter().zip(&parts).all(|(segment, part)| match segment {
                Segment::Static(text) => text == part,
                Segment::Parameter(_) => !part.is_empty(),
            });
        let kinds: Vec<_> = segments
            .iter()
            .map(|segment| matches!(segment, Segment::Parameter(_)))
            .collect();
        match rule.path.scope {
            PathScope::Whole => (fits && segments.len() == parts.len()).then_some((0, kinds)),
            PathScope::Prefix => fits.then(|| (usize::MAX - segments.len(), Vec::new())),
        }
    };
    let holds = |rule: &Rule| {
        (rule.methods.is_empty() || rule.methods.contains(lookup.method))
            && rule.headers.iter().all(
                |field| match (lookup.headers.get(field.name.as_str()), &field.test) {
                    (None, _) => false,
                    (Some(_), FieldTest::Present) => true,
                    (Some(value), FieldTest::Exact(text)) => value == text,
                    (Some(value), FieldTest::Prefix(text)) => value.to_str().unwrap().starts_with(text),
                },
            )
            && (rule.sni.is_empty()
                || rule.sni.iter().any(|name| match (name.to_string(), lookup.sni) {
                    (_, None) => false,
                    (name, Some(asked)) => match name.strip_prefix('*') {
                        Some(end) => asked.ends_with(end),
                        None => asked == name,
                    },
                }))
    };
    rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| holds(rule))
        .filter_map(|(index, rule)| {
            let one = |demanded: bool| usize::from(demanded);
            let demands = one(!rule.methods.is_empty()) + rule.headers.len() + one(!rule.sni.is_empty());
            Some((
                (host_rank(rule)?, path_rank(rule)?, usize::MAX - demands, index),
                index,
            ))
        })
        .min()
        .map(|(_, index)| u32::try_from(index).unwrap())
}

fn rules() -> impl Strategy<Value = String> {
    let host = "-|-|a\\.b|b|\\*\\.b|\\*\\.a\\.b|a\\.b,\\*\\.b";
    let path = "(/(a|b|\\{NAME\\})){1,3}/?|(/[ab]){0,3}\\*|/\\*";
    let rest = "( GET| GET,POST)?( h:x| h:x=1| h:x~1)?( h:y=2)?( sni:a\\.b| sni:\\*\\.b)?";
    (host, path, rest).prop_map(|(host, path, rest)| {
        // Each parameter gets a name of its own.
        let mut parts = path.split("NAME");
        let mut named = parts.next().unwrap().to_owned();
        for (number, part) in parts.enumerate() {
            named.push_str(&format!("p{number}{part}"));
        }
        let named = if named == "*" { "/*".to_owned() } else { named };
        format!("{host} {named}{rest}")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_table_agrees_with_the_definition(
        texts in prop::collection::vec(rules(), 1..12),
        host in "(a\\.b|b|c\\.a\\.b|c\\.b|x)",
        path in "(/[abc]{0,1}){1,4}",
        method in "GET|POST|PUT",
        x in prop::option::of("1|12|3"),
        y in prop::option::of("2"),
        sni in prop::option::of("a\\.b|c\\.b|b"),
    ) {
        let rules: Vec<_> = texts.iter().map(|text| rule(text)).collect();
        let table = Table::new(&rules);
        let mut headers = HeaderMap::new();
        if let Some(x) = x {
            headers.insert("x", x.parse().unwrap());
        }
        if let Some(y) = y {
            headers.insert("y", y.parse().unwrap());
        }
        let method: Method = method.parse().unwrap();
        let lookup = Lookup {
            host: &host,
            path: &path,
            query: None,
            method: &method,
            headers: &headers,
            client_ip: "192.0.2.1".parse().unwrap(),
            sni: sni.as_deref(),
        };
        let found = table.find(&lookup);
        prop_assert_eq!(found, reference(&rules, &lookup), "{:?}", texts);
        // The explanation agrees, and has a reason for every other rule.
        let count = u32::try_from(rules.len()).unwrap();
        let explanation = table.explain(&lookup, count);
        prop_assert_eq!(explanation.found.as_ref().map(|(rule, _)| *rule), found);
        let mut all: Vec<u32> = explanation.passed.iter().map(|(rule, _)| *rule).chain(found).collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..count).collect::<Vec<_>>(), "{:?}", texts);
        for (index, passed) in explanation.passed {
            let alone = &rules[usize::try_from(index).unwrap()..][..1];
            let lost = !matches!(passed, Passed::Host | Passed::Path | Passed::Unmet(_));
            prop_assert_eq!(reference(alone, &lookup).is_some(), lost, "{} {:?}: {:?}", index, texts, passed);
        }
        // What is found is reachable.
        if let Some(found) = found {
            prop_assert!(table.unreachable().iter().all(|(rule, _)| *rule != found));
        }
    }
}
