//! The layers of `host/src`: a module imports only from strictly lower ones, so that there are no cycles and a
//! reader can start at the bottom. Tests are free.

use crate::tidy::Finding;
use crate::tidy::source::{Kind, Source};

/// Top modules of the host, lowest layer first. `ARCHITECTURE.md` says what each is for.
pub(super) const LAYERS: &[&[&str]] = &[
    &["base64", "clock", "ids", "units"],
    &["message", "mux", "telemetry", "tls"],
    &["route"],
    &["config", "exchange", "net", "store", "upstream"],
    &["engine"],
    &["abi", "export"],
    &["plugin"],
    &["pipeline"],
    &["status"],
    &["admin"],
    &["gateway"],
    &["cli"],
    &["main"],
];

/// Findings for the file `module` (relative to `host/src`).
pub(super) fn check(source: &Source<'_>, module: &str) -> Vec<Finding> {
    let depth = module.matches('/').count() + 1;
    let own = module.split(['/', '.']).next().unwrap_or_default();
    if own == "lib" {
        return declared(source);
    }
    let Some(layer) = layer_of(own) else {
        return vec![Finding::error(source.file, 0, unknown(own))];
    };
    let mut findings = Vec::new();
    for (other, line) in uses(source) {
        match layer_of(other) {
            Some(below) if below < layer || other == own => {}
            Some(below) => findings.push(Finding::error(
                source.file,
                line,
                format!("`{own}` (layer {layer}) uses `{other}` (layer {below}): only strictly lower layers may be used"),
            )),
            // Macros and re-exports at the crate's root have no layer, and there should be none.
            None => findings.push(Finding::error(source.file, line, unknown(other))),
        }
    }
    findings.extend(climbs(source, depth).into_iter().map(|line| {
        Finding::error(
            source.file,
            line,
            "reaches another top module by `super`: write `crate::`",
        )
    }));
    findings
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn unknown(module: &str) -> String {
    format!("`{module}` is not in the table of layers (xtask/src/tidy/layers.rs)")
}

/// `lib.rs` declares the modules: each has to be in the table.
fn declared(source: &Source<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pair in source.tokens.windows(2) {
        if let [word, name] = pair
            && (word.text, word.kind, name.kind, word.test) == ("mod", Kind::Name, Kind::Name, false)
            && layer_of(name.text).is_none()
        {
            findings.push(Finding::error(source.file, name.line, unknown(name.text)));
        }
    }
    findings
}

/// The top modules named after `crate::`, or after the library's name in the binary, groups included.
fn uses<'a>(source: &'a Source<'_>) -> Vec<(&'a str, usize)> {
    let mut found = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let root = token.kind == Kind::Name && ["crate", "portcullis_host"].contains(&token.text);
        if token.test || !root || !source.reads(at + 1, &[":", ":"]) {
            continue;
        }
        // pub(in crate::x) names its own module.
        let mut depth = 0_usize;
        let mut first = true;
        for next in source.tokens.iter().skip(at + 3) {
            match (next.kind, next.text) {
                (Kind::Mark, "{") => depth += 1,
                (Kind::Mark, "}") => depth = depth.saturating_sub(1),
                (Kind::Mark, ",") => first = depth == 1,
                (Kind::Name, name) if first => {
                    found.push((name, next.line));
                    first = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

/// Lines where `super` is repeated often enough to leave the top module, from a file `depth` modules deep.
fn climbs(source: &Source<'_>, depth: usize) -> Vec<usize> {
    let mut found = Vec::new();
    // For each open brace, whether it is a module's.
    let mut braces: Vec<bool> = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        match (token.kind, token.text) {
            (Kind::Mark, "{") => {
                let before = at.checked_sub(2).and_then(|at| source.tokens.get(at));
                braces.push(before.is_some_and(|token| token.kind == Kind::Name && token.text == "mod"));
            }
            (Kind::Mark, "}") => {
                braces.pop();
            }
            (Kind::Name, "super") if !token.test => {
                let depth = depth + braces.iter().filter(|module| **module).count();
                let words: Vec<&str> = ["super", ":", ":"].into_iter().cycle().take(depth * 3).collect();
                if source.reads(at, &words) {
                    found.push(token.line);
                }
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(module: &str, text: &str) -> Vec<(usize, String)> {
        let file = format!("host/src/{module}");
        let source = Source::parse(&file, text);
        check(&source, module)
            .into_iter()
            .map(|finding| (finding.line, finding.text))
            .collect()
    }

    #[test]
    fn lower_layers_and_the_own_module_may_be_used() {
        let text = "use crate::units::Size;\nuse crate::{message::Path, upstream::{pool, crate_x}};\nuse super::pool;";
        assert_eq!(findings("upstream/cluster.rs", text), []);
    }

    #[test]
    fn the_same_and_higher_layers_are_refused() {
        let text = "use crate::net::Listener;\nfn f() { crate::gateway::start() }\n";
        let found = findings("upstream.rs", text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].0, 1);
        assert!(
            found[0]
                .1
                .starts_with("`upstream` (layer 3) uses `net` (layer 3)"),
            "{}",
            found[0].1
        );
        assert_eq!(found[1].0, 2);
        let groups = findings(
            "route.rs",
            "use crate::{\n    units::{a, b},\n    config::Config,\n};",
        );
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].0, 3);
    }

    #[test]
    fn tests_and_comments_are_free() {
        let text = "//! [`crate::gateway`]\n#[cfg(test)]\nmod tests { use crate::gateway::Gateway; }\n";
        assert_eq!(findings("units.rs", text), []);
    }

    #[test]
    fn leaving_the_module_by_super_is_refused() {
        assert_eq!(findings("units.rs", "use super::ids;").len(), 1);
        assert_eq!(findings("units/size.rs", "use super::Size;"), []);
        assert_eq!(findings("units/size.rs", "use super::super::ids;").len(), 1);
        assert_eq!(
            findings("units.rs", "mod a { use super::b; fn c() { super::d() } }"),
            []
        );
        assert_eq!(findings("units.rs", "mod a { use super::super::b; }").len(), 1);
    }

    #[test]
    fn a_module_without_a_layer_is_refused() {
        assert_eq!(
            findings("lib.rs", "pub mod units;\n#[cfg(test)]\nmod fixtures;\n"),
            []
        );
        assert_eq!(findings("lib.rs", "pub mod units;\nmod helper;\n").len(), 1);
        assert_eq!(findings("helper.rs", "").len(), 1);
        assert_eq!(findings("main.rs", "use portcullis_host::cli;"), []);
    }
}
