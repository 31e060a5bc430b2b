//! The `match` table of a route: hosts, path, methods, headers, query, client addresses and names of handshakes.
//!
//! It refuses to know how patterns are matched.

use http::{HeaderName, HeaderValue, Method};

use super::super::reader::{Reader, is_text};
use super::super::scope::{Node, Scope};
use super::super::secret::{Text, quoted};
use super::network;
use crate::route::{FieldMatch, FieldTest, HostPattern, PathPattern, PatternError, Rule, ServerName};

/// The table `match`; absent = every request. None when it has no path that could be stood in for.
pub(super) fn read(mut reader: Reader<'_>) -> Option<Rule> {
    let hosts = names(&mut reader, "host", "a host pattern", HostPattern::parse);
    let path = path(&mut reader);
    let methods = methods(&mut reader);
    let headers = headers(&mut reader);
    let query = query(&mut reader);
    let client_ip = network::networks(&mut reader, "client-ip", "leave it out for any client");
    let sni = names(&mut reader, "sni", "a server name", ServerName::parse);
    reader.finish();
    Some(Rule {
        hosts,
        path: path?,
        methods,
        headers,
        query,
        client_ip,
        sni,
    })
}

/// One pattern of names, or a list of them.
fn names<T>(
    reader: &mut Reader<'_>,
    key: &'static str,
    what: &str,
    parse: fn(&str) -> Result<T, PatternError>,
) -> Vec<T> {
    let scope = reader.scope();
    let Some((_, node)) = reader.entry(key) else {
        return Vec::new();
    };
    let texts = if is_text(node) {
        scope.text(&quoted(key), node).into_iter().collect()
    } else {
        reader
            .texts(key, &format!("leave it out for any {key}"))
            .unwrap_or_default()
    };
    texts
        .iter()
        .filter_map(|text| scope.parse(text, what, parse))
        .collect()
}

fn path(reader: &mut Reader<'_>) -> Option<PathPattern> {
    let scope = reader.scope();
    let path = reader.text("path");
    let prefix = reader.text("prefix");
    if let (Some(_), Some(prefix)) = (&path, &prefix) {
        scope.error(prefix.at(), "a route cannot match both a `path` and a `prefix`");
    }
    match (path, prefix) {
        (Some(path), _) => scope.parse(&path, "a path pattern", PathPattern::pattern),
        (None, Some(prefix)) => scope.parse(&prefix, "a path prefix", PathPattern::prefix),
        (None, None) => match PathPattern::prefix("/") {
            Ok(any) => Some(any),
            Err(error) => {
                scope.error(reader.at(), error.to_string());
                None
            }
        },
    }
}

fn methods(reader: &mut Reader<'_>) -> Vec<Method> {
    let scope = reader.scope();
    let texts = reader
        .texts("methods", "leave it out for any method")
        .unwrap_or_default();
    texts
        .iter()
        .filter_map(|text| scope.parse(text, "a method", method))
        .collect()
}

/// A method (RFC 9110 section 9.1: case-sensitive; those in use are upper case).
pub(super) fn method(text: &str) -> Result<Method, String> {
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(format!(
            "methods are case-sensitive: did you mean `{}`?",
            text.to_ascii_uppercase()
        ));
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| "write for example `GET`".to_owned())
}

/// The table `headers`: a test for each field.
fn headers(reader: &mut Reader<'_>) -> Vec<FieldMatch> {
    let scope = reader.scope();
    let value = |text: &str| match HeaderValue::from_str(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("no header field can have this value"),
    };
    let mut matches = Vec::new();
    for (name, at, node) in reader.free_entries("headers") {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(header) => matches.extend(field(scope, header.as_str(), node, value)),
            Err(_) => scope.error(&at, format!("{} is not a header name", quoted(name))),
        }
    }
    matches
}

/// The table `query`: a test for each parameter.
fn query(reader: &mut Reader<'_>) -> Vec<FieldMatch> {
    let scope = reader.scope();
    let value = |text: &str| Ok(text.to_owned());
    let entries = reader.free_entries("query");
    entries
        .into_iter()
        .filter_map(|(name, _, node)| field(scope, name, node, value))
        .collect()
}

/// The test for one field: its value, `{ present = true }` or `{ prefix = ".." }`.
fn field(
    scope: &Scope<'_>,
    name: &str,
    node: &Node<'_>,
    value: impl Fn(&str) -> Result<String, &'static str>,
) -> Option<FieldMatch> {
    let parse = |text: &Text| scope.parse(text, "a possible value", &value);
    let test = if is_text(node) {
        let text = scope.text(&quoted(name), node)?;
        FieldTest::Exact(parse(&text)?)
    } else if node.get_ref().is_table() {
        let mut reader = Reader::of(scope, node, node.span(), name.to_owned());
        let present = reader.flag("present");
        let prefix = reader.text("prefix");
        let known = reader.has_any(&["present", "prefix"]);
        reader.finish();
        match (present, prefix) {
            (Some(true), None) => FieldTest::Present,
            (None, Some(text)) => FieldTest::Prefix(parse(&text)?),
            (None, None) if known => return None,
            _ => {
                let message = format!("{} must be either present or have a prefix", quoted(name));
                let help = "write a value, `{ present = true }` or `{ prefix = \"..\" }`";
                scope.error_with_help(&node.span(), message, help);
                return None;
            }
        }
    } else {
        return scope.wrong_type(&quoted(name), "a string or a table", node);
    };
    Some(FieldMatch {
        name: name.to_owned(),
        test,
    })
}

#[cfg(test)]
mod tests {
    use crate::config::tests::errors;

    #[test]
    fn a_bad_match_is_reported_part_by_part() {
        let text = "[upstreams.u]\nendpoints = ['127.0.0.1:1']\n[[routes]]\nname = 'r'\nupstream = 'u'\n\
                    [routes.match]\nhost = []\npath = 'orders'\nprefix = '/'\nmethods = ['get']\n\
                    client-ip = ['here']\nsni = '192.0.2.1'\n[routes.match.headers]\n'a b' = 'x'\nx-a = {}\n\
                    x-b = { present = false }\nx-c = 5\nx-d = { suffix = 'a' }\nx-e = \"a\\nb\"\n";
        insta::assert_snapshot!(errors(text), @r#"
        error: `host` is empty
         --> gateway.toml:7:1
          |
        7 | host = []
          | ^^^^
          = help: leave it out for any host

        error: `orders` is not a path pattern
         --> gateway.toml:8:8
          |
        8 | path = 'orders'
          |        ^^^^^^^^
          = help: "orders" does not begin with a slash

        error: a route cannot match both a `path` and a `prefix`
         --> gateway.toml:9:10
          |
        9 | prefix = '/'
          |          ^^^

        error: `get` is not a method
          --> gateway.toml:10:12
           |
        10 | methods = ['get']
           |            ^^^^^
           = help: methods are case-sensitive: did you mean `GET`?

        error: `here` is not a network
          --> gateway.toml:11:14
           |
        11 | client-ip = ['here']
           |              ^^^^^^
           = help: write an address with a prefix length: `10.0.0.0/8`, or `fd00::/8` for IPv6

        error: `192.0.2.1` is not a server name
          --> gateway.toml:12:7
           |
        12 | sni = '192.0.2.1'
           |       ^^^^^^^^^^^
           = help: "192.0.2.1" is an address: clients ask for names only

        error: `a b` is not a header name
          --> gateway.toml:14:1
           |
        14 | 'a b' = 'x'
           | ^^^^^

        error: `x-a` must be either present or have a prefix
          --> gateway.toml:15:7
           |
        15 | x-a = {}
           |       ^^
           = help: write a value, `{ present = true }` or `{ prefix = ".." }`

        error: `x-b` must be either present or have a prefix
          --> gateway.toml:16:7
           |
        16 | x-b = { present = false }
           |       ^^^^^^^^^^^^^^^^^^^
           = help: write a value, `{ present = true }` or `{ prefix = ".." }`

        error: `x-c` must be a string or a table, not an integer
          --> gateway.toml:17:7
           |
        17 | x-c = 5
           |       ^

        error: `x-d` must be either present or have a prefix
          --> gateway.toml:18:7
           |
        18 | x-d = { suffix = 'a' }
           |       ^^^^^^^^^^^^^^^^
           = help: write a value, `{ present = true }` or `{ prefix = ".." }`

        error: unknown key `suffix` in `x-d`
          --> gateway.toml:18:9
           |
        18 | x-d = { suffix = … }
           |         ^^^^^^
           = help: possible keys: prefix, present

        error: `a b` is not a possible value
          --> gateway.toml:19:7
           |
        19 | x-e = "a\nb"
           |       ^^^^^^
           = help: no header field can have this value
        "#);
    }
}
