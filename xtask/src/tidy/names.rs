//! Names that only some modules of the host may say: the engine, the file format, sockets; and names of plugins,
//! which none may say. Tests are free.

use crate::tidy::Finding;
use crate::tidy::source::{Kind, Source, Token};

/// Modules that may name wasmtime, toml and sockets.
const WASMTIME: [&str; 3] = ["engine", "abi", "plugin"];
const TOML: [&str; 2] = ["config", "cli"];
const SOCKETS: [&str; 5] = ["net", "upstream", "store", "export", "admin"];

/// What opens a socket, in the standard library and in tokio.
const SOCKET_TYPES: [&str; 7] = [
    "TcpStream",
    "TcpListener",
    "TcpSocket",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
];

/// Plugins whose name is an ordinary word of a gateway's code: only a string that is exactly the name counts.
const ORDINARY: [&str; 15] = [
    "aggregate",
    "balance",
    "cache",
    "compress",
    "discovery",
    "log",
    "metrics",
    "mirror",
    "mock",
    "redirect",
    "request-id",
    "rewrite",
    "router",
    "transform",
    "validate",
];

/// Plugins that are called like an interface of the contract (`wit/`), whose names the host has to say.
const INTERFACES: [&str; 1] = ["router"];

/// Findings for the file `module` (relative to `host/src`).
pub(super) fn check(source: &Source<'_>, module: &str, plugins: &[String]) -> Vec<Finding> {
    let own = module.split(['/', '.']).next().unwrap_or_default();
    let networked = names_net(source);
    let mut findings = Vec::new();
    let mut add = |token: &Token<'_>, text: String| {
        findings.push(Finding::error(source.file, token.line, text));
    };
    for (at, token) in source.tokens.iter().enumerate().filter(|(_, token)| !token.test) {
        if token.kind == Kind::Name {
            let name = token.text;
            if (name == "wasmtime" || name.starts_with("wasmtime_")) && !WASMTIME.contains(&own) {
                add(token, format!("names `{name}`: only {} may", list(&WASMTIME)));
            }
            // A variable may be called toml; a path may not start with it.
            if name == "toml" && source.reads(at + 1, &[":", ":"]) && !TOML.contains(&own) {
                add(token, format!("names `toml`: only {} may", list(&TOML)));
            }
            if networked && SOCKET_TYPES.contains(&name) && !SOCKETS.contains(&own) {
                add(
                    token,
                    format!("names `{name}`: only {} open sockets", list(&SOCKETS)),
                );
            }
        }
        let mut named = plugins
            .iter()
            .filter(|plugin| !INTERFACES.contains(&plugin.as_str()));
        if let Some(plugin) = named.find(|plugin| says(token, plugin)) {
            add(
                token,
                format!("names the plugin `{plugin}`: the host knows no plugin"),
            );
        }
    }
    findings
}

/// Whether the file names a `net` that is not the host's own: `std::net`, `tokio::net`, `unix::net`. WASI has
/// resources that are called like the types of these.
fn names_net(source: &Source<'_>) -> bool {
    (0..source.tokens.len()).any(|at| {
        source.reads(at, &["net", ":", ":"]) && {
            let start = at.saturating_sub(3);
            !source.reads(start, &["crate", ":", ":"])
        }
    })
}

fn list(modules: &[&str]) -> String {
    format!("`{}`", modules.join("`, `"))
}

/// Whether the token names the plugin, as a word of a string or of an identifier.
fn says(token: &Token<'_>, plugin: &str) -> bool {
    match token.kind {
        Kind::String if ORDINARY.contains(&plugin) => token.text == plugin,
        Kind::String => has_word(token.text, plugin),
        Kind::Name if ORDINARY.contains(&plugin) => false,
        Kind::Name => has_word(&kebab(token.text), plugin),
        Kind::Mark | Kind::Other => false,
    }
}

/// `word` in `text`, with neither a letter, a digit nor a dash around it.
fn has_word(text: &str, word: &str) -> bool {
    let outside = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '-');
    text.match_indices(word).any(|(at, _)| {
        let (before, rest) = text.split_at(at);
        let after = rest.strip_prefix(word).unwrap_or_default();
        outside(before.chars().next_back()) && outside(after.chars().next())
    }) || text == word
}

/// `AuthKey`, `auth_key` and `AUTH_KEY` as `auth-key`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    let mut lower = false;
    for c in name.chars() {
        if c == '_' {
            kebab.push('-');
        } else {
            if c.is_uppercase() && lower {
                kebab.push('-');
            }
            kebab.extend(c.to_lowercase());
        }
        lower = c.is_lowercase();
    }
    kebab
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(module: &str, text: &str) -> Vec<String> {
        let plugins = ["auth-key".to_owned(), "mock".to_owned()];
        check(&Source::parse("f.rs", text), module, &plugins)
            .into_iter()
            .map(|f| f.text)
            .collect()
    }

    #[test]
    fn wasmtime_toml_and_sockets_stay_in_their_modules() {
        let text = "use wasmtime::Store; use wasmtime_wasi::X; use toml::Table; use tokio::net::TcpStream;";
        assert_eq!(findings("pipeline.rs", text).len(), 4);
        assert_eq!(
            findings("engine/pool.rs", "use wasmtime::Store;"),
            Vec::<String>::new()
        );
        assert_eq!(findings("config.rs", "use toml::Table;"), Vec::<String>::new());
        assert_eq!(
            findings("net/listener.rs", "use std::net::TcpListener;"),
            Vec::<String>::new()
        );
        assert_eq!(
            findings("gateway.rs", "let toml = 1; // wasmtime\nlet x = \"wasmtime\";"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn no_plugin_is_named_outside_of_tests() {
        for text in [
            "fn auth_key() {}",
            "struct AuthKey;",
            "let x = \"the auth-key plugin\";",
            "const AUTH_KEY: u8 = 1;",
        ] {
            assert_eq!(
                findings("plugin.rs", text),
                ["names the plugin `auth-key`: the host knows no plugin"],
                "{text}"
            );
        }
        for text in [
            "// auth-key",
            "let x = \"auth-keys\";",
            "let mock = 1;",
            "#[test] fn t() { \"auth-key\" }",
        ] {
            assert_eq!(findings("plugin.rs", text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(findings("plugin.rs", "let x = \"mock\";").len(), 1);
    }
}
