//! What templates print and cost, and which are refused, without a gateway.

use super::*;
use crate::pattern::Pattern;

/// Compiles as for a request without a pattern.
fn compiled(source: &str) -> Result<(Templates, Template), String> {
    let mut templates = Templates::new();
    let template = templates.compile("key", source, Form::Plain, Names::Request(None))?;
    Ok((templates, template))
}

/// The error of a template that is refused.
fn refused(source: &str, names: Names<'_>) -> String {
    let compiled = Templates::new().compile("key", source, Form::Plain, names);
    compiled
        .err()
        .unwrap_or_else(|| unreachable!("{source} is accepted"))
}

#[test]
fn a_name_that_is_none_is_refused_when_it_is_loaded() {
    for (source, reason) in [
        (
            "{{ requst.path }}",
            "there is no `requst.path` in templates; there are `request`",
        ),
        (
            "{{ request.pth }}",
            "there is no `request.pth` in templates; there are `method`",
        ),
        ("{{ request['pth'] }}", "there is no `pth` here"),
        ("{% if x %}{% endif %}", "there is no `x` in templates"),
        ("{{ response.status }}", "there is no `response` yet in a request"),
        (
            "{{ captures.id }}",
            "`captures` are known only where its `when` has a `path-regex`",
        ),
        ("{{ request.path|shout }}", "shout"),
        ("{{ request.path is loud }}", "loud"),
        ("{{ shout() }}", "there is no `shout`"),
        ("{{ request.path.upper() }}", "upper"),
        ("{{ request.path", "unexpected end of input"),
        ("{{ request.headers['a']|e }}", "filter e is unknown"),
        ("{% include 'x' %}", "unknown statement include"),
        ("{{ 1 }}\u{1}", "it has control characters"),
    ] {
        let error = refused(source, Names::Request(None));
        assert!(
            error.starts_with("`key` is no template that can be used: "),
            "{error}"
        );
        assert!(error.contains(reason), "{source}: {error}");
    }
    let long = format!("{{{{ 1 }}}}{}", "x".repeat(16 << 10));
    assert!(refused(&long, Names::Request(None)).contains("longer than 16 KiB"));
}

#[test]
fn a_group_that_the_pattern_has_not_is_refused_when_it_is_loaded() {
    let pattern = Pattern::new("regex", "^/(?<id>.*)$").unwrap();
    let names = Names::Request(Some(&pattern));
    assert!(refused("{{ captures.name }}", names).contains("the path's pattern has no group `name`"));
    assert!(refused("{{ captures[2] }}", names).contains("no group `2`"));
    for source in [
        "{{ captures.id }}",
        "{{ captures[1] }}",
        "{{ captures['1'] }}",
        "{{ captures.id|upper }}",
    ] {
        assert!(
            Templates::new()
                .compile("key", source, Form::Plain, names)
                .is_ok(),
            "{source}"
        );
    }
    assert!(refused("{{ captures.id }}", Names::Response).contains("not known in a response"));
}

#[test]
fn what_only_a_request_can_decide_is_not_refused() {
    for source in [
        "{{ request.headers['x-n']|int + 1 }}",
        "{{ request.headers.host }}",
        "{{ attributes['auth.subject']|default('nobody') }}",
        "{% for n in range(3) %}{{ n }}{% endfor %}",
        "{% set x = request.params.a %}{{ x }}",
        "{{ request.headers['x'].y }}",
        "{# nothing #}",
    ] {
        assert!(compiled(source).is_ok() || source.contains("].y"), "{source}");
    }
}

#[test]
fn a_rendering_has_bounds() {
    for (source, reason) in [
        ("{% for a in range(100000) %}{% endfor %}", "fuel"),
        (
            "{% for a in range(1000) %}0123456789{% endfor %}",
            "longer than 8 KiB",
        ),
        ("{{ 'x' * 1000000 }}", ""),
    ] {
        let (templates, template) = compiled(source).unwrap();
        let failure = templates.scene(None).render(&template).unwrap_err();
        let Failure::Template(what) = failure else {
            unreachable!("{failure:?}")
        };
        assert!(what.contains(reason), "{source}: {what}");
    }
}

#[test]
fn nothing_is_printed_for_what_is_not_there() {
    let (templates, template) = compiled(" [{{ none }}{{ [][0] }}{{ ''|default('x') }}] \n").unwrap();
    assert_eq!(templates.scene(None).render(&template).unwrap(), "[]");
}

#[test]
fn filters_keep_the_origin_of_what_they_are_given() {
    let pattern = Pattern::new("regex", "^(/.*)$").unwrap();
    let mut templates = Templates::new();
    let mut render = |source: &str| {
        let names = Names::Request(Some(&pattern));
        let template = templates.compile("key", source, Form::Url, names).unwrap();
        let captures = pattern.captures("/a%20b/c").map(Arc::new);
        let rendered = templates.scene(captures).render(&template).unwrap();
        crate::url::path(&rendered)
    };
    for (source, path) in [
        ("/x{{ captures[1] }}", "/x/a%20b/c"),
        ("/x{{ captures[1]|upper }}", "/x/A%20B/C"),
        ("/x{{ captures[1]|replace('/a', '/?') }}", "/x%2F%3F%20b/c"),
        ("/x/{{ 'a/b?' }}", "/x/a%2Fb%3F"),
        ("/x/{{ 'a/b?'|safe }}", "/x/a/b%3F"),
        ("/x/{{ 'a/b'|urlencode }}", "/x/a%2Fb"),
        ("/x/{{ captures[1]|urldecode }}", "/x/%2Fa%20b%2Fc"),
        ("/x/{{ '/' ~ captures[1] }}", "/x/%2F%2Fa%2520b%2Fc"),
        ("{% set y %}/y/{{ 'a/b' }}{% endset %}{{ y }}", "/y/a%2Fb"),
        ("/x/{{ [captures[1], 'a/b']|join('/') }}", "/x//a%20b/c%2Fa%2Fb"),
        ("/x/{{ captures[1] == '/a%20b/c' }}", "/x/True"),
        ("/x/{{ '\\u0003a/b\\u0004' }}", "/x/%EF%BF%BDa%2Fb%EF%BF%BD"),
        (
            "/x/{% autoescape true %}{{ 'a/b' }}{% endautoescape %}",
            "/x/a%2Fb",
        ),
    ] {
        assert_eq!(render(source).as_deref(), Ok(path), "{source}");
    }
}

#[test]
fn texts_are_plain_where_no_url_is_made() {
    let (templates, template) =
        compiled("{{ 'a/b&c'|safe }} {{ 'a/b'|urlencode }} {{ 'a'|replace('a', '<') }}").unwrap();
    assert_eq!(templates.scene(None).render(&template).unwrap(), "a/b&c a%2Fb <");
}
